"""The workloads in plain NumPy, forward and backward by hand.

They compute in the dtype of what they are given: in float64 they are what all others are checked
against, in float32 what NumPy takes by itself.

Each takes ``(parameters, x, labels)`` and returns the loss and the gradients: for the input where
`x` is what is differentiated (W1, W4, W5), else for the parameters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Operations in the chain of W1.
LENGTH = 100
#: Heads of W8, and what its layer norms add to the variance.
HEADS = 4
EPSILON = 1e-5
#: The numbers in the tanh form of GELU.
GELU_SCALE, GELU_CUBE = 0.7978845608028654, 0.044715
#: Adam's.
RATE, BETA1, BETA2, ADAM_EPSILON = 1e-3, 0.9, 0.999, 1e-8


# -- W1 ----------------------------------------------------------------------------------------


def elementwise_chain(parameters: list[Array], x: Array, _: Any = None) -> tuple[Any, list[Array]]:
    """W1: multiply, add, tanh in turn, and the sum."""
    a, b = parameters
    h, outputs = x, []
    for i in range(LENGTH):
        if i % 3 == 0:
            h = h * a
        elif i % 3 == 1:
            h = h + b
        else:
            h = np.tanh(h)
            outputs.append(h)
    g = np.ones_like(x)
    for i in reversed(range(LENGTH)):
        if i % 3 == 0:
            g = g * a
        elif i % 3 == 2:
            t = outputs.pop()
            g = g * (1 - t * t)
    return h.sum(), [g]


# -- W5, and the classifiers W2 and W3 ---------------------------------------------------------


def mean_cross_entropy(logits: Array, labels: Array) -> tuple[Any, Array]:
    """The mean over the examples, and its gradient for the logits."""
    rows = np.arange(len(logits))
    logits = logits - logits.max(axis=1, keepdims=True)
    g = np.exp(logits)
    total = g.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - logits[rows, labels]).mean()
    g /= total
    g[rows, labels] -= 1
    g *= logits.dtype.type(1.0 / len(logits))
    return loss, g


def cross_entropy(_: list[Array], x: Array, labels: Any) -> tuple[Any, list[Array]]:
    """W5."""
    loss, g = mean_cross_entropy(x, labels)
    return loss, [g]


def classifier(parameters: list[Array], x: Array, labels: Array) -> tuple[Any, list[Array]]:
    """W2, W3: dense layers with ReLU between them."""
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    inputs, h = [], x
    for i, (weight, bias) in enumerate(layers):
        inputs.append(h)
        h = h @ weight
        h += bias
        if i < len(layers) - 1:
            np.maximum(h, 0, out=h)
    loss, g = mean_cross_entropy(h, labels)
    gradients: list[Array] = []
    for i in reversed(range(len(layers))):
        gradients = [inputs[i].T @ g, g.sum(axis=0), *gradients]
        if i:
            g = g @ layers[i][0].T
            g *= inputs[i] > 0
    return loss, gradients


# -- W4 ----------------------------------------------------------------------------------------


def gelu_forward(x: Array) -> tuple[Array, Array]:
    """GELU in its tanh form, and the tanh."""
    f = x.dtype.type
    t = np.tanh(f(GELU_SCALE) * x * (1 + f(GELU_CUBE) * (x * x)))
    return f(0.5) * x * (1 + t), t


def gelu_slope(x: Array, t: Array) -> Array:
    """Its derivative, given the tanh."""
    f = x.dtype.type
    inner = f(GELU_SCALE) * (1 + f(3 * GELU_CUBE) * (x * x))
    slope: Array = f(0.5) * (1 + t) + f(0.5) * x * (1 - t * t) * inner
    return slope


def gelu(_: list[Array], x: Array, __: Any = None) -> tuple[Any, list[Array]]:
    """W4."""
    y, t = gelu_forward(x)
    return (y * y).sum(), [2 * y * gelu_slope(x, t)]


# -- W6 ----------------------------------------------------------------------------------------


def _patches(x: Array, size: int = 5) -> Array:
    """The window around each place, as a row."""
    n, height, width, channels = x.shape
    padded = np.pad(x, ((0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    rows: Array = np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3))
    return rows.reshape(n * height * width, size * size * channels)


def _unpatched(g: Array, shape: tuple[int, ...], size: int = 5) -> Array:
    """The adjoint of `_patches`: each window added at its place."""
    n, height, width, channels = shape
    g = g.reshape(n, height, width, size, size, channels)
    padded = np.zeros((n, height + size - 1, width + size - 1, channels), g.dtype)
    for i in range(size):
        for j in range(size):
            padded[:, i : i + height, j : j + width] += g[:, :, :, i, j]
    edge = size // 2
    return padded[:, edge:-edge, edge:-edge]


def _pooled(x: Array) -> tuple[Array, Array]:
    """The largest of each 2 x 2 places, and the input in blocks."""
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    return blocks.max(axis=(2, 4)), blocks


def _unpooled(g: Array, largest: Array, blocks: Array) -> Array:
    """The adjoint. Where places tie, at a ReLU's zeros, all get the gradient; ReLU stops it."""
    n, height, _, width, _, channels = blocks.shape
    here = blocks == largest[:, :, None, :, None, :]
    spread: Array = here * g[:, :, None, :, None, :]
    return spread.reshape(n, 2 * height, 2 * width, channels)


