"""Index keys, as in ``x[1:, None, rows, ...]``: taken apart, checked, and put together again.

A key becomes a tuple of *entries*, an attribute of the node, and the operands that the entries
refer to, in order. An entry is one of

* ``("int", i)``: an integer, or ``"?"`` for a scalar tensor operand;
* ``("slice", start, stop, step)``: each an integer, None, or ``"?"`` for a scalar operand;
* ``("new",)`` and ``("rest",)``: a new axis, and the ellipsis (added at the end if there is none);
* ``("array",)``: an operand of integers;
* ``("mask", rank, count)``: an operand of bools; its rank and how many are true, or None.

The rules are NumPy's: https://numpy.org/doc/stable/user/basics.indexing.html
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.core.convert import array_of
from minigrad.core.registry import primitive_of
from minigrad.core.state import StateOwner
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.dtypes import as_dtype
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    IndexOutOfRangeError,
    MinigradError,
    ShapeError,
)
from minigrad.nest import flatten
from minigrad.ops.sizes import decided_in_run
from minigrad.shapes import Dim, Shape, Spec, broadcast, show

Entry: TypeAlias = "tuple[Any, ...]"
Key: TypeAlias = "tuple[Entry, ...]"

#: Stands in an entry for a scalar that is an operand.
OPERAND = "?"

_NEW: Entry = ("new",)
_REST: Entry = ("rest",)
_ARRAY: Entry = ("array",)


# -- taking apart ------------------------------------------------------------------------------


def parse(key: Any) -> tuple[Key, list[Any]]:
    """The entries of a key, and its operands.

    Raises:
        ArgumentTypeError: a part is nothing one can index with.
        DTypeError: an array is neither of integers nor of bools.
        ArgumentError: two ellipses, or a slice with step 0.

    >>> parse((slice(1, None), 0))
    ((('slice', 1, None, None), ('int', 0), ('rest',)), [])
    """
    entries: list[Entry] = []
    operands: list[Any] = []
    for item in key if type(key) is tuple else (key,):
        kind = type(item)
        if kind is int:
            entries.append(("int", item))
        elif kind is slice:
            entries.append(_slice_entry(item, operands))
        elif item is None:
            entries.append(_NEW)
        elif item is Ellipsis:
            if _REST in entries:
                raise ArgumentError("an index can have only one ellipsis ('...')")
            entries.append(_REST)
        else:
            entries.append(_array_entry(item, operands))
    if _REST not in entries:
        entries.append(_REST)
    return tuple(entries), operands


def _slice_entry(item: slice, operands: list[Any]) -> Entry:
    bounds = [_bound(b, operands) for b in (item.start, item.stop, item.step)]
    if bounds[2] == 0:
        raise ArgumentError("the step of a slice must not be 0")
    return ("slice", *bounds)


def _bound(value: Any, operands: list[Any]) -> Any:
    if value is None or type(value) is int:
        return value
    if decided_in_run(value):
        _check_scalar(value)
        operands.append(value)
        return OPERAND
    try:
        return operator.index(value)
    except TypeError as error:
        raise ArgumentTypeError(
            f"the bounds of a slice must be integers or scalar integer tensors, got {value!r}"
        ) from error


def _check_scalar(value: Any) -> None:
    dtype, shape = value.dtype, value.shape
    if not dtype.is_integer:
        raise DTypeError(f"the bounds of a slice must be integers, got {dtype}")
    if shape not in ((), None):
        raise ShapeError(f"the bounds of a slice must be scalars, got shape {show(shape)}")


def _array_entry(item: Any, operands: list[Any]) -> Entry:
    """The entry of an integer scalar, an array, a list or a tensor."""
    if isinstance(item, list | tuple):
        if any(isinstance(v, Tensor | StateOwner) for v in flatten(item)):
            item = primitive_of("Pack")(list(item))
        else:
            item = array_of(item)
            if not item.size and item.dtype.kind == "f":
                item = item.astype(np.int64)
    if decided_in_run(item):
        operands.append(item)
        if item.dtype.is_bool:
            return ("mask", None if item.shape is None else len(item.shape), None)
        _check_index_dtype(item.dtype)
        return ("int", OPERAND) if item.shape == () else _ARRAY
    if not isinstance(item, ConcreteTensor):
        if hasattr(item, "__index__") and not isinstance(item, bool | np.ndarray):
            return ("int", operator.index(item))
        try:
            item = ConcreteTensor(array_of(item))
        except MinigradError as error:
            raise ArgumentTypeError(
                "an index must be an integer, a slice, None, '...', or an array or tensor of "
                f"integers or bools, got {item!r}"
            ) from error
    array = item._value
    if array.dtype.kind == "b":
        operands.append(item)
        return ("mask", array.ndim, int(np.count_nonzero(array)))
    _check_index_dtype(as_dtype(array.dtype))
    if array.ndim == 0:
        return ("int", int(array))
    operands.append(item)
    return _ARRAY


def _check_index_dtype(dtype: Any) -> None:
    if not dtype.is_integer:
        raise DTypeError(f"an index must be of integers or bools, got {dtype}; cast it first")


def is_basic(key: Key) -> bool:
    """True when the key holds only integers, slices, new axes and the ellipsis."""
    return not any(e[0] == "array" or e[0] == "mask" for e in key)


# -- putting together --------------------------------------------------------------------------


def assemble(key: Key, operands: Sequence[Any]) -> tuple[Any, ...]:
    """The key that arrays take."""
    parts = iter(operands)
    made: list[Any] = []
    for entry in key:
        kind = entry[0]
        if kind == "int":
            made.append(operator.index(next(parts)) if entry[1] == OPERAND else entry[1])
        elif kind == "slice":
            bounds = [operator.index(next(parts)) if b == OPERAND else b for b in entry[1:]]
            made.append(slice(*bounds))
        elif kind == "new":
            made.append(None)
        elif kind == "rest":
            made.append(Ellipsis)
        else:
            made.append(next(parts))
    return tuple(made)


# -- the shape of the result -------------------------------------------------------------------


def indexed(shape: Shape, key: Key, operands: Sequence[Spec]) -> Shape:
    """The shape of ``x[key]`` for an `x` of this shape.

    Raises:
        IndexOutOfRangeError: an integer that is known lies outside its axis, or there are more
            integers, slices and arrays than axes.
        ShapeError: arrays do not broadcast, or a mask does not fit the axes it selects from.
        DTypeError: an operand is not of an integer or bool dtype.

    >>> indexed((4, None, 3), parse((slice(1, None), ..., 0))[0], ())
    (3, None)
    """
    specs = iter(operands)
    needed = _axes_needed(key)
    if shape is None or needed is None:
        return None
    rest = len(shape) - needed
    if rest < 0:
        raise IndexOutOfRangeError(
            f"too many indices: {needed} axes are selected from, but the tensor of shape "
            f"{show(shape)} has {len(shape)}"
        )
    advanced = not is_basic(key)
    result: list[Dim] = []
    arrays: list[Shape] = []
    place = 0
    # Arrays (and, beside them, integers) broadcast together. What they select goes to the place
    # of the first, or to the front if something stands between them.
    open_group, groups = False, 0
    axis = 0
    for entry in key:
        kind = entry[0]
        is_part = kind in ("array", "mask") or (advanced and kind == "int")
        if is_part and not open_group:
            groups += 1
            place = len(result) if groups == 1 else 0
        open_group = is_part
        if kind == "new":
            result.append(1)
        elif kind == "rest":
            result.extend(shape[axis : axis + rest])
            axis += rest
        elif kind == "slice":
            result.append(_sliced(shape[axis], entry, specs))
            axis += 1
        elif kind == "int":
            _check_known(entry[1], shape[axis], axis, specs)
            axis += 1
        elif kind == "array":
            arrays.append(_array_shape(next(specs), shape[axis], axis))
            axis += 1
        else:
            arrays.append(_mask_shape(next(specs), entry, shape, axis))
            axis += entry[1]
    if not advanced:
        return tuple(result)
    try:
        selected = broadcast(*arrays)
    except ShapeError as error:
        raise ShapeError(f"the index arrays do not fit together: {error}") from None
    if selected is None:
        return None
    return (*result[:place], *selected, *result[place:])


class Region(NamedTuple):
    """What a basic key takes from an array, axis by axis.

    Attributes:
        starts: the first index taken.
        steps: from one index to the next; may be negative.
        lengths: how many indices are taken.
        shape: the shape of the result: without the axes that an int took, with the new ones.
    """

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    lengths: tuple[int, ...]
    shape: tuple[int, ...]

    def place_in(self, strides: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Where the elements lie in an array of these strides: the first, and the others' strides.

        All are counted in elements.
        """
        first = sum([i * s for i, s in zip(self.starts, strides, strict=True)])
        return first, tuple([i * s for i, s in zip(self.steps, strides, strict=True)])


