"""Choices, integers, permutations and categorical draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.core.bind import bind, tensor_of
from minigrad.core.generator import Generator
from minigrad.core.primitive import primitive
from minigrad.core.rules import Ctx, Grads
from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array, Tensor, TensorLike
from minigrad.dtypes import DTypeLike, as_dtype, bool_, float32, int32, int64
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.basic import astype
from minigrad.ops.indexing import take
from minigrad.ops.random_arguments import Parameter, dims_of, reserve, static_shape
from minigrad.ops.random_checks import restricted_dtype
from minigrad.ops.random_ops import (
    philox_categorical,
    philox_integers,
    philox_permutation,
    philox_uniform,
)
from minigrad.ops.shaping import shape as shape_of
from minigrad.ops.sizes import decided_in_run
from minigrad.philox import as_count, as_integer
from minigrad.random_conversions import integer_conversion
from minigrad.shapes import Spec

__all__ = ["bernoulli", "categorical", "integers", "permutation", "shuffle"]


@primitive(
    "random_bernoulli",
    not_differentiable="the result is made of choices",
    samples=lambda rng: [
        Sample(rng.uniform(size=(2, 3)), seed=1),
        Sample(0.3, (4,), seed=2),
        Sample(rng.uniform(size=3).astype(np.float32), (2, 3), seed=3, dtype="float32"),
        Sample(1, (0,), seed=4).named("empty"),
    ],
    errors=[
        Fails(ArgumentError, "between 0 and 1", 1.5),
        Fails(ArgumentError, "between 0 and 1, got nan at index 1;", np.array([0.5, np.nan])),
        Fails(ArgumentError, "between 0 and 1", np.array([0, 2])),
        Fails(ShapeError, "p of shape", np.full(3, 0.5), (2,)),
        Fails(DTypeError, "real", np.zeros(2, np.complex64)),
    ],
)
def bernoulli(
    p: TensorLike,
    shape: Any = None,
    *,
    dtype: DTypeLike = "bool",
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """True with probability `p`: whether a uniform number in [0, 1) is below it.

    The uniform numbers have the dtype of `p`; float32 if it is no floating one. No gradient flows
    to `p`.

    Args:
        p: probabilities, of any shape that broadcasts to `shape`.
        shape: see `normal`; by default the shape of `p`.
        dtype: of the result: bool, or any other, in which True is 1.
        seed: decides the numbers, see `minigrad.random`.
        generator: the generator to draw from, instead of a seed.

    Returns:
        A tensor of that shape and dtype.

    Raises:
        ArgumentError: `p` does not lie between 0 and 1, or both `seed` and `generator` are given.
            Where `p` depends on what is fed, it is the run that raises.
        ShapeError: a dimension is negative, or `p` does not broadcast to `shape`.
        DTypeError: `p` is not real.

    >>> import minigrad as mg
    >>> mg.random.bernoulli(0.5, (4,), seed=2).tolist()
    [False, False, True, True]
    """
    result = as_dtype(dtype)
    given = tensor_of(p, name="p")
    kind = given.dtype if given.dtype.is_floating else float32
    if given.dtype is not kind:
        if not (given.dtype.is_integer or given.dtype.is_bool):
            raise DTypeError(f"bernoulli expected real probabilities, got dtype {given.dtype}")
        given = astype(given, kind)
    if shape is None:
        dims, static = shape_of(given), given.spec.shape
    else:
        dims, static = dims_of(shape)
    chance = Parameter("bernoulli", "p", given, kind, static)
    if chance.known is None:
        chance.operand = probabilities(chance.operand)
    else:
        _require_probabilities(chance.known)
    key, counter = reserve("bernoulli", dims, seed=seed, generator=generator)
    draw = philox_uniform(counter, dims, key=key, dtype=kind)
    below = draw < chance.beside(draw)
    return below if result is bool_ else astype(below, result)


@primitive(
    "CheckProbabilities",
    accepts="real_float",
    samples=lambda rng: [
        Sample(rng.uniform(0.1, 0.9, size=(2, 3))),
        Sample(np.array([0.0, 1.0])).expecting([1.0, 1.0]).named("the ends"),
        Sample(rng.uniform(0.1, 0.9, size=()).astype(np.float32)),
        Sample(np.zeros((0, 2))).named("empty"),
    ],
    errors=[
        Fails(ArgumentError, "between 0 and 1, got -0.5 at index 1;", np.array([0.5, -0.5])),
        Fails(ArgumentError, "got 2.0 at index 1, 0;", np.array([[0.5], [2.0]])),
        Fails(ArgumentError, "got inf;", np.array(np.inf)),
    ],
)
def probabilities(p: TensorLike, /) -> Tensor:
    """`p` itself, of which a run makes sure that it holds probabilities.

    Raises:
        ArgumentError: a number is NaN, or not between 0 and 1.

    >>> from minigrad.ops.random_discrete import probabilities
    >>> probabilities([0.0, 0.5]).tolist()
    [0.0, 0.5]
    """
    return bind(probabilities, p)


@probabilities.kernel
def _(xp: Any, p: Array) -> Array:
    if xp is np:  # Where the kernel is traced there are no numbers to look at.
        _require_probabilities(p)
    return p


@probabilities.shape
def _(p: Spec) -> Spec:
    return p


@probabilities.gradient()
def _(c: Ctx) -> Grads:
    return c.grads[0]


def _require_probabilities(p: Array) -> None:
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = f" at index {', '.join(map(str, first))}" if first else ""
        raise ArgumentError(
            f"bernoulli expected probabilities between 0 and 1, got {p[first]}{place}; "
            "mg.sigmoid makes probabilities of logits"
        )


@primitive(
    "random_integers",
    not_differentiable="the result is made of integers",
    samples=[
        Sample(0, 10, (2, 3), seed=1),
        Sample(6, seed=2).named("from 0"),
        Sample(-5, 2**63, 4, dtype="int64", seed=3),
        Sample(np.array(2), np.int64(7), (0,), seed=4).named("empty"),
    ],
    errors=[
        Fails(ArgumentError, "low < high", 5, 5),
        Fails(ArgumentError, "within int32", 0, 2**40),
        Fails(DTypeError, "int32, int64", 0, 5, dtype="float32"),
        Fails(ArgumentTypeError, "expected an integer as high", 0, 5.5),
        Fails(ShapeError, "cannot be negative", 0, 5, (-1,)),
    ],
)
def integers(
    low: TensorLike,
    high: TensorLike | None = None,
    shape: Any = (),
    *,
    dtype: DTypeLike = "int32",
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Integers in ``[low, high)``, each as likely as the others.

    The remainder of 32 random bits (64 for int64) is not quite uniform: some values are likelier
    than others by less than ``(high - low) / 2**32`` (``2**64``) of their probability.

    Args:
        low: integer scalar, the lowest value; where `high` is left out the bounds are 0 and `low`,
            as in NumPy.
        high: integer scalar, one more than the highest value.
        shape: see `normal`.
        dtype: int32 or int64.
        seed: decides the numbers, see `minigrad.random`.
        generator: the generator to draw from, instead of a seed.

    Returns:
        A tensor of that shape and dtype.

    Raises:
        ArgumentError: ``low >= high``, a bound does not fit the dtype, or both `seed` and
            `generator` are given.
        ArgumentTypeError: a bound, a dimension or the seed is not an integer.
        DTypeError: another dtype.
        ShapeError: a dimension is negative.

    >>> import minigrad as mg
    >>> mg.random.integers(0, 10, 5, seed=1)
    Tensor([7, 9, 3, 2, 7], shape=(5,), dtype=int32)
    """
    kind = restricted_dtype("integers", dtype, int32, int64)
    if high is None:
        low, high = 0, low
    bounds = [_bound("low", low), _bound("high", high)]
    first, last = bounds
    if isinstance(first, int) and isinstance(last, int):
        integer_conversion(first, last, kind.dtype)
    dims, _ = dims_of(shape)
    start, end = (tensor_of(b, name=n) for b, n in zip(bounds, ("low", "high"), strict=True))
    key, counter = reserve("integers", dims, seed=seed, generator=generator)
    return philox_integers(counter, dims, start, end, key=key, dtype=kind)


