"""Everything that a primitive's definition promises, checked on its own samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minigrad.core.primitive import Primitive
from minigrad.core.registry import primitive_of
from minigrad.gradcheck.contracts import (
    check_errors,
    check_kernels,
    check_modes,
    check_narrow,
    check_shapes,
)
from minigrad.gradcheck.derivatives import check_derivatives

__all__ = ["PrimitiveReport", "check_primitive"]


@dataclass(frozen=True, slots=True)
class PrimitiveReport:
    """What `minigrad.check_primitive` found. It is true when nothing is wrong.

    Attributes:
        name: the public name.
        op: the graph op's name.
        samples: how many samples there are.
        first: the worst relative error of the gradient; None where there is none to compare.
        second: the worst relative error at order two.
        reason: why there is no gradient, or None.
        problems: what is wrong.
        exceptions: the samples that are checked less strictly, with their reasons.
    """

    name: str
    op: str
    samples: int
    first: float | None
    second: float | None
    reason: str | None
    problems: tuple[str, ...]
    exceptions: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True when nothing is wrong."""
        return not self.problems

    @property
    def verdict(self) -> str:
        """``"right"`` or ``"wrong"``."""
        return "right" if self.ok else "wrong"

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{self.name} (op {self.op}): {self.verdict}, {self.samples} samples"]
        if self.reason:
            lines.append(f"  no gradient: {self.reason}")
        elif self.first is not None:
            second = "" if self.second is None else f", {self.second:.1e} at order 2"
            lines.append(f"  worst relative error {self.first:.1e} at order 1{second}")
        lines += [f"  wrong: {problem}" for problem in self.problems]
        lines += [f"  exception: {exception}" for exception in self.exceptions]
        return "\n".join(lines)


def check_gradients(primitive: Primitive[..., Any]) -> PrimitiveReport:
    """Check that the definition is complete, its gradients, and its kernels."""
    missing = primitive.problem()
    if missing is not None:
        return _report(primitive, 0, None, None, [missing], [])
    found = check_derivatives(primitive)
    problems = [*found.problems, *check_kernels(primitive)]
    return _report(primitive, found.samples, found.first, found.second, problems, found.exceptions)


def check_primitive(primitive: Primitive[..., Any] | str) -> PrimitiveReport:
    """Check a primitive or composite on its samples: for one's own before they are registered.

    Checked are: gradients at orders one and two against central differences in float64 (relative
    error below 1e-7 and 1e-5, or what a sample states), gradients stated at kinks, a zero upstream
    gradient giving zero; shapes and dtypes of the shape rule against real results, with known,
    partly known and unknown shapes; that float32 stays float32; that the same comes out eagerly and
    in a session, also of gradients, of the generic kernel and of the NumPy one, and of arrays that
    are not contiguous; that kernels leave their inputs alone; and that the error samples raise.

    Returns:
        A report that is true when nothing is wrong, and that prints what is.

    >>> import minigrad as mg
    >>> report = mg.check_primitive(mg.multiply)
    >>> report.ok, report.first < 1e-7, report.second < 1e-5
    (True, True, True)
    """
    if isinstance(primitive, str):
        primitive = primitive_of(primitive)
    report = check_gradients(primitive)
    if report.samples == 0:
        return report
    problems = [
        *report.problems,
        *check_shapes(primitive),
        *check_narrow(primitive),
        *check_modes(primitive),
        *check_errors(primitive),
    ]
    return _report(
        primitive, report.samples, report.first, report.second, problems, list(report.exceptions)
    )


def _report(
    primitive: Primitive[..., Any],
    samples: int,
    first: float | None,
    second: float | None,
    problems: list[str],
    exceptions: list[str],
) -> PrimitiveReport:
    return PrimitiveReport(
        primitive.name,
        primitive.op,
        samples,
        first,
        second,
        primitive.not_differentiable,
        tuple(problems),
        tuple(exceptions),
    )
