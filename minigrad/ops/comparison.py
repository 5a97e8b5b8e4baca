"""Comparisons and tests of elements; the results are bool, so there are no gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import SampleMaker, primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import bool_
from minigrad.errors import DTypeError, ShapeError
from minigrad.ops.elementwise_samples import BINARY_REFUSALS, REFUSES_TEXT, TEXT, binary

__all__ = [
    "equal",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "not_equal",
]

_BOOLEAN = "the result is bool"
_TIES = Sample(np.array([1, 2, 3]), np.array([3, 2, 1])).named("integers")
_NAN = Sample(np.array([np.nan, 1.0]), np.array([np.nan, np.inf])).named("nan")
_TEXTS = Sample(np.array(["a", "b"], object), np.array(["a", "c"], object)).named("text")
_BOOLS = Sample(np.array([True, False]), True).named("bool")
_MIXED_TEXT = (
    Fails(ShapeError, "do not broadcast", np.ones(2), np.ones(3)),
    Fails(DTypeError, "text", TEXT, np.ones(1)),
)


@primitive(
    "Equal",
    elementwise=True,
    result=bool_,
    numpy=np.equal,
    not_differentiable=_BOOLEAN,
    samples=binary(-2, 2, -2, 2, _TIES, _NAN, _TEXTS, _BOOLS),
    errors=_MIXED_TEXT,
)
def equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether x1 = x2, elementwise; also the operator ``==``.

    Args:
        x1, x2: tensors of any dtype (both text, or neither) whose shapes broadcast.

    Returns:
        A bool tensor of the broadcast shape; False where an element is nan.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: text is compared with numbers.

    >>> import minigrad as mg
    >>> mg.equal([1, 2], 2)
    Tensor([False,  True], shape=(2,), dtype=bool)
    """
    return bind(equal, x1, x2)


@equal.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.equal(x1, x2)


@equal.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.compare("==", x1, x2)


@primitive(
    "NotEqual",
    elementwise=True,
    result=bool_,
    numpy=np.not_equal,
    not_differentiable=_BOOLEAN,
    samples=binary(-2, 2, -2, 2, _TIES, _NAN, _TEXTS, _BOOLS),
    errors=_MIXED_TEXT,
)
def not_equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether x1 and x2 differ, elementwise; also the operator ``!=``. See `equal`.

    >>> import minigrad as mg
    >>> mg.not_equal([1, 2], 2)
    Tensor([ True, False], shape=(2,), dtype=bool)
    """
    return bind(not_equal, x1, x2)


@not_equal.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.not_equal(x1, x2)


@not_equal.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.compare("!=", x1, x2)


@primitive(
    "Less",
    elementwise=True,
    accepts="real",
    result=bool_,
    numpy=np.less,
    not_differentiable=_BOOLEAN,
    samples=binary(-2, 2, -2, 2, _TIES, _NAN),
    errors=BINARY_REFUSALS,
)
def less(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether x1 < x2, elementwise; also the operator ``<``.

    Args:
        x1, x2: tensors of real dtypes (not bool) whose shapes broadcast.

    Returns:
        A bool tensor of the broadcast shape; False where an element is nan.

    Raises:
        ShapeError: the shapes do not broadcast.
        DTypeError: a dtype has no order.

    >>> import minigrad as mg
    >>> mg.less([1, 2, 3], 2)
    Tensor([ True, False, False], shape=(3,), dtype=bool)
    """
    return bind(less, x1, x2)


@less.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.less(x1, x2)


@less.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.compare("<", x1, x2)


@primitive(
    "LessEqual",
    elementwise=True,
    accepts="real",
    result=bool_,
    numpy=np.less_equal,
    not_differentiable=_BOOLEAN,
    samples=binary(-2, 2, -2, 2, _TIES, _NAN),
    errors=BINARY_REFUSALS,
)
def less_equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether x1 <= x2, elementwise; also the operator ``<=``. See `less`.

    >>> import minigrad as mg
    >>> mg.less_equal([1, 2, 3], 2)
    Tensor([ True,  True, False], shape=(3,), dtype=bool)
    """
    return bind(less_equal, x1, x2)


@less_equal.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.less_equal(x1, x2)


@less_equal.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.compare("<=", x1, x2)


@primitive(
    "Greater",
    elementwise=True,
    accepts="real",
    result=bool_,
    numpy=np.greater,
    not_differentiable=_BOOLEAN,
    samples=binary(-2, 2, -2, 2, _TIES, _NAN),
    errors=BINARY_REFUSALS,
)
def greater(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether x1 > x2, elementwise; also the operator ``>``. See `less`.

    >>> import minigrad as mg
    >>> mg.greater([1, 2, 3], 2)
    Tensor([False, False,  True], shape=(3,), dtype=bool)
    """
    return bind(greater, x1, x2)


