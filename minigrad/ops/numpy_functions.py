"""NumPy's own functions on tensors: ``np.sum(x)`` is ``mg.sum(x)``, and keeps the gradient.

Ufuncs (``np.sin``) find their counterparts in `minigrad.core.operators.UFUNCS`; here are the other
functions, by NumPy's ``__array_function__`` protocol (NEP 18). A function without a counterpart
computes on the values, which it may do only where no gradient is lost by that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.core.context import STATE
from minigrad.core.state import StateOwner
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentTypeError
from minigrad.nest import flatten, map_structure
from minigrad.ops import (
    along_axis,
    broadcasting,
    contractions,
    counting,
    diagonals,
    differences,
    einsum,
    elementwise,
    indexing,
    joining,
    manipulation,
    padding,
    products,
    reductions,
    rounding,
    scans,
    selection,
    shaping,
    signs,
    sorting,
    special_functions,
    stacking,
    statistics,
    tiling,
)
from minigrad.ops.linalg import determinants, factorizations, norms, rank, solving, spectral

__all__: list[str] = []

NumpyFunction = Callable[..., Any]


def _reduction(op: NumpyFunction) -> NumpyFunction:
    def reduction(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
        result: Tensor = op(a, axis=axis, keepdims=keepdims)
        return result

    return reduction


def _deviation(op: NumpyFunction) -> NumpyFunction:
    def deviation(a: Any, axis: Any = None, *, ddof: float = 0, keepdims: bool = False) -> Tensor:
        result: Tensor = op(a, axis=axis, correction=ddof, keepdims=keepdims)
        return result

    return deviation


def _scan(op: NumpyFunction) -> NumpyFunction:
    def scan(a: Any, axis: int | None = None) -> Tensor:
        flat = manipulation.reshape(a, -1) if axis is None else a
        result: Tensor = op(flat, axis=0 if axis is None else axis)
        return result

    return scan


def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Tensor:
    return joining.concat(arrays, axis=axis)


def _stack(arrays: Sequence[Any], axis: int = 0) -> Tensor:
    return stacking.stack(arrays, axis=axis)


def _dot(a: Any, b: Any) -> Tensor:
    """NumPy's rule: products of scalars, of vectors and matrices, else over a's last axis."""
    first, second = np.ndim(a), np.ndim(b)
    if 0 in (first, second):
        return elementwise.multiply(a, b)
    if second <= 2:
        return products.matmul(a, b)
    return contractions.tensordot(a, b, axes=[[first - 1], [second - 2]])


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    return contractions.tensordot(a, b, axes=axes)


def _outer(a: Any, b: Any) -> Tensor:
    return contractions.outer(manipulation.reshape(a, -1), manipulation.reshape(b, -1))


def _ravel(a: Any) -> Tensor:
    return manipulation.reshape(a, -1)


def _swapaxes(a: Any, axis1: int, axis2: int) -> Tensor:
    axes = list(range(np.ndim(a)))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return manipulation.permute_dims(a, tuple(axes))


def _moveaxis(a: Any, source: Any, destination: Any) -> Tensor:
    return manipulation.moveaxis(a, source, destination)


def _tile(A: Any, reps: Any) -> Tensor:
    return tiling.tile(A, reps)


def _clip(a: Any, a_min: Any = None, a_max: Any = None) -> Tensor:
    return selection.clip(a, a_min, a_max)


def _round(a: Any, decimals: int = 0) -> Tensor:
    if not decimals:
        return rounding.round(a)
    scale = 10.0**decimals
    return elementwise.divide(rounding.round(elementwise.multiply(a, scale)), scale)


def _inner(a: Any, b: Any) -> Tensor:
    if 0 in (np.ndim(a), np.ndim(b)):
        return elementwise.multiply(a, b)
    return contractions.tensordot(a, b, axes=[[-1], [-1]])


def _at_least_2d(a: Any) -> Any:
    return manipulation.reshape(a, (1, -1)) if np.ndim(a) < 2 else a


def _hstack(tup: Sequence[Any]) -> Tensor:
    parts = [manipulation.reshape(t, -1) if np.ndim(t) == 0 else t for t in tup]
    return joining.concat(parts, axis=0 if np.ndim(parts[0]) == 1 else 1)


def _from_triangle(a: Any, UPLO: str = "L") -> Tensor:
    """The Hermitian matrix of one triangle: NumPy reads no more, where minigrad takes the mean."""
    lower = diagonals.tril(a) if UPLO == "L" else signs.conj(manipulation.matrix_transpose(a))
    lower = diagonals.tril(lower)
    below = diagonals.tril(lower, k=-1)
    return elementwise.add(lower, signs.conj(manipulation.matrix_transpose(below)))


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Tensor:
    return tiling.repeat(a, repeats, axis=axis)


def _roll(a: Any, shift: Any, axis: Any = None) -> Tensor:
    return manipulation.roll(a, shift, axis=axis)


def _flip(m: Any, axis: Any = None) -> Tensor:
    return manipulation.flip(m, axis=axis)


def _sorting(op: NumpyFunction) -> NumpyFunction:
    def sort(a: Any, axis: int | None = -1) -> Tensor:
        flat = manipulation.reshape(a, -1) if axis is None else a
        result: Tensor = op(flat, axis=-1 if axis is None else axis)
        return result

    return sort


def _take(a: Any, indices: Any, axis: int | None = None) -> Tensor:
    if axis is None:
        return indexing.take(manipulation.reshape(a, -1), indices, axis=0)
    return indexing.take(a, indices, axis=axis)


def _take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Tensor:
    if axis is None:
        return along_axis.take_along_axis(manipulation.reshape(arr, -1), indices, axis=0)
    return along_axis.take_along_axis(arr, indices, axis=axis)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return diagonals.diagonal(a, offset=offset, axis1=axis1, axis2=axis2)


def _diag(v: Any, k: int = 0) -> Tensor:
    if np.ndim(v) == 2:
        return diagonals.diagonal(v, offset=k)
    above, below = max(k, 0), max(-k, 0)
    return padding.pad(diagonals.diag(v), ((below, above), (above, below)))


def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    return reductions.sum(_diagonal(a, offset, axis1, axis2), axis=-1)


def _triangle(op: NumpyFunction) -> NumpyFunction:
    def triangle(m: Any, k: int = 0) -> Tensor:
        result: Tensor = op(m, k=k)
        return result

    return triangle


#: What computes the same on tensors as a function of NumPy. A call whose arguments do not fit is
#: treated like one of a function that is not here.
COUNTERPARTS: dict[NumpyFunction, NumpyFunction] = {
    np.sum: _reduction(reductions.sum),
    np.prod: _reduction(reductions.prod),
    np.max: _reduction(reductions.max),
    np.amax: _reduction(reductions.max),
    np.min: _reduction(reductions.min),
    np.amin: _reduction(reductions.min),
    np.mean: _reduction(statistics.mean),
    np.var: _deviation(statistics.var),
    np.std: _deviation(statistics.std),
    np.any: _reduction(counting.any),
    np.all: _reduction(counting.all),
    np.argmax: _reduction(counting.argmax),
    np.argmin: _reduction(counting.argmin),
    np.count_nonzero: _reduction(counting.count_nonzero),
    np.cumsum: _scan(scans.cumulative_sum),
    np.cumprod: _scan(scans.cumulative_prod),
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.where: selection.where,
    np.clip: _clip,
    np.dot: _dot,
    np.tensordot: _tensordot,
    np.outer: _outer,
    np.kron: contractions.kron,
    np.einsum: einsum.einsum,
    np.transpose: lambda a, axes=None: manipulation.permute_dims(a, axes),
    np.reshape: manipulation.reshape,
    np.ravel: _ravel,
    np.swapaxes: _swapaxes,
    np.moveaxis: _moveaxis,
    np.expand_dims: broadcasting.expand_dims,
    np.squeeze: lambda a, axis=None: broadcasting.squeeze(a, axis),
    np.broadcast_to: broadcasting.broadcast_to,
    np.tile: _tile,
    np.repeat: _repeat,
    np.roll: _roll,
    np.flip: _flip,
    np.pad: lambda array, pad_width, mode="constant", **values: padding.pad(
        array, pad_width, mode, **values
    ),
    np.diff: lambda a, n=1, axis=-1: differences.diff(a, axis=axis, n=n),
    np.round: _round,
    np.around: _round,
    np.sinc: special_functions.sinc,
    np.cross: contractions.cross,
    np.inner: _inner,
    np.vstack: lambda tup: joining.concat([_at_least_2d(t) for t in tup], axis=0),
    np.hstack: _hstack,
    np.meshgrid: lambda *xi, indexing="xy": broadcasting.meshgrid(*xi, indexing=indexing),
    np.sort: _sorting(sorting.sort),
    np.argsort: _sorting(sorting.argsort),
    np.take: _take,
    np.take_along_axis: _take_along_axis,
    np.diag: _diag,
    np.diagonal: _diagonal,
    np.trace: _trace,
    np.tril: _triangle(diagonals.tril),
    np.triu: _triangle(diagonals.triu),
    np.zeros_like: lambda a, dtype=None: shaping.zeros_like(a, dtype=dtype),
    np.ones_like: lambda a, dtype=None: shaping.ones_like(a, dtype=dtype),
    np.linalg.norm: lambda x, ord=None, axis=None, keepdims=False: norms.norm(
        x, ord=ord, axis=axis, keepdims=keepdims
    ),
    np.linalg.inv: solving.inv,
    np.linalg.solve: solving.solve,
    np.linalg.det: determinants.det,
    np.linalg.slogdet: determinants.slogdet,
    np.linalg.cholesky: lambda a: factorizations.cholesky(_from_triangle(a)),
    np.linalg.qr: lambda a, mode="reduced": factorizations.qr(a, mode=mode),
    np.linalg.eigh: lambda a, UPLO="L": spectral.eigh(_from_triangle(a, UPLO)),
    np.linalg.eigvalsh: lambda a, UPLO="L": spectral.eigvalsh(_from_triangle(a, UPLO)),
    np.linalg.svd: lambda a, full_matrices=True: spectral.svd(a, full_matrices=full_matrices),
    np.linalg.pinv: rank.pinv,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.size: lambda a: a.size,
}

#: Functions that only look at values: what they give has no gradient to lose.
READERS: frozenset[NumpyFunction] = frozenset(
    [
        np.allclose,
        np.array2string,
        np.array_equal,
        np.array_repr,
        np.array_str,
        np.can_cast,
        np.iscomplexobj,
        np.isclose,
        np.isrealobj,
        np.may_share_memory,
        np.result_type,
        np.shares_memory,
    ]
)

_SIGNATURES = {function: inspect.signature(made) for function, made in COUNTERPARTS.items()}


def dispatch(
    function: NumpyFunction,
    types: Sequence[type],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    """What `function` of NumPy gives on tensors; the method ``__array_function__``.

    Raises:
        ArgumentTypeError: it has no counterpart for these arguments, and an operand is symbolic
            or is being differentiated.
    """
    counterpart = COUNTERPARTS.get(function)
    if counterpart is not None and _fits(function, args, kwargs):
        return counterpart(*args, **kwargs)
    leaves = flatten((list(args), dict(kwargs)))
    if any(_symbolic(leaf) for leaf in leaves):
        raise _refusal(function, "symbolic")
    if function not in READERS and any(_recorded(leaf) for leaf in leaves):
        raise _refusal(function, "recorded on a tape")
    values = map_structure(_value, (list(args), dict(kwargs)))
    return function(*values[0], **values[1])


def _fits(function: NumpyFunction, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        _SIGNATURES[function].bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _symbolic(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and not isinstance(leaf, ConcreteTensor)


def _recorded(leaf: Any) -> bool:
    """Whether a tape follows what becomes of this value."""
    if isinstance(leaf, StateOwner):
        return bool(STATE.get().tapes)
    return isinstance(leaf, ConcreteTensor) and leaf.is_recorded()


def _value(leaf: Any) -> Any:
    return leaf.numpy() if isinstance(leaf, Tensor | Variable) else leaf


def _refusal(function: NumpyFunction, state: str) -> ArgumentTypeError:
    name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
    return ArgumentTypeError(
        f"{name} has no counterpart on tensors with these arguments, and one of them is {state}, "
        "so computing on its value would lose the gradient; use functions of minigrad, or "
        "x.numpy() to take the value on purpose (mg.host_call in a graph)"
    )
