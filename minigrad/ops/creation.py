"""Tensors made from a shape, a count or bounds."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import ConcreteTensor, Tensor, TensorLike
from minigrad.devices import check_device
from minigrad.dtypes import DType, DTypeLike, as_dtype, float32
from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.basic import asarray
from minigrad.ops.shaping import fill_like, sum_to_like, zeros_like
from minigrad.ops.sizes import (
    Sizes,
    actual_sizes,
    not_negative,
    size_argument,
    sizes_argument,
    static_sizes,
    with_elements,
)
from minigrad.shapes import Spec, element_count, show

__all__ = ["empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "ones", "zeros"]


def _dtype(dtype: DTypeLike | None) -> DType:
    return float32 if dtype is None else as_dtype(dtype)


def _filled(shape: Any, dtype: DType, value: int | None) -> Spec:
    """The spec of a tensor of one repeated value."""
    not_negative(shape)
    count = element_count(shape)
    known = value is not None and count is not None and count <= 64 and dtype.is_integer
    return with_elements(shape, dtype, [value] * (count or 0) if known else None)


_SHAPE_ERRORS = [Fails(ShapeError, "negative", (2, -1))]


@primitive(
    "Zeros",
    not_differentiable="the result depends on nothing but its shape",
    samples=[
        Sample((2, 3)),
        Sample(3, dtype="int32"),
        Sample((), dtype=bool),
        Sample(np.array([0, 2])),
    ],
    errors=_SHAPE_ERRORS,
)
def zeros(shape: Any, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Zeros.

    Args:
        shape: an int; a sequence of ints and scalar integer tensors; or an integer tensor.
        dtype: element type, float32 by default.
        device: None or ``"cpu"``.

    Raises:
        ShapeError: a dimension is negative.

    >>> import minigrad as mg
    >>> mg.zeros((2,))
    Tensor([0., 0.], shape=(2,), dtype=float32)
    """
    check_device(device)
    sizes, given = sizes_argument(shape)
    return bind(zeros, given, sizes=sizes, dtype=_dtype(dtype))


@zeros.kernel
def _(xp: Any, shape: Any = None, *, sizes: Sizes | None, dtype: DType) -> Any:
    wanted = actual_sizes(sizes, shape)
    not_negative(wanted)
    return xp.zeros(wanted, dtype=dtype.dtype)


@zeros.lowering
def _(b: Any, shape: Any = None, *, sizes: Sizes | None, dtype: DType) -> Any:
    if sizes is None and shape.constant is None:
        return NotImplemented
    wanted = actual_sizes(sizes, None if shape is None else shape.constant)
    return b.full(wanted, 0, dtype.dtype)


@zeros.shape
def _(shape: Spec | None, *, sizes: Sizes | None, dtype: DType) -> Spec:
    return _filled(static_sizes(sizes, shape), dtype, 0)


