"""What tells one trace of a function from another."""

from __future__ import annotations

import enum
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import EllipsisType, NoneType
from typing import Any, NamedTuple

import numpy as np

from minigrad.core.convert import array_of, cast_array, is_weak
from minigrad.core.current_graph import graph_of
from minigrad.core.graph import Graph
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, ConcreteTensor, Ghost
from minigrad.dtypes import DType, from_numpy
from minigrad.errors import DTypeError, ShapeError
from minigrad.nest import children, is_nest, unflatten
from minigrad.shapes import Shape, Spec, compatible, show

#: Types whose values are compared; objects of all others are told apart by identity.
_BY_VALUE = (
    *(bool, int, str, bytes, complex, NoneType, EllipsisType),
    *(enum.Enum, DType, np.dtype, type, range, frozenset),
)


class TensorLeaf(NamedTuple):
    """The part of a signature that stands for a tensor."""

    dtype: DType
    shape: Shape


class SlicesLeaf(NamedTuple):
    """The part of a signature that stands for sparse rows: those of a dense tensor."""

    dense: TensorLeaf
    indices: DType


class ValueLeaf(NamedTuple):
    """The part that stands for a Python value, which is what it is compared by."""

    kind: type
    value: Any

    def stands_for(self, item: Any) -> bool:
        """Whether it stands for this one (which is no float and no slice)."""
        return type(item) is self.kind and item == self.value


class ObjectLeaf:
    """The part that stands for an object: it is equal to itself alone, and is not kept alive."""

    __slots__ = ("_get", "_id", "kind")

    def __init__(self, item: Any) -> None:
        self.kind = type(item)
        self._id = id(item)
        try:
            self._get: Callable[[], Any] = weakref.ref(item)
        except TypeError:
            self._get = lambda: item

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectLeaf) or self._id != other._id:
            return False
        mine = self._get()
        return mine is not None and mine is other._get()

    def stands_for(self, item: Any) -> bool:
        """Whether it stands for this one."""
        return self._get() is item

    def when_gone(self, callback: Callable[[Any], None]) -> Any:
        """Have a function called when the object is gone; None if it lives as long as this."""
        found = self._get() if isinstance(self._get, weakref.ref) else None
        return None if found is None else weakref.ref(found, callback)


class Opaque:
    """The instance that a method is called on: one object, even if it is a dataclass."""

    __slots__ = ("item",)

    def __init__(self, item: Any) -> None:
        self.item = item


class Key(NamedTuple):
    """A signature: two calls of equal ones may share a trace.

    Attributes:
        structure: the nests around the leaves, outermost first.
        leaves: what stands for each leaf.
    """

    structure: tuple[Any, ...]
    leaves: tuple[Any, ...]


class Call:
    """The arguments of a call, taken apart.

    Attributes:
        nest: the arguments.
        key: the signature.
        graph: the graph of a symbolic argument, or None.
        tensors: the tensors among the arguments as they were given: concrete tensors and arrays.
    """

    __slots__ = ("_items", "graph", "key", "nest", "tensors")

    def __init__(self, nest: Any, wanted: Sequence[Spec | None] | None = None) -> None:
        self.nest = nest
        self._items: list[Any] = []
        self.graph: Graph | None = None
        self.tensors: list[ConcreteTensor | Array] = []
        structure: list[Any] = []
        leaves: list[Any] = []
        stack = [nest]
        while stack:
            item = stack.pop()
            if is_nest(item):
                structure.append(_sort_of(item))
                stack.extend(reversed(children(item)))
            else:
                spec = None if wanted is None else wanted[len(leaves)]
                structure.append(None)
                self._items.append(item)
                leaves.append(self._leaf(item, spec))
        self.key = Key(tuple(structure), tuple(leaves))

    def _leaf(self, item: Any, spec: Spec | None) -> Any:
        """What stands for a leaf in the signature."""
        kind = type(item)
        if kind is Opaque:
            return ObjectLeaf(item.item)
        if spec is None:
            if kind is ConcreteTensor:
                self.tensors.append(item)
                return TensorLeaf(item.spec.dtype, item._value.shape)
            if kind is float:
                return ValueLeaf(kind, item.hex())  # Tells -0.0 from 0.0, and NaN equals itself.
            if isinstance(item, _BY_VALUE) and not isinstance(item, np.generic):
                return ValueLeaf(kind, item)
            if kind is slice:
                return ValueLeaf(kind, (item.start, item.stop, item.step))
        graph = graph_of(item)
        if graph is not None:
            self.graph = self.graph or graph
            return None
        if spec is not None:
            return self._fitted(item, spec)
        if isinstance(item, StateOwner):
            return ObjectLeaf(item)
        if isinstance(item, IndexedSlices):
            self.tensors += [_concrete(item.values), _concrete(item.indices)]
            return SlicesLeaf(TensorLeaf(item.dtype, item.shape), item.indices.dtype)
        if isinstance(item, np.ndarray | np.generic) or hasattr(item, "__array__"):
            array = item if _is_plain(item) else array_of(item)
            self.tensors.append(array)
            return TensorLeaf(from_numpy(array.dtype), array.shape)
        return ObjectLeaf(item)

    def _fitted(self, item: Any, spec: Spec) -> TensorLeaf:
        """A leaf for which the function's `input_signature` has a spec."""
        array: Any
        if isinstance(item, ConcreteTensor):
            if item.spec.dtype is not spec.dtype:
                raise DTypeError(
                    f"input_signature expects a tensor of {spec.dtype}, got one of "
                    f"{item.spec.dtype}; cast it with mg.astype"
                )
            array = item
        elif is_weak(item) or not hasattr(item, "__array__"):
            array = array_of(item, spec.dtype)
        else:
            array = cast_array(item if _is_plain(item) else array_of(item), spec.dtype)
        if not compatible(array.shape, spec.shape):
            raise ShapeError(
                f"input_signature expects shape {show(spec.shape)}, got {show(array.shape)}"
            )
        self.tensors.append(array)
        return TensorLeaf(spec.dtype, spec.shape)

    def rebuild(self, tensors: Sequence[Any]) -> Any:
        """The arguments, with other tensors in the place of theirs."""
        feed = iter(tensors)
        made = []
        for item, leaf in zip(self._items, self.key.leaves, strict=True):
            if isinstance(leaf, TensorLeaf):
                made.append(next(feed))
            elif isinstance(leaf, SlicesLeaf):
                like = Ghost(Spec(leaf.dense.shape, leaf.dense.dtype), "IndexedSlices")
                made.append(IndexedSlices(next(feed), next(feed), like))
            else:
                made.append(item.item if type(item) is Opaque else item)
        return unflatten(self.nest, made)


