"""The ops that the engine itself makes: constants, placeholders, casts, identity, variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import apply, bind, tensor_of
from minigrad.core.context import in_graph
from minigrad.core.convert import array_of
from minigrad.core.current_graph import get_default_graph
from minigrad.core.literal import Literal, constant_spec
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, ConcreteTensor, Tensor, TensorLike
from minigrad.devices import check_device
from minigrad.dtypes import DType, DTypeLike, as_dtype, string
from minigrad.errors import (
    ArgumentError,
    DTypeError,
    FeedError,
    GraphError,
    NotDifferentiableError,
    ShapeError,
)
from minigrad.nest import flatten
from minigrad.shapes import Shape, Spec, as_shape, compatible, merge, show

__all__ = [
    "asarray",
    "astype",
    "constant",
    "convert_to_tensor",
    "ensure_shape",
    "identity",
    "placeholder",
    "placeholder_with_default",
    "stop_gradient",
]


@primitive(
    "Const",
    not_differentiable="a constant depends on nothing",
    samples=[Sample(2.5), Sample([[1, 2], [3, 4]]), Sample(1.0, shape=(2, 3)), Sample("text")],
    errors=[
        Fails(ShapeError, "3 elements", [1, 2, 3], shape=(2, 2)),
        Fails(DTypeError, "expected int32", 1.5, dtype="int32"),
    ],
)
def constant(
    value: TensorLike,
    dtype: DTypeLike | None = None,
    shape: Any = None,
    name: str = "Const",
) -> Tensor:
    """A constant: a node in a graph, a concrete tensor in eager code.

    Args:
        value: a number, text, array or nested list.
        dtype: element type; by default that of the value.
        shape: reshape to this shape; a single value fills it.
        name: name of the node.

    Raises:
        DTypeError: the value does not convert to `dtype` without loss.
        ShapeError: the number of elements does not fit `shape`.

    >>> import minigrad as mg
    >>> mg.constant([1, 2])
    Tensor([1, 2], shape=(2,), dtype=int32)
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if shape is None and any(isinstance(part, ConcreteTensor) for part in flatten(value)):
        return tensor_of(value, wanted, name=name)
    array = array_of(value, wanted)
    if shape is not None:
        array = _filled(array, as_shape(shape))
    return tensor_of(ConcreteTensor(array), name=name)


def _filled(array: Array, shape: Shape) -> Array:
    if shape is None or None in shape:
        raise ShapeError(f"a constant needs a known shape, got {show(shape)}")
    if array.size == 1:
        return np.full(shape, array.reshape(()), array.dtype)  # type: ignore[arg-type]
    if array.size != np.prod(shape, dtype=np.int64):  # type: ignore[arg-type]
        raise ShapeError(f"{array.size} elements cannot have shape {show(shape)}")
    return array.reshape(shape)  # type: ignore[arg-type]


@constant.kernel
def _(xp: Any, *, value: Literal) -> Array:
    return value.array if xp is np else xp.asarray(value.array)


@constant.shape
def _(*, value: Literal) -> Spec:
    return constant_spec(value.array)


@primitive(
    "Placeholder",
    not_differentiable="a placeholder is an input; ask for the gradient with respect to it",
    samples=[Sample("float32", (2, 3)).order(0, "its value comes from the feed")],
    errors=[Fails(ShapeError, "negative", "float32", (-1,))],
)
def placeholder(dtype: DTypeLike, shape: Any = None, name: str = "Placeholder") -> Tensor:
    """A symbolic tensor whose value each run is fed.

    Outside ``with graph.as_default():`` it joins the process-wide default graph.

    Args:
        dtype: element type.
        shape: an int or a sequence, None for unknown dimensions; None for an unknown rank.
        name: name of the node.

    Raises:
        GraphError: the body of a branch or loop is being built, where nothing can be fed.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     mg.placeholder("float32", (None, 3), name="x")
    Tensor("x:0", shape=(?, 3), dtype=float32)
    """
    attrs = {"dtype": as_dtype(dtype), "shape": as_shape(shape)}
    graph = get_default_graph()
    if graph.outer is not None:
        raise GraphError(
            f"placeholder {name!r} is made inside the body of a branch or loop, where nothing can "
            "be fed; make it before, and use it inside"
        )
    with in_graph(graph):
        return apply(placeholder, (), attrs, name=name)  # type: ignore[return-value]


@placeholder.kernel
def _(xp: Any, *, dtype: DType, shape: Shape) -> Array:
    raise FeedError(f"a placeholder of shape {show(shape)} and dtype {dtype} was not fed")


@placeholder.shape
def _(*, dtype: DType, shape: Shape) -> Spec:
    return Spec(shape, dtype)


