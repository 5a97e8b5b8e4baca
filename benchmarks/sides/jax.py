"""JAX: `jax.jit` of `value_and_grad`; Adam inside the compiled step, its state donated."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from benchmarks.references import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    HEADS,
    LENGTH,
    RATE,
)
from benchmarks.sides.base import (
    ADDS_SIZE,
    ADDS_SUMMAND,
    Adds,
    Case,
    Side,
    gradient_case,
    training_case,
)
from benchmarks.workloads import Array, Values

os.environ.setdefault("JAX_PLATFORMS", "cpu")
jax: Any = import_module("jax")
jnp: Any = import_module("jax.numpy")
lax: Any = import_module("jax.lax")


class Jax(Side):
    """JAX on the CPU. Its threads are as many as the cores that the process may use."""

    variants = ("jit",)
    longest_chain: ClassVar = {"jit": 10_000}
    longest_slow_chain: ClassVar = {"jit": 100_000}

    def version(self) -> str:
        return str(jax.__version__)

    # -- workloads -------------------------------------------------------------------------

    def elementwise_chain(self, values: Values, variant: str) -> Case:
        def loss(x: Any, a: Any, b: Any) -> Any:
            for i in range(LENGTH):
                x = x * a if i % 3 == 0 else x + b if i % 3 == 1 else jnp.tanh(x)
            return x.sum()

        return _gradients(loss, values.x, *values.parameters)

    def gelu(self, values: Values, variant: str) -> Case:
        return _gradients(lambda x: jnp.sum(jnp.square(jax.nn.gelu(x))), values.x)

    def cross_entropy(self, values: Values, variant: str) -> Case:
        return _gradients(_cross_entropy, values.x, values.batch_labels())

    def classifier(self, values: Values, variant: str) -> Case:
        def scores(parameters: list[Any], x: Any) -> Any:
            *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
            for weight, bias in hidden:
                x = jax.nn.relu(x @ weight + bias)
            return x @ last[0] + last[1]

        return _training(scores, values)

    def lenet(self, values: Values, variant: str) -> Case:
        def convolved(x: Any, kernel: Any, bias: Any) -> Any:
            layout = ("NHWC", "HWIO", "NHWC")
            y = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)
            return jax.nn.relu(y + bias)

        def pooled(x: Any) -> Any:
            # Faster than `lax.reduce_window`, and more so its gradient.
            n, height, width, channels = x.shape
            return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))

        def scores(parameters: list[Any], x: Any) -> Any:
            k1, b1, k2, b2, w3, b3, w4, b4 = parameters
            x = pooled(convolved(pooled(convolved(x, k1, b1)), k2, b2))
            return jax.nn.relu(x.reshape(x.shape[0], -1) @ w3 + b3) @ w4 + b4

        return _training(scores, values)

    def lstm(self, values: Values, variant: str) -> Case:
        def loss(parameters: list[Any], x: Any) -> Any:
            weight, recurrent, bias = parameters

            def cell(state: Any, projected: Any) -> Any:
                h, c = state
                i, f, g, o = jnp.split(projected + h @ recurrent, 4, 1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

            start = jnp.zeros((x.shape[1], recurrent.shape[0]))
            (h, _), _ = lax.scan(cell, (start, start), x @ weight + bias)
            return jnp.mean(h * h)

        return _gradients(loss, values.parameters, values.x)

    def transformer_block(self, values: Values, variant: str) -> Case:
        return _gradients(_block, values.parameters, values.x)

    # -- the chain of adds -----------------------------------------------------------------

    def warm_up(self) -> None:
        jax.block_until_ready(jnp.ones(3) + 1)

    def adds(self, length: int, variant: str) -> Adds:
        def total(h: Any, summand: Any) -> Any:
            for _ in range(length):
                h = h + summand
            return h.sum()

        both = jax.jit(jax.value_and_grad(total))
        x, summand = jnp.ones(ADDS_SIZE), jnp.full((ADDS_SIZE,), ADDS_SUMMAND)

        def step() -> Any:
            return jax.block_until_ready(both(x, summand))

        value, gradient = step()
        return Adds(step, float(value), np.asarray(gradient))


def _held(values: Any) -> Any:
    """Arrays as JAX's own; labels in int32, which is what JAX uses."""
    if isinstance(values, list):
        return [_held(v) for v in values]
    return jnp.asarray(values.astype(np.int32) if values.dtype.kind == "i" else values)


def _gradients(loss: Callable[..., Any], *values: Any) -> Case:
    """The loss and its gradients for the first argument, an array or a list of them."""
    arguments = [_held(v) for v in values]
    both = jax.jit(jax.value_and_grad(loss))

    def step() -> Any:
        return jax.block_until_ready(both(*arguments))

    def listed() -> Any:
        value, gradients = step()
        return value, gradients if isinstance(gradients, list) else [gradients]

    return gradient_case(listed)._replace(step=step)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()


def _training(scores: Callable[..., Any], values: Values) -> Case:
    """Steps of Adam."""
    batches = list(zip(_held(values.x), _held(values.batch_labels()), strict=True))
    parameters = _held(values.parameters)
    both = jax.value_and_grad(lambda p, x, labels: _cross_entropy(scores(p, x), labels))

    def update(state: Any, x: Any, labels: Any) -> Any:
        parameters, means, squares, steps = state
        loss, gradients = both(parameters, x, labels)
        steps = steps + 1.0
        rate, root = RATE / (1 - BETA1**steps), 1 / jnp.sqrt(1 - BETA2**steps)
        means = [BETA1 * m + (1 - BETA1) * g for m, g in zip(means, gradients, strict=True)]
        squares = [BETA2 * v + (1 - BETA2) * g * g for v, g in zip(squares, gradients, strict=True)]
        parameters = [
            p - rate * m / (jnp.sqrt(v) * root + ADAM_EPSILON)
            for p, m, v in zip(parameters, means, squares, strict=True)
        ]
        return (parameters, means, squares, steps), loss

    compiled = jax.jit(update, donate_argnums=0)
    zeros = [[jnp.zeros_like(p) for p in parameters] for _ in range(2)]
    state: Any = ([jnp.array(p) for p in parameters], *zeros, jnp.float32(0))

    def step_on(i: int) -> Any:
        nonlocal state
        state, loss = compiled(state, *batches[i])
        jax.block_until_ready((state, loss))
        return loss

    def first_gradients() -> list[Array]:
        gradients: list[Array] = jax.jit(both)(parameters, *batches[0])[1]
        return gradients

    return training_case(step_on, first_gradients, len(batches))


def _normed(x: Any, scale: Any, shift: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * lax.rsqrt(variance + EPSILON) * scale + shift


def _block(parameters: list[Any], x: Any) -> Any:
    """The mean square of a transformer block's output."""
    s1, t1, w_qkv, b_qkv, w_out, b_out, s2, t2, w_up, b_up, w_down, b_down = parameters
    batch, length, width = x.shape
    depth = width // HEADS
    joined = (_normed(x, s1, t1) @ w_qkv + b_qkv).reshape(batch, length, 3, HEADS, depth)
    q, k, v = jnp.moveaxis(joined, 2, 0)
    weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) * depth**-0.5)
    x = x + jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape) @ w_out + b_out
    y = x + jax.nn.gelu(_normed(x, s2, t2) @ w_up + b_up) @ w_down + b_down
    return jnp.mean(y * y)


side = Jax
