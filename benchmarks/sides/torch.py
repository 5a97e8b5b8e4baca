"""PyTorch, eager and by `torch.compile`. It holds its data as its own tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from benchmarks.references import ADAM_EPSILON, BETA1, BETA2, HEADS, LENGTH, RATE
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

torch: Any = import_module("torch")
nn: Any = torch.nn
F: Any = nn.functional

#: From one layout to another, of all parameters or gradients at once.
Layout = Callable[[list[Array]], list[Array]]


class Torch(Side):
    """PyTorch; Adam is the fused one."""

    variants = ("eager", "compile")
    slow = frozenset({"compile"})
    longest_chain: ClassVar = {"eager": 100_000}
    longest_slow_chain: ClassVar = {"eager": 100_000, "compile": 1000}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        torch.set_num_threads(options.threads)

    def version(self) -> str:
        return str(torch.__version__)

    # -- workloads -------------------------------------------------------------------------

    def elementwise_chain(self, values: Values, variant: str) -> Case:
        a, b = [_tensor(p) for p in values.parameters]

        def loss(x: Any) -> Any:
            for i in range(LENGTH):
                x = x * a if i % 3 == 0 else x + b if i % 3 == 1 else torch.tanh(x)
            return x.sum()

        return _gradients(loss, [_tensor(values.x)], [], variant)

    def gelu(self, values: Values, variant: str) -> Case:
        def loss(x: Any) -> Any:
            return F.gelu(x, approximate="tanh").square().sum()

        return _gradients(loss, [_tensor(values.x)], [], variant)

    def cross_entropy(self, values: Values, variant: str) -> Case:
        inputs = [_tensor(values.x), _tensor(values.batch_labels())]
        return _gradients(F.cross_entropy, inputs, [], variant)

    def classifier(self, values: Values, variant: str) -> Case:
        layers: list[Any] = []
        for weight in values.parameters[::2]:
            layers += [nn.Linear(*weight.shape), nn.ReLU()]
        return _training(nn.Sequential(*layers[:-1]), values, _transposed, _transposed, variant)

    def lenet(self, values: Values, variant: str) -> Case:
        (_, _, _, c1), (_, _, _, c2) = [k.shape for k in values.parameters[:4:2]]
        flat, hidden = values.parameters[4].shape
        side = values.x.shape[2] // 4
        network = nn.Sequential(
            *(nn.Conv2d(1, c1, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(c1, c2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU()),
            nn.Linear(hidden, values.parameters[6].shape[1]),
        )

        def to_torch(arrays: list[Array]) -> list[Array]:
            k1, b1, k2, b2, w3, *others = arrays
            w3 = w3.reshape(side, side, c2, hidden).transpose(3, 2, 0, 1).reshape(hidden, flat)
            first = [k1.transpose(3, 2, 0, 1), b1, k2.transpose(3, 2, 0, 1), b2]
            return [*first, w3, *_transposed(others)]

        def from_torch(arrays: list[Array]) -> list[Array]:
            k1, b1, k2, b2, w3, *others = arrays
            w3 = w3.reshape(hidden, c2, side, side).transpose(2, 3, 1, 0).reshape(flat, hidden)
            first = [k1.transpose(2, 3, 1, 0), b1, k2.transpose(2, 3, 1, 0), b2]
            return [*first, w3, *_transposed(others)]

        images = values._replace(x=values.x.transpose(0, 1, 4, 2, 3))
        return _training(network, images, to_torch, from_torch, variant)

    def lstm(self, values: Values, variant: str) -> Case:
        weight, recurrent, bias = values.parameters
        if variant == "compile":  # It does not look into `nn.LSTM`.
            parameters = [_tensor(p).requires_grad_() for p in values.parameters]
            x = _tensor(values.x)
            return _gradients(lambda x: _lstm(x, *parameters), [x], parameters, variant)
        network = nn.LSTM(weight.shape[0], recurrent.shape[0])
        with torch.no_grad():
            network.weight_ih_l0.copy_(_tensor(weight.T))
            network.weight_hh_l0.copy_(_tensor(recurrent.T))
            network.bias_ih_l0.copy_(_tensor(bias))
            network.bias_hh_l0.zero_()

        def loss(x: Any) -> Any:
            _, (h, _c) = network(x)
            return h.square().mean()

        parameters = [network.weight_ih_l0, network.weight_hh_l0, network.bias_ih_l0]
        return _gradients(loss, [_tensor(values.x)], parameters, variant, _transposed)

    def transformer_block(self, values: Values, variant: str) -> Case:
        parameters = [_tensor(p).requires_grad_() for p in values.parameters]
        x = _tensor(values.x)
        return _gradients(lambda x: _block(x, *parameters), [x], parameters, variant)

    # -- the chain of adds -----------------------------------------------------------------

    def adds(self, length: int, variant: str) -> Adds:
        x = torch.ones(ADDS_SIZE, requires_grad=True)
        summand = torch.full((ADDS_SIZE,), ADDS_SUMMAND)

        def total(h: Any) -> Any:
            for _ in range(length):
                h = h + summand
            return h.sum()

        if variant == "compile":
            total = torch.compile(total, dynamic=False)

        def step() -> tuple[Any, Any]:
            value = total(x)
            (gradient,) = torch.autograd.grad(value, x)
            return value.detach(), gradient

        value, gradient = step()
        return Adds(step, float(value), gradient.numpy())


def _tensor(array: Array) -> Any:
    return torch.from_numpy(np.array(array, order="C"))


def _unchanged(arrays: list[Array]) -> list[Array]:
    return arrays


def _transposed(arrays: list[Array]) -> list[Array]:
    """Matrices transposed: PyTorch's weights are (out, in)."""
    return [a.T if a.ndim == 2 else a for a in arrays]


