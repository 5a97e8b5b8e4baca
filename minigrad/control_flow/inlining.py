"""Computing the ops of a body again: as nodes of the current graph, or at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from minigrad.core.bind import apply, replayed, tensor_of
from minigrad.core.body import Body
from minigrad.core.context import STATE, changed
from minigrad.core.operation import Operation, SymbolicTensor, computed_from
from minigrad.core.tensor import Tensor
from minigrad.errors import GraphError

#: Tensors of a body, and what stands for them where it is computed again.
Values = dict[SymbolicTensor, Tensor]


def inline(
    body: Body,
    inputs: Sequence[Tensor],
    given: Mapping[SymbolicTensor, Tensor] | None = None,
    *,
    targets: bool = False,
) -> Values:
    """Compute a body's outputs again, from other inputs.

    In a graph that adds copies of the body's nodes, with the lines of the originals; in eager code
    it computes.

    Args:
        body: the body.
        inputs: what stands for its inputs.
        given: the results of operations that are not to be done again, such as draws.
        targets: whether the body's assignments and host calls are done too.

    Returns:
        What stands for the body's tensors.
    """
    values: Values = dict(zip(body.inputs, inputs, strict=True))
    wanted = [t for t in body.outputs if t not in values]
    done = body.targets if targets and not body.is_replay else ()
    compute(body, values, wanted, given or {}, done)
    return values


def compute(
    body: Body,
    values: Values,
    wanted: Sequence[SymbolicTensor],
    given: Mapping[SymbolicTensor, Tensor],
    targets: Sequence[Operation] = (),
) -> None:
    """Enter into `values` what stands for the wanted tensors, and for all that they need."""
    begin = [*[t.op for t in wanted if t not in values], *targets]
    for op in computed_from(begin, known=values):
        if op.type == "Placeholder":
            values[op.outputs[0]] = _from_outside(body, op.outputs[0])
            continue
        inputs = [None if t is None else values[t] for t in op.inputs]
        attrs = body.attrs_of(op)
        if op.type == "CustomGradient":
            attrs = attrs | {"rule": _rule(body, op, values)}
        elif op.primitive.has_bodies:
            attrs = _moved(attrs, _look_up(body, values, given))
        with changed(origin=op):
            if op.outputs and op.outputs[0] in given:
                results = tuple([given[t] for t in op.outputs])
                logged = results[0] if op.primitive.single else results
                made = replayed(op.primitive, inputs, attrs, logged)
            else:
                made = apply(op.primitive, inputs, attrs, name=op.name.rpartition("/")[2])
        values.update(zip(op.outputs, (made,) if isinstance(made, Tensor) else made, strict=True))


def _from_outside(body: Body, tensor: SymbolicTensor) -> Tensor:
    """The outer tensor that the rule of a custom gradient has captured through the body."""
    for source, stand_in in body.late.items():
        if stand_in is tensor:
            return source if body.look_up is None else cast(Tensor, body.look_up(source))
    raise GraphError(f"{tensor!r} is an input of {body!r} that was not given a value")


def _look_up(
    body: Body, values: Values, given: Mapping[SymbolicTensor, Tensor]
) -> Callable[[SymbolicTensor], Tensor]:
    """What stands for a tensor of the body, which the rules in bodies within may ask for later."""

    place = STATE.get().graph

    def look_up(tensor: SymbolicTensor) -> Tensor:
        if tensor not in values:
            # Computed where the others are, so that copies of this copy find it too.
            with place.building() if isinstance(place, Body) else changed(graph=place):
                compute(body, values, [tensor], given)
        return values[tensor]

    return look_up


def _moved(attrs: dict[str, Any], look_up: Callable[[SymbolicTensor], Tensor]) -> dict[str, Any]:
    """Attributes whose bodies find what their custom gradients read in the copy around them."""

    def move(value: Any) -> Any:
        if isinstance(value, Body):
            return value.moved(look_up) if value.has_rules else value
        return tuple([move(v) for v in value]) if type(value) is tuple else value

    return {name: move(value) for name, value in attrs.items()}


def _rule(body: Body, op: Operation, values: Values) -> Callable[..., list[Tensor | None]]:
    """The rule of a custom gradient, with what stands for the tensors that it mentions.

    The rule itself may hold tensors of the body. So it is called there, once, and the nodes that
    it adds are computed again wherever it is needed.
    """

    def rule(*upstream: Tensor) -> list[Tensor | None]:
        key, home = ("rule", op), body.home
        if key not in home.plans:
            with home.building():
                seeds = [home.placeholder(t.spec, f"{op.name}/upstream") for t in op.outputs]
                returned = op.attrs["rule"](*seeds)
                rows = list(returned) if isinstance(returned, list | tuple) else [returned]
                made = [
                    None
                    if g is None or x is None
                    else home.bring(cast(SymbolicTensor, tensor_of(g, x.dtype)))
                    for g, x in zip(rows, op.inputs, strict=False)
                ]
            home.plans[key] = seeds, made
        seeds, made = home.plans[key]
        known = values | dict(zip(seeds, upstream, strict=True))
        compute(body, known, [g for g in made if g is not None], {})
        return [None if g is None else known[g] for g in made]

    return rule