@primitive(
    "Ones",
    not_differentiable="the result depends on nothing but its shape",
    samples=[Sample((2, 3)), Sample(3, dtype="int32"), Sample(()), Sample(np.array([0, 2]))],
    errors=_SHAPE_ERRORS,
)
def ones(shape: Any, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """Ones.

    Args:
        shape: an int; a sequence of ints and scalar integer tensors; or an integer tensor.
        dtype: element type, float32 by default.
        device: None or ``"cpu"``.

    Raises:
        ShapeError: a dimension is negative.

    >>> import minigrad as mg
    >>> mg.ones((2,), dtype=int)
    Tensor([1, 1], shape=(2,), dtype=int32)
    """
    check_device(device)
    sizes, given = sizes_argument(shape)
    return bind(ones, given, sizes=sizes, dtype=_dtype(dtype))


@ones.kernel
def _(xp: Any, shape: Any = None, *, sizes: Sizes | None, dtype: DType) -> Any:
    wanted = actual_sizes(sizes, shape)
    not_negative(wanted)
    return xp.ones(wanted, dtype=dtype.dtype)


@ones.lowering
def _(b: Any, shape: Any = None, *, sizes: Sizes | None, dtype: DType) -> Any:
    if sizes is None and shape.constant is None:
        return NotImplemented
    wanted = actual_sizes(sizes, None if shape is None else shape.constant)
    return b.full(wanted, 1, dtype.dtype)


@ones.shape
def _(shape: Spec | None, *, sizes: Sizes | None, dtype: DType) -> Spec:
    return _filled(static_sizes(sizes, shape), dtype, 1)


@primitive(
    "Fill",
    promote=(0,),
    samples=lambda rng: [
        Sample((2, 3), rng.normal(size=())),
        Sample((), 7),
        Sample((0,), rng.normal(size=())).named("empty"),
        Sample(np.array([2]), rng.normal(size=()), dtype="float32").order(
            0, "float32 has too few digits to check"
        ),
    ],
    errors=[
        Fails(ShapeError, "negative", (2, -1), 1.0),
        Fails(ShapeError, "scalar", (2,), [1.0, 2.0]),
    ],
)
def full(
    shape: Any,
    fill_value: TensorLike,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A tensor filled with one value.

    Args:
        shape: an int; a sequence of ints and scalar integer tensors; or an integer tensor.
        fill_value: a scalar.
        dtype: element type, by default that of the value.
        device: None or ``"cpu"``.

    Raises:
        ShapeError: a dimension is negative, or the value is no scalar.

    >>> import minigrad as mg
    >>> mg.full((2,), 7)
    Tensor([7, 7], shape=(2,), dtype=int32)
    """
    check_device(device)
    sizes, given = sizes_argument(shape)
    value = fill_value if dtype is None else asarray(fill_value, dtype=dtype)
    return bind(full, value, given, sizes=sizes)


@full.kernel
def _(xp: Any, value: Any, shape: Any = None, *, sizes: Sizes | None) -> Any:
    wanted = actual_sizes(sizes, shape)
    not_negative(wanted)
    if value.shape != ():
        raise ShapeError(f"the value must be a scalar, got shape {show(value.shape)}")
    return xp.broadcast_to(value, wanted)


@full.lowering
def _(b: Any, value: Any, shape: Any = None, *, sizes: Sizes | None) -> Any:
    if sizes is None and shape.constant is None:
        return NotImplemented
    return b.broadcast(value, actual_sizes(sizes, None if shape is None else shape.constant))


@full.shape
def _(value: Spec, shape: Spec | None, *, sizes: Sizes | None) -> Spec:
    if value.shape not in ((), None):
        raise ShapeError(f"the value must be a scalar, got shape {show(value.shape)}")
    return _filled(static_sizes(sizes, shape), value.dtype, value.value)


@full.gradient()
def _(c: Ctx) -> Grads:
    return sum_to_like(c.grads[0], c.inputs[0]), None


def empty(shape: Any, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """A tensor to be filled; since tensors never change, it is one of zeros.

    >>> import minigrad as mg
    >>> mg.empty((0, 3)).shape
    (0, 3)
    """
    return zeros(shape, dtype=dtype, device=device)


def empty_like(
    x: TensorLike, /, *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """A tensor of the shape of `x`; since tensors never change, it is one of zeros.

    >>> import minigrad as mg
    >>> mg.empty_like([1, 2]).shape
    (2,)
    """
    check_device(device)
    return zeros_like(x, dtype=dtype)


@primitive(
    "FullLike",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), rng.normal(size=())).fixed(0),
        Sample(np.zeros((0, 3)), 2).fixed(0),
        Sample(np.zeros(2), 3.5, dtype="float32").fixed(0),
    ],
)
def full_like(
    x: TensorLike,
    /,
    fill_value: TensorLike,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A tensor of the shape of `x`, filled with one value.

    Args:
        x: the tensor whose shape the result has.
        fill_value: a scalar.
        dtype: element type, by default that of `x`.
        device: None or ``"cpu"``.

    Raises:
        ShapeError: the value is no scalar.
        DTypeError: it does not convert to the dtype without loss.

    >>> import minigrad as mg
    >>> mg.full_like([1.0, 2.0], 7)
    Tensor([7., 7.], shape=(2,), dtype=float32)
    """
    check_device(device)
    like = tensor_of(x)
    return fill_like(like, asarray(fill_value, dtype=like.dtype if dtype is None else dtype))


@primitive(
    "Eye",
    not_differentiable="the result depends on nothing but its shape",
    samples=[
        Sample(3),
        Sample(2, 3, k=1),
        Sample(3, 2, k=-1, dtype="int32"),
        Sample(0, 2),
    ],
    errors=[Fails(ShapeError, "negative", -1)],
)
def eye(
    n_rows: Any,
    n_cols: Any = None,
    /,
    *,
    k: int = 0,
    dtype: DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """A matrix of ones on a diagonal and zeros elsewhere; the identity matrix by default.

    Args:
        n_rows: number of rows, an int or a scalar integer tensor.
        n_cols: number of columns, by default that of the rows.
        k: which diagonal: 0 is the main one, positive ones lie above it.
        dtype: element type, float32 by default.
        device: None or ``"cpu"``.

    Raises:
        ShapeError: a number is negative.

    >>> import minigrad as mg
    >>> mg.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_device(device)
    sizes, given = sizes_argument([n_rows, n_rows if n_cols is None else n_cols])
    return bind(eye, given, sizes=sizes, k=size_argument(k, "k"), dtype=_dtype(dtype))


@eye.kernel
def _(xp: Any, shape: Any = None, *, sizes: Sizes | None, k: int, dtype: DType) -> Any:
    rows, columns = actual_sizes(sizes, shape)
    not_negative((rows, columns))
    return xp.eye(rows, columns, k=k, dtype=dtype.dtype)


@eye.lowering
def _(b: Any, shape: Any = None, *, sizes: Sizes | None, k: int, dtype: DType) -> Any:
    if sizes is None and shape.constant is None:
        return NotImplemented
    rows, columns = actual_sizes(sizes, None if shape is None else shape.constant)
    row = b.constant(np.arange(rows).reshape(rows, 1) + k)
    return b.cast(b.map("Equal", b.constant(np.arange(columns)), row), dtype.dtype)


@eye.shape
def _(shape: Spec | None, *, sizes: Sizes | None, k: int, dtype: DType) -> Spec:
    known = static_sizes(sizes, shape)
    not_negative(known)
    return Spec(known, dtype)


def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A tensor from another library's array.

    Args:
        x: an object with ``__dlpack__``.
        device: None or ``"cpu"``.
        copy: the data are copied, since tensors never change, unless this is False: then the
            tensor shares their memory, and it is up to the caller not to change them.

    Raises:
        ArgumentError: the data are on another device.

    >>> import minigrad as mg
    >>> import numpy as np
    >>> mg.from_dlpack(np.array([1.0, 2.0]))
    Tensor([1., 2.], shape=(2,), dtype=float64)
    """
    check_device(device)
    if isinstance(x, Tensor):
        return x
    try:
        array = np.from_dlpack(x)
    except (AttributeError, BufferError, RuntimeError) as error:
        raise ArgumentError(f"cannot take over {type(x).__name__} by DLPack: {error}") from error
    return tensor_of(ConcreteTensor(array if copy is False else array.copy()))