def region(shape: tuple[int, ...], key: Key, operands: Sequence[Any]) -> Region:
    """What a basic key that fits takes from an array of a shape."""
    axes: list[tuple[int, int, int]] = []
    result: list[int] = []
    items = assemble(key, operands)
    rest = len(shape) - sum(1 for item in items if item is not None and item is not Ellipsis)
    for item in items:
        if item is None:
            result.append(1)
        elif item is Ellipsis:
            whole = shape[len(axes) : len(axes) + rest]
            axes += [(0, 1, n) for n in whole]
            result += whole
        elif isinstance(item, slice):
            start, stop, step = item.indices(shape[len(axes)])
            axes.append((start, step, len(range(start, stop, step))))
            result.append(axes[-1][2])
        else:
            axes.append((item % shape[len(axes)], 1, 1))
    starts, steps, lengths = zip(*axes, strict=True) if axes else ((), (), ())
    return Region(starts, steps, lengths, tuple(result))


def _axes_needed(key: Key) -> int | None:
    """How many axes a key selects from, not counting the ellipsis."""
    needed = 0
    for entry in key:
        if entry[0] in ("int", "slice", "array"):
            needed += 1
        elif entry[0] == "mask":
            if entry[1] is None:
                return None
            needed += entry[1]
    return needed


