"""Convolution as three primitives of any rank, which are each other's gradients.

A convolution is linear in its input and in its kernel. Its gradient for the one is a
`convolution_transpose`, for the other a `convolution_kernel_gradient`; and the gradients of these
two are again among the three, to every order. `conv2d` and its kin bind them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from minigrad.core.bind import bind
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.errors import ShapeError
from minigrad.nn.functional.convolution import kernels as generic
from minigrad.nn.functional.convolution import numpy_kernels as fast
from minigrad.nn.functional.convolution.kernels import (
    convolution_shape,
    layout,
    transposed_shape,
)
from minigrad.nn.functional.convolution.plans import convolved, kernel_gradient, transposed
from minigrad.nn.functional.convolution.samples import (
    ERRORS,
    KERNEL_ERRORS,
    TRANSPOSED_ERRORS,
    kernel_samples,
    samples,
    transposed_samples,
)
from minigrad.nn.functional.windows import (
    Geometry,
    IntOrInts,
    Ints,
    Padding,
    PaddingLike,
    check_output_padding,
    convolution_attributes,
    from_channels_last,
    per_axis,
    to_channels_last,
)
from minigrad.ops.reducing import array_dtype, narrowed, widened
from minigrad.ops.sizes import Sizes, actual_sizes, sizes_argument, static_sizes
from minigrad.shapes import Shape, Spec, compatible, show

__all__: list[str] = []


def _last(xp: Any, x: Array, geometry: Geometry) -> Array:
    """The array as kernels take it: channels last, float16 as float32."""
    return widened(to_channels_last(xp, x, geometry))


def _back(xp: Any, y: Array, x: Array, geometry: Geometry) -> Array:
    """A kernel's result in the data format, in the dtype of `x`."""
    return narrowed(from_channels_last(xp, y, geometry), array_dtype(x))


# -- the convolution --------------------------------------------------------------------------


