"""PyTensor, compiled by Numba. Parameters are shared variables, and Adam is part of the step.

It compiles for half a minute and more, so it takes part only where it is asked for by name.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.references import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    GELU_CUBE,
    GELU_SCALE,
    HEADS,
    LENGTH,
    RATE,
)
from benchmarks.sides.base import Case, Side, gradient_case, training_case
from benchmarks.workloads import Array, Values

# What comes later counts, so that other flags may be given.
flags = ["floatX=float32,mode=NUMBA", os.environ.get("PYTENSOR_FLAGS")]
os.environ["PYTENSOR_FLAGS"] = ",".join(filter(None, flags))
pytensor: Any = import_module("pytensor")
pt: Any = import_module("pytensor.tensor")

f32 = np.float32


class PyTensor(Side):
    """PyTensor; it takes no part in W6 and W9."""

    variants = ("numba",)

    def version(self) -> str:
        return str(pytensor.__version__)

    def elementwise_chain(self, values: Values, variant: str) -> Case:
        x = pt.vector(dtype="float32", shape=values.x.shape)
        a, b = [_shared(p) for p in values.parameters]
        h = x
        for i in range(LENGTH):
            h = h * a if i % 3 == 0 else h + b if i % 3 == 1 else pt.tanh(h)
        return _gradients(h.sum(), [x], [x], [values.x])

    def gelu(self, values: Values, variant: str) -> Case:
        x = pt.vector(dtype="float32")
        return _gradients(pt.sum(_gelu(x) ** 2), [x], [x], [values.x])

    def cross_entropy(self, values: Values, variant: str) -> Case:
        logits, labels = pt.matrix(dtype="float32"), pt.vector(dtype="int64")
        loss = _cross_entropy(logits, labels, len(values.x))
        return _gradients(loss, [logits], [logits, labels], [values.x, values.batch_labels()])

    def classifier(self, values: Values, variant: str) -> Case:
        parameters = [_shared(p) for p in values.parameters]
        x = pt.tensor(dtype="float32", shape=values.x.shape[1:])
        labels = pt.vector(dtype="int64", shape=values.x.shape[1:2])
        *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
        h = x
        for weight, bias in hidden:
            h = pt.maximum(h @ weight + bias, f32(0))
        loss = _cross_entropy(h @ last[0] + last[1], labels, values.x.shape[1])
        return _training(loss, parameters, [x, labels], values)

    def lenet(self, values: Values, variant: str) -> Case:
        raise NotImplementedError("PyTensor has no convolution with a gradient that Numba compiles")

    def lstm(self, values: Values, variant: str) -> Case:
        parameters = [_shared(p) for p in values.parameters]
        weight, recurrent, bias = parameters
        x = pt.tensor(dtype="float32", shape=values.x.shape)
        steps, batch, inputs = values.x.shape
        units = values.parameters[1].shape[0]
        rows = x.reshape((steps * batch, inputs)) @ weight + bias

        def cell(projected: Any, h: Any, c: Any, recurrent: Any) -> Any:
            before = projected + h @ recurrent
            i, f, g, o = [before[:, n * units : (n + 1) * units] for n in range(4)]
            c = pt.sigmoid(f) * c + pt.sigmoid(i) * pt.tanh(g)
            return pt.sigmoid(o) * pt.tanh(c), c

        start = pt.zeros((batch, units), dtype="float32")
        outputs, _ = pytensor.scan(
            cell,
            sequences=[rows.reshape((steps, batch, 4 * units))],
            outputs_info=[start, start],
            non_sequences=[recurrent],
            strict=True,
            return_updates=False,
        )
        return _gradients((outputs[-1] ** 2).mean(), parameters, [x], [values.x])

    def transformer_block(self, values: Values, variant: str) -> Case:
        parameters = [_shared(p) for p in values.parameters]
        x = pt.tensor(dtype="float32", shape=values.x.shape)
        loss = _block(x, values.x.shape, *parameters)
        return _gradients(loss, parameters, [x], [values.x])


def _shared(array: Array) -> Any:
    return pytensor.shared(array, borrow=True)


def _function(inputs: Sequence[Any], outputs: Sequence[Any], **options: Any) -> Any:
    """A compiled function that trusts its arguments, and may return memory of its own."""
    made = pytensor.function(
        list(inputs), [pytensor.Out(output, borrow=True) for output in outputs], **options
    )
    made.trust_input = True
    return made


def _gradients(
    loss: Any, sources: Sequence[Any], inputs: Sequence[Any], arrays: Sequence[Array]
) -> Case:
    """The loss and its gradients, of arrays that are fed."""
    run = _function(inputs, [loss, *pt.grad(loss, list(sources))])

    def pair() -> Any:
        value, *gradients = run(*arrays)
        return value, gradients

    return gradient_case(pair)._replace(step=lambda: run(*arrays))


def _training(loss: Any, parameters: list[Any], inputs: list[Any], values: Values) -> Case:
    """Steps of Adam."""
    batches = list(zip(values.x, values.batch_labels(), strict=True))
    gradients = pt.grad(loss, parameters)
    first = _function(inputs, gradients)
    steps = _shared(np.array(0, f32))
    number = steps + f32(1)
    rate = f32(RATE) / (f32(1) - f32(BETA1) ** number)
    root = f32(1) / pt.sqrt(f32(1) - f32(BETA2) ** number)
    updates = [(steps, number)]
    for p, g in zip(parameters, gradients, strict=True):
        mean, square = [_shared(np.zeros_like(p.get_value())) for _ in range(2)]
        new_mean = f32(BETA1) * mean + f32(1 - BETA1) * g
        new_square = f32(BETA2) * square + f32(1 - BETA2) * g * g
        size = pt.sqrt(new_square) * root + f32(ADAM_EPSILON)
        updates += [(mean, new_mean), (square, new_square), (p, p - rate * new_mean / size)]
    run = _function(inputs, [loss], updates=updates)

    def first_gradients() -> Any:
        return first(*batches[0])

    return training_case(lambda i: run(*batches[i])[0], first_gradients, len(batches))


def _cross_entropy(logits: Any, labels: Any, examples: int) -> Any:
    return -pt.mean(pt.special.log_softmax(logits, axis=-1)[pt.arange(examples), labels])


def _gelu(x: Any) -> Any:
    inner = f32(GELU_SCALE) * x * (f32(1) + f32(GELU_CUBE) * x * x)
    return f32(0.5) * x * (f32(1) + pt.tanh(inner))


def _normed(x: Any, scale: Any, shift: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / pt.sqrt(variance + f32(EPSILON)) * scale + shift


def _block(x: Any, shape: Sequence[int], *parameters: Any) -> Any:
    """The mean square of a transformer block's output."""
    s1, t1, w_qkv, b_qkv, w_out, b_out, s2, t2, w_up, b_up, w_down, b_down = parameters
    batch, length, width = shape
    depth = width // HEADS
    x = x.reshape((batch * length, width))
    joined = (_normed(x, s1, t1) @ w_qkv + b_qkv).reshape((batch, length, 3, HEADS, depth))
    heads = joined.transpose(2, 0, 3, 1, 4)
    q, k, v = heads[0], heads[1], heads[2]
    scores = (q @ k.transpose(0, 1, 3, 2)) * f32(depth**-0.5)
    mixed = pt.special.softmax(scores, axis=-1) @ v
    x = x + mixed.transpose(0, 2, 1, 3).reshape((batch * length, width)) @ w_out + b_out
    y = x + _gelu(_normed(x, s2, t2) @ w_up + b_up) @ w_down + b_down
    return (y * y).mean()


side = PyTensor