@primitive(
    "PlaceholderWithDefault",
    samples=lambda rng: [Sample(rng.normal(size=(2, 3)), (None, 3))],
    errors=[Fails(ShapeError, "default", np.zeros((2, 3)), (2, 2))],
)
def placeholder_with_default(
    default: TensorLike, shape: Any = None, name: str = "PlaceholderWithDefault"
) -> Tensor:
    """A tensor that may be fed, and otherwise has the value of `default`.

    Args:
        default: the value when not fed.
        shape: what shapes may be fed; by default any.
        name: name of the node.

    Raises:
        ShapeError: the default does not have a shape of this kind.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     keep = mg.placeholder_with_default(1.0, ())
    >>> sess = mg.Session(graph=keep.graph)
    >>> sess.run(keep), sess.run(keep, {keep: 0.5})
    (np.float32(1.0), np.float32(0.5))
    """
    attrs = {"shape": as_shape(shape)}
    graph = getattr(default, "graph", None) or get_default_graph()
    with in_graph(graph):
        return apply(placeholder_with_default, (default,), attrs, name=name)  # type: ignore[return-value]


@placeholder_with_default.kernel
def _(xp: Any, default: Array, *, shape: Shape) -> Array:
    return default


@placeholder_with_default.lowering
def _(b: Any, x: Any, **_attrs: Any) -> Any:
    return x


@placeholder_with_default.shape
def _(default: Spec, *, shape: Shape) -> Spec:
    if not compatible(default.shape, shape):
        raise ShapeError(f"the default has shape {show(default.shape)}, expected {show(shape)}")
    return Spec(shape, default.dtype)


@placeholder_with_default.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0]


@primitive(
    "Cast",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), "float64"),
        Sample(rng.normal(size=(2, 3)), "float32").order(0, "float32 has too few digits to check"),
        Sample(np.array([1.8, -2.2]), "int32").order(0, "integers have no gradient"),
        Sample(np.array([True, False]), "float64"),
        Sample(np.array([3, 0]), "bool"),
        Sample(np.array([1.5, -2.0], np.float32), "complex64").named("real to complex"),
        Sample(np.array([1 + 2j, 0j], np.complex64), "complex128"),
        Sample(np.array([1 + 2j, 0j, 3j]), "bool").named("complex to bool"),
    ],
    errors=[
        Fails(DTypeError, "text", np.array(["a"], object), "float32"),
        Fails(DTypeError, "text", np.array([1.0]), "string"),
        Fails(DTypeError, r"imaginary part.*mg\.real\(x\)", np.array([1 + 2j]), "float64"),
        Fails(DTypeError, r"imaginary part.*mg\.real\(x\)", np.array([1 + 0j]), "int32"),
    ],
)
def astype(
    x: TensorLike, dtype: DTypeLike, /, *, copy: bool = True, device: str | None = None
) -> Tensor:
    """Cast to another dtype; a float becomes an integer by truncation toward zero.

    Complex numbers do not become real ones, as in the array API (NumPy drops the imaginary part,
    with a warning): `real`, `imag` and `abs` say which real number is meant. Those that are not 0
    become True.

    Args:
        x: a numeric or bool tensor.
        dtype: the new element type.
        copy: accepted for the array API's sake; tensors never change, so no copy is ever seen.
        device: None or ``"cpu"``.

    Raises:
        DTypeError: text is involved; or `x` is complex, and `dtype` real or an integer.
        ArgumentError: another device.

    >>> import minigrad as mg
    >>> mg.astype([1.8, -1.8], "int32")
    Tensor([ 1, -1], shape=(2,), dtype=int32)
    """
    check_device(device)
    target = as_dtype(dtype)
    tensor = tensor_of(x)
    if tensor.dtype is target:
        return tensor
    _check_cast(tensor.dtype, target)
    return bind(astype, tensor, dtype=target)


def _check_cast(own: DType, target: DType) -> None:
    """Raise `DTypeError` for what NumPy would convert all the same, losing its meaning."""
    if (own is string) != (target is string):
        raise DTypeError(f"text and numbers do not convert to each other: {own} to {target}")
    if own.is_complex and not (target.is_complex or target.is_bool):
        raise DTypeError(
            f"{own} does not become {target}, because the imaginary part would be lost; take the "
            "real part on purpose with mg.real(x), or the size with mg.abs(x)"
        )


@astype.kernel
def _(xp: Any, x: Array, *, dtype: DType) -> Array:
    return x.astype(dtype.dtype)


@astype.scalar
def _(s: Any, x: Any, *, dtype: DType) -> Any:
    return s.convert(x, dtype.dtype)


@astype.shape
def _(x: Spec, *, dtype: DType) -> Spec:
    _check_cast(x.dtype, dtype)
    value = x.value if x.dtype.is_integer and dtype.is_integer else None
    return Spec(x.shape, dtype, value)