@greater.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.greater(x1, x2)


@greater.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.compare(">", x1, x2)


@primitive(
    "GreaterEqual",
    elementwise=True,
    accepts="real",
    result=bool_,
    numpy=np.greater_equal,
    not_differentiable=_BOOLEAN,
    samples=binary(-2, 2, -2, 2, _TIES, _NAN),
    errors=BINARY_REFUSALS,
)
def greater_equal(x1: TensorLike, x2: TensorLike, /) -> Tensor:
    """Whether x1 >= x2, elementwise; also the operator ``>=``. See `less`.

    >>> import minigrad as mg
    >>> mg.greater_equal([1, 2, 3], 2)
    Tensor([False,  True,  True], shape=(3,), dtype=bool)
    """
    return bind(greater_equal, x1, x2)


@greater_equal.kernel
def _(xp: Any, x1: Array, x2: Array) -> Any:
    return xp.greater_equal(x1, x2)


@greater_equal.scalar
def _(s: Any, x1: Any, x2: Any) -> Any:
    return s.compare(">=", x1, x2)


def _specials() -> SampleMaker:
    """Samples of the tests for nan and infinity."""
    return lambda rng: [
        Sample(np.array([1.0, -np.inf, np.inf, np.nan])),
        Sample(np.array([[1.0 + 1j], [complex(np.nan, 0)], [complex(0, np.inf)]])),
        Sample(np.float32(np.inf)),
        Sample(np.zeros((0, 3))),
        Sample(np.array([1, 2])).named("integers"),
    ]


@primitive(
    "IsNan",
    elementwise=True,
    accepts="numeric",
    result=bool_,
    numpy=np.isnan,
    not_differentiable=_BOOLEAN,
    samples=_specials(),
    errors=REFUSES_TEXT,
)
def isnan(x: TensorLike, /) -> Tensor:
    """Whether an element is nan (or has a nan part, if complex); never for integers.

    >>> import minigrad as mg
    >>> mg.isnan([0.0, float("nan"), float("inf")])
    Tensor([False,  True, False], shape=(3,), dtype=bool)
    """
    return bind(isnan, x)


@isnan.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.isnan(x)


@isnan.scalar
def _(s: Any, x: Any) -> Any:
    return s.is_nan(x)


@primitive(
    "IsInf",
    elementwise=True,
    accepts="numeric",
    result=bool_,
    numpy=np.isinf,
    not_differentiable=_BOOLEAN,
    samples=_specials(),
    errors=REFUSES_TEXT,
)
def isinf(x: TensorLike, /) -> Tensor:
    """Whether an element is inf or -inf (or has such a part, if complex); never for integers.

    >>> import minigrad as mg
    >>> mg.isinf([0.0, float("nan"), float("-inf")])
    Tensor([False, False,  True], shape=(3,), dtype=bool)
    """
    return bind(isinf, x)


@isinf.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.isinf(x)


@isinf.scalar
def _(s: Any, x: Any) -> Any:
    return s.is_inf(x)


@primitive(
    "IsFinite",
    elementwise=True,
    accepts="numeric",
    result=bool_,
    numpy=np.isfinite,
    not_differentiable=_BOOLEAN,
    samples=_specials(),
    errors=REFUSES_TEXT,
)
def isfinite(x: TensorLike, /) -> Tensor:
    """Whether an element is neither infinite nor nan; always for integers.

    >>> import minigrad as mg
    >>> mg.isfinite([0.0, float("nan"), float("inf")])
    Tensor([ True, False, False], shape=(3,), dtype=bool)
    """
    return bind(isfinite, x)


@isfinite.kernel
def _(xp: Any, x: Array) -> Any:
    return xp.isfinite(x)


@isfinite.scalar
def _(s: Any, x: Any) -> Any:
    return s.is_finite(x)
