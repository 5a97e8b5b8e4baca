"""Joining, reshaping, padding and creating tensors, against NumPy and by their stated rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError
from minigrad.ops.padding import unpad
from minigrad.ops.tiling import repeat_sum, tile_sum

X = np.arange(24.0).reshape(2, 3, 4)


def run(graph: mg.Graph, fetches: Any, feeds: Any = None) -> Any:
    return mg.Session(graph=graph).run(fetches, feeds)


# -- values are NumPy's ----------------------------------------------------------------------------

CALLS: list[tuple[str, Any, Any]] = [
    ("reshape", lambda x: mg.reshape(x, (4, -1)), lambda x: x.reshape(4, -1)),
    ("reshape to an int", lambda x: mg.reshape(x, -1), lambda x: x.reshape(-1)),
    ("permute", lambda x: mg.permute_dims(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1)),
    (
        "permute from behind",
        lambda x: mg.permute_dims(x, (-1, 0, -2)),
        lambda x: x.transpose(2, 0, 1),
    ),
    ("reverse the axes", mg.permute_dims, lambda x: x.T),
    ("matrix_transpose", mg.matrix_transpose, lambda x: x.swapaxes(1, 2)),
    (
        "moveaxis",
        lambda x: mg.moveaxis(x, (0, 1), (-1, 0)),
        lambda x: np.moveaxis(x, (0, 1), (-1, 0)),
    ),
    ("expand_dims", lambda x: mg.expand_dims(x, (0, -1)), lambda x: np.expand_dims(x, (0, -1))),
    ("squeeze", lambda x: mg.squeeze(x[:1]), lambda x: x[:1].squeeze()),
    ("squeeze an axis", lambda x: mg.squeeze(x[:, :1], axis=-2), lambda x: x[:, 0]),
    ("flip", lambda x: mg.flip(x, axis=(0, -1)), lambda x: np.flip(x, (0, -1))),
    ("flip all", mg.flip, np.flip),
    ("roll", lambda x: mg.roll(x, (1, -2), axis=(0, 2)), lambda x: np.roll(x, (1, -2), (0, 2))),
    ("roll alike", lambda x: mg.roll(x, 1, axis=(0, 2)), lambda x: np.roll(x, 1, (0, 2))),
    ("roll all", lambda x: mg.roll(x, 5), lambda x: np.roll(x, 5)),
    (
        "broadcast_to",
        lambda x: mg.broadcast_to(x, (2, 2, 3, 4)),
        lambda x: np.broadcast_to(x, (2, 2, 3, 4)),
    ),
    (
        "concat",
        lambda x: mg.concat([x, x[:, :1]], axis=1),
        lambda x: np.concatenate([x, x[:, :1]], 1),
    ),
    (
        "concat flat",
        lambda x: mg.concat([x, x[0]], axis=None),
        lambda x: np.concatenate([x, x[0]], None),
    ),
    ("stack", lambda x: mg.stack([x, x], axis=-1), lambda x: np.stack([x, x], -1)),
    ("tile", lambda x: mg.tile(x, (2, 1, 2)), lambda x: np.tile(x, (2, 1, 2))),
    ("tile fewer", lambda x: mg.tile(x, 2), lambda x: np.tile(x, 2)),
    ("tile more", lambda x: mg.tile(x, (2, 1, 1, 1)), lambda x: np.tile(x, (2, 1, 1, 1))),
    ("repeat", lambda x: mg.repeat(x, 3, axis=1), lambda x: np.repeat(x, 3, 1)),
    (
        "repeat each",
        lambda x: mg.repeat(x, [0, 2, 1], axis=-2),
        lambda x: np.repeat(x, [0, 2, 1], 1),
    ),
    ("repeat flat", lambda x: mg.repeat(x, 2), lambda x: np.repeat(x, 2)),
    ("tril", lambda x: mg.tril(x, k=-1), lambda x: np.tril(x, -1)),
    ("triu", lambda x: mg.triu(x, k=1), lambda x: np.triu(x, 1)),
    ("diagonal", lambda x: mg.diagonal(x, offset=1), lambda x: np.diagonal(x, 1, 1, 2)),
    (
        "diagonal of other axes",
        lambda x: mg.diagonal(x, offset=-1, axis1=2, axis2=0),
        lambda x: np.diagonal(x, -1, 2, 0),
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize(("ours", "numpys"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_values_and_dtypes_are_those_of_numpy(ours: Any, numpys: Any, dtype: str) -> None:
    x = X.astype(dtype)
    result = ours(mg.asarray(x))
    assert result.dtype == dtype
    assert result.shape == numpys(x).shape
    assert_array_equal(np.asarray(result), numpys(x))


@pytest.mark.parametrize("static", [(2, 3, 4), (None, 3, None), None])
@pytest.mark.parametrize(("ours", "numpys"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS])
def test_in_a_graph_the_static_shape_does_not_lie_and_gradients_have_the_shape_of_x(
    ours: Any, numpys: Any, static: Any
) -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", static)
        y = ours(x)
        (dx,) = mg.gradients(mg.sum(y * y), x)
    expected = numpys(X)
    if y.shape is not None:
        assert len(y.shape) == expected.ndim
        assert all(a in (None, b) for a, b in zip(y.shape, expected.shape, strict=True))
    if static == X.shape:
        assert y.shape == expected.shape
    value, slope = run(graph, [y, dx], {x: X})
    assert_array_equal(value, expected)
    # Every op here copies elements: the gradient of Σy² is 2x times the number of copies.
    places = numpys(np.arange(X.size).reshape(X.shape))
    masked = numpys(np.ones(X.shape, bool))
    copies = np.bincount(places[masked], minlength=X.size).reshape(X.shape)
    assert_allclose(slope, 2 * X * copies)


# -- shapes given as tensors -----------------------------------------------------------------------


def test_shapes_counts_and_bounds_may_be_fed() -> None:
    with mg.Graph().as_default() as graph:
        sizes = mg.placeholder("int32", (None,))
        n = mg.placeholder("int64", ())
        x = mg.constant(np.arange(6.0))
        fetches: dict[str, Any] = {
            "reshape": mg.reshape(x, sizes),
            "reshape partly": mg.reshape(x, [n, -1]),
            "broadcast_to": mg.broadcast_to(7, sizes),
            "tile": mg.tile(x, [n]),
            "repeat": mg.repeat(x, n),
            "repeat each": mg.repeat([5, 6], sizes),
            "zeros": mg.zeros(sizes),
            "ones": mg.ones([1, n], dtype=bool),
            "full": mg.full(n, 2.5),
            "eye": mg.eye(n, 3),
            "arange": mg.arange(n),
            "arange down": mg.arange(n, 0, -1),
            "linspace": mg.linspace(0.0, 1.0, n),
            "pad": mg.pad([1, 2], [[n, 0]]),
            "split": mg.split(x, mg.stack([n, 6 - n])),
        }
    assert fetches["reshape partly"].shape == (None, None)
    assert fetches["ones"].shape == (1, None)
    assert fetches["eye"].shape == (None, 3)
    got = run(graph, fetches, {sizes: [2, 3], n: 2})
    numbers = np.arange(6.0)
    expected: dict[str, Any] = {
        "reshape": numbers.reshape(2, 3),
        "reshape partly": numbers.reshape(2, 3),
        "broadcast_to": np.full((2, 3), 7),
        "tile": np.tile(numbers, 2),
        "repeat": np.repeat(numbers, 2),
        "repeat each": [5, 5, 6, 6, 6],
        "zeros": np.zeros((2, 3)),
        "ones": [[True, True]],
        "full": [2.5, 2.5],
        "eye": np.eye(2, 3),
        "arange": [0, 1],
        "arange down": [2, 1],
        "linspace": [0, 1],
        "pad": [0, 0, 1, 2],
    }
    for name, value in expected.items():
        assert_array_equal(got[name], value, err_msg=name)
    assert [part.tolist() for part in got["split"]] == [[0, 1], [2, 3, 4, 5]]


def test_gradients_pass_through_shapes_that_are_fed() -> None:
    with mg.Graph().as_default() as graph:
        n = mg.placeholder("int32", ())
        x = mg.placeholder("float64", (None,))
        ys = [
            mg.tile(x, [n, n]),
            mg.repeat(x, n),
            mg.broadcast_to(x, [n, 2]),
            mg.pad(x, [[n, 1]], mode="edge"),
            mg.reshape(x, [n, -1]),
            mg.concat([x, mg.zeros(n, dtype="float64"), 2 * x]),
        ]
        slopes = [mg.gradients(mg.sum(y), x)[0] for y in ys]
    got = run(graph, slopes, {n: 2, x: [1.0, 5.0]})
    assert [g.tolist() for g in got] == [[4, 4], [2, 2], [2, 2], [3, 2], [1, 1], [3, 3]]


def test_a_wrong_fed_shape_is_explained_in_the_run() -> None:
    with mg.Graph().as_default() as graph:
        sizes = mg.placeholder("int32", (None,))
        x = mg.constant(np.zeros((2, 3)))
        reshaped, spread = mg.reshape(x, sizes), mg.broadcast_to(x, sizes)
    with pytest.raises(ShapeError, match=r"\(2, 3\) with 6 elements cannot be reshaped to \(4,\)"):
        run(graph, reshaped, {sizes: [4]})
    with pytest.raises(ShapeError, match=r"\(2, 3\) does not broadcast to \(3,\)"):
        run(graph, spread, {sizes: [3]})


def test_what_is_known_of_a_shape_is_inferred() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None, 3))
        y = mg.placeholder("float32", (4, None))
        assert mg.reshape(y, (2, -1)).shape == (2, None)
        assert mg.reshape(mg.zeros((4, 6)), [mg.shape(x)[0], 3]).shape == (8, 3)
        assert mg.concat([x, y], axis=0).shape == (None, 3)
        assert mg.stack([x, y]).shape == (2, 4, 3)
        assert mg.split(x, 3, axis=1)[0].shape == (None, 1)
        assert mg.split(y, [1, -1])[1].shape == (3, None)
        assert mg.unstack(x, axis=1)[0].shape == (None,)
        assert mg.broadcast_arrays(x, mg.zeros((5, 1, 1)))[0].shape == (5, None, 3)
        assert mg.meshgrid(mg.zeros(2), mg.zeros(3))[0].shape == (3, 2)
        assert mg.pad(x, 1).shape == (None, 5)
        assert mg.arange(mg.size(mg.zeros((2, 3)))).shape == (6,)
        unknown = mg.placeholder("float32")
        assert mg.permute_dims(unknown, (1, 0)).shape == (None, None)
        assert mg.reshape(unknown, (-1, 2)).shape == (None, 2)


# -- joining and taking apart ----------------------------------------------------------------------


def test_lists_of_tensors_and_numbers_become_tensors() -> None:
    t = mg.asarray(np.float64(0.1))
    made = mg.stack([[t, 0.1], [1, 0.2]])
    assert made.dtype == mg.float64
    assert made.tolist() == [[0.1, 0.1], [1, 0.2]]
    assert mg.add([[t, 1], [2, 3]], 0).tolist() == [[0.1, 1], [2, 3]]
    v = mg.Variable(2.0)
    with mg.GradientTape() as tape:
        loss = mg.sum(mg.reshape([v, 3.0 * v], (2, 1)))
    assert tape.gradient(loss, v).item() == 4


def test_a_list_with_a_symbolic_tensor_joins_its_graph() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", ())
    made = mg.reshape([x, 2.0], (2, 1))
    joined = mg.concat([[1.0], [x]])
    assert run(graph, [made, joined], {x: 5})[0].tolist() == [[5], [2]]


def test_joining_promotes() -> None:
    assert mg.concat([np.ones(2, np.int32), np.ones(1, np.float32)]).dtype == mg.float32
    assert mg.stack([1, 2.5]).dtype == mg.float32
    assert mg.stack([np.float64(1), 2]).dtype == mg.float64


def test_split_undoes_concat_and_unstack_undoes_stack() -> None:
    a, b = X[:, :1], X[:, 1:]
    parts = mg.split(mg.concat([a, b], axis=1), [1, 2], axis=1)
    for part, whole in zip(parts, (a, b), strict=True):
        assert_array_equal(np.asarray(part), whole)
    for part, whole in zip(
        mg.unstack(mg.stack([a, a + 1], axis=2), axis=2), (a, a + 1), strict=True
    ):
        assert_array_equal(np.asarray(part), whole)


def test_unstack_needs_a_known_length() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (None, 2))
        with pytest.raises(ShapeError, match="pass num="):
            mg.unstack(x)
        parts = mg.unstack(x, num=3)
    assert run(graph, parts[2], {x: np.arange(6).reshape(3, 2)}).tolist() == [4, 5]
    with pytest.raises(ShapeError, match="expected 3 parts"):
        run(graph, parts, {x: np.zeros((2, 2))})


def test_meshgrid_agrees_with_numpy() -> None:
    vectors = [np.arange(2), np.arange(3.0), np.arange(4)]
    for indexing in ("xy", "ij"):
        for count in (1, 2, 3):
            ours = mg.meshgrid(*vectors[:count], indexing=indexing)
            for a, b in zip(ours, np.meshgrid(*vectors[:count], indexing=indexing), strict=True):
                assert a.dtype == b.dtype
                assert_array_equal(np.asarray(a), b)


# -- padding ---------------------------------------------------------------------------------------


@given(st.data())
def test_padding_agrees_with_numpy_and_its_gradient_counts_the_copies(data: Any) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    width = st.integers(0, 6)
    widths = [(data.draw(width), data.draw(width)) for _ in shape]
    mode = data.draw(st.sampled_from(["constant", "reflect", "symmetric", "edge", "wrap"]))
    x = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    expected = np.pad(x, widths, mode)
    upstream = np.random.default_rng(0).normal(size=expected.shape)
    result, pull = mg.vjp(lambda t: mg.pad(t, widths, mode=mode), x)
    assert_array_equal(np.asarray(result), expected)
    # Each element's number, plus one, ends up where it was copied to.
    total = np.bincount(expected.astype(int).ravel(), upstream.ravel(), x.size + 1)[1:]
    assert_allclose(np.asarray(pull(upstream)[0]), total.reshape(shape), rtol=1e-12, atol=1e-12)


def test_a_roll_by_a_number_that_the_run_decides() -> None:
    with mg.Graph().as_default():
        x, n = mg.placeholder("float64"), mg.placeholder("uint8", ())
        y = mg.roll(x, n, axis=-1)
        slope = mg.gradients(y, x, grad_ys=x)[0]
        with mg.Session() as session:
            got, back = session.run([y, slope], {x: [[1.0, 2.0, 3.0]], n: 1})
    assert (got.tolist(), back.tolist()) == ([[3.0, 1.0, 2.0]], [[2.0, 3.0, 1.0]])


def test_the_padded_constant_has_a_gradient_and_the_widths_their_short_forms() -> None:
    value = mg.Variable(2.0)
    with mg.GradientTape() as tape:
        made = mg.pad([[1.0]], 1, constant_values=value)
    assert made.tolist() == [[2, 2, 2], [2, 1, 2], [2, 2, 2]]
    assert tape.gradient(made, value).item() == 8
    assert mg.pad([[1]], (1, 0)).tolist() == [[0, 0], [0, 1]]
    assert mg.pad([[1]], [(1, 0), (0, 2)]).tolist() == [[0, 0, 0], [1, 0, 0]]
    assert unpad(made, 1).tolist() == [[1]]
    assert mg.zeros(np.array(2)).tolist() == mg.zeros(mg.asarray(2)).tolist() == [0, 0]
    assert mg.pad([True], (0, 1)).dtype is mg.bool


@pytest.mark.parametrize("dtype", ["float16", "float32", "int64"])
def test_adjoints_keep_the_dtype(dtype: str) -> None:
    ones = np.ones(6, dtype)
    assert tile_sum(ones, np.zeros(2), 3).dtype == dtype
    assert repeat_sum(ones, np.zeros(2), [4, 2], axis=0).dtype == dtype
    assert unpad(ones, 1, mode="edge").dtype == dtype


def test_half_precision_sums_accumulate_in_single() -> None:
    ones = np.ones(6000, np.float16)
    # 2048 + 1 is 2048 in float16.
    assert tile_sum(ones, np.zeros(2, np.float16), 3000).tolist() == [3000, 3000]
    assert repeat_sum(ones, np.zeros(2, np.float16), [3000, 3000], axis=0).tolist() == [3000, 3000]


# -- diagonals -------------------------------------------------------------------------------------


def test_diag_is_undone_by_diagonal() -> None:
    for offset in (-2, -1, 0, 1, 2):
        v = np.array([1.0, 2.0])
        assert_array_equal(np.asarray(mg.diag(v, offset=offset)), np.diag(v, offset))
        assert mg.diagonal(mg.diag(v, offset=offset), offset=offset).tolist() == [1, 2]
    assert mg.diag(np.ones((3, 2))).shape == (3, 2, 2)


# -- creation --------------------------------------------------------------------------------------


def test_dtypes_by_default_and_on_request() -> None:
    assert mg.zeros(2).dtype == mg.ones(2).dtype == mg.eye(2).dtype == mg.float32
    assert mg.linspace(0, 1, 3).dtype == mg.float32
    assert mg.full(2, 1).dtype == mg.int32
    assert mg.full(2, 1.0).dtype == mg.float32
    assert mg.full(2, np.float64(1)).dtype == mg.float64
    assert mg.arange(3).dtype == mg.int32
    assert mg.arange(2**40, 2**40 + 2).tolist() == [2**40, 2**40 + 1]
    assert mg.arange(3.0).dtype == mg.float32
    assert mg.arange(np.int64(3)).dtype == mg.int64
    assert mg.arange(0, 1, np.float64(0.5)).dtype == mg.float64
    assert mg.arange(3, dtype="float16").dtype == mg.float16
    assert mg.ones(2, dtype=bool).tolist() == [True, True]
    assert mg.full_like(np.zeros(2, np.int8), 3).dtype == mg.int8
    assert mg.empty_like(np.zeros(2, np.int8)).dtype == mg.int8
    assert mg.eye(2, 3, k=1, dtype=int).tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "bounds", [(5,), (2, 9), (2, 9, 3), (9, 2, -2), (3, 3), (0.0, 1.0, 0.1), (1.5, -1.0, -0.25)]
)
def test_arange_agrees_with_numpy(bounds: Any) -> None:
    expected = np.arange(*bounds)
    assert_array_equal(np.asarray(mg.arange(*bounds, dtype=expected.dtype)), expected)
    as_tensors = [mg.asarray(b, dtype=expected.dtype) for b in bounds]
    assert_array_equal(np.asarray(mg.arange(*as_tensors)), expected)
    with mg.Graph().as_default():
        assert mg.arange(*bounds).shape == expected.shape


def test_linspace_agrees_with_numpy_and_ends_where_it_should() -> None:
    for num in (0, 1, 2, 7):
        for endpoint in (True, False):
            ours = mg.linspace(-1.5, 0.3, num, dtype="float64", endpoint=endpoint)
            assert_allclose(np.asarray(ours), np.linspace(-1.5, 0.3, num, endpoint), rtol=1e-15)
    assert mg.linspace(0.1, 0.7, 5)[-1].item() == np.float32(0.7)


def test_from_dlpack_copies_unless_told_not_to() -> None:
    array = np.array([1.0, 2.0])
    copied, shared = mg.from_dlpack(array), mg.from_dlpack(array, copy=False)
    array[0] = 9
    assert copied.tolist() == [1, 2]
    assert shared.tolist() == [9, 2]


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: mg.reshape(x, (5, -1)), ShapeError, r"\(2, 3, 4\) with 24 elements"),
        (lambda x: mg.reshape(x, (2.5,)), ArgumentTypeError, "shape must consist of integers"),
        (lambda x: mg.reshape(x, mg.ones((2,))), DTypeError, "shape must be an integer tensor"),
        (lambda x: mg.permute_dims(x, (0, 1)), ShapeError, r"2 axes, \(0, 1\), do not permute"),
        (lambda x: mg.concat([x, X[0]]), ShapeError, r"one rank .* \(2, 3, 4\) and \(3, 4\)"),
        (lambda x: mg.concat([x, X[:, :1]]), ShapeError, r"\(2, 3, 4\) and \(2, 1, 4\)"),
        (lambda x: mg.concat([]), ArgumentError, "at least one tensor"),
        (
            lambda x: mg.concat(3),  # type: ignore[arg-type]
            ArgumentTypeError,
            "sequence of tensors",
        ),
        (lambda x: mg.split(x, 5, axis=1), ShapeError, "length 3 does not split into 5"),
        (lambda x: mg.squeeze(x, axis=0), ShapeError, "axis 0 of .* has length 2"),
        (lambda x: mg.broadcast_to(x, (3, 4)), ShapeError, "does not broadcast"),
        (lambda x: mg.tile(x, -1), ShapeError, "repetitions cannot be negative"),
        (lambda x: mg.repeat(x, [1, 2], axis=1), ShapeError, "2 counts do not fit"),
        (lambda x: mg.pad(x, [(1, 1)] * 2), ShapeError, "2 pairs of widths"),
        (
            lambda x: mg.pad(x, 1, mode="mirror"),  # type: ignore[arg-type]
            ArgumentError,
            "mode must be one of",
        ),
        (lambda x: mg.roll(x, (1, 2), axis=0), ShapeError, "one axis each"),
        (lambda x: mg.zeros((2, -1)), ShapeError, "cannot be negative"),
        (lambda x: mg.zeros(2, device="gpu"), ArgumentError, "only device"),
        (lambda x: mg.arange(0, 1, 0), ArgumentError, "step must not be 0"),
        (lambda x: mg.linspace(0, 1, 3, dtype=int), DTypeError, "floating"),
    ],
)
def test_a_wrong_call_is_explained_eagerly_and_when_the_graph_is_built(
    call: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        call(mg.asarray(X))
    with mg.Graph().as_default():
        with pytest.raises(error, match=message):
            call(mg.placeholder("float64", X.shape))
