"""What loops collect, run by run, and slice again: arrays in the kernel, tensors in eager code.

Whatever is collected lies in one tensor, by the position of the run: stacked, where all runs give
the same shape; else *ragged*, as all elements in one row, with a table of the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigrad.core.tensor import Array, Tensor
from minigrad.errors import ShapeError
from minigrad.ops.basic import constant
from minigrad.ops.joining import concat
from minigrad.ops.manipulation import reshape
from minigrad.ops.stacking import stack, unstack
from minigrad.shapes import Spec, show


class Collector:
    """Collects one array a run, and gives them all by position."""

    def __init__(self, spec: Spec, ragged: bool) -> None:
        self._spec = spec
        self._ragged = ragged
        self._items: list[Array] = []

    def add(self, item: Array) -> None:
        """Keep what one run gave."""
        self._items.append(item)

    def arrays(self, reverse: bool, empty: Spec) -> list[Array]:
        """One stacked array; or all elements in a row, and the table of shapes.

        Args:
            reverse: whether the first run has the last position.
            empty: the spec of one item, for a loop without runs.
        """
        items = self._items[::-1] if reverse else self._items
        dtype = self._spec.dtype.dtype
        dims = tuple([d or 0 for d in empty.shape or ()])
        if not self._ragged:
            _check_equal([item.shape for item in items], "shapes")
            return [np.stack(items) if items else np.zeros((0, *dims), dtype)]
        _check_equal([(item.ndim,) for item in items], "numbers of dimensions")
        rows = [np.ravel(item) for item in items]
        flat = np.concatenate(rows) if rows else np.zeros(0, dtype)
        table = np.array([item.shape for item in items], np.int64)
        return [flat, table.reshape(len(items), items[0].ndim if items else len(dims))]


def _check_equal(shapes: list[tuple[int, ...]], what: str) -> None:
    """Raise `ShapeError` unless all runs gave the same."""
    different = list(dict.fromkeys(shapes))
    if len(different) > 1:
        found = ", ".join([show(shape) for shape in different[:3]])
        raise ShapeError(f"the runs of the loop gave results of different {what}: {found}")


class Slices:
    """The slice for each position of one sliced input."""

    def __init__(self, group: Sequence[Array]) -> None:
        self._flat = group[0]
        self._shapes: Array | None = None
        if len(group) == 2:
            self._shapes = group[1]
            sizes = np.prod(group[1], axis=1, dtype=np.int64)
            self._ends = np.cumsum(sizes)
            self._sizes = sizes
        self.length = len(group[-1])

    def __getitem__(self, position: int) -> Array:
        if self._shapes is None:
            item: Array = self._flat[position, ...]
            return item
        end = int(self._ends[position])
        part = self._flat[end - int(self._sizes[position]) : end]
        return part.reshape(self._shapes[position])


def items_of(group: Sequence[Tensor]) -> Sequence[Tensor]:
    """One slice for each position, as tensors."""
    if len(group) == 1:
        return unstack(group[0], axis=0) if group[0].shape[0] else []
    flat, table = group[0], group[1].numpy()
    ends = np.cumsum(np.prod(table, axis=1, dtype=np.int64))
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    return [
        reshape(flat[int(a) : int(b)], tuple(shape))
        for a, b, shape in zip(starts, ends, table.tolist(), strict=True)
    ]


def gathered(items: Sequence[Tensor], spec: Spec, ragged: bool) -> list[Tensor]:
    """What `Collector.arrays` gives, by ops."""
    if not items:
        empty = Collector(spec, ragged).arrays(False, spec)
        return [constant(a) for a in empty]
    if not ragged:
        return [stack(items)]
    table = np.array([t.shape for t in items], np.int64).reshape(len(items), items[0].ndim)
    return [concat([reshape(t, (-1,)) for t in items], axis=0), constant(table)]
