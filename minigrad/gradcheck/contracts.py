"""What a primitive promises besides its gradient: shapes, dtypes, modes, purity, errors.

Every function returns what is wrong, in words; an empty list is good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.autodiff import dense, gradients
from minigrad.core.current_graph import global_variables
from minigrad.core.floating import kernel_errstate
from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import Primitive
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.dtypes import from_numpy
from minigrad.errors import ArgumentError, GradientError, MinigradError, ShapeError
from minigrad.gradcheck.engine import eagerly
from minigrad.gradcheck.numeric import measure
from minigrad.gradcheck.samples import SampleCall, calls, describe, partly_unknown
from minigrad.ops.basic import placeholder
from minigrad.session import Session
from minigrad.shapes import Shape, compatible, show
from minigrad.tape import GradientTape

#: Relative differences that two ways of computing the same thing may have, by dtype.
_CLOSE = {"float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "complex64": 1e-5}
#: The relative error that a float32 gradient may have.
_NARROW = 1e-2

_Shapes = Callable[[Array], Shape]


def _ways(seed: int) -> dict[str, _Shapes]:
    """How much a graph knows of its inputs' shapes."""
    rng = np.random.default_rng(seed)
    return {
        "known shapes": lambda a: a.shape,
        "partly known shapes": lambda a: partly_unknown(a.shape, rng),
        "unknown shapes": lambda a: None,
    }


class Lazy:
    """A sample built in a graph of its own, with placeholders for its arrays."""

    def __init__(self, call: SampleCall, shapes: _Shapes) -> None:
        self.graph = Graph()
        with eagerly(), self.graph.as_default():
            self.inputs = [placeholder(from_numpy(a.dtype), shapes(a)) for a in call.arrays]
            self.outputs = [t for t in call(self.inputs) if isinstance(t, SymbolicTensor)]
            self._initializers = [v.initializer for v in global_variables()]
        self.feeds = dict(zip(self.inputs, call.arrays, strict=True))

    def run(self, fetches: Sequence[Any]) -> list[Array]:
        """Values in a session of its own."""
        session = Session(graph=self.graph)
        session.run(self._initializers)
        values = session.run(list(fetches), self.feeds)
        return [np.asarray(v, t.dtype.dtype) for v, t in zip(values, fetches, strict=True)]


def _refuses(error: MinigradError, way: str) -> bool:
    """Whether an error says that a shape must be known, where it is not."""
    kinds = (ShapeError, ArgumentError, GradientError)
    says = "known" in str(error) or "static shape" in str(error)
    return says and way != "known shapes" and isinstance(error, kinds)


def _on_every_sample(
    primitive: Primitive[..., Any], check: Callable[[int, Sample, SampleCall], list[str]]
) -> list[str]:
    """What `check` says about each sample, the sample in front; an error is something wrong."""
    problems: list[str] = []
    for number, (sample, call) in enumerate(calls(primitive)):
        try:
            found = check(number, sample, call)
        except Exception as error:  # noqa: BLE001 - reported, whatever it is
            found = [f"{type(error).__name__}: {error}"]
        problems += [f"{describe(sample)}: {problem}" for problem in found]
    return problems


# -- shapes and dtypes ------------------------------------------------------------------------


def check_shapes(primitive: Primitive[..., Any]) -> list[str]:
    """Compare the shape rule with real results, for known, partly known and unknown shapes."""
    return _on_every_sample(primitive, _check_shapes)


def _check_shapes(number: int, sample: Sample, call: SampleCall) -> list[str]:
    problems: list[str] = []
    real = call.eager()
    for way, shapes in _ways(number).items():
        try:
            lazy = Lazy(call, shapes)
        except MinigradError as error:
            if not _refuses(error, way):
                problems.append(f"{way}: {type(error).__name__}: {error}")
            continue
        if call.graph_only:
            real = lazy.run(lazy.outputs) if call.arrays else []
            if not real:
                continue
        if len(lazy.outputs) != len(real):
            problems.append(f"{way}: {len(lazy.outputs)} outputs, really {len(real)}")
            continue
        for t, y in zip(lazy.outputs, real, strict=True):
            if not compatible(t.spec.shape, y.shape):
                problems.append(
                    f"{way}: the shape rule says {show(t.spec.shape)}, the result has {y.shape}"
                )
            if t.dtype.dtype != y.dtype:
                problems.append(f"{way}: the shape rule says {t.dtype}, the result has {y.dtype}")
    return problems


