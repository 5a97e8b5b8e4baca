"""What dropout and its relatives share: whether it is training, the rate, the mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.control_flow.branches import cond
from minigrad.core.bind import bind, tensor_of
from minigrad.core.generator import Generator
from minigrad.core.primitive import primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array, ConcreteTensor, Tensor, TensorLike
from minigrad.dtypes import DType, float32
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nn.functional.fitting import fitted
from minigrad.nn.functional.sizes import sizes_of
from minigrad.ops.basic import astype
from minigrad.ops.comparison import greater_equal, less
from minigrad.ops.random_continuous import uniform
from minigrad.ops.selection import where
from minigrad.ops.shaping import shape as shape_of
from minigrad.shapes import Spec, show

__all__: list[str] = []

# -- arguments ---------------------------------------------------------------------------------


def when_training(training: Any, a: Callable[[], Tensor], b: Callable[[], Tensor]) -> Tensor:
    """What `a` makes where `training` holds, what `b` makes where it does not; only one runs.

    Raises:
        ArgumentTypeError: `training` is neither a bool nor a boolean scalar tensor.
    """
    if isinstance(training, bool | np.bool_):
        return a() if training else b()
    held = isinstance(training, Tensor | StateOwner | np.ndarray)
    decided = tensor_of(training) if held else None
    if decided is None or not decided.dtype.is_bool or decided.shape not in ((), None):
        raise ArgumentTypeError(
            f"training must be True, False or a boolean scalar tensor, got {training!r}"
        )
    made: Tensor = cond(decided, a, b)
    return made


def real_operand(what: str, x: TensorLike) -> Tensor:
    """The operand in a floating dtype: integers become float32."""
    tensor = tensor_of(x)
    if tensor.dtype.is_floating:
        return tensor
    if tensor.dtype.is_integer or tensor.dtype.is_bool:
        return astype(tensor, float32)
    raise DTypeError(f"{what} takes real numbers, got x of dtype {tensor.dtype}")


def rate_argument(what: str, rate: Any) -> Any:
    """A rate as a Python number, or, where a run decides it, as a tensor that the run checks."""
    if isinstance(rate, Tensor | StateOwner | np.ndarray):
        tensor = tensor_of(rate, name="rate")
        if not isinstance(tensor, ConcreteTensor):
            return checked_rate(tensor)
        rate = tensor._value[()] if not tensor.shape else rate
    if isinstance(rate, bool | np.bool_) or not isinstance(rate, int | float | np.number):
        raise ArgumentTypeError(f"{what}: the rate must be a number or a scalar, got {rate!r}")
    return between_0_and_1(what, float(rate))


def between_0_and_1(what: str, rate: float) -> float:
    if 0 <= rate <= 1:
        return rate
    raise ArgumentError(
        f"{what}: the rate is the fraction that is dropped and must lie between 0 and 1, got {rate}"
    )


@primitive(
    "CheckRate",
    accepts="real_float",
    not_differentiable="a rate is a setting, not a quantity that is learnt",
    samples=[Sample(0.25), Sample(np.array(1.0)), Sample(np.float16(0.5))],
    errors=[
        Fails(ArgumentError, "between 0 and 1, got 1.5", np.array(1.5)),
        Fails(ArgumentError, "between 0 and 1, got nan", np.array(np.nan)),
        Fails(ShapeError, "scalar, got shape .2,.", np.ones(2)),
    ],
)
def checked_rate(rate: TensorLike, /) -> Tensor:
    """A rate of dropout, of which a run makes sure that it lies between 0 and 1.

    >>> from minigrad.nn.functional.noise.masks import checked_rate
    >>> checked_rate(0.5)
    Tensor(0.5, shape=(), dtype=float32)
    """
    return bind(checked_rate, rate)


@checked_rate.kernel
def _(xp: Any, rate: Array) -> Array:
    _require_scalar(rate.shape)
    if xp is np:  # Where the kernel is traced there are no numbers to look at.
        between_0_and_1("dropout", float(rate))
    return rate


@checked_rate.lowering
def _(b: Any, rate: Any) -> Any:
    inside = (b.map("GreaterEqual", rate, 0), b.map("LessEqual", rate, 1))
    b.check(b.map("LogicalAnd", *inside))
    return rate


@checked_rate.shape
def _(rate: Spec) -> Spec:
    _require_scalar(rate.shape)
    return Spec((), rate.dtype)


def _require_scalar(shape: Any) -> None:
    if shape not in ((), None):
        raise ShapeError(f"the rate of dropout must be a scalar, got shape {show(shape)}")


# -- masks -------------------------------------------------------------------------------------


def kept(
    what: str, x: Tensor, rate: Any, noise_shape: Any, seed: Any, generator: Generator | None
) -> Tensor:
    """True where a number drawn uniformly is `rate` or more, in a shape that broadcasts to x's."""
    sizes = noise_sizes(what, x, noise_shape)
    # In float32 whatever the dtype of x, so that the mask does not depend on it.
    keep = greater_equal(uniform(sizes, seed=seed, generator=generator), rate)
    return fitted(what, "noise_shape", keep, x)


def noise_sizes(what: str, x: Tensor, noise_shape: Any) -> Any:
    """The shape of the mask; None stands for a length, or all lengths, of `x`."""
    if noise_shape is None:
        return tuple(x.spec.shape) if x.spec.known() and x.spec.shape is not None else shape_of(x)
    if isinstance(noise_shape, Tensor | np.ndarray) or not hasattr(noise_shape, "__iter__"):
        return noise_shape
    sizes = list(noise_shape)
    if any(d is None for d in sizes):
        own: Any = x.shape
        if own is not None and len(own) != len(sizes):
            raise ShapeError(
                f"{what}: noise_shape {tuple(sizes)} has {len(sizes)} lengths, and x of shape "
                f"{show(own)} has {len(own)}; None takes the length of the same axis of x"
            )
        lengths = sizes_of(x, range(len(sizes)))
        sizes = [length if d is None else d for d, length in zip(sizes, lengths, strict=True)]
    return sizes


def remaining(rate: Any, dtype: DType) -> Any:
    """1 - rate, and 1 where that would be 0: then nothing is kept, so the divisor has no say."""
    if isinstance(rate, float):
        return 1.0 - rate
    one_less = astype(1.0 - rate, dtype)
    return where(less(rate, 1.0), one_less, 1.0)
