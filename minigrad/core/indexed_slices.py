"""The gradient of a look-up: only the rows that were looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minigrad.core.context import changed
from minigrad.core.operators import Operators
from minigrad.core.registry import primitive_of
from minigrad.shapes import Spec, show

if TYPE_CHECKING:
    from minigrad.core.tensor import Tensor
    from minigrad.dtypes import DType

__all__ = ["IndexedSlices"]


class IndexedSlices(Operators):
    """A tensor that is zero but for some rows: ``dense[indices[i]] += values[i]``.

    It is what the gradient of `minigrad.gather` is, until something needs it dense. Ops accept it
    in place of a tensor.

    Args:
        values: the rows, of shape ``(n, *dense_shape[1:])``.
        indices: integers of shape ``(n,)``; repeated ones add up.
        like: a tensor of the dense shape (its values are not read).
    """

    __slots__ = ("indices", "like", "values")

    def __init__(self, values: Tensor, indices: Tensor, like: Tensor) -> None:
        self.values = values
        self.indices = indices
        self.like = like

    @property
    def graph(self) -> Any:
        """The graph that it belongs to, or None where it is concrete."""
        return getattr(self.values, "graph", None)

    @property
    def spec(self) -> Spec:
        """Shape and dtype of the dense tensor."""
        return Spec(self.like.spec.shape, self.values.spec.dtype)

    @property
    def shape(self) -> Any:
        """Shape of the dense tensor."""
        return self.like.shape

    @property
    def dtype(self) -> DType:
        """Dtype of the values."""
        return self.values.dtype

    def dense(self) -> Tensor:
        """The dense tensor."""
        return to_dense(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        # At once, also where a graph is the default: a session's result is to be looked at there.
        with changed(graph=None):
            return self.dense().__array__(dtype, copy)

    def __repr__(self) -> str:
        return (
            f"IndexedSlices({self.values!r}, indices={self.indices!r}, "
            f"dense shape={show(self.shape)})"
        )


def to_dense(slices: IndexedSlices) -> Tensor:
    """The dense tensor of some slices."""
    from_rows = primitive_of("SlicesToDense")
    made: Tensor = from_rows(slices.values, slices.indices, slices.like)
    return made
