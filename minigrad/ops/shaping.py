"""Shapes as tensors, and ops that take a shape from another tensor.

`sum_to_like` and `broadcast_like` undo each other, and `reshape_like` undoes itself, so their
gradients need no other op. The engine uses `sum_to_like` to undo broadcasting in gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.devices import check_device
from minigrad.dtypes import DType, DTypeLike, as_dtype, int64
from minigrad.errors import DTypeError, ShapeError
from minigrad.shapes import (
    Spec,
    axis_argument,
    broadcast,
    compatible,
    element_count,
    normalize_axes,
    show,
)

__all__ = [
    "broadcast_like",
    "fill_like",
    "ones_like",
    "reshape_like",
    "shape",
    "size",
    "sum_to_like",
    "zeros_like",
]


@primitive(
    "Shape",
    shape_only=(0,),
    not_differentiable="a shape is made of integers",
    samples=[
        Sample(np.zeros((2, 3))),
        Sample(np.zeros(())),
        Sample(np.zeros((0, 4)), dtype="int32"),
    ],
    errors=[Fails(DTypeError, "integer dtype", np.zeros(2), dtype="float32")],
)
def shape(x: TensorLike, /, *, dtype: DTypeLike = int64) -> Tensor:
    """The shape as an integer vector; known in a run even where `x.shape` is not.

    Args:
        x: a tensor of any shape and dtype.
        dtype: int64 (the default) or another integer dtype.

    Returns:
        A tensor of shape ``(rank,)``.

    Raises:
        DTypeError: `dtype` is not an integer one.

    >>> import minigrad as mg
    >>> mg.shape(mg.zeros((2, 3)))
    Tensor([2, 3], shape=(2,), dtype=int64)
    """
    return bind(shape, x, dtype=_integer_dtype(dtype))


def _integer_dtype(dtype: DTypeLike) -> DType:
    own = as_dtype(dtype)
    if not own.is_integer:
        raise DTypeError(f"expected an integer dtype for sizes, got {own}")
    return own


@shape.kernel
def _(xp: Any, x: Array, *, dtype: DType) -> Any:
    return xp.asarray(x.shape, dtype=dtype.dtype)


@shape.shape
def _(x: Spec, *, dtype: DType) -> Spec:
    return Spec((x.rank,), dtype, x.shape)


@primitive(
    "Size",
    shape_only=(0,),
    not_differentiable="a size is an integer",
    samples=[Sample(np.zeros((2, 3))), Sample(np.zeros((0, 3)))],
)
def size(x: TensorLike, /, *, dtype: DTypeLike = int64) -> Tensor:
    """The number of elements as an integer scalar; known in a run even where `x.shape` is not.

    Raises:
        DTypeError: `dtype` is not an integer one.

    >>> import minigrad as mg
    >>> mg.size(mg.zeros((2, 3)))
    Tensor(6, shape=(), dtype=int64)
    """
    return bind(size, x, dtype=_integer_dtype(dtype))


@size.kernel
def _(xp: Any, x: Array, *, dtype: DType) -> Any:
    return xp.asarray(x.size, dtype=dtype.dtype)


@size.shape
def _(x: Spec, *, dtype: DType) -> Spec:
    return Spec((), dtype, element_count(x.shape))


@primitive(
    "SumToLike",
    accepts="numeric",
    promote=(0,),
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=(4, 3)), np.zeros((1, 3))).fixed(1),
        Sample(rng.normal(size=(2, 4, 3)), np.zeros((3,))).fixed(1),
        Sample(rng.normal(size=(2, 3)), np.zeros(())).fixed(1).named("to a scalar"),
        Sample(rng.normal(size=(2, 3)), np.zeros((2, 3))).fixed(1).named("nothing to sum"),
        Sample(rng.normal(size=(2, 4, 3)), np.zeros((2, 3)), axis=1).fixed(1),
        Sample(rng.normal(size=(0, 3)), np.zeros((3,))).fixed(1).named("empty"),
    ],
    errors=[
        Fails(ShapeError, "cannot be summed|do not broadcast", np.zeros((2, 3)), np.zeros((2,)))
    ],
)
def sum_to_like(x: TensorLike, like: TensorLike, /, *, axis: Any = None) -> Tensor:
    """Sum over the axes that broadcasting added or stretched: the adjoint of `broadcast_like`.

    Args:
        x: a tensor of the shape that `like` broadcasts to.
        like: the tensor whose shape the result has; its values are not read.
        axis: axes of `x` that `like` lacks, where they are not the leading ones.

    Returns:
        A tensor of the shape of `like` and the dtype of `x`.

    Raises:
        ShapeError: `like` does not broadcast to the shape of `x`.

    >>> import minigrad as mg
    >>> mg.sum_to_like(mg.ones((4, 3)), mg.zeros((3,))).tolist()
    [4.0, 4.0, 4.0]
    """
    return bind(sum_to_like, x, like, axis=axis_argument(axis))


@sum_to_like.kernel
def _(xp: Any, x: Array, like: Array, *, axis: Any) -> Any:
    if axis is not None:
        x = xp.sum(x, axis=axis, dtype=x.dtype)
    target = like.shape
    if x.shape == target:
        return x
    extra = x.ndim - len(target)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, d in enumerate(target) if d == 1 and x.shape[i + extra] != 1
    )
    if extra < 0 or np.broadcast_shapes(x.shape, target) != x.shape:
        raise ShapeError(f"a tensor of shape {x.shape} cannot be summed to shape {target}")
    total = xp.sum(x, axis=axes, keepdims=True, dtype=x.dtype)
    return xp.reshape(total, target)


@sum_to_like.lowering
def _(b: Any, x: Any, like: Any, *, axis: Any) -> Any:
    if axis is not None:
        x = b.reduce("sum", x, normalize_axes(axis, x.rank))
    extra = x.rank - like.rank
    stretched = [i for i, n in enumerate(x.shape) if i < extra or like.shape[i - extra] != n]
    return b.reshape(b.reduce("sum", x, stretched), like.shape)


@sum_to_like.shape
def _(x: Spec, like: Spec, *, axis: Any) -> Spec:
    shape = x.shape
    if shape is not None and axis is not None:
        gone = set(normalize_axes(axis, len(shape)))
        shape = tuple(d for i, d in enumerate(shape) if i not in gone)
    if shape is not None and like.shape is not None:
        short = len(like.shape) > len(shape)
        if short or not compatible(broadcast(shape, like.shape), shape):
            raise ShapeError(
                f"a tensor of shape {show(shape)} cannot be summed to shape {show(like.shape)}"
            )
    return Spec(like.shape, x.dtype)


@sum_to_like.gradient()
def _(c: Ctx) -> Grads:
    return broadcast_like(c.grads[0], c.inputs[0], axis=c.attrs.axis), None


@primitive(
    "BroadcastLike",
    promote=(0,),
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=(1, 3)), np.zeros((4, 3))).fixed(1),
        Sample(rng.normal(size=()), np.zeros((2, 3))).fixed(1).named("from a scalar"),
        Sample(rng.normal(size=(2, 3)), np.zeros((2, 4, 3)), axis=1).fixed(1),
        Sample(rng.normal(size=(2,)), np.zeros((2, 4, 3)), axis=(-1, 1)).fixed(1),
        Sample(rng.normal(size=(1, 3)), np.zeros((0, 3))).fixed(1).named("to empty"),
    ],
    errors=[Fails(ShapeError, "do not broadcast", np.zeros((2,)), np.zeros((3,)))],
)
def broadcast_like(x: TensorLike, like: TensorLike, /, *, axis: Any = None) -> Tensor:
    """Broadcast to the shape of another tensor.

    Args:
        x: the tensor.
        like: the tensor whose shape the result has; its values are not read.
        axis: axes of `like` that `x` lacks, where they are not the leading ones.

    Returns:
        A tensor of the shape of `like` and the dtype of `x`.

    Raises:
        ShapeError: `x` does not broadcast to that shape.

    >>> import minigrad as mg
    >>> mg.broadcast_like([1.0, 2.0], mg.zeros((2, 3)), axis=1).tolist()
    [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    """
    return bind(broadcast_like, x, like, axis=axis_argument(axis))


@broadcast_like.kernel
def _(xp: Any, x: Array, like: Array, *, axis: Any) -> Any:
    if axis is not None:
        axes = normalize_axes(axis, like.ndim)
        kept = [1 if i in axes else like.shape[i] for i in range(like.ndim)]
        inner = iter(x.shape)
        x = xp.reshape(x, tuple(1 if i in axes else next(inner) for i in range(len(kept))))
    return xp.broadcast_to(x, like.shape)


@broadcast_like.lowering
def _(b: Any, x: Any, like: Any, *, axis: Any) -> Any:
    if axis is not None:
        x = b.expand(x, normalize_axes(axis, like.rank))
    return b.broadcast(x, like.shape)


@broadcast_like.shape
def _(x: Spec, like: Spec, *, axis: Any) -> Spec:
    shape = x.shape
    if shape is not None and like.shape is not None:
        if axis is not None:
            axes = normalize_axes(axis, len(like.shape))
            if len(shape) + len(axes) != len(like.shape):
                raise ShapeError(
                    f"shapes {show(shape)} and {show(like.shape)} do not broadcast with new axes "
                    f"{axis}: {len(like.shape) - len(axes)} dimensions are left, not {len(shape)}"
                )
            inner = iter(shape)
            shape = tuple(1 if i in axes else next(inner) for i in range(len(like.shape)))
        if not compatible(broadcast(shape, like.shape), like.shape):
            raise ShapeError(f"shapes {show(shape)} and {show(like.shape)} do not broadcast to it")
    return Spec(like.shape, x.dtype)


@broadcast_like.gradient()
def _(c: Ctx) -> Grads:
    return sum_to_like(c.grads[0], c.inputs[0], axis=c.attrs.axis), None


@primitive(
    "ReshapeLike",
    promote=(0,),
    shape_only=(1,),
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), np.zeros((3, 2))).fixed(1),
        Sample(rng.normal(size=(1, 1)), np.zeros(())).fixed(1),
        Sample(rng.normal(size=(0, 3)), np.zeros((3, 0))).fixed(1),
    ],
    errors=[Fails(ShapeError, "6 elements", np.zeros((2, 3)), np.zeros((4,)))],
)
def reshape_like(x: TensorLike, like: TensorLike, /) -> Tensor:
    """Reshape to the shape of another tensor, whose values are not read.

    Raises:
        ShapeError: the numbers of elements differ.

    >>> import minigrad as mg
    >>> mg.reshape_like([1, 2, 3, 4], mg.zeros((2, 2))).tolist()
    [[1, 2], [3, 4]]
    """
    return bind(reshape_like, x, like)


@reshape_like.kernel
def _(xp: Any, x: Array, like: Array) -> Any:
    return xp.reshape(x, like.shape)


@reshape_like.lowering
def _(b: Any, x: Any, like: Any) -> Any:
    return b.reshape(x, like.shape)


@reshape_like.shape
def _(x: Spec, like: Spec) -> Spec:
    have, want = element_count(x.shape), element_count(like.shape)
    if have is not None and want is not None and have != want:
        raise ShapeError(
            f"a tensor of shape {show(x.shape)} with {have} elements cannot have shape "
            f"{show(like.shape)} with {want}"
        )
    return Spec(like.shape, x.dtype)


@reshape_like.gradient()
def _(c: Ctx) -> Grads:
    return reshape_like(c.grads[0], c.inputs[0]), None


@primitive(
    "FillLike",
    promote=(1,),
    shape_only=(0,),
    samples=lambda rng: [
        Sample(np.zeros((2, 3)), rng.normal(size=())).fixed(0),
        Sample(np.zeros((0, 3)), 2.0).fixed(0),
    ],
    errors=[Fails(ShapeError, "scalar", np.zeros((2, 3)), np.zeros(2))],
)
def fill_like(x: TensorLike, value: TensorLike, /) -> Tensor:
    """A tensor of the shape of `x`, filled with a scalar, of the scalar's dtype.

    Raises:
        ShapeError: `value` is not a scalar.

    >>> import minigrad as mg
    >>> mg.fill_like(mg.zeros((2,)), 7).tolist()
    [7, 7]
    """
    return bind(fill_like, x, value)


@fill_like.kernel
def _(xp: Any, x: Array, value: Array) -> Any:
    return xp.broadcast_to(value, x.shape)


@fill_like.lowering
def _(b: Any, x: Any, value: Any) -> Any:
    return b.broadcast(value, x.shape)


@fill_like.shape
def _(x: Spec, value: Spec) -> Spec:
    if value.shape not in ((), None):
        raise ShapeError(f"the value must be a scalar, got shape {show(value.shape)}")
    return Spec(x.shape, value.dtype)


@fill_like.gradient()
def _(c: Ctx) -> Grads:
    return None, sum_to_like(c.grads[0], c.inputs[1])


@primitive(
    "ZerosLike",
    shape_only=(0,),
    promote=(),
    not_differentiable="the result does not depend on the argument's values",
    samples=[Sample(np.ones((2, 3))), Sample(np.ones(2), dtype="int32")],
)
def zeros_like(
    x: TensorLike, /, *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Zeros of the shape and dtype of `x`, or of `dtype`.

    Raises:
        ArgumentError: a device other than None and ``"cpu"``.

    >>> import minigrad as mg
    >>> mg.zeros_like([1.0, 2.0])
    Tensor([0., 0.], shape=(2,), dtype=float32)
    """
    check_device(device)
    return bind(zeros_like, x, dtype=None if dtype is None else as_dtype(dtype))


@zeros_like.kernel
def _(xp: Any, x: Array, *, dtype: DType | None) -> Any:
    return xp.zeros(x.shape, dtype=x.dtype if dtype is None else dtype.dtype)


@zeros_like.shape
def _(x: Spec, *, dtype: DType | None) -> Spec:
    return Spec(x.shape, dtype or x.dtype)


@primitive(
    "OnesLike",
    shape_only=(0,),
    promote=(),
    not_differentiable="the result does not depend on the argument's values",
    samples=[Sample(np.zeros((2, 3))), Sample(np.zeros(2), dtype="int32")],
)
def ones_like(
    x: TensorLike, /, *, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """Ones of the shape and dtype of `x`, or of `dtype`.

    Raises:
        ArgumentError: a device other than None and ``"cpu"``.

    >>> import minigrad as mg
    >>> mg.ones_like([1.0, 2.0])
    Tensor([1., 1.], shape=(2,), dtype=float32)
    """
    check_device(device)
    return bind(ones_like, x, dtype=None if dtype is None else as_dtype(dtype))


@ones_like.kernel
def _(xp: Any, x: Array, *, dtype: DType | None) -> Any:
    return xp.ones(x.shape, dtype=x.dtype if dtype is None else dtype.dtype)


@ones_like.shape
def _(x: Spec, *, dtype: DType | None) -> Spec:
    return Spec(x.shape, dtype or x.dtype)
