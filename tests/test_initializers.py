"""Initializers: fans by hand, the stated variances on large draws, shapes, seeds and errors."""

import math
from collections.abc import Callable

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.nn import initializers as init


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((), (1, 1)),
        ((7,), (7, 7)),
        ((300, 100), (300, 100)),
        ((5, 4, 8), (20, 40)),  # A window of 5, 4 channels in, 8 out.
        ((3, 3, 16, 32), (144, 288)),  # 9 · 16, 9 · 32
        ((2, 3, 4, 5, 6), (120, 144)),  # 24 · 5, 24 · 6
    ],
)
def test_fans_by_hand(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert init.fans(shape) == expected


def test_fans_need_known_sizes() -> None:
    with pytest.raises(ShapeError, match=r"known shape, got \(\?, 3\)"):
        init.fans((None, 3))  # type: ignore[arg-type]


# Fans of (3, 3, 16, 32): 144 and 288. The standard deviations are worked out from the papers.
KERNEL = (3, 3, 16, 32)
DEVIATIONS = [
    (init.GlorotUniform(), math.sqrt(2 / 432)),
    (init.GlorotNormal(), math.sqrt(2 / 432)),
    (init.GlorotNormal(gain=3.0), 3 * math.sqrt(2 / 432)),
    (init.XavierFanIn(), 1 / 12),
    (init.HeUniform(), math.sqrt(2 / 144)),
    (init.HeNormal(), math.sqrt(2 / 144)),
    (init.HeNormal(mode="fan_out"), 1 / 12),
    (init.HeNormal(negative_slope=1.0), 1 / 12),
    (init.LecunNormal(), 1 / 12),
    (init.LecunUniform(), 1 / 12),
    (init.VarianceScaling(3.0, "fan_avg", "normal"), math.sqrt(3 / 216)),
    (init.Normal(stddev=0.3), 0.3),
    (init.Uniform(-0.6, 0.6), 0.6 / math.sqrt(3)),
    (init.TruncatedNormal(stddev=0.5), 0.5 * 0.87962566103423978),
]


@pytest.mark.parametrize("initializer, expected", DEVIATIONS, ids=lambda v: repr(v)[:40])
def test_standard_deviations(initializer: init.Initializer, expected: float) -> None:
    generator = mg.random.Generator(seed=7)
    w = np.concatenate(
        [initializer(KERNEL, "float64", generator=generator).numpy().ravel() for _ in range(60)]
    )
    n = (
        w.size
    )  # 276480: the relative error of a standard deviation is about 1 / sqrt(2 n) = 0.0014.
    assert w.std() == pytest.approx(expected, rel=0.006)
    assert abs(w.mean()) < 4 * expected / math.sqrt(n)


@pytest.mark.parametrize(
    "initializer, bound",
    [
        (init.GlorotUniform(), math.sqrt(6 / 432)),
        (init.HeUniform(math.sqrt(5)), math.sqrt(1 / 144)),  # How PyTorch's layers start.
        (init.LecunUniform(), math.sqrt(3 / 144)),
        (init.GlorotNormal(), 2 * math.sqrt(2 / 432) / 0.87962566103423978),
    ],
    ids=repr,
)
def test_bounds(initializer: init.Initializer, bound: float) -> None:
    w = abs(initializer(KERNEL).numpy())
    assert 0.97 * bound < w.max() <= bound * (1 + 1e-6)


def test_truncation_constant() -> None:
    # Variance of a standard normal number within ±2: 1 - 4 φ(2) / (2 Φ(2) - 1).
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    inside = math.erf(2 / math.sqrt(2))
    assert math.sqrt(1 - 4 * density / inside) == pytest.approx(0.87962566103423978, abs=1e-15)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 3, 4), (2, 2, 2, 9)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(shape: tuple[int, ...], dtype: str) -> None:
    w = init.Orthogonal(gain=2.0)(shape, dtype, generator=mg.random.Generator(seed=1))
    assert w.shape == shape
    assert w.dtype == dtype
    matrix = w.numpy().reshape(-1, shape[-1])
    small = matrix if matrix.shape[0] < matrix.shape[1] else matrix.T
    np.testing.assert_allclose(small @ small.T, 4 * np.eye(len(small)), atol=1e-5)


def test_orthogonal_signs_are_random() -> None:
    generator = mg.random.Generator(seed=3)
    signs = [
        np.sign(init.Orthogonal()((3, 3), generator=generator).numpy()[0, 0]) for _ in range(40)
    ]
    assert 8 < sum(s > 0 for s in signs) < 32