def _is_plain(item: Any) -> bool:
    """Whether an array can be read as it is: NumPy's own, of a native dtype of ours."""
    return type(item) is np.ndarray and item.dtype.kind in "fiubc" and item.dtype.isnative


def _concrete(tensor: Any) -> ConcreteTensor:
    return tensor if isinstance(tensor, ConcreteTensor) else ConcreteTensor(array_of(tensor))


def _sort_of(nest: Any) -> Any:
    """What kind of nest it is, and what names its children."""
    if isinstance(nest, Mapping):
        return type(nest), tuple(nest)
    return type(nest), len(children(nest))


def show_leaf(leaf: Any) -> str:
    """A part of a signature as messages print it.

    >>> import minigrad as mg
    >>> show_leaf(TensorLeaf(mg.float32, (None, 3))), show_leaf(ValueLeaf(int, 3))
    ('float32 tensor of shape (?, 3)', '3')
    """
    if isinstance(leaf, TensorLeaf):
        return f"{leaf.dtype} tensor of shape {show(leaf.shape)}"
    if isinstance(leaf, SlicesLeaf):
        return f"rows of a {show_leaf(leaf.dense)}"
    if isinstance(leaf, ValueLeaf):
        value = float.fromhex(leaf.value) if leaf.kind is float else leaf.value
        return f"{value!r:.40}"
    return f"this {leaf.kind.__name__}" if isinstance(leaf, ObjectLeaf) else "a symbolic tensor"


class Parameters:
    """What a Python function calls its arguments, and which it has when they are left out.

    Two calls that differ only in what is given by name, or left to its default, are the same.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None
        found = [] if self._signature is None else list(self._signature.parameters.values())
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        self._names = [p.name for p in found if p.kind in plain]
        #: How many positional arguments make a call complete; -1 if that is not all there is.
        self._complete = len(found) if all(p.kind in plain for p in found) else -1
        if self._signature is None:
            self._complete = -1

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """Arguments in their normal form: positional where they can be, defaults filled in.

        Raises:
            TypeError: they do not fit the function.
        """
        if self._signature is None:
            return args, dict(sorted(kwargs.items()))
        if not kwargs and len(args) == self._complete:
            return args, kwargs
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.args, bound.kwargs

    def names(self, nest: Any) -> Iterator[str]:
        """For each leaf of ``(args, kwargs)`` what messages and nodes call it."""
        args, kwargs = nest
        top = [self._names[i] if i < len(self._names) else f"arg{i}" for i in range(len(args))]
        pairs = [*zip(top, args, strict=True), *kwargs.items()]
        stack = list(reversed(pairs))
        while stack:
            name, item = stack.pop()
            if is_nest(item):
                keys = list(item) if isinstance(item, Mapping) else range(len(children(item)))
                parts = zip(keys, children(item), strict=True)
                stack.extend(reversed([(f"{name}_{key}", part) for key, part in parts]))
            else:
                yield name


def relaxed(leaves: Sequence[Any], others: Sequence[Any]) -> tuple[Any, ...] | None:
    """Leaves that cover both sequences, with unknown dimensions where shapes differ, or None.

    >>> import minigrad as mg
    >>> a, b = TensorLeaf(mg.int32, (2, 3)), TensorLeaf(mg.int32, (5, 3))
    >>> relaxed([a], [b])[0].shape
    (None, 3)
    """
    made: list[Any] = []
    for a, b in zip(leaves, others, strict=True):
        if a == b:
            made.append(a)
        elif isinstance(a, TensorLeaf) and isinstance(b, TensorLeaf) and a.dtype is b.dtype:
            if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
                made.append(TensorLeaf(a.dtype, None))
            else:
                dims = zip(a.shape, b.shape, strict=True)
                made.append(TensorLeaf(a.dtype, tuple([m if m == n else None for m, n in dims])))
        else:
            return None
    return tuple(made)


def covers(leaves: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether a trace for `leaves` serves calls of `others`."""
    made = relaxed(leaves, others)
    return made is not None and made == tuple(leaves)