def _bound(name: str, value: Any) -> Any:
    """A bound as a Python integer, or as it is where a run decides it."""
    return value if decided_in_run(value) else as_integer("integers", name, value)


@primitive(
    "random_permutation",
    samples=lambda rng: [
        Sample(5, seed=1),
        Sample(rng.normal(size=(4, 2)), seed=2),
        Sample(np.arange(6), seed=3).named("integers"),
        Sample(0, seed=4).named("no items"),
        Sample(rng.normal(size=(0, 2)), seed=5).named("no rows"),
    ],
    errors=[
        Fails(ArgumentTypeError, "number of items", 2.5),
        Fails(ShapeError, "negative", -1),
    ],
)
def permutation(
    x: TensorLike, *, seed: int | None = None, generator: Generator | None = None
) -> Tensor:
    """The rows of `x` in random order, or the numbers below `x` in random order.

    Rows are what the first axis counts; each keeps its contents. All orders are equally likely, up
    to the remainders of 32 random bits. Gradients flow to `x`. It is TensorFlow's `random_shuffle`.

    Args:
        x: a tensor of rank 1 or more; or an integer scalar n, which stands for ``range(n)``. A
            symbolic tensor of unknown rank must have rank 1 or more.
        seed: decides the order, see `minigrad.random`.
        generator: the generator to draw from, instead of a seed.

    Returns:
        A tensor of the shape and dtype of `x`; for a scalar, int64 of shape ``(n,)``.

    Raises:
        ArgumentTypeError: `x` is a scalar, but not an integer.
        ShapeError: `x` is a negative number.
        ArgumentError: both `seed` and `generator` are given.

    >>> import minigrad as mg
    >>> mg.random.permutation([1, 2, 3, 4, 5], seed=1)
    Tensor([3, 5, 1, 4, 2], shape=(5,), dtype=int32)
    >>> mg.random.permutation(5, seed=1)
    Tensor([2, 4, 0, 3, 1], shape=(5,), dtype=int64)
    """
    items = tensor_of(x, name="x")
    scalar = items.spec.shape == ()
    if scalar and not items.dtype.is_integer:
        raise ArgumentTypeError(
            f"permutation expected a tensor of rank 1 or more, or an integer as the number of "
            f"items, got a scalar of dtype {items.dtype}"
        )
    sizes = items if scalar else shape_of(items)
    if scalar:
        static_shape(items)
    key, counter = reserve("permutation", sizes, seed=seed, generator=generator, draw="permutation")
    order = philox_permutation(counter, sizes, key=key)
    return order if scalar else take(items, order, axis=0)


