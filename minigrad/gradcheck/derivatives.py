"""The gradients of a primitive, on its own samples, at orders one and two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.core.primitive import Primitive
from minigrad.core.samples import Sample
from minigrad.core.tensor import Array
from minigrad.gradcheck.contracts import Lazy, is_differentiated
from minigrad.gradcheck.engine import Function, Options, Subject
from minigrad.gradcheck.replay import Program, Source, Step
from minigrad.gradcheck.report import RIGHT, ArgumentCheck
from minigrad.gradcheck.samples import SampleCall, calls, describe

#: With up to so many numbers among the outputs the whole Jacobian is compared.
_JACOBIAN = 16
#: With more, so many random projections of it.
_PROJECTIONS = 3


@dataclass
class Derivatives:
    """What was found.

    Attributes:
        samples: how many samples there are.
        first: the worst relative error at order one; None where nothing was compared.
        second: the same at order two.
        problems: what is wrong, in words.
        exceptions: samples that are checked less strictly, with the reason that each states.
    """

    samples: int = 0
    first: float | None = None
    second: float | None = None
    problems: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)


def check_derivatives(primitive: Primitive[..., Any]) -> Derivatives:
    """Check the gradient rule of a primitive, or the gradient of a composite, on every sample.

    Compared with central differences are the full Jacobian (random projections of large ones), and
    the derivative of the gradient in a random direction, also for the upstream gradient. A sample
    at a kink is compared with the gradient it states. A zero upstream gradient must give zero.
    """
    found = Derivatives()
    for sample, call in calls(primitive):
        found.samples += 1
        if sample.reason:
            found.exceptions.append(_exception(primitive, sample))
        try:
            if is_differentiated(primitive, sample, call):
                _check_sample(sample, call, found)
            else:
                call.eager()
        except Exception as error:  # noqa: BLE001 - reported, whatever it is
            found.problems.append(f"{describe(sample)}: {type(error).__name__}: {error}")
    if _should_be_compared(primitive) and found.first is None and not found.problems:
        found.problems.append(
            "none of its samples is differentiated; give one with a float64 array, or state "
            "not_differentiable='why'"
        )
    return found


def _should_be_compared(primitive: Primitive[..., Any]) -> bool:
    """Whether there must be a sample with a gradient that is compared with something."""
    if primitive.not_differentiable:
        return False
    pairs = list(calls(primitive))
    stated = any(s.max_order == 0 and s.reason for s, _ in pairs)
    return not stated or any(is_differentiated(primitive, s, call) for s, call in pairs)


def _exception(primitive: Primitive[..., Any], sample: Sample) -> str:
    if sample.tolerance is not None:
        first, second = sample.tolerance
        what = f"within {first:.0e} and {second:.0e}"
    elif sample.max_order:
        what = f"order {sample.max_order} only"
    else:
        what = "values only"
    return f"{primitive.name}: {describe(sample)}: {what}: {sample.reason}"


def _check_sample(sample: Sample, call: SampleCall, found: Derivatives) -> None:
    function: Function = call.with_free
    if call.graph_only:
        function = _by_nodes(call)
    elif not any(y.dtype == np.float64 for y in call.eager()):
        return
    names = [f"argument {i}" for i in range(len(call.points))]
    subject = Subject(function, call.points, names, Options(limits=sample.tolerance or RIGHT))
    _check_zero_upstream(sample, subject, found)
    if sample.expected is not None:
        _check_expected(sample, subject, found)
        return
    checks = subject.first_order(_probes(subject))
    found.first = max([found.first or 0.0, *[c.relative_error for c in checks]])
    if sample.max_order > 1:
        second = subject.second_order(subject.projection(), upstream=True)
        found.second = max([found.second or 0.0, *[c.relative_error for c in second]])
        checks += second
    for check in checks:
        _judge(sample, check, found)


def _by_nodes(call: SampleCall) -> Function:
    """A sample that can only be built in a graph, as a function that computes its nodes."""
    lazy = Lazy(call, lambda a: a.shape)
    steps = [
        Step(op.primitive, op.attrs, op.inputs, op.outputs, f"in node {op.name!r}")
        for op in lazy.graph.get_operations()
        if op.inputs
    ]
    sources = [Source(f"argument {i}", (lazy.inputs[i],), call.arrays[i]) for i in call.free]
    return Program(steps, lazy.feeds, sources, lazy.outputs)


def _probes(subject: Subject) -> list[list[Array]]:
    """Projections that give the whole Jacobian, or random ones where that is too large."""
    if 0 < subject.size <= _JACOBIAN:
        return subject.unit_probes()
    return [subject.projection() for _ in range(_PROJECTIONS if subject.size else 1)]


def _judge(sample: Sample, check: ArgumentCheck, found: Derivatives) -> None:
    where = f"{describe(sample)}: order {check.order}, {check.name}"
    if check.kinks:
        c = check.kinks[0]
        found.problems.append(
            f"{where}: a kink at index {c.index}: slope {c.left:.6g} from the left, {c.right:.6g} "
            "from the right; move the sample, or state the gradient with .expecting(…)"
        )
    elif check.verdict != "right":
        c = check.worst[0]
        found.problems.append(
            f"{where}: relative error {check.relative_error:.1e}; at index {c.index} the rule "
            f"gives {c.analytic:.9g}, differences give {c.numeric:.9g}"
        )


def _check_zero_upstream(sample: Sample, subject: Subject, found: Derivatives) -> None:
    zeros = [np.zeros(y.shape) for y in subject.base]
    (grads,) = subject.pull(subject.points, [zeros])
    expected: Sequence[Any] = sample.expected or [None] * len(grads)
    for name, g, stated in zip(subject.names, grads, expected, strict=False):
        if stated is not None and not np.isfinite(np.asarray(stated, float)).all():
            continue  # Zero times infinity.
        if not (g == 0).all():
            found.problems.append(
                f"{describe(sample)}: a zero upstream gradient gives {g.tolist()} for {name}, "
                "not zero"
            )


def _check_expected(sample: Sample, subject: Subject, found: Derivatives) -> None:
    """Compare with the gradient of the sum of the outputs that the sample states."""
    ones = [np.ones(y.shape) for y in subject.base]
    (grads,) = subject.pull(subject.points, [ones])
    expected = sample.expected or ()
    if len(expected) != len(grads):
        found.problems.append(
            f"{describe(sample)}: states {len(expected)} gradients for {len(grads)} differentiated "
            "arguments"
        )
        return
    found.first = found.first or 0.0
    for name, g, stated in zip(subject.names, grads, expected, strict=True):
        if stated is None:
            continue
        wanted = np.broadcast_to(np.asarray(stated, float), g.shape)
        if not np.allclose(g, wanted, rtol=1e-12, atol=1e-14, equal_nan=True):
            found.problems.append(
                f"{describe(sample)}: states the gradient {np.asarray(stated).tolist()} for "
                f"{name}, the rule gives {g.tolist()}"
            )