def test_orthogonal_in_half_precision_and_in_a_graph() -> None:
    assert init.Orthogonal()((3, 2), "float16").dtype == "float16"
    eager = init.Orthogonal()((3, 2), generator=mg.random.Generator(seed=5)).numpy()
    with mg.Graph().as_default(), mg.Session() as session:
        lazy = init.Orthogonal()((3, 2), generator=mg.random.Generator(seed=5))
        np.testing.assert_allclose(session.run(lazy), eager, atol=1e-6)


def test_constants() -> None:
    np.testing.assert_array_equal(init.Zeros()((2, 3)).numpy(), np.zeros((2, 3), np.float32))
    np.testing.assert_array_equal(init.Ones()((2,), "int64").numpy(), np.ones(2, np.int64))
    np.testing.assert_array_equal(init.Ones()((2,), "bool").numpy(), [True, True])
    np.testing.assert_array_equal(init.Constant(2.5)((), "float64").numpy(), 2.5)
    np.testing.assert_array_equal(init.Identity(gain=3.0)((3, 2)).numpy(), [[3, 0], [0, 3], [0, 0]])


def test_parameters_take_arrays_numbers_and_functions() -> None:
    given = np.array([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Linear(2, 2, weight_initializer=given, bias_initializer=0.5)
    given[:] = 0  # The layer has its own copy.
    assert layer.weight.tolist() == [[1, 2], [3, 4]]
    assert layer.weight.dtype == "float32"
    assert layer.bias is not None
    assert layer.bias.tolist() == [0.5, 0.5]
    rng = np.random.default_rng(0)
    drawn = nn.Linear(2, 2, weight_initializer=lambda shape: rng.normal(size=shape))
    assert drawn.weight.shape == (2, 2)
    told = nn.Linear(2, 3, weight_initializer=lambda shape, dtype: mg.full(shape, 2, dtype=dtype))
    assert told.weight.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_same_seed_same_numbers() -> None:
    def draw() -> np.ndarray:
        return init.HeNormal()((3, 4), generator=mg.random.Generator(seed=11)).numpy()

    np.testing.assert_array_equal(draw(), draw())


def test_aliases() -> None:
    assert init.XavierUniform is init.GlorotUniform
    assert init.XavierNormal is init.GlorotNormal
    assert init.KaimingNormal is init.HeNormal
    assert init.KaimingUniform is init.HeUniform


def test_repr() -> None:
    assert repr(init.HeNormal(0.1)) == "HeNormal(negative_slope=0.1, mode='fan_in')"
    assert repr(init.Normal(0, 2.0)) == "Normal(mean=0, stddev=2.0)"
    assert repr(init.LecunUniform()) == "LecunUniform()"


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match="positive scale, got 0"):
        init.VarianceScaling(0.0)
    with pytest.raises(ArgumentError, match="mode is 'fan_in'"):
        init.VarianceScaling(1.0, "in")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="distribution is 'normal'"):
        init.VarianceScaling(1.0, "fan_in", "gamma")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="low <= high, got 1 and 0"):
        init.Uniform(1, 0)
    with pytest.raises(ArgumentError, match="0 or more, got -1"):
        init.Normal(stddev=-1)
    with pytest.raises(ArgumentError, match="gain is a positive number"):
        init.GlorotUniform(gain=-2)
    with pytest.raises(ShapeError, match="2 axes or more, got shape"):
        init.Orthogonal()((3,))
    with pytest.raises(ShapeError, match="needs 2 axes"):
        init.Identity()((3, 3, 3))
    with pytest.raises(ShapeError, match=r"of shape \(2, 2\) cannot start as a value of .*\(3,\)"):
        init.Constant([1, 2, 3])((2, 2))
    with pytest.raises(ArgumentTypeError, match="a function of the shape"):
        init.as_initializer("he_normal")
    with pytest.raises(DTypeError):
        init.Normal()((2,), "int32")


def test_an_initializer_of_the_wrong_shape_is_named() -> None:
    layer = nn.Linear(2, 3, weight_initializer=lambda shape: np.ones(shape[::-1]), name="odd")
    with pytest.raises(ShapeError, match=r"odd/weight was to give shape \(2, 3\), got \(3, 2\)"):
        layer.parameters()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: init.Normal("a"), ArgumentTypeError, "mean must be a number, got 'a'"),  # type: ignore[arg-type]
        (lambda: init.Normal(np.nan), ArgumentError, "mean must be finite, got nan"),
        (lambda: init.TruncatedNormal(stddev=np.inf), ArgumentError, "stddev must be"),
        (lambda: init.Uniform(-np.inf, 0), ArgumentError, "low must be finite, got -inf"),
        (lambda: init.HeNormal(np.nan), ArgumentError, "negative_slope must be finite"),
        (lambda: init.Orthogonal(np.nan), ArgumentError, "gain must be finite, got nan"),
    ],
)
def test_arguments_that_would_make_every_weight_nan_are_refused(
    make: Callable[[], init.Initializer], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()
