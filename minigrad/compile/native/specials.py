"""The native kernels that are neither loops over elements nor products, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from minigrad.compile.native import window_kernels
from minigrad.compile.native.draws import (
    emit_integers,
    emit_normal,
    emit_truncated_normal,
    emit_uniform,
)
from minigrad.compile.native.epilogues import Finisher
from minigrad.compile.native.gathering import emit_gather, emit_scatter_add
from minigrad.compile.native.kernel import Kernel
from minigrad.compile.native.placing import emit_place
from minigrad.compile.native.positions import emit_argmax, emit_argmin
from minigrad.compile.native.scans import emit_scan
from minigrad.compile.native.writer import Module
from minigrad.compile.program import Instruction

#: From an instruction of kind ``"special"`` to its kernel; None if it has none for these
#: attributes. The args are its inputs, but for those that are left out or of
#: which only the shape is read; its outputs; and scratch memory if any.
Emitter: TypeAlias = Callable[[Module, Instruction], "Kernel | None"]

SPECIALS: dict[str, Emitter] = {
    "convolution": window_kernels.convolution,
    "convolution_transpose": window_kernels.convolution_transpose,
    "convolution_kernel_gradient": window_kernels.convolution_kernel_gradient,
    "max_pool": window_kernels.max_pool,
    "max_pool_gradient": window_kernels.max_pool_gradient,
    "avg_pool": window_kernels.avg_pool,
    "avg_pool_gradient": window_kernels.avg_pool_gradient,
    "place": emit_place,
    "gather": emit_gather,
    "scatter_add": emit_scatter_add,
    "argmax": emit_argmax,
    "argmin": emit_argmin,
    "cumulative_sum": emit_scan,
    "cumulative_prod": emit_scan,
    "linear_recurrence": emit_scan,
    "random_integers": emit_integers,
    "random_uniform": emit_uniform,
    "random_normal": emit_normal,
    "truncated_normal": emit_truncated_normal,
}

#: Those that let an epilogue finish their results, which comes as a third argument.
FINISHED: dict[str, Callable[[Module, Instruction, Finisher], Kernel | None]] = {
    "convolution": window_kernels.convolution,
    "convolution_transpose": window_kernels.convolution_transpose,
    "max_pool_gradient": window_kernels.max_pool_gradient,
    "random_integers": emit_integers,
    "random_uniform": emit_uniform,
    "random_normal": emit_normal,
    "truncated_normal": emit_truncated_normal,
}
