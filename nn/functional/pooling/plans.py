"""Pooling in plans."""

from __future__ import annotations

from typing import Any

from minigrad.nn.functional.pooling.kernels import pool_windows, pooled_shape
from minigrad.nn.functional.window_plans import (
    channels_last,
    in_format,
    last_shape,
    plain_attributes,
)
from minigrad.nn.functional.windows import Geometry, Ints
from minigrad.shapes import Shape

__all__: list[str] = []


def pooled(
    b: Any,
    primitive: Any,
    name: str,
    operands: tuple[Any, ...],
    over: Ints,
    window: Ints,
    geometry: Geometry,
    *,
    back: bool = False,
    **attrs: Any,
) -> Any:
    """What a native kernel of pooling makes of operands, or NotImplemented.

    Args:
        b: adds instructions to the plan.
        primitive: what computes the same.
        name: the kernel's.
        operands: in the data format.
        over: the shape of what is pooled.
        window: its sizes.
        geometry: how windows lie.
        back: whether the result has the shape of what is pooled, not that of the places.
        attrs: the primitive's other attributes.
    """
    places: Shape = over if back else pooled_shape(over, window, geometry)
    kinds = "fiu" if name == "max_pool" else "f"
    if operands[0].dtype.kind not in kinds or not all(x.size for x in operands):
        return NotImplemented
    shape = last_shape(places, geometry)  # type: ignore[arg-type]
    plain = plain_attributes(pool_windows(geometry.split(over)[1], window, geometry))
    given = [channels_last(b, x, geometry) for x in operands]
    made = b.special(
        name,
        given,
        [(shape, operands[0].dtype)],
        {"window": window, **plain, **attrs},
        primitive,
    )
    return in_format(b, made[0], geometry)