def _gradients(
    loss: Callable[..., Any],
    inputs: list[Any],
    parameters: Sequence[Any],
    variant: str,
    layout: Layout = _unchanged,
) -> Case:
    """The loss and its gradients: for the parameters, or if there are none the first input."""
    if not parameters:
        inputs[0].requires_grad_()
    sources = parameters or inputs[:1]
    function = torch.compile(loss, dynamic=False) if variant == "compile" else loss

    def step() -> tuple[Any, Any]:
        value = function(*inputs)
        return value.detach(), torch.autograd.grad(value, sources)

    case = gradient_case(step)

    def found() -> Any:
        made = case.found()
        return made._replace(gradients=layout(made.gradients))

    return case._replace(found=found)


def _training(
    network: Any, values: Values, to_torch: Layout, from_torch: Layout, variant: str
) -> Case:
    """Steps of Adam, with the cross-entropy of a network's scores."""
    parameters = list(network.parameters())
    with torch.no_grad():
        for p, value in zip(parameters, to_torch(values.parameters), strict=True):
            p.copy_(_tensor(value))
    batches = [
        (_tensor(x), _tensor(y)) for x, y in zip(values.x, values.batch_labels(), strict=True)
    ]
    optimizer = torch.optim.Adam(
        parameters, lr=RATE, betas=(BETA1, BETA2), eps=ADAM_EPSILON, fused=True
    )

    def loss(x: Any, labels: Any) -> Any:
        return F.cross_entropy(network(x), labels)

    function = torch.compile(loss, dynamic=False) if variant == "compile" else loss

    def backward(i: int) -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = function(*batches[i])
        value.backward()
        return value.detach()

    def step_on(i: int) -> Any:
        value = backward(i)
        optimizer.step()
        return value

    def first_gradients() -> list[Array]:
        backward(0)
        return from_torch([p.grad.numpy() for p in parameters])

    return training_case(step_on, first_gradients, len(batches))


def _lstm(x: Any, weight: Any, recurrent: Any, bias: Any) -> Any:
    """The mean square of the last output, step by step."""
    h = x.new_zeros(x.shape[1], recurrent.shape[0])
    c = h
    for projected in x @ weight + bias:
        i, f, g, o = torch.addmm(projected, h, recurrent).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    return h.square().mean()


def _block(x: Any, *parameters: Any) -> Any:
    """The mean square of a transformer block's output."""
    s1, t1, w_qkv, b_qkv, w_out, b_out, s2, t2, w_up, b_up, w_down, b_down = parameters
    batch, length, width = x.shape
    rows = x.reshape(batch * length, width)
    joined = torch.addmm(b_qkv, F.layer_norm(rows, (width,), s1, t1), w_qkv)
    heads = joined.view(batch, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).reshape(batch * length, width)
    rows = rows + torch.addmm(b_out, mixed, w_out)
    up = torch.addmm(b_up, F.layer_norm(rows, (width,), s2, t2), w_up)
    y = rows + torch.addmm(b_down, F.gelu(up, approximate="tanh"), w_down)
    return y.square().mean()


side = Torch
