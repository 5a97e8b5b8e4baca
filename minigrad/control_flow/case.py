"""`Case`: the node of every branch. It runs one of several bodies, and its gradient another."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from minigrad.autodiff import backward, dense
from minigrad.control_flow.case_layout import Layout, taken
from minigrad.control_flow.inlining import inline
from minigrad.core.bind import bind_all
from minigrad.core.body import Body
from minigrad.core.context import STATE
from minigrad.core.current_graph import name_scope
from minigrad.core.operation import SymbolicTensor
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor
from minigrad.dtypes import from_numpy
from minigrad.errors import DTypeError, ShapeError
from minigrad.ops.basic import constant, identity
from minigrad.ops.elementwise import multiply
from minigrad.ops.shaping import zeros_like
from minigrad.shapes import Spec, show


def _sample_branches() -> tuple[Body, ...]:
    """The bodies ``a * a * b`` and ``b * c``."""
    spec = Spec((2,), from_numpy(np.dtype("float64")))
    made = []
    for squared in (True, False):
        body = Body(None)
        with body.building("sample/"):
            x, y = body.placeholder(spec, "sample/x"), body.placeholder(spec, "sample/y")
            body.captured = {x: x, y: y}
            product = multiply(multiply(x, x) if squared else x, y)
            body.close([cast(SymbolicTensor, product)])
        made.append(body)
    return tuple(made)


def _samples(rng: np.random.Generator) -> list[Sample]:
    a, b, c = rng.normal(size=(3, 2))
    branches = _sample_branches()
    return [
        Sample(np.array(0), a, b, b, c, branches=branches),
        Sample(np.array(1), a, b, b, c, branches=branches),
        Sample(np.array(7), a, b, b, c, branches=branches).named("out of range: the last"),
    ]


@primitive(
    "Case",
    outputs=None,
    effect="body",
    promote=(),
    samples=_samples,
    errors=[
        Fails(
            DTypeError,
            "integer",
            np.array(0.5),
            *[np.ones(2)] * 4,
            branches=_sample_branches(),
        )
    ],
)
def case(index: Any, /, *captured: Any, branches: tuple[Body, ...]) -> tuple[Tensor, ...]:
    """Run one of several bodies; what `cond` and `switch_case` add.

    Args:
        index: integer scalar: which; one that is out of range means the last.
        captured: what the branches capture, branch by branch.
        branches: bodies with the same number of outputs, of the same dtypes.

    Returns:
        The outputs of the branch that ran, then hidden ones: the results of each branch's draws,
        reads and other effects, which its gradient reads. Those of branches that did not run are
        of length 0.

    Raises:
        DTypeError: `index` is not an integer, or the dtypes of two branches differ.
        ShapeError: `index` is not a scalar.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", ())
    ...     y = mg.cond(x > 0.0, lambda: x, lambda: -x)
    ...     y.op.type
    'Case'
    >>> mg.Session(graph=y.graph).run(y, {x: -3.0})
    np.float32(3.0)
    """
    return bind_all(case, index, *captured, branches=branches)


@case.shape
def _(index: Spec, *captured: Spec, branches: tuple[Body, ...]) -> tuple[Spec, ...]:
    if not index.dtype.is_integer:
        raise DTypeError(f"the index of a branch must be an integer, got {index.dtype}")
    if index.shape not in ((), None):
        raise ShapeError(f"the index of a branch must be a scalar, got shape {show(index.shape)}")
    layout = Layout(branches)
    first, *others = [[t.spec for t in body.outputs] for body in branches]
    made = [Spec(spec.shape, spec.dtype) for spec in first]
    for specs in others:
        for i, (a, b) in enumerate(zip(made, specs, strict=True)):
            if a.dtype is not b.dtype:
                raise DTypeError(
                    f"result {i} of one branch is {a.dtype}, of another {b.dtype}; they must be of "
                    "one dtype: cast with mg.astype"
                )
            made[i] = Spec(_either(a.shape, b.shape), a.dtype)
    hidden = [
        Spec(None if t.shape is None else (None,) * len(t.shape), t.dtype)
        for group in layout.effects
        for t in group
    ]
    return (*made, *hidden)


def _either(a: Any, b: Any) -> Any:
    """What is known of a shape that is one of two."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple([m if m == n else None for m, n in zip(a, b, strict=True)])


