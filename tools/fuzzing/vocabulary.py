"""The ops that random graphs are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from tools.fuzzing.programs import renamed

if TYPE_CHECKING:
    from tools.fuzzing.drawing import Drawing

#: Draws the text of a line, or None if nothing fits.
Draw: TypeAlias = Callable[["Drawing"], "str | None"]


class Entry(NamedTuple):
    """A kind of line, and how often it is drawn."""

    draw: Draw
    weight: float


VOCABULARY: list[Entry] = []


def entry(weight: float) -> Callable[[Draw], Draw]:
    """Enter a function into the vocabulary."""

    def put(draw: Draw) -> Draw:
        VOCABULARY.append(Entry(draw, weight))
        return draw

    return put


#: Functions of one number that are defined everywhere, with x for the number. What rewrites replace
#: by something stable is asked only for where it is stable already.
UNARY = (
    "mg.abs(x)", "-x", "mg.square(x)", "mg.sqrt(mg.abs(x))", "mg.sqrt(x * x + 0.5)", "mg.exp(x)",
    "mg.exp(-x * x)", "mg.expm1(x)", "mg.log(x * x + 0.5)", "mg.log1p(mg.abs(x))", "mg.tanh(x)",
    "mg.sigmoid(x)", "mg.sin(x)", "mg.cos(x)", "mg.tan(mg.tanh(x))", "mg.atan(x)",
    "mg.asin(mg.tanh(x))", "mg.acos(mg.tanh(x))", "mg.sinh(mg.tanh(x))", "mg.cosh(mg.tanh(x))",
    "mg.asinh(x)", "mg.acosh(x * x + 1.5)", "mg.atanh(mg.tanh(x) * 0.9)", "mg.erf(x)", "mg.erfc(x)",
    "mg.softplus(x)", "nn.relu(x)", "nn.gelu(x)", "nn.gelu(x, approximate='tanh')", "nn.silu(x)",
    "nn.mish(x)", "nn.elu(x)", "nn.selu(x)", "nn.leaky_relu(x)", "nn.hardswish(x)",
    "nn.softsign(x)", "nn.relu6(x)", "nn.log_sigmoid(x)", "mg.reciprocal(x * x + 1.0)",
    "mg.rsqrt(x * x + 0.25)", "1.0 / (1.0 + mg.exp(-x))",
    "mg.log(1.0 + mg.exp(mg.clip(x, -30.0, 30.0)))", "x ** 2", "x ** 3", "mg.abs(x) ** 0.5",
    "(mg.abs(x) + 0.1) ** -1.5", "2.0 ** mg.tanh(x)", "mg.log2(mg.abs(x) + 0.3)",
    "mg.log10(mg.abs(x) + 0.3)", "mg.cbrt(x)", "mg.clip(x, -0.5, 0.7)", "mg.floor(x)", "mg.ceil(x)",
    "mg.round(x)", "mg.trunc(x)", "mg.sign(x)", "x + 0.5", "2.0 - x", "x * 0.3", "x / 3.0",
    "3.0 / (x * x + 1.0)", "mg.stop_gradient(x)", "mg.zeros_like(x)", "mg.ones_like(x)",
    "mg.full_like(x, 0.7)", "mg.log(nn.softmax(mg.clip(x, -30.0, 30.0)))", "mg.identity(x)",
    "mg.maximum(x, 0.0)", "mg.minimum(x, 0.25)", "mg.where(x > 0.1, x, 0.5 * x)", "x * 1.0",
    "x + 0.0", "x - x", "mg.log(mg.sum(mg.exp(mg.clip(x, -30.0, 30.0))))", "mg.sinc(x)",
    "mg.lgamma(mg.abs(x) + 0.5)", "mg.digamma(mg.abs(x) + 0.5)", "nn.softshrink(x)",
    "mg.erfinv(mg.tanh(x) * 0.9)", "mg.astype(mg.isfinite(x), x.dtype)",
    "mg.logical_not(mg.isnan(x))",
)  # fmt: skip
BINARY = (
    "x + y", "x - y", "x * y", "x * y", "x / (y * y + 0.5)", "mg.maximum(x, y)", "mg.minimum(x, y)",
    "mg.atan2(x, mg.abs(y) + 0.1)", "mg.hypot(x, y)", "(mg.abs(x) + 0.1) ** mg.tanh(y)",
    "mg.logaddexp(x, y)", "mg.copysign(x, y + 0.001)", "mg.where(x < y, x, y * 2.0)",
    "mg.where(x >= y, mg.sin(x), y)", "mg.xlogy(x, mg.abs(y) + 0.1)", "mg.add_n([x, y, x])",
    "x // (mg.abs(y) + 0.3)", "x % (mg.abs(y) + 0.3)", "mg.fmod(x, mg.abs(y) + 0.3)",
    "mg.square(x - y)", "x * mg.sigmoid(y)", "(x - y) * (x - y)",
    "mg.tanh(x) * (1.0 - mg.tanh(y) ** 2)",
)  # fmt: skip
INTEGER = (
    "x + y", "x - y", "x * y", "x // y", "x % y", "mg.maximum(x, y)", "mg.minimum(x, y)",
    "mg.bitwise_and(x, y)", "mg.bitwise_or(x, y)", "mg.bitwise_xor(x, y)", "mg.abs(x)", "-x",
    "mg.bitwise_left_shift(x, mg.abs(y))", "mg.bitwise_right_shift(x, mg.abs(y))", "mg.sign(x)",
    "mg.fmod(x, y)", "mg.square(x)", "mg.where(x == y, x, y)", "mg.bitwise_invert(x)", "x // 3",
    "x % 3", "mg.clip(x, -1, 2)", "x + 1",
)  # fmt: skip
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def _one_of(d: Drawing, texts: tuple[str, ...], x: str | None, y: str | None = None) -> str | None:
    if x is None or (y is None and texts is not UNARY):
        return None
    return renamed(renamed(d.choose(texts), "x", x), "y", y or "")


@entry(14)
def _unary(d: Drawing) -> str | None:
    return _one_of(d, UNARY, d.pick())


@entry(12)
def _binary(d: Drawing) -> str | None:
    x = d.pick()
    return None if x is None else _one_of(d, BINARY, x, d.like(x))


@entry(2)
def _integers(d: Drawing) -> str | None:
    x = d.pick("iu")
    return None if x is None else _one_of(d, INTEGER, x, d.like(x))


@entry(1.5)
def _comparison(d: Drawing) -> str | None:
    x = d.pick("fiu")
    y = None if x is None else d.like(x)
    return None if y is None else f"{x} {d.choose(COMPARISONS)} {y}"


@entry(1)
def _logic(d: Drawing) -> str | None:
    x = d.pick("b")
    y = None if x is None else d.like(x)
    name = d.choose(("logical_and", "logical_or", "logical_xor"))
    return None if y is None else f"mg.{name}({x}, {y})"


@entry(2)
def _where(d: Drawing) -> str | None:
    condition, x = d.pick("b"), d.pick("fiub")
    y = None if x is None else d.like(x)
    return None if condition is None or y is None else f"mg.where({condition}, {x}, {y})"


@entry(2.5)
def _cast(d: Drawing) -> str | None:
    x = d.pick("fiub")
    dtype = d.choose(
        (d.dtype, d.dtype, "float32", "float64", "int32", "int64", "int8", "bool", "float16")
    )
    if x is None:
        return None
    if d.values[x].dtype.dtype.kind == "f" and dtype.startswith("int"):
        x = f"mg.clip({x}, -100.0, 100.0)" if d.chance(0.8) else x
    return f"mg.astype({x}, {dtype!r})"


# -- reductions ----------------------------------------------------------------------------------


@entry(10)
def _reduction(d: Drawing) -> str | None:
    x = d.pick()
    if x is None:
        return None
    name = d.choose(("sum", "sum", "sum", "mean", "mean", "max", "min", "var", "std", "logsumexp"))
    more = ", keepdims=True" if d.chance(0.5) else ""
    if name in ("var", "std") and d.chance(0.2):
        more += ", correction=1.0"
    return f"mg.{name}({x}, axis={d.axes(x)}{more})"


@entry(1)
def _product(d: Drawing) -> str | None:
    x = d.pick()
    return None if x is None else f"mg.prod(1.0 + 0.1 * mg.tanh({x}), axis={d.axes(x)})"


@entry(1.5)
def _integer_reduction(d: Drawing) -> str | None:
    x = d.pick("iub")
    if x is None:
        return None
    kind = d.values[x].dtype.dtype.kind
    name = d.choose(
        ("any", "all", "count_nonzero") if kind == "b" else ("sum", "max", "min", "prod")
    )
    more = ", keepdims=True" if d.chance(0.5) else ""
    return f"mg.{name}({x}, axis={d.axes(x)}{more})"


@entry(1)
def _position(d: Drawing) -> str | None:
    x = d.pick("fi", lambda t: t.ndim > 0)
    name = d.choose(("argmax", "argmin", "argsort"))
    return None if x is None else f"mg.{name}({x}, axis={d.axis(x)})"


@entry(1)
def _running(d: Drawing) -> str | None:
    x = d.pick("fi", lambda t: t.ndim > 0)
    more = d.choose(("", ", reverse=True", ", exclusive=True", ", include_initial=True"))
    return None if x is None else f"mg.cumulative_sum({x}, axis={d.axis(x)}{more})"


@entry(0.7)
def _sorting(d: Drawing) -> str | None:
    x = d.pick("fi", lambda t: t.ndim > 0)
    return None if x is None else f"mg.sort({x}, axis={d.axis(x)}, descending={d.chance(0.5)})"


# -- layout --------------------------------------------------------------------------------------


@entry(9)
def _layout(d: Drawing) -> str | None:
    x = d.pick("ffiub", lambda t: t.ndim > 0)
    if x is None:
        return None
    rank = d.values[x].ndim
    order = tuple(d.rng.permutation(rank).tolist())
    axis = d.axis(x)
    return d.choose(
        (
            f"mg.reshape({x}, -1)",
            f"mg.reshape({x}, ({x}.shape[0], -1))",
            f"mg.reshape({x}, (-1, {x}.shape[-1]))",
            f"mg.reshape({x}, (1, *{x}.shape, 1))",
            f"mg.reshape({x}, {x}.shape[::-1])",
            f"mg.reshape({x}, (2, -1))",
            f"mg.permute_dims({x}, {order})",
            f"mg.permute_dims({x}, {order})",
            f"mg.expand_dims({x}, axis={d.integer(-rank - 1, rank)})",
            f"mg.flip({x}, axis={axis})",
            f"mg.roll({x}, {d.integer(-3, 3)}, axis={axis})",
            f"mg.tile({x}, {tuple(d.integer(1, 3) for _ in range(rank))})",
            f"mg.repeat({x}, {d.integer(1, 3)}, axis={axis})",
            f"mg.broadcast_to({x}, ({d.integer(1, 4)}, *{x}.shape))",
            f"mg.moveaxis({x}, {axis}, {d.axis(x)})",
            f"mg.squeeze({x})",
            f"mg.tril({x}, k={d.integer(-2, 2)})",
            f"mg.triu({x}, k={d.integer(-2, 2)})",
            f"mg.diagonal({x}, offset={d.integer(-2, 2)})",
            f"mg.split({x}, {d.integer(1, 3)}, axis={axis})[-1]",
            f"mg.unstack({x}, axis={axis})[{d.choose((0, -1))}]",
            f"mg.matrix_transpose({x})",
        )
    )  # type: ignore[no-any-return]


@entry(5)
def _slicing(d: Drawing) -> str | None:
    x = d.pick("ffiub", lambda t: t.ndim > 0)
    if x is None:
        return None
    parts = [
        d.choose(
            (":", ":", ":", "::2", "::-1", "1:", ":-1", "0", "-1", "1:3", "-2:", "::-2", ":0")
            if d.chance(0.3)
            else (":", ":", "::-1", "1:", ":-1", "::2")
        )
        for _ in range(d.values[x].ndim)
    ]
    if d.chance(0.2):
        parts.insert(d.integer(0, len(parts)), "None")
    return f"{x}[{', '.join(parts)}]"


@entry(4)
def _joining(d: Drawing) -> str | None:
    x = d.pick("ffiub", lambda t: t.ndim > 0)
    if x is None:
        return None
    axis = d.axis(x)
    t = d.values[x]

    def fits(other: object) -> bool:
        return other.dtype == t.dtype and other.ndim == t.ndim  # type: ignore[attr-defined]

    y, z = d.pick("fiub", fits), d.pick("fiub", fits)
    mode = d.choose(("constant", "constant", "reflect", "symmetric", "edge", "wrap"))
    widths = [(d.integer(0, 2), d.integer(0, 2)) for _ in range(t.ndim)]
    return d.choose(
        (
            f"mg.concat([{x}, {y}, {z}], axis={axis})",
            f"mg.concat([{x}, {y}], axis={axis})",
            f"mg.concat([{x}, {x}[::-1]], axis={axis})",
            f"mg.stack([{x}, {y}], axis={axis})",
            f"mg.stack([{x}, {x}], axis={axis})",
            f"mg.pad({x}, {widths}, mode={mode!r})",
            f"mg.pad({x}, {widths}, constant_values={d.choose((1, 0.5))})",
        )
    )  # type: ignore[no-any-return]


@entry(4)
def _gathering(d: Drawing) -> str | None:
    x = d.pick("ffiu", lambda t: t.ndim > 0 and 0 not in t.shape)
    if x is None:
        return None
    axis = d.axis(x)
    indices = d.pick("i", lambda t: t.ndim <= 2 and np.prod(t.shape) <= 64)
    at = f"mg.abs({indices} % {x}.shape[{axis}])" if indices else "[0, -1, 0]"
    some = [d.integer(-1, 0) for _ in range(d.integer(1, 4))]
    return d.choose(
        (
            f"mg.take({x}, {some}, axis={axis})",
            f"mg.take({x}, {at}, axis={axis})",
            f"mg.take_along_axis({x}, mg.argsort({x}, axis={axis}), axis={axis})",
            f"{x}[[0, -1, 0]]",
            f"{x}[..., [0, 0, -1]]",
            f"mg.index_add({x}, ([0, -1, 0],), 1)",
            f"mg.index_set({x}, (0,), 1)",
            f"mg.gather({x}, mg.abs({indices} % {x}.shape[0]))",
            f"mg.one_hot({indices}, 5, dtype={d.dtype!r})",
            f"{x}[mg.astype(mg.size({x}) * 0, 'int64')]",
        )
    )  # type: ignore[no-any-return]


# -- products ------------------------------------------------------------------------------------


@entry(7)
def _matmul(d: Drawing) -> str | None:
    x = d.pick("f", lambda t: t.ndim > 0)
    if x is None:
        return None
    t = d.values[x]

    def fits(other: object) -> bool:
        return other.dtype == t.dtype and other.ndim > 0  # type: ignore[attr-defined]

    y = d.pick("f", fits) or x
    last, other = f"{x}.shape[-1]", f"{y}.shape[-1]"
    return d.choose(
        (
            f"{x} @ {y}",
            f"{x} @ mg.matrix_transpose({y})",
            f"{x} @ mg.matrix_transpose({x})",
            f"mg.matrix_transpose({x}) @ {y}",
            f"mg.reshape({x}, (-1, {last})) @ mg.matrix_transpose(mg.reshape({y}, (-1, {other})))",
            f"mg.matrix_transpose(mg.reshape({x}, (-1, {last}))) @ mg.reshape({x}, (-1, {last}))",
            f"mg.reshape({x}, (-1, 1)) @ mg.reshape({y}, (1, -1))",
            f"mg.vecdot({x}, {y})",
            f"mg.einsum('...i,...j->...ij', {x}, {y})",
            f"mg.einsum('...ij,...kj->...ki', {x}, {y})",
            f"mg.einsum('...ij,...ij->...j', {x}, {x})",
            f"mg.tensordot({x}, {y}, axes=1)",
            f"mg.outer(mg.reshape({x}, -1)[:9], mg.reshape({y}, -1)[:11])",
        )
    )  # type: ignore[no-any-return]


@entry(2.5)
def _dense(d: Drawing) -> str | None:
    x = d.pick("f", lambda t: t.ndim > 1)
    if x is None or d.values[x].dtype.name != d.dtype:
        return None
    width = d.choose(list(d.sizes))
    weight = d.feed(None, f"({d.values[x].shape[-1]}, {width})")
    bias = d.feed(None, f"({width},)")
    if weight is None or bias is None:
        return None
    name = d.choose(("mg.tanh", "nn.relu", "nn.gelu", "mg.sigmoid", "mg.identity"))
    return f"{name}({x} @ {weight} + {bias})"


# -- networks ------------------------------------------------------------------------------------


@entry(6)
def _normalizing(d: Drawing) -> str | None:
    x = d.pick("f", lambda t: t.ndim > 0)
    if x is None:
        return None
    axis = d.axis(x)
    axes = d.axes(x)
    axes = str(axis) if axes == "None" else axes
    return d.choose(
        (
            f"nn.softmax({x}, axis={axis})",
            f"nn.softmax({x}, axis={axes})",
            f"nn.log_softmax({x}, axis={axis})",
            f"nn.log_softmax({x}, axis={axes})",
            f"nn.layer_norm({x}, axis={axes})",
            f"nn.rms_norm({x}, axis={axis})",
            f"nn.batch_norm_training({x}, axis={axis})[0]",
            f"nn.l2_normalize({x}, axis={axis})",
            f"mg.log(nn.softmax({x}, axis={axis}) + 0.01)",
            f"({x} - mg.mean({x}, axis={axis}, keepdims=True))"
            f" / (mg.std({x}, axis={axis}, keepdims=True) + 0.1)",
            f"mg.exp({x} - mg.max({x}, axis={axis}, keepdims=True))",
            f"{x} * mg.sum({x}, axis={axis}, keepdims=True)",
            f"mg.cumulative_prod(1.0 + 0.1 * mg.tanh({x}), axis={axis})",
        )
    )  # type: ignore[no-any-return]


@entry(2)
def _losses(d: Drawing) -> str | None:
    x = d.pick("f", lambda t: t.ndim == 2 and 0 not in t.shape)
    if x is None:
        return None
    labels = f"mg.argmax(mg.cos(7.0 * mg.stop_gradient({x})), axis=-1)"
    other = d.like(x) or x
    return d.choose(
        (
            f"nn.cross_entropy({x}, {labels})",
            f"nn.cross_entropy({x}, {labels}, reduction='none', label_smoothing=0.1)",
            f"nn.cross_entropy({x}, nn.softmax({other}))",
            f"nn.binary_cross_entropy_with_logits({x}, mg.sigmoid({other}), reduction='none')",
            f"nn.mse_loss({x}, {other})",
            f"nn.huber_loss({x}, {other}, reduction='none')",
            f"nn.kl_divergence(nn.log_softmax({x}), nn.softmax({other}))",
        )
    )  # type: ignore[no-any-return]


@entry(1)
def _convolution(d: Drawing) -> str | None:
    n, h, w, c, o = (
        d.integer(1, 2),
        d.integer(3, 7),
        d.integer(3, 7),
        d.integer(1, 4),
        d.integer(1, 5),
    )
    x = d.feed(None, f"({n}, {h}, {w}, {c})")
    # What is padded with zeros, and what is left out, does not show in finite numbers.
    kernel = d.feed(None, f"({d.integer(1, 3)}, {d.integer(1, 3)}, {c}, {o})", odd=0.0)
    padding = d.choose(("SAME", "VALID"))
    stride = d.integer(1, 2)
    return f"nn.conv2d({x}, {kernel}, stride={stride}, padding={padding!r})"


@entry(1)
def _pooling(d: Drawing) -> str | None:
    x = d.pick("f", lambda t: t.ndim == 4)
    if x is None:
        x = d.feed(
            None, f"({d.integer(1, 2)}, {d.integer(3, 8)}, {d.integer(3, 8)}, {d.integer(1, 3)})"
        )
    name = d.choose(("max_pool2d", "avg_pool2d"))
    padding = d.choose(("SAME", "VALID"))
    return f"nn.{name}({x}, {d.integer(1, 3)}, stride={d.integer(1, 2)}, padding={padding!r})"


# -- control flow and variables ------------------------------------------------------------------


@entry(3)
def _control(d: Drawing) -> str | None:
    x = d.pick("f")
    y = None if x is None else d.like(x)
    if y is None:
        return None
    return d.choose(
        (
            f"mg.cond(mg.sum({x}) > 0.1, lambda: {x} * 2.0, lambda: mg.sin({x}))",
            f"mg.cond(mg.mean({y}) < 0.0, lambda: mg.exp(-{y} * {y}), lambda: {y} + 1.0)",
            f"mg.switch_case(mg.astype(mg.size({x}) % 3, 'int32'), "
            f"[lambda: {x}, lambda: {x} * 0.5, lambda: -{x}])",
            f"mg.while_loop(lambda i, a: i < {d.integer(0, 6)}, "
            f"lambda i, a: (i + 1, mg.tanh(a) * 0.9 + 0.1 * {x}), (0, {x}))[1]",
            f"mg.while_loop(lambda a: mg.sum(a * a) > 1.0, lambda a: a * 0.5, ({x},), "
            "maximum_iterations=9)[0]",
            f"mg.fori_loop(0, {d.integer(1, 5)}, lambda i, a: a + mg.sin({x}) * 0.5, {x})",
            f"mg.scan(lambda c, s: (mg.tanh(c + s), c * s), mg.zeros_like({x}[0]), {x})"
            f"[{d.integer(0, 1)}]",
            f"mg.scan(lambda c, s: (c * 0.5 + s, mg.sum(c)), mg.zeros_like({x}[0]), {x}, "
            "reverse=True)[1]",
            f"mg.map_fn(lambda a: mg.sum(a * a), {x})",
            f"nn.dropout({x}, 0.4, seed={d.integer(0, 9)})",
            f"mg.scan(lambda c, s: (mg.tanh(c @ mg.ones((s.shape[-1], s.shape[-1]), dtype=s.dtype)"
            f" * 0.1 + s), c), mg.zeros_like({x}[0]), {x})[1]",
            f"mg.checkpoint(lambda a: mg.tanh(a) * mg.sin(a))({x})",
            f"mg.host_call(np.tanh, {x}, out=({x}.shape, {x}.dtype))",
        )
    )  # type: ignore[no-any-return]


@entry(1.5)
def _variable(d: Drawing) -> str | None:
    # A variable, which later lines may read; or an assignment to one.
    if not d.variables or d.chance(0.5):
        array = d.array(d.dtype, d.shape())
        name = d.add(f"mg.Variable({array})", "w")
        if name is None:
            return None
        d.variables.append(name)
        return d.choose((f"{name} * 1.5", f"mg.tanh({name})", f"mg.identity({name})"))
    name = d.choose(d.variables)
    shape = d.shape_of(name)
    x = d.pick("f", lambda t: t.dtype.name == d.dtype and t.shape == shape)
    if x is None:
        return None
    how = d.choose(("assign", "assign_add", "assign_sub"))
    update = d.add(f"{name}.{how}({x} * 0.5)", "u")
    if update is not None:
        d.updates.append(update)
    return None
