"""What a gradient check found: figures for each argument, the worst components, the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from minigrad.shapes import show

__all__ = ["ArgumentCheck", "Component", "GradcheckReport"]

#: ``"kink"`` stands for an argument all of whose components lie on kinks.
Verdict = Literal["right", "kink", "look closer", "bug"]

_ORDER: tuple[Verdict, ...] = ("right", "kink", "look closer", "bug")
#: Below these relative errors a gradient (a second derivative) is right.
RIGHT = (1e-7, 1e-5)
#: Above this one it is a bug.
BUG = 1e-3


def verdict_of(error: float, limit: float) -> Verdict:
    """The course's verdict on a relative error.

    >>> verdict_of(1e-9, 1e-7), verdict_of(1e-5, 1e-7), verdict_of(0.3, 1e-7)
    ('right', 'look closer', 'bug')
    """
    if error < limit:
        return "right"
    return "look closer" if error <= BUG else "bug"


@dataclass(frozen=True, slots=True)
class Component:
    """One entry of a gradient.

    Attributes:
        index: its place in the argument.
        analytic: the slope by the gradient rules.
        numeric: the slope by differences.
        left: the slope from the left.
        right: the slope from the right.
    """

    index: tuple[int, ...]
    analytic: float
    numeric: float
    left: float
    right: float

    @property
    def difference(self) -> float:
        """The distance between the analytic and the numeric slope."""
        return abs(self.analytic - self.numeric)


@dataclass(frozen=True, slots=True)
class ArgumentCheck:
    """What was found for one argument at one order.

    Attributes:
        name: the argument, as in ``params['w']``.
        shape: its shape.
        order: 1 for the gradient; 2 for the product of the Hessian with a random vector.
        checked: how many of its components were compared.
        relative_error: ‖numeric − analytic‖ / (‖numeric‖ + ‖analytic‖), kinks left out.
        verdict: ``"right"``, ``"look closer"`` or ``"bug"``; ``"kink"`` if only kinks are there.
        worst: the components that differ most.
        kinks: the components whose slopes from left and right differ: there the function has no
            derivative, and no verdict is given on them.
    """

    name: str
    shape: tuple[int, ...]
    order: int
    checked: int
    relative_error: float
    verdict: Verdict
    worst: tuple[Component, ...] = field(default=())
    kinks: tuple[Component, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class GradcheckReport:
    """The result of `minigrad.gradcheck`. It is true when every argument is right.

    Attributes:
        checks: one `ArgumentCheck` for each argument, at order one and then at order two.
        limits: the relative errors below which order one and order two are right.
        projected: whether the result has not one number, so that slopes are those of a random
            projection of it.
    """

    checks: tuple[ArgumentCheck, ...]
    limits: tuple[float, float] = RIGHT
    projected: bool = False

    def error(self, order: int) -> float:
        """The worst relative error at an order; 0.0 where nothing was compared."""
        return max([c.relative_error for c in self.checks if c.order == order], default=0.0)

    @property
    def relative_error(self) -> float:
        """The worst relative error at order one."""
        return self.error(1)

    @property
    def order(self) -> int:
        """The highest order that was checked."""
        return max([c.order for c in self.checks], default=1)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among the arguments."""
        return max([c.verdict for c in self.checks], key=_ORDER.index, default="right")

    @property
    def ok(self) -> bool:
        """True when no argument is wrong or doubtful."""
        return self.verdict in ("right", "kink")

    @property
    def kinks(self) -> int:
        """How many components lie on a kink."""
        return sum(len(c.kinks) for c in self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        errors = [f"{self.error(order):.1e} at order {order}" for order in range(1, self.order + 1)]
        title = f"gradient check: {self.verdict} (worst relative error {', '.join(errors)})"
        rows = [("argument", "shape", "order", "checked", "relative error", "kinks", "verdict")]
        for c in self.checks:
            figure = f"{c.relative_error:.1e}"
            kinks = str(len(c.kinks)) if c.kinks else "-"
            row = (c.name, show(c.shape), str(c.order), str(c.checked), figure, kinks, c.verdict)
            rows.append(row)
        lines = [title]
        if self.projected:
            lines.append("the result is not one number; checked is a random projection of it")
        lines += table(rows, right=(2, 3, 4, 5))
        for c in self.checks:
            if c.verdict not in ("right", "kink"):
                lines += ["", f"worst components of {c.name}, order {c.order}:"]
                lines += _components(c.worst)
            if c.kinks:
                lines += ["", f"kinks of {c.name}, order {c.order} (no derivative there):"]
                lines += _components(c.kinks[:5], sides=True)
                if len(c.kinks) > 5:
                    lines.append(f"  … and {len(c.kinks) - 5} more")
        return "\n".join(lines)


def _components(components: Sequence[Component], sides: bool = False) -> list[str]:
    if sides:
        rows = [("  index", "analytic", "slope from left", "from right")]
        for c in components:
            place = f"  {c.index}"
            rows.append((place, f"{c.analytic:.9g}", f"{c.left:.9g}", f"{c.right:.9g}"))
    else:
        rows = [("  index", "analytic", "numeric", "difference")]
        for c in components:
            place = f"  {c.index}"
            rows.append((place, f"{c.analytic:.9g}", f"{c.numeric:.9g}", f"{c.difference:.1e}"))
    return table(rows, right=(1, 2, 3))


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Rows as lines of aligned columns; the columns in `right` to the right.

    >>> table([("a", "12"), ("bcd", "3")], right=(1,))
    ['a    12', 'bcd   3']
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