def check_narrow(primitive: Primitive[..., Any]) -> list[str]:
    """Check that float32 stays float32, in results and in gradients, and is about right."""

    def check(number: int, sample: Sample, call: SampleCall) -> list[str]:
        if call.names_float64 or call.graph_only:
            return []
        problems = [
            f"float32 gives {z.dtype}"
            for y, z in zip(call.eager(), call.eager(narrow=True), strict=True)
            if y.dtype == np.float64 and z.dtype != np.float32
        ]
        if problems or not is_differentiated(primitive, sample, call):
            return problems
        wide, narrow = _gradients(call, call.arrays), _gradients(call, call.narrowed())
        for g, h in zip(wide, narrow, strict=True):
            if h.dtype != np.float32 or h.shape != g.shape:
                problems.append(f"the gradient in float32 is {h.dtype}{h.shape}")
            elif np.isfinite(g).all() and not _about(h.astype(np.float64), g):
                problems.append(f"the gradient in float32 is {h.tolist()}, in float64 {g.tolist()}")
        return problems

    return _on_every_sample(primitive, check)


def _about(narrow: Array, wide: Array) -> bool:
    return measure(narrow, wide) < _NARROW or bool(np.abs(narrow - wide).max() < 1e-5)


def is_differentiated(primitive: Primitive[..., Any], sample: Sample, call: SampleCall) -> bool:
    """Whether the gradient exists on this sample."""
    return bool(call.free and sample.max_order and not primitive.not_differentiable)


def _gradients(call: SampleCall, arrays: Sequence[Array]) -> list[Array]:
    """The gradients of projected floating outputs for the free arrays, on a tape."""
    tensors: list[Tensor] = [ConcreteTensor(a) for a in arrays]
    sources = [tensors[i] for i in call.free]
    with eagerly():
        with GradientTape() as tape:
            tape.watch(sources)
            outputs = [t for t in call(tensors) if t.dtype.is_floating]
        if not outputs:
            return []
        weights = _weights([t.numpy() for t in outputs])
        found = tape.gradient(outputs, sources, weights, unconnected="zero")
        return [np.asarray(dense(g)) for g in found]


def _weights(outputs: Sequence[Array]) -> list[Array]:
    """Random upstream gradients, the same ones every time."""
    rng = np.random.default_rng(1)
    return [np.asarray(rng.normal(size=y.shape)).astype(y.dtype) for y in outputs]


# -- the same in every way --------------------------------------------------------------------


def check_modes(primitive: Primitive[..., Any]) -> list[str]:
    """Compare a session's results and gradients with eager ones, however much a graph knows."""

    def check(number: int, sample: Sample, call: SampleCall) -> list[str]:
        if call.graph_only:
            return []
        problems: list[str] = []
        real = call.eager()
        wanted = is_differentiated(primitive, sample, call)
        slopes = _gradients(call, call.arrays) if wanted else []
        for way, shapes in _ways(number).items():
            try:
                lazy = Lazy(call, shapes)
                made = lazy.run(lazy.outputs)
                problems += [f"{way}: in a session {p}" for p in _differences(real, made)]
                if slopes:
                    found = _differences(slopes, _graph_gradients(lazy, call, made))
                    problems += [f"{way}: in a session the gradient {p}" for p in found]
            except MinigradError as error:
                if not _refuses(error, way):
                    problems.append(f"{way}: {type(error).__name__}: {error}")
        return problems

    return _on_every_sample(primitive, check)


def _graph_gradients(lazy: Lazy, call: SampleCall, values: Sequence[Array]) -> list[Array]:
    """The same gradients as `_gradients`, by nodes."""
    pairs = zip(lazy.outputs, values, strict=True)
    chosen = [(t, y) for t, y in pairs if t.dtype.is_floating]
    with eagerly(), lazy.graph.as_default():
        weights = _weights([y for _, y in chosen])
        sources = [lazy.inputs[i] for i in call.free]
        found = gradients([t for t, _ in chosen], sources, weights)
        nodes = [g.dense() if isinstance(g, IndexedSlices) else g for g in found]
    return lazy.run(nodes)