@astype.gradient()
def _(c: Ctx) -> Grads:
    (g,), (x,) = c.grads, c.inputs
    if g.dtype.is_complex and not x.dtype.is_complex:
        raise NotDifferentiableError("gradients of complex tensors are not supported")
    return astype(g, x.dtype) if g.dtype.is_inexact else None


@primitive(
    "Identity",
    samples=lambda rng: [Sample(rng.normal(size=(2, 3))), Sample(np.arange(3))],
)
def identity(x: TensorLike, /, *, name: str = "Identity") -> Tensor:
    """The same value as a node of its own, which can carry a name or control dependencies.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     mg.identity(mg.constant(1.0), name="loss").name
    'loss:0'
    """
    return apply(identity, (x,), {}, name=name)  # type: ignore[return-value]


@identity.kernel
def _(xp: Any, x: Array) -> Array:
    return x


@identity.lowering
def _(b: Any, x: Any) -> Any:
    return x


@identity.shape
def _(x: Spec) -> Spec:
    return x


@identity.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0]


@primitive(
    "StopGradient",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3))).order(0, "stopping the gradient is its purpose")
    ],
)
def stop_gradient(x: TensorLike, /) -> Tensor:
    """The same value, through which no gradient flows.

    >>> import minigrad as mg
    >>> mg.grad(lambda x: x * mg.stop_gradient(x))(3.0)
    Tensor(3., shape=(), dtype=float32)
    """
    return bind(stop_gradient, x)


@stop_gradient.kernel
def _(xp: Any, x: Array) -> Array:
    return x


@stop_gradient.lowering
def _(b: Any, x: Any) -> Any:
    return x


@stop_gradient.shape
def _(x: Spec) -> Spec:
    return x


@stop_gradient.gradient()
def _(c: Ctx) -> Grads:
    return None


@primitive(
    "SetShape",
    samples=lambda rng: [Sample(rng.normal(size=(2, 3)), (None, 3))],
    errors=[Fails(ShapeError, "expected", np.zeros((2, 3)), (3, None))],
)
def ensure_shape(x: TensorLike, shape: Any, /) -> Tensor:
    """The same tensor, of which the shape is now known; a run whose value has another one fails.

    Args:
        x: a tensor.
        shape: a shape with None for what stays unknown.

    Raises:
        ShapeError: `x` does not have such a shape.

    >>> import minigrad as mg
    >>> with mg.Graph().as_default():
    ...     mg.ensure_shape(mg.placeholder("float32"), (None, 2)).shape
    (None, 2)
    """
    return bind(ensure_shape, x, shape=as_shape(shape))


@ensure_shape.kernel
def _(xp: Any, x: Array, *, shape: Shape) -> Array:
    if not compatible(x.shape, shape):
        raise ShapeError(f"expected shape {show(shape)}, got {show(x.shape)}")
    return x


@ensure_shape.lowering
def _(b: Any, x: Any, *, shape: Shape) -> Any:
    return x


@ensure_shape.shape
def _(x: Spec, *, shape: Shape) -> Spec:
    if not compatible(x.shape, shape):
        raise ShapeError(f"expected shape {show(shape)}, got {show(x.shape)}")
    return Spec(merge(x.shape, shape), x.dtype)


@ensure_shape.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0]


def asarray(
    obj: TensorLike,
    /,
    *,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """A tensor from numbers, nested lists, arrays or tensors.

    Args:
        obj: what to convert. Python floats give float32, ints int32; NumPy arrays keep their
            dtype.
        dtype: element type; by default that of `obj`.
        device: None or ``"cpu"``.
        copy: NumPy input is copied unless this is False; then the tensor shares its memory, and
            it is up to the caller not to change it.

    Raises:
        DTypeError: `obj` does not convert to `dtype` without loss.
        ArgumentError: `copy=False`, but the conversion needs a copy; another device.

    >>> import minigrad as mg
    >>> mg.asarray([[1.0, 2.0]])
    Tensor([[1., 2.]], shape=(1, 2), dtype=float32)
    """
    check_device(device)
    wanted = None if dtype is None else as_dtype(dtype)
    if copy is False and not isinstance(obj, Tensor):
        if not isinstance(obj, np.ndarray) or wanted not in (None, as_dtype(obj.dtype)):
            raise ArgumentError(
                f"copy=False needs a NumPy array of the wanted dtype, got {type(obj).__name__}"
            )
        return tensor_of(ConcreteTensor(obj))
    if isinstance(obj, Tensor) and wanted is not None and obj.dtype is not wanted:
        return astype(obj, wanted)
    return tensor_of(obj, wanted)


def convert_to_tensor(value: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """A tensor from anything tensor-like; the same as `asarray`, under TensorFlow's name.

    >>> import minigrad as mg
    >>> mg.convert_to_tensor(1.5).dtype
    minigrad.float32
    """
    return asarray(value, dtype=dtype)
