"""`Embedding`: a table of vectors, looked up by integers."""

from __future__ import annotations

from typing import Any

from minigrad.core.tensor import Tensor, TensorLike
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.nn.initializers import Normal
from minigrad.nn.modules.arguments import size_argument
from minigrad.nn.modules.module import Module
from minigrad.ops.gathering import gather

__all__ = ["Embedding"]


class Embedding(Module):
    """Rows of a table `weight` of shape ``(num_embeddings, embedding_dim)``.

    The gradient for the table is `minigrad.IndexedSlices`: only the rows that were looked up. The
    table starts with standard normal numbers, as in PyTorch (Keras: uniform within ±0.05).

    Args:
        num_embeddings: number of rows; indices lie below it.
        embedding_dim: size of each.
        weight_initializer: one of `minigrad.nn.initializers`, or what `add_parameter` takes.
        dtype: of the table.
        name: see `Module`.

    Raises:
        ArgumentError: a size is less than 1.
        IndexOutOfRangeError: (from a call) an index is negative or too large.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Embedding(10, 4)(mg.constant([[1, 2, 3], [4, 5, 6]])).shape
    (2, 3, 4)
    """

    weight: Variable

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        weight_initializer: Any = Normal(stddev=1.0),  # noqa: B008  (it never changes)
        dtype: DTypeLike = "float32",
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.num_embeddings = size_argument("Embedding", "num_embeddings", num_embeddings)
        self.embedding_dim = size_argument("Embedding", "embedding_dim", embedding_dim)
        shape = (self.num_embeddings, self.embedding_dim)
        self.add_parameter("weight", shape, weight_initializer, dtype=dtype)

    def forward(self, indices: TensorLike) -> Tensor:
        """Shape ``indices.shape + (embedding_dim,)``."""
        return gather(self.weight, indices)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}"