@primitive(
    "Convolution",
    accepts="real_float",
    samples=samples,
    errors=ERRORS,
    numpy=lambda x, kernel, **attrs: _convolve(np, fast.convolve, x, kernel, *_unpack(**attrs)),
)
def convolution(
    x: TensorLike,
    kernel: TensorLike,
    /,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    groups: int | None = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """Convolution of any rank; `data_format` tells which. See `conv2d`.

    Args:
        x: the input, in the data format.
        kernel: ``(*window, channels // groups, outputs)``.
        stride: steps from one window to the next.
        padding: see `conv2d`.
        dilation: steps from one element of a window to the next.
        groups: how many independent convolutions lie side by side; None for a depthwise one,
            whose kernel is ``(*window, channels, multiplier)``.
        data_format: ``"NWC"``, ``"NHWC"``, ``"NDHWC"``, ``"NCW"``, ``"NCHW"`` or ``"NCDHW"``.

    >>> from minigrad.nn.functional.convolution.primitives import convolution
    >>> convolution([[[1.0], [2.0], [4.0]]], [[[1.0]], [[10.0]]], data_format="NWC").tolist()
    [[[21.0], [42.0]]]
    """
    return bind(
        convolution,
        x,
        kernel,
        **convolution_attributes(stride, padding, dilation, groups, data_format),
    )


def _unpack(
    *, stride: Ints, padding: Padding, dilation: Ints, groups: int | None, data_format: str
) -> tuple[int | None, Geometry]:
    return groups, Geometry(stride, padding, dilation, data_format)


def _convolve(
    xp: Any, compute: Any, x: Array, kernel: Array, groups: int | None, geometry: Geometry
) -> Array:
    plan = layout(x.shape, kernel.shape, groups, geometry)
    return _back(xp, compute(_last(xp, x, geometry), widened(kernel), plan), x, geometry)


@convolution.kernel
def _(
    xp: Any,
    x: Array,
    kernel: Array,
    *,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int | None,
    data_format: str,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    return _convolve(xp, partial(generic.convolve, xp), x, kernel, groups, geometry)


@convolution.lowering
def _(b: Any, x: Any, kernel: Any, **attrs: Any) -> Any:
    return convolved(b, convolution, x, kernel, *_unpack(**attrs))


@convolution.shape
def _(x: Spec, kernel: Spec, **attrs: Any) -> Spec:
    return Spec(convolution_shape(x.shape, kernel.shape, *_unpack(**attrs)), x.dtype)


@convolution.gradient(saves=("x", "kernel"))
def _(c: Ctx) -> Grads:
    (g,), (x, kernel), attrs = c.grads, c.inputs, vars(c.attrs)
    return (
        _to_input(g, kernel, x, attrs) if c.needs[0] else None,
        bind(convolution_kernel_gradient, x, g, kernel, **attrs) if c.needs[1] else None,
    )


def _to_input(g: Tensor, kernel: Tensor, like: Tensor, attrs: dict[str, Any]) -> Tensor:
    """The gradient of a convolution for its input, which has the shape of `like`."""
    none = (0,) * len(attrs["stride"])
    return bind(
        convolution_transpose, g, kernel, like, None, **attrs, output_padding=none, sizes=None
    )


# -- the transposed convolution: the gradient for the input -----------------------------------


@primitive(
    "ConvolutionTranspose",
    accepts="real_float",
    promote=(0, 1),
    shape_only=(2,),
    samples=transposed_samples,
    errors=TRANSPOSED_ERRORS,
    numpy=lambda *arrays, output_padding, sizes, **attrs: _transpose(
        *(np, fast.convolve_transposed, arrays, output_padding, sizes), *_unpack(**attrs)
    ),
)
def convolution_transpose(
    x: TensorLike,
    kernel: TensorLike,
    like: TensorLike | None = None,
    /,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    output_padding: IntOrInts = 0,
    output_shape: Any = None,
    dilation: IntOrInts = 1,
    groups: int | None = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """The gradient of a convolution for its input, of any rank. See `conv2d_transpose`.

    Args:
        x: what the convolution's output is, in the data format.
        kernel: the convolution's: ``(*window, outputs // groups, channels)``.
        like: a tensor of the result's shape, where one is known; its values are not read.
        stride: the convolution's.
        padding: the convolution's.
        output_padding: see `conv2d_transpose`.
        output_shape: see `conv2d_transpose`.
        dilation: the convolution's.
        groups: the convolution's.
        data_format: as for `convolution`.

    >>> from minigrad.nn.functional.convolution.primitives import convolution_transpose
    >>> kernel = [[[1.0]], [[10.0]]]
    >>> convolution_transpose([[[1.0], [2.0]]], kernel, stride=2, data_format="NWC").tolist()
    [[[1.0], [10.0], [2.0], [20.0]]]
    """
    attrs = convolution_attributes(stride, padding, dilation, groups, data_format)
    extra = per_axis(output_padding, len(attrs["stride"]), "output_padding", least=0)
    sizes, given = (None, None) if output_shape is None else sizes_argument(output_shape)
    if any(extra):
        check_output_padding(extra, attrs, output_shape)
    operands = (x, kernel, like, given)
    return bind(convolution_transpose, *operands, **attrs, output_padding=extra, sizes=sizes)


def _transpose(
    xp: Any,
    compute: Any,
    arrays: tuple[Any, ...],
    output_padding: Ints,
    sizes: Sizes | None,
    groups: int | None,
    geometry: Geometry,
) -> Array:
    x, kernel, like, given = arrays
    wanted: Shape = None
    if like is not None:
        wanted = like.shape
    elif sizes is not None or given is not None:
        wanted = actual_sizes(sizes, given, "output_shape")
    shape: Any = transposed_shape(x.shape, kernel.shape, groups, geometry, output_padding, wanted)
    plan = layout(shape, kernel.shape, groups, geometry)
    return _back(xp, compute(_last(xp, x, geometry), widened(kernel), plan), x, geometry)


@convolution_transpose.kernel
def _(
    xp: Any,
    x: Array,
    kernel: Array,
    like: Array | None = None,
    given: Array | None = None,
    *,
    output_padding: Ints,
    sizes: Sizes | None,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int | None,
    data_format: str,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    compute = partial(generic.convolve_transposed, xp)
    arrays = (x, kernel, like, given)
    return _transpose(xp, compute, arrays, output_padding, sizes, groups, geometry)


@convolution_transpose.lowering
def _(
    b: Any,
    x: Any,
    kernel: Any,
    like: Any = None,
    given: Any = None,
    *,
    output_padding: Ints,
    sizes: Sizes | None,
    **attrs: Any,
) -> Any:
    if given is not None and given.constant is None:
        return NotImplemented
    wanted = None if like is None else like.shape
    if wanted is None and (sizes is not None or given is not None):
        wanted = actual_sizes(sizes, None if given is None else given.constant, "output_shape")
    groups, geometry = _unpack(**attrs)
    shape = transposed_shape(x.shape, kernel.shape, groups, geometry, output_padding, wanted)
    return transposed(b, convolution_transpose, x, kernel, shape, groups, geometry)


@convolution_transpose.shape
def _(
    x: Spec,
    kernel: Spec,
    like: Spec | None,
    given: Spec | None,
    *,
    output_padding: Ints,
    sizes: Sizes | None,
    **attrs: Any,
) -> Spec:
    groups, geometry = _unpack(**attrs)
    wanted = static_sizes(sizes, given, "output_shape")
    if like is not None:
        wanted = like.shape
    if wanted is None and (like is not None or given is not None):
        wanted = (None,) * (geometry.rank + 2)
    made = transposed_shape(x.shape, kernel.shape, groups, geometry, output_padding, wanted)
    return Spec(made, x.dtype)


@convolution_transpose.gradient(saves=("x", "kernel"))
def _(c: Ctx) -> Grads:
    (g,), (x, kernel, *_), attrs = c.grads, c.inputs, dict(vars(c.attrs))
    del attrs["output_padding"], attrs["sizes"]
    return (
        bind(convolution, g, kernel, **attrs) if c.needs[0] else None,
        bind(convolution_kernel_gradient, g, x, kernel, **attrs) if c.needs[1] else None,
        None,
        None,
    )


# -- the gradient for the kernel --------------------------------------------------------------


@primitive(
    "ConvolutionKernelGradient",
    accepts="real_float",
    promote=(0, 1),
    shape_only=(2,),
    samples=kernel_samples,
    errors=KERNEL_ERRORS,
    numpy=lambda x, g, kernel, **attrs: _kernel_gradient(
        np, fast.kernel_gradient, x, g, kernel, *_unpack(**attrs)
    ),
)
def convolution_kernel_gradient(
    x: TensorLike,
    g: TensorLike,
    kernel: TensorLike,
    /,
    *,
    stride: IntOrInts = 1,
    padding: PaddingLike = "VALID",
    dilation: IntOrInts = 1,
    groups: int | None = 1,
    data_format: str = "NHWC",
) -> Tensor:
    """The gradient of `convolution` for its kernel.

    Args:
        x: the convolution's input.
        g: the upstream gradient, of the convolution's shape.
        kernel: the kernel, of which only the shape is read.
        stride: the convolution's, as are the other arguments.
        padding: see `conv2d`.
        dilation: see `conv2d`.
        groups: as for `convolution`.
        data_format: as for `convolution`.

    >>> import minigrad as mg
    >>> from minigrad.nn.functional.convolution.primitives import convolution_kernel_gradient
    >>> x, g, kernel = mg.ones((1, 5, 1)), mg.ones((1, 4, 1)), mg.zeros((2, 1, 1))
    >>> convolution_kernel_gradient(x, g, kernel, data_format="NWC").tolist()
    [[[4.0]], [[4.0]]]
    """
    attrs = convolution_attributes(stride, padding, dilation, groups, data_format)
    return bind(convolution_kernel_gradient, x, g, kernel, **attrs)


def _kernel_gradient(
    xp: Any,
    compute: Any,
    x: Array,
    g: Array,
    kernel: Array,
    groups: int | None,
    geometry: Geometry,
) -> Array:
    _require_upstream(x.shape, g.shape, kernel.shape, groups, geometry)
    plan = layout(x.shape, kernel.shape, groups, geometry)
    made = compute(_last(xp, x, geometry), _last(xp, g, geometry), plan)
    return narrowed(xp.reshape(made, kernel.shape), array_dtype(x))


def _require_upstream(
    x: Shape, g: Shape, kernel: Shape, groups: int | None, geometry: Geometry
) -> None:
    shape = convolution_shape(x, kernel, groups, geometry)
    if not compatible(shape, g):
        raise ShapeError(f"the gradient has shape {show(g)}, the convolution {show(shape)}")


@convolution_kernel_gradient.kernel
def _(
    xp: Any,
    x: Array,
    g: Array,
    kernel: Array,
    *,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    groups: int | None,
    data_format: str,
) -> Array:
    geometry = Geometry(stride, padding, dilation, data_format)
    compute = partial(generic.kernel_gradient, xp)
    return _kernel_gradient(xp, compute, x, g, kernel, groups, geometry)


@convolution_kernel_gradient.lowering
def _(b: Any, x: Any, g: Any, kernel: Any, **attrs: Any) -> Any:
    return kernel_gradient(b, convolution_kernel_gradient, x, g, kernel, *_unpack(**attrs))


@convolution_kernel_gradient.shape
def _(x: Spec, g: Spec, kernel: Spec, **attrs: Any) -> Spec:
    _require_upstream(x.shape, g.shape, kernel.shape, *_unpack(**attrs))
    return Spec(kernel.shape, x.dtype)


@convolution_kernel_gradient.gradient(saves=("x", "g"))
def _(c: Ctx) -> Grads:
    (v,), (x, g, _kernel), attrs = c.grads, c.inputs, vars(c.attrs)
    return (
        _to_input(g, v, x, attrs) if c.needs[0] else None,
        bind(convolution, x, v, **attrs) if c.needs[1] else None,
        None,
    )