def lenet(parameters: list[Array], x: Array, labels: Array) -> tuple[Any, list[Array]]:
    """W6: two convolutions with ReLU and pooling, two dense layers."""
    k1, b1, k2, b2, w3, b3, w4, b4 = parameters
    n, side = x.shape[:2]

    def convolved(patches: Array, kernel: Array, bias: Array, side: int) -> Array:
        y: Array = patches @ kernel.reshape(-1, kernel.shape[-1])
        y += bias
        np.maximum(y, 0, out=y)
        return y.reshape(n, side, side, kernel.shape[-1])

    patches1 = _patches(x)
    a1 = convolved(patches1, k1, b1, side)
    p1, blocks1 = _pooled(a1)
    patches2 = _patches(p1)
    a2 = convolved(patches2, k2, b2, side // 2)
    p2, blocks2 = _pooled(a2)
    flat = p2.reshape(n, -1)
    h = flat @ w3
    h += b3
    np.maximum(h, 0, out=h)
    loss, g = mean_cross_entropy(h @ w4 + b4, labels)

    g_w4, g_b4 = h.T @ g, g.sum(axis=0)
    g = g @ w4.T
    g *= h > 0
    g_w3, g_b3 = flat.T @ g, g.sum(axis=0)
    g = _unpooled((g @ w3.T).reshape(p2.shape), p2, blocks2)
    g *= a2 > 0
    g = g.reshape(-1, k2.shape[-1])
    g_k2, g_b2 = (patches2.T @ g).reshape(k2.shape), g.sum(axis=0)
    g = _unpatched(g @ k2.reshape(-1, k2.shape[-1]).T, p1.shape)
    g = _unpooled(g, p1, blocks1)
    g *= a1 > 0
    g = g.reshape(-1, k1.shape[-1])
    g_k1, g_b1 = (patches1.T @ g).reshape(k1.shape), g.sum(axis=0)
    return loss, [g_k1, g_b1, g_k2, g_b2, g_w3, g_b3, g_w4, g_b4]


# -- W7 ----------------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm(parameters: list[Array], x: Array, _: Any = None) -> tuple[Any, list[Array]]:
    """W7: gates in the order i, f, g, o; the mean square of the last output."""
    w, u, b = parameters
    (steps, batch, inputs), n = x.shape, u.shape[0]
    projected = (x.reshape(steps * batch, inputs) @ w + b).reshape(steps, batch, 4 * n)
    h = np.zeros((steps + 1, batch, n), x.dtype)
    c = np.zeros_like(h)
    gates = np.empty_like(projected)
    squashed = np.empty((steps, batch, n), x.dtype)  # tanh of the cells
    for t in range(steps):
        before, gate = projected[t] + h[t] @ u, gates[t]
        gate[:, : 2 * n] = _sigmoid(before[:, : 2 * n])
        gate[:, 2 * n : 3 * n] = np.tanh(before[:, 2 * n : 3 * n])
        gate[:, 3 * n :] = _sigmoid(before[:, 3 * n :])
        i, f, g, o = np.split(gate, 4, axis=1)
        c[t + 1] = f * c[t] + i * g
        squashed[t] = np.tanh(c[t + 1])
        h[t + 1] = o * squashed[t]
    last = h[steps]
    loss = (last * last).mean()

    dh = last * x.dtype.type(2.0 / last.size)
    dc = np.zeros_like(dh)
    d = np.empty_like(projected)
    for t in reversed(range(steps)):
        i, f, g, o = np.split(gates[t], 4, axis=1)
        dc = dc + dh * o * (1 - squashed[t] * squashed[t])
        d[t, :, :n] = dc * g * i * (1 - i)
        d[t, :, n : 2 * n] = dc * c[t] * f * (1 - f)
        d[t, :, 2 * n : 3 * n] = dc * i * (1 - g * g)
        d[t, :, 3 * n :] = dh * squashed[t] * o * (1 - o)
        dc = dc * f
        dh = d[t] @ u.T
    d = d.reshape(steps * batch, 4 * n)
    g_w = x.reshape(steps * batch, inputs).T @ d
    return loss, [g_w, h[:steps].reshape(steps * batch, n).T @ d, d.sum(axis=0)]


# -- W8 ----------------------------------------------------------------------------------------


def _normed(x: Array, scale: Array, shift: Array) -> tuple[Array, Array, Array]:
    """Layer norm over the last axis; also the normalised input and 1 / its deviation."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt(variance + x.dtype.type(EPSILON))
    unit = centred * inverse
    return unit * scale + shift, unit, inverse


def _normed_backward(
    g: Array, scale: Array, unit: Array, inverse: Array
) -> tuple[Array, Array, Array]:
    """Gradients for the input, the scale and the shift."""
    dx = g * scale
    within = dx.mean(axis=-1, keepdims=True) + unit * (dx * unit).mean(axis=-1, keepdims=True)
    return inverse * (dx - within), (g * unit).sum(axis=0), g.sum(axis=0)


def transformer_block(parameters: list[Array], x: Array, _: Any = None) -> tuple[Any, list[Array]]:
    """W8: x + attention(norm(x)), then y + MLP(norm(y)), and the mean square."""
    s1, t1, w_qkv, b_qkv, w_out, b_out, s2, t2, w_up, b_up, w_down, b_down = parameters
    batch, length, width = x.shape
    depth, tokens = width // HEADS, batch * length
    factor = x.dtype.type(depth**-0.5)
    x = x.reshape(tokens, width)

    n1, unit1, inverse1 = _normed(x, s1, t1)
    split = (n1 @ w_qkv + b_qkv).reshape(batch, length, 3, HEADS, depth)
    q, k, v = np.ascontiguousarray(split.transpose(2, 0, 3, 1, 4))
    p = q @ k.swapaxes(2, 3)
    p *= factor
    p -= p.max(axis=-1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(axis=-1, keepdims=True)
    mixed = (p @ v).transpose(0, 2, 1, 3).reshape(tokens, width)
    middle = x + (mixed @ w_out + b_out)
    n2, unit2, inverse2 = _normed(middle, s2, t2)
    up = n2 @ w_up + b_up
    active, t = gelu_forward(up)
    y = middle + (active @ w_down + b_down)
    loss = (y * y).mean()

    g = y * x.dtype.type(2.0 / y.size)
    g_down, g_b_down = active.T @ g, g.sum(axis=0)
    g_up_out = (g @ w_down.T) * gelu_slope(up, t)
    g_up, g_b_up = n2.T @ g_up_out, g_up_out.sum(axis=0)
    through, g_s2, g_t2 = _normed_backward(g_up_out @ w_up.T, s2, unit2, inverse2)
    g = g + through
    g_out, g_b_out = mixed.T @ g, g.sum(axis=0)
    heads = (g @ w_out.T).reshape(batch, length, HEADS, depth)
    g_mixed = np.ascontiguousarray(heads.transpose(0, 2, 1, 3))
    g_v = p.swapaxes(2, 3) @ g_mixed
    g_p = g_mixed @ v.swapaxes(2, 3)
    g_p = p * (g_p - (g_p * p).sum(axis=-1, keepdims=True))
    g_p *= factor
    joined = np.stack([g_p @ k, g_p.swapaxes(2, 3) @ q, g_v]).transpose(1, 3, 0, 2, 4)
    g_split = joined.reshape(tokens, 3 * width)
    g_qkv, g_b_qkv = n1.T @ g_split, g_split.sum(axis=0)
    _x, g_s1, g_t1 = _normed_backward(g_split @ w_qkv.T, s1, unit1, inverse1)
    attention = [g_s1, g_t1, g_qkv, g_b_qkv, g_out, g_b_out]
    return loss, [*attention, g_s2, g_t2, g_up, g_b_up, g_down, g_b_down]


# -- training ----------------------------------------------------------------------------------


class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1), in place."""

    def __init__(self, parameters: list[Array]) -> None:
        self.parameters = parameters
        self.means = [np.zeros_like(p) for p in parameters]
        self.squares = [np.zeros_like(p) for p in parameters]
        self.steps = 0

    def apply(self, gradients: list[Array]) -> None:
        """One step."""
        self.steps += 1
        f = self.parameters[0].dtype.type
        rate = f(RATE / (1 - BETA1**self.steps))
        root = f(1 / (1 - BETA2**self.steps) ** 0.5)
        for p, g, m, v in zip(self.parameters, gradients, self.means, self.squares, strict=True):
            m *= f(BETA1)
            m += f(1 - BETA1) * g
            v *= f(BETA2)
            v += f(1 - BETA2) * (g * g)
            size = np.sqrt(v)
            size *= root
            size += f(ADAM_EPSILON)
            np.divide(m, size, out=size)
            size *= rate
            p -= size