def shuffle(
    x: TensorLike, *, seed: int | None = None, generator: Generator | None = None
) -> Tensor:
    """The rows of `x` in random order, under the name that Python and TensorFlow give it.

    Unlike NumPy's `shuffle` it leaves `x` as it is and returns a new tensor; see `permutation`.

    Raises:
        ShapeError: `x` is a scalar.

    >>> import minigrad as mg
    >>> mg.random.shuffle([1, 2, 3, 4, 5], seed=1).tolist()
    [3, 5, 1, 4, 2]
    """
    items = tensor_of(x, name="x")
    if items.spec.shape == ():
        raise ShapeError("shuffle expected a tensor of rank 1 or more, got a scalar")
    return permutation(items, seed=seed, generator=generator)


@primitive(
    "categorical",
    not_differentiable="the result is made of class numbers",
    samples=lambda rng: [
        Sample(rng.normal(size=(2, 3)), 4, seed=1),
        Sample(rng.normal(size=(3, 2)).astype(np.float32), np.int64(1), seed=2),
        Sample(np.zeros((0, 3)), 2, seed=3).named("no rows"),
        Sample(np.zeros((2, 3)), 0, seed=4).named("no samples"),
    ],
    errors=[
        Fails(ShapeError, "batch, classes", np.zeros(3), 2),
        Fails(ShapeError, "at least one class", np.zeros((2, 0)), 2),
        Fails(ArgumentError, "0 or more", np.zeros((2, 3)), -1),
        Fails(ArgumentTypeError, "expected an integer", np.zeros((2, 3)), 1.5),
        Fails(DTypeError, "real", np.zeros((2, 3), np.complex64), 2),
    ],
)
def categorical(
    logits: TensorLike,
    num_samples: TensorLike,
    *,
    seed: int | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Class numbers drawn with probabilities ``softmax(logits)``, row by row.

    Logits that are NaN or infinite have probability 0, as in TensorFlow's `multinomial`.

    Args:
        logits: real numbers of shape ``(batch, classes)``; logarithms of probabilities up to a
            constant.
        num_samples: integer scalar, the number of samples of each row.
        seed: decides the numbers, see `minigrad.random`.
        generator: the generator to draw from, instead of a seed.

    Returns:
        int64 tensor of shape ``(batch, num_samples)``.

    Raises:
        ShapeError: `logits` is not a matrix, or has no classes.
        DTypeError: `logits` is not real.
        ArgumentError: `num_samples` is negative, a row has no finite logit, or both `seed` and
            `generator` are given.
        ArgumentTypeError: `num_samples` is not an integer.

    >>> import minigrad as mg
    >>> mg.random.categorical([[0.0, 1.0]], 5, seed=1)
    Tensor([[1, 1, 1, 1, 0]], shape=(1, 5), dtype=int64)
    """
    scores = tensor_of(logits, name="logits")
    if not decided_in_run(num_samples):
        num_samples = as_count("categorical", num_samples)  # type: ignore[arg-type]
    samples = tensor_of(num_samples, name="num_samples")
    key, counter = reserve(
        "categorical",
        shape_of(scores),
        samples,
        seed=seed,
        generator=generator,
        draw="categorical",
    )
    return philox_categorical(counter, scores, samples, key=key)
