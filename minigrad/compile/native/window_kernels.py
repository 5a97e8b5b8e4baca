"""Convolutions and pooling of a plan: from instructions to the specs of their native kernels."""

from __future__ import annotations

from typing import Any

from minigrad.compile.native.convolution import (
    ConvolutionSpec,
    emit_convolution,
    emit_convolution_input_gradient,
    emit_convolution_kernel_gradient,
)
from minigrad.compile.native.kernel import Epilogue, Kernel
from minigrad.compile.native.pooling import (
    PoolingSpec,
    emit_avg_pool,
    emit_avg_pool_gradient,
    emit_max_pool,
    emit_max_pool_gradient,
)
from minigrad.compile.native.types import F32, F64, has_type, type_of
from minigrad.compile.native.writer import Module
from minigrad.compile.program import Instruction, Sizes


def convolution(
    module: Module, step: Instruction, epilogue: Epilogue | None = None
) -> Kernel | None:
    """Of x and the kernel."""
    spec = _convolution_spec(step, _shape(step, 0), _shape(step, 1))
    return None if spec is None else emit_convolution(module, spec, epilogue)


def convolution_transpose(
    module: Module, step: Instruction, epilogue: Epilogue | None = None
) -> Kernel | None:
    """Of what a convolution gives, and its kernel."""
    spec = _convolution_spec(step, step.outputs[0].shape, _shape(step, 1))
    return None if spec is None else emit_convolution_input_gradient(module, spec, epilogue)


def convolution_kernel_gradient(module: Module, step: Instruction) -> Kernel | None:
    """Of a convolution's x and its upstream gradient."""
    spec = _convolution_spec(step, _shape(step, 0), step.outputs[0].shape)
    return None if spec is None else emit_convolution_kernel_gradient(module, spec)


def max_pool(module: Module, step: Instruction, epilogue: Epilogue | None = None) -> Kernel | None:
    """Of x."""
    spec = _pooling_spec(step, _shape(step, 0))
    return None if spec is None else emit_max_pool(module, spec, epilogue)


def max_pool_gradient(
    module: Module, step: Instruction, epilogue: Epilogue | None = None
) -> Kernel | None:
    """Of the upstream gradient, x and the result of pooling it."""
    spec = _pooling_spec(step, _shape(step, 1))
    return None if spec is None else emit_max_pool_gradient(module, spec, epilogue)


def avg_pool(module: Module, step: Instruction, epilogue: Epilogue | None = None) -> Kernel | None:
    """Of x."""
    spec = _pooling_spec(step, _shape(step, 0))
    padded = bool(step.attrs["count_include_pad"])
    return None if spec is None else emit_avg_pool(module, spec, padded, epilogue)


def avg_pool_gradient(
    module: Module, step: Instruction, epilogue: Epilogue | None = None
) -> Kernel | None:
    """Of the upstream gradient."""
    spec = _pooling_spec(step, step.outputs[0].shape)
    padded = bool(step.attrs["count_include_pad"])
    return None if spec is None else emit_avg_pool_gradient(module, spec, padded, epilogue)


def _shape(step: Instruction, position: int) -> Sizes:
    operand = step.inputs[position]
    assert operand is not None
    return operand.shape


def _convolution_spec(step: Instruction, x: Sizes, kernel: Sizes) -> ConvolutionSpec | None:
    """The spec for an input and a kernel of these shapes; None for other floats than two."""
    attrs = step.attrs
    t = type_of(step.outputs[0].dtype)
    if t not in (F32, F64):
        return None
    *window, inner, outer = kernel
    groups = attrs["groups"]
    depthwise = groups is None
    return ConvolutionSpec(
        type=t,
        batch=x[0],
        sizes=x[1:-1],
        channels=x[-1],
        window=tuple(window),
        outputs=inner * outer if depthwise else outer,
        stride=attrs["stride"],
        padding=attrs["padding"],
        dilation=attrs["dilation"],
        groups=inner if depthwise else groups,
    )


def _pooling_spec(step: Instruction, x: Sizes) -> PoolingSpec | None:
    """The spec for windows over an array of this shape; None if its elements have no type here."""
    attrs: dict[str, Any] = step.attrs
    dtype = step.outputs[0].dtype
    if not has_type(dtype):
        return None
    return PoolingSpec(
        type=type_of(dtype),
        batch=x[0],
        sizes=x[1:-1],
        channels=x[-1],
        window=attrs["window"],
        stride=attrs["stride"],
        padding=attrs["padding"],
        dilation=attrs["dilation"],
    )