def _differences(expected: Sequence[Array], got: Sequence[Array]) -> list[str]:
    """In what two lists of arrays differ by more than rounding."""
    if len(expected) != len(got):
        return [f"has {len(got)} parts, not {len(expected)}"]
    found: list[str] = []
    for a, b in zip(expected, got, strict=True):
        if a.dtype != b.dtype or a.shape != b.shape:
            found.append(f"is {b.dtype}{b.shape}, not {a.dtype}{a.shape}")
        elif not _same(a, b):
            found.append(f"is {b.tolist()}, not {a.tolist()}")
    return found


def _same(a: Array, b: Array) -> bool:
    if a.dtype.kind not in "fc":
        return np.array_equal(a, b)
    close = _CLOSE.get(a.dtype.name, 1e-12)
    scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
    return np.allclose(a, b, rtol=close, atol=close * max(1.0, scale), equal_nan=True)


def check_kernels(primitive: Primitive[..., Any]) -> list[str]:
    """Call a pure primitive's kernels directly: they must agree, and leave their inputs alone.

    They are called on contiguous arrays and on views that skip every other element.
    """
    kernel = primitive.compute
    if kernel is None or primitive.effect != "pure":
        return []

    def check(number: int, sample: Sample, call: SampleCall) -> list[str]:
        problems: list[str] = []
        lazy = Lazy(call, lambda a: a.shape)
        ops = [op for op in lazy.graph.get_operations() if op.primitive is primitive]
        for op in ops if call.arrays else []:
            given = [t for t in op.inputs if t is not None]
            values = dict(zip(given, lazy.run(given), strict=True))
            inputs = [None if t is None else values[t] for t in op.inputs]
            problems += _call_kernels(primitive, kernel, inputs, op.attrs)
        return problems

    return _on_every_sample(primitive, check)


def _call_kernels(
    primitive: Primitive[..., Any],
    kernel: Callable[..., Any],
    inputs: Sequence[Array | None],
    attrs: dict[str, Any],
) -> list[str]:
    strided = [None if x is None else _strided(x) for x in inputs]
    ways: list[tuple[str, Callable[..., Any], Sequence[Array | None]]] = [
        ("the generic kernel", lambda *xs: kernel(np, *xs, **attrs), inputs),
        ("the generic kernel on strided arrays", lambda *xs: kernel(np, *xs, **attrs), strided),
    ]
    fast = primitive.numpy
    if fast is not None:
        ways.append(("the NumPy kernel", lambda *xs: fast(*xs, **attrs), inputs))
        ways.append(("the NumPy kernel on strided arrays", lambda *xs: fast(*xs, **attrs), strided))
    problems: list[str] = []
    first: list[Array] | None = None
    for name, function, given in ways:
        before = [None if x is None else x.tobytes() for x in given]
        with kernel_errstate():
            made = function(*given)
        results = [np.asarray(y) for y in ((made,) if primitive.single else made)]
        if before != [None if x is None else x.tobytes() for x in given]:
            problems.append(f"{name} changed its input")
        if first is None:
            first = results
        problems += [f"{name}: the result {p}" for p in _differences(first, results)]
    return problems


def _strided(x: Array) -> Array:
    """The same values in an array that is not contiguous."""
    if not x.ndim or x.dtype == object:
        return x
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


# -- errors -----------------------------------------------------------------------------------


def check_errors(primitive: Primitive[..., Any]) -> list[str]:
    """Check that the error samples raise what they say, eagerly and in a graph."""
    problems: list[str] = []
    for sample in primitive.errors:
        call = SampleCall(primitive, sample)

        def eagerly_called(call: SampleCall = call) -> None:
            with eagerly():
                call([ConcreteTensor(a) for a in call.arrays])

        def lazily_called(call: SampleCall = call) -> None:
            lazy = Lazy(call, lambda a: a.shape)
            # What depends on values can only fail in a run.
            lazy.run(lazy.outputs)

        for mode, called in (("eagerly", eagerly_called), ("in a graph", lazily_called)):
            try:
                called()
            except sample.error as error:
                if not re.search(sample.match, str(error)):
                    problems.append(
                        f"{sample!r} {mode}: the message {str(error)!r} does not match "
                        f"{sample.match!r}"
                    )
            except Exception as error:  # noqa: BLE001 - reported, whatever it is
                problems.append(f"{sample!r} {mode}: raised {type(error).__name__}: {error}")
            else:
                problems.append(f"{sample!r} {mode}: raised nothing")
    return problems