@case.kernel
def _(
    xp: Any, runner: Any, index: Array, *captured: Array, branches: tuple[Body, ...]
) -> tuple[Array, ...]:
    layout = Layout(branches)
    chosen = taken(index, len(branches))
    body, effects = branches[chosen], layout.effects
    wanted = [i for i, read in enumerate(runner.wanted[: layout.count]) if read]
    seen = [i for i, read in enumerate(layout.hidden(runner.wanted)[chosen]) if read]
    outputs = (*[body.outputs[i] for i in wanted], *[effects[chosen][i] for i in seen])
    inputs = layout.captured((index, *captured))[chosen]
    values = iter(runner.call(body, inputs, outputs))
    made = [np.zeros(0, t.dtype.dtype) for t in body.outputs]
    for i in wanted:
        made[i] = next(values)
    hidden = [[_absent(t) for t in group] for group in effects]
    for i in seen:
        hidden[chosen][i] = next(values)
    return (*made, *[a for group in hidden for a in group])


def _absent(tensor: SymbolicTensor) -> Array:
    """What stands for the result of an effect that did not happen."""
    return np.zeros((0,) * len(tensor.shape or ()), tensor.dtype.dtype)


@case.eagerly
def _(index: Tensor, *captured: Tensor, branches: tuple[Body, ...]) -> tuple[Tensor, ...]:
    layout = Layout(branches)
    case.infer([t.spec for t in (index, *captured)], {"branches": branches})
    chosen = taken(index.numpy(), len(branches))
    body = branches[chosen]
    values = inline(body, layout.captured((index, *captured))[chosen], targets=True)
    hidden = [
        values[t] if body is branches[chosen] and t in values else constant(_absent(t))
        for group in layout.effects
        for t in group
    ]
    return (*[values[t] for t in body.outputs], *hidden)


# -- the gradient ------------------------------------------------------------------------------


@case.gradient(saves=("captured", "outputs"))
def _(c: Ctx) -> Grads:
    """A branch of the same index: each body computes its branch again and walks back over it."""
    layout = Layout(c.attrs.branches)
    groups, hidden = layout.captured(c.inputs), layout.hidden(c.outputs)
    needed = [
        i
        for i, (need, x) in enumerate(zip(c.needs, c.inputs, strict=True))
        if i and need and x.dtype.is_inexact
    ]
    places = layout.captured(range(len(c.inputs)))
    bodies = []
    with name_scope("CaseGradient") as scope:
        for number, branch in enumerate(layout.branches):
            own = [i for i in places[number] if i in needed]
            body = Body(STATE.get().graph, "gradient")
            with body.building(f"{scope}branch_{number}/"):
                captured = [
                    identity(t) if i in own else t
                    for i, t in zip(places[number], groups[number], strict=True)
                ]
                given = dict(zip(layout.effects[number], hidden[number], strict=True))
                start = len(body)
                values = inline(branch, captured, given)
                seeds = [
                    (values[t], g)
                    for t, g, reached in zip(branch.outputs, c.grads, c.reached, strict=False)
                    if reached and t.dtype.is_inexact
                ]
                sources = dict(zip(places[number], captured, strict=True))
                found = backward(body.get_operations()[start:], seeds, [sources[i] for i in own])
                made = []
                for i in needed:
                    g = found.get(sources[i]) if i in own else None
                    made.append(zeros_like(c.inputs[i]) if g is None else dense(g))
                body.close([body.bring(g) for g in made])  # type: ignore[arg-type]
            bodies.append(body)
    inputs = [t for body in bodies for t in body.captured]
    results = case(c.inputs[0], *inputs, branches=tuple(bodies))
    by_place = dict(zip(needed, results, strict=False))
    return [by_place.get(i) for i in range(len(c.inputs))]
