"""Convolutions and pooling as plans hold them, by native kernels and by the primitives' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernel_runs import KernelRun
from plan_runs import FAST, Case, assert_same

import minigrad as mg
import minigrad.nn as nn
from minigrad.compile.kernels import pure_kernel
from minigrad.compile.native.specials import SPECIALS
from minigrad.compile.native.writer import Module
from minigrad.compile.program import Instruction, Program


def program_of(data_format: str, dtype: str, depthwise: bool) -> Program:
    """Two convolutions, two poolings, a transposed convolution, and all their gradients."""
    last = data_format == "NHWC"
    graph = mg.Graph()
    with graph.as_default():
        x = mg.placeholder(dtype, shape=(2, 9, 8, 3) if last else (2, 3, 9, 8))
        k1 = mg.placeholder(dtype, shape=(3, 2, 3, 2) if depthwise else (3, 2, 3, 6))
        k2 = mg.placeholder(dtype, shape=(2, 2, 3, 4))
        k3 = mg.placeholder(dtype, shape=(3, 3, 5, 4))
        first = nn.depthwise_conv2d if depthwise else nn.conv2d
        y = first(x, k1, padding="SAME", data_format=data_format)
        y = nn.max_pool2d(y, 2, padding=[(0, 1), (0, 0)], data_format=data_format)
        y = nn.conv2d(y, k2, groups=2, dilation=(1, 2), data_format=data_format)
        y = nn.avg_pool2d(y, 2, stride=1, padding=1, data_format=data_format)
        y = nn.conv2d_transpose(y, k3, stride=2, data_format=data_format)
        gradients = mg.gradients(mg.sum(y * y), [x, k1, k2, k3])
    rng = np.random.default_rng(0)
    feeds = {t: rng.normal(size=t.shape).astype(dtype) for t in (x, k1, k2, k3)}
    return Case(graph, [y, *gradients], feeds).program()


def run_native(step: Instruction, inputs: list[Any]) -> Any:
    module = Module(64)
    kernel = SPECIALS[step.name](module, step)
    assert kernel is not None
    assert step.primitive is not None
    unread = step.primitive.shape_only
    given = [x for i, x in enumerate(inputs) if x is not None and i not in unread]
    made = np.empty(step.outputs[0].shape, step.outputs[0].dtype)
    KernelRun(module, kernel)(*given, made)
    return made


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_every_window_of_a_plan(data_format: str, dtype: str, depthwise: bool) -> None:
    steps = [
        step
        for step in program_of(data_format, dtype, depthwise).instructions
        if step.kind == "special"
    ]
    assert {step.name for step in steps} == {
        "avg_pool",
        "avg_pool_gradient",
        "convolution",
        "convolution_kernel_gradient",
        "convolution_transpose",
        "max_pool",
        "max_pool_gradient",
    }
    rng = np.random.default_rng(1)
    for step in steps:
        inputs = [
            None if x is None else rng.normal(size=x.shape).astype(x.dtype) for x in step.inputs
        ]
        if step.name == "max_pool_gradient":
            pool = next(s for s in steps if s.name == "max_pool")
            inputs[2] = np.ascontiguousarray(pure_kernel(pool, FAST)(inputs[1]))
        assert_same(pure_kernel(step, FAST)(*inputs), run_native(step, inputs))


def test_half_precision_stays_with_numpy() -> None:
    for step in program_of("NHWC", "float16", False).instructions:
        if step.kind == "special":
            assert SPECIALS[step.name](Module(64), step) is None
