"""tinygrad on the CPU: a step is one `TinyJit`, with its own Adam inside where it trains.

It compiles with clang, which the system must have, and for a minute and more where a step is long,
so it takes part only where it is asked for by name.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from importlib import import_module, metadata
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
    Options,
    Side,
    gradient_case,
    training_case,
)
from benchmarks.workloads import Array, Values

os.environ.setdefault("DEV", "CPU")
tinygrad: Any = import_module("tinygrad")
helpers: Any = import_module("tinygrad.helpers")
optim: Any = import_module("tinygrad.nn.optim")
Tensor: Any = tinygrad.Tensor

#: A `TinyJit` runs as usual once, records what runs the second time, and repeats it from the third.
UNTIL_RECORDED = 2


class TinyGrad(Side):
    """tinygrad; it holds its data as its own tensors."""

    variants = ("jit",)
    longest_chain: ClassVar = {"jit": 10_000}
    longest_slow_chain: ClassVar = {"jit": 100_000}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        compiler = os.environ.get("CC", "clang")
        if shutil.which(compiler) is None:
            raise RuntimeError(f"tinygrad compiles with clang: there is no {compiler!r} in PATH")
        helpers.NUM_CPU_THREADS.value = options.threads
        helpers.TRAINING.value = 1

    def version(self) -> str:
        return metadata.version("tinygrad")

    # -- workloads -------------------------------------------------------------------------

    def elementwise_chain(self, values: Values, variant: str) -> Case:
        a, b = _held(values.parameters)

        def loss(x: Any) -> Any:
            for i in range(LENGTH):
                x = x * a if i % 3 == 0 else x + b if i % 3 == 1 else x.tanh()
            return x.sum()

        return _gradients(loss, _held([values.x]))

    def gelu(self, values: Values, variant: str) -> Case:
        return _gradients(lambda x: x.gelu().square().sum(), _held([values.x]))

    def cross_entropy(self, values: Values, variant: str) -> Case:
        (labels,) = _held([values.batch_labels()])
        return _gradients(lambda x: x.sparse_categorical_crossentropy(labels), _held([values.x]))

    def classifier(self, values: Values, variant: str) -> Case:
        def scores(parameters: list[Any], x: Any) -> Any:
            *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
            for weight, bias in hidden:
                x = (x @ weight + bias).relu()
            return x @ last[0] + last[1]

        return _training(scores, values)

    def lenet(self, values: Values, variant: str) -> Case:
        def convolved(x: Any, kernel: Any, bias: Any) -> Any:
            # Transposing is free: it only changes how the loops index.
            return x.conv2d(kernel.permute(3, 2, 0, 1), bias, padding=2).relu().max_pool2d()

        def scores(parameters: list[Any], x: Any) -> Any:
            k1, b1, k2, b2, w3, b3, w4, b4 = parameters
            x = convolved(convolved(x.permute(0, 3, 1, 2), k1, b1), k2, b2)
            return (x.permute(0, 2, 3, 1).flatten(1) @ w3 + b3).relu() @ w4 + b4

        return _training(scores, values)

    def lstm(self, values: Values, variant: str) -> Case:
        (x,) = _held([values.x])

        def loss(weight: Any, recurrent: Any, bias: Any) -> Any:
            rows = (x @ weight + bias).contiguous()
            h = c = Tensor.zeros(x.shape[1], recurrent.shape[0]).contiguous()
            for step in range(x.shape[0]):
                # Without `contiguous` every step would compute all those before it again.
                i, f, g, o = (rows[step] + h @ recurrent).contiguous().chunk(4, dim=1)
                c = (f.sigmoid() * c + i.sigmoid() * g.tanh()).contiguous()
                h = (o.sigmoid() * c.tanh()).contiguous()
            return h.square().mean()

        return _gradients(loss, _held(values.parameters))

    def transformer_block(self, values: Values, variant: str) -> Case:
        (x,) = _held([values.x])
        return _gradients(lambda *parameters: _block(x, *parameters), _held(values.parameters))

    # -- the chain of adds -----------------------------------------------------------------

    def warm_up(self) -> None:
        (Tensor(np.ones(3, np.float32)) + 1).realize()
        _wait()

    def adds(self, length: int, variant: str) -> Adds:
        x, summand = _held([np.full(ADDS_SIZE, v, np.float32) for v in (1.0, ADDS_SUMMAND)])

        def total(h: Any) -> Any:
            for _ in range(length):
                h = h + summand
            return h.sum()

        step = _compiled(total, [x])
        value, gradient = step()
        found = Adds(step, float(value.numpy()), gradient.numpy())
        step()  # Recorded: what is run again is what it recorded.
        return found


def _held(arrays: list[Array]) -> list[Any]:
    """Arrays as tensors; labels in int32."""
    return [
        Tensor(a.astype(np.int32) if a.dtype.kind == "i" else a).contiguous().realize()
        for a in arrays
    ]


def _wait() -> None:
    """Until all that was started is done."""
    tinygrad.Device[tinygrad.Device.DEFAULT].synchronize()


def _compiled(loss: Callable[..., Any], sources: list[Any]) -> Callable[[], list[Any]]:
    """A function for the loss of some tensors and its gradients."""

    def both() -> Any:
        value = loss(*sources)
        found = [value, *value.gradient(*sources)]
        Tensor.realize(*found)  # All at once, so that the passes share what they can.
        return found

    compiled = tinygrad.TinyJit(both)

    def step() -> list[Any]:
        found: list[Any] = compiled()
        _wait()
        return found

    return step


def _gradients(loss: Callable[..., Any], sources: list[Any]) -> Case:
    """The loss and its gradients for its arguments."""
    step = _compiled(loss, sources)

    def listed() -> Any:
        for _ in range(UNTIL_RECORDED):
            step()
        value, *gradients = step()
        return value.numpy(), [g.numpy() for g in gradients]

    return gradient_case(listed)._replace(step=step)


def _training(scores: Callable[..., Any], values: Values) -> Case:
    """Steps of Adam."""
    batches = list(zip(_held(list(values.x)), _held(list(values.batch_labels())), strict=True))
    parameters = _held(values.parameters)
    optimizer = optim.Adam(parameters, lr=RATE, b1=BETA1, b2=BETA2, eps=ADAM_EPSILON)

    def loss(x: Any, labels: Any) -> Any:
        return scores(parameters, x).sparse_categorical_crossentropy(labels)

    def update(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        value = loss(x, labels).backward()
        return value.realize(*optimizer.schedule_step())

    compiled = tinygrad.TinyJit(update)

    def step_on(i: int) -> Any:
        value = compiled(*batches[i])
        _wait()
        return value

    def first_gradients() -> list[Array]:
        return [g.numpy() for g in loss(*batches[0]).gradient(*parameters)]

    numbers = itertools.cycle(range(len(batches)))
    case = training_case(lambda i: step_on(i).numpy(), first_gradients, len(batches))
    return case._replace(step=lambda: step_on(next(numbers)))


def _normed(x: Any, scale: Any, shift: Any) -> Any:
    return x.layernorm(eps=EPSILON) * scale + shift


def _block(x: Any, *parameters: Any) -> Any:
    """The mean square of a transformer block's output."""
    s1, t1, w_qkv, b_qkv, w_out, b_out, s2, t2, w_up, b_up, w_down, b_down = parameters
    batch, length, width = x.shape
    joined = _normed(x, s1, t1) @ w_qkv + b_qkv
    heads = joined.reshape(batch, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
    mixed = heads[0].scaled_dot_product_attention(heads[1], heads[2])
    x = x + mixed.transpose(1, 2).reshape(x.shape) @ w_out + b_out
    y = x + (_normed(x, s2, t2) @ w_up + b_up).gelu() @ w_down + b_down
    return y.square().mean()


side = TinyGrad