def _sliced(length: Dim, entry: Entry, specs: Iterator[Spec]) -> Dim:
    bounds = []
    for b in entry[1:]:
        if b == OPERAND:
            spec = next(specs)
            _check_scalar(spec)
            bounds.append((spec.value, spec.value is not None))
        else:
            bounds.append((b, True))
    if bounds[2] == (0, True):
        raise ArgumentError("the step of a slice must not be 0")
    if not all(known for _, known in bounds):
        return None
    start, stop, step = (value for value, _ in bounds)
    if length is None:
        whole = start is None and stop is None and step in (None, 1, -1)
        return None if not whole else length
    return len(range(*slice(start, stop, step).indices(length)))


def _check_known(index: Any, length: Dim, axis: int, specs: Iterator[Spec]) -> None:
    if index == OPERAND:
        spec = next(specs)
        _check_index_dtype(spec.dtype)
        if spec.shape not in ((), None):
            raise ShapeError(f"expected a scalar index, got shape {show(spec.shape)}")
        index = spec.value
    if index is not None:
        check_range(index, length, axis)


def check_range(index: int, length: Dim, axis: int) -> None:
    """Raise `IndexOutOfRangeError` unless ``-length <= index < length``."""
    if length is not None and not -length <= index < length:
        raise IndexOutOfRangeError(
            f"index {index} is out of range for axis {axis} of size {length}; "
            + (f"it must lie in [{-length}, {length})" if length else "the axis is empty")
        )


def _array_shape(spec: Spec, length: Dim, axis: int) -> Shape:
    _check_index_dtype(spec.dtype)
    if spec.value is not None:
        for i in spec.value if isinstance(spec.value, tuple) else (spec.value,):
            if i is not None:
                check_range(i, length, axis)
    return spec.shape


def _mask_shape(spec: Spec, entry: Entry, shape: tuple[Dim, ...], axis: int) -> Shape:
    """Masks of rank k select from k axes, and give one axis of as many elements as are true."""
    covered = shape[axis : axis + entry[1]]
    if spec.shape is not None:
        for i, (have, want) in enumerate(zip(spec.shape, covered, strict=True)):
            if have is not None and want is not None and have != want:
                raise ShapeError(
                    f"a mask of shape {show(spec.shape)} does not fit axes {axis} to "
                    f"{axis + entry[1] - 1} of shape {show(covered)}: dimension {i} is {have}, "
                    f"not {want}"
                )
    return (entry[2],)


def check_arrays(shape: Shape, key: Key, operands: Sequence[Any]) -> None:
    """Raise `IndexOutOfRangeError` where an array among the operands leaves its axis.

    Args:
        shape: that of the tensor that is indexed.
        key: its key.
        operands: NumPy arrays, or None for those whose value is not known.
    """
    needed = _axes_needed(key)
    if shape is None or needed is None or needed > len(shape):
        return
    parts = iter(operands)
    axis = 0
    for entry in key:
        kind = entry[0]
        if kind == "rest":
            axis += len(shape) - needed
        elif kind == "mask":
            next(parts)
            axis += entry[1]
        elif kind == "array":
            array, length = next(parts), shape[axis]
            if array is not None and length is not None and array.size:
                for extreme in (array.min(), array.max()):
                    check_range(int(extreme), length, axis)
            axis += 1
        elif kind in ("int", "slice"):
            for part in entry[1:]:
                if part == OPERAND:
                    next(parts)
            axis += 1
