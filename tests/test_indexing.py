"""Indexing, gathering and scattering, against NumPy and by their stated rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
)
from minigrad.ops.indexing import scatter_like
from minigrad.ops.updates import last_writer


def value(x: Any) -> Any:
    return np.asarray(x)


# -- random keys, compared with NumPy ------------------------------------------------------------

INDEX_SHAPES: list[tuple[int, ...]] = [(), (2,), (1,), (3, 1), (1, 2), (3, 2)]


@st.composite
def indexings(draw: st.DrawFn) -> tuple[tuple[int, ...], Any]:
    """A shape, and a key that is valid for it."""
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=4)))
    parts: list[Any] = []
    axis = 0
    while axis < len(shape) and draw(st.integers(0, 5)):
        length = shape[axis]
        kind = draw(st.sampled_from(["int", "slice", "slice", "array", "array", "mask", "flat"]))
        span = 1
        if kind == "int":
            parts.append(draw(st.integers(-length, length - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-length - 2, length + 2)
            step = st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3])
            parts.append(slice(draw(bound), draw(bound), draw(step)))
        elif kind == "array":
            size = draw(st.sampled_from(INDEX_SHAPES))
            count = int(np.prod(size))
            items = draw(st.lists(st.integers(-length, length - 1), min_size=count, max_size=count))
            parts.append(np.array(items, np.int64).reshape(size))
        elif kind == "flat":
            parts.append([draw(st.integers(-length, length - 1)) for _ in range(2)])
        else:
            span = draw(st.integers(1, min(2, len(shape) - axis)))
            covered = shape[axis : axis + span]
            # Two true elements broadcast with the other arrays.
            mask = np.zeros(covered, bool)
            count = 2 if mask.size >= 2 else 1
            where = st.lists(
                st.integers(0, mask.size - 1), min_size=count, max_size=count, unique=True
            )
            mask.flat[draw(where)] = True
            parts.append(mask)
        axis += span
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):
        # Axes that no part names are passed over by the ellipsis; put it last, or where it must be.
        parts.append(Ellipsis)
    return shape, parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


def numpy_result(x: Any, key: Any) -> Any:
    """What NumPy selects, or None where it refuses (arrays that do not broadcast)."""
    try:
        return x[key]
    except IndexError:
        return None


@given(indexings(), st.randoms(use_true_random=False))
@settings(max_examples=300)
def test_any_key_gives_what_numpy_gives_and_the_adjoint_as_gradient(case: Any, random: Any) -> None:
    shape, key = case
    x = np.random.default_rng(random.randrange(2**32)).normal(size=shape)
    expected = numpy_result(x, key)
    if expected is None:
        with pytest.raises((IndexError, ShapeError)):
            mg.asarray(x)[key]
        return
    weights = np.arange(1.0, expected.size + 1).reshape(expected.shape)
    result, pull = mg.vjp(lambda t: t[key], x)
    np.testing.assert_array_equal(value(result), expected)
    gradient = np.zeros(shape)
    np.add.at(gradient, key, weights)
    np.testing.assert_allclose(value(pull(weights)[0]), gradient, rtol=1e-14)


@given(indexings(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_in_a_graph_keys_may_be_fed_and_static_shapes_never_lie(case: Any, random: Any) -> None:
    shape, key = case
    x = np.random.default_rng(random.randrange(2**32)).normal(size=shape)
    expected = numpy_result(x, key)
    if expected is None:
        return
    feeds: dict[Any, Any] = {}

    def fed(part: Any, dtype: str) -> Any:
        if random.random() < 0.5:
            return part
        known = [None if random.random() < 0.3 else d for d in np.shape(part)]
        made = mg.placeholder(dtype, known)
        feeds[made] = part
        return made

    def symbolic(part: Any) -> Any:
        if isinstance(part, bool) or part is None or part is Ellipsis:
            return part
        if isinstance(part, slice):
            bounds = (part.start, part.stop, part.step)
            return slice(*[None if b is None else fed(b, "int32") for b in bounds])
        array = np.asarray(part)
        return fed(part, "bool" if array.dtype == bool else "int64")

    with mg.Graph().as_default() as graph:
        static = (
            None if random.random() < 0.2 else [d if random.random() < 0.6 else None for d in shape]
        )
        source = mg.placeholder("float64", static if random.random() < 0.8 else None)
        parts = tuple(map(symbolic, key)) if isinstance(key, tuple) else symbolic(key)
        y = source[parts]
        weights = np.arange(1.0, expected.size + 1).reshape(expected.shape)
        (gradient,) = mg.gradients(y, source, grad_ys=[weights])
    if y.shape is not None:
        assert len(y.shape) == expected.ndim
        assert all(a in (None, b) for a, b in zip(y.shape, expected.shape, strict=True))
    result, slope = mg.Session(graph=graph).run([y, gradient], {source: x, **feeds})
    np.testing.assert_array_equal(result, expected)
    wanted = np.zeros(shape)
    np.add.at(wanted, key, weights)
    np.testing.assert_allclose(slope, wanted, rtol=1e-14)


def flat_places(shape: tuple[int, ...], key: Any) -> Any:
    """The number, in row-major order, of each element that a key selects."""
    return np.arange(int(np.prod(shape))).reshape(shape)[key]


@given(indexings(), st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_index_add_and_index_set_take_any_key(case: Any, random: Any) -> None:
    shape, key = case
    rng = np.random.default_rng(random.randrange(2**32))
    x = rng.normal(size=shape)
    selected = numpy_result(x, key)
    if selected is None:
        return
    places = flat_places(shape, key)
    # Values may broadcast: drop leading axes, and shorten others to 1.
    small = selected.shape[random.randint(0, selected.ndim) :]
    values = rng.normal(size=[1 if random.random() < 0.3 else d for d in small])
    spread = np.broadcast_to(values, selected.shape)

    added = x.copy()
    # A copy: NumPy's add.at reads broadcast values wrongly under some keys.
    np.add.at(added, key, spread.copy())
    result = mg.index_add(x, key, values)
    np.testing.assert_allclose(value(result), added, rtol=1e-12)

    written = x.copy().reshape(-1)
    writer: dict[int, int] = {}
    for order, (place, new) in enumerate(zip(places.reshape(-1), spread.reshape(-1), strict=True)):
        written[place] = new
        writer[int(place)] = order
    result, pull = mg.vjp(lambda a, b: mg.index_set(a, key, b), x, values)
    np.testing.assert_array_equal(value(result), written.reshape(shape))

    upstream = rng.normal(size=shape)
    dx, dvalues = pull(upstream)
    kept = upstream.copy().reshape(-1)
    kept[list(writer)] = 0
    np.testing.assert_array_equal(value(dx), kept.reshape(shape))
    each = np.zeros(selected.size)
    for place, order in writer.items():
        each[order] = upstream.reshape(-1)[place]
    lead = tuple(range(selected.ndim - values.ndim))
    total = each.reshape(selected.shape).sum(axis=lead)
    stretched = tuple(i for i, d in enumerate(values.shape) if d == 1)
    total = total.sum(axis=stretched, keepdims=True).reshape(values.shape)
    np.testing.assert_allclose(value(dvalues), total, rtol=1e-12, atol=1e-12)


# -- getitem by example ----------------------------------------------------------------------------


def test_the_usual_ways_to_index_read_as_in_numpy() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    x = mg.asarray(array)
    for key in (
        0,
        -1,
        np.int8(1),
        True,
        None,
        ...,
        (),
        [],
        [1, 0],
        ((0, 1), 2),
        slice(None, None, -1),
        (0, ..., -1),
        (slice(None), [0, 2], slice(None), None),
        (slice(None), [[0], [2]], [1, 3]),
        (0, slice(None), [1, 2, 3]),
        array > 7,
        array[:, :, 0] > 4,
        (np.array([True, False]), 1),
        (slice(None), np.array(False)),
        np.array([1, 0], np.uint64),
        np.zeros((0, 2), np.int32),
    ):
        expected = array[key]
        assert x[key].shape == expected.shape, key
        np.testing.assert_array_equal(value(x[key]), expected)


def test_scalar_tensors_are_integers_and_bounds() -> None:
    x = mg.asarray(np.arange(10))
    two = mg.asarray(2)
    assert x[two].item() == 2
    assert x[two : mg.Variable(8) : two].tolist() == [2, 4, 6]
    assert x[mg.Variable(3, trainable=False)].item() == 3


def test_text_can_be_indexed() -> None:
    words = mg.constant(["a", "b", "c"])
    assert words[1].item() == "b"
    assert words[[2, 0]].tolist() == ["c", "a"]


def test_a_variable_is_indexed_by_its_value_and_gets_the_gradient() -> None:
    v = mg.Variable(np.array([1.0, 2.0, 3.0]))
    with mg.GradientTape() as tape:
        loss = v[0] * v[-1]
    assert tape.gradient(loss, v).tolist() == [3.0, 0.0, 1.0]
    assert [row.item() for row in v] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (3, IndexOutOfRangeError, "index 3 is out of range for axis 0 of size 3"),
        ((0, -5), IndexOutOfRangeError, "index -5 is out of range for axis 1 of size 4"),
        ((0, 0, 0), IndexOutOfRangeError, "too many indices: 3 axes"),
        (([0, 1], [0, 7]), IndexOutOfRangeError, "index 7 is out of range for axis 1 of size 4"),
        (
            np.full((20, 20), 9),
            IndexOutOfRangeError,
            "index 9 is out of range for axis 0 of size 3",
        ),
        ([True, False], ShapeError, r"mask of shape \(2,\) does not fit"),
        (([0, 1], [0, 1, 2]), ShapeError, "do not fit together"),
        (1.0, DTypeError, "integers or bools"),
        ([0.5], DTypeError, "integers or bools"),
        ("a", DTypeError, "integers or bools"),
        (slice(0.5), ArgumentTypeError, "bounds of a slice"),
        (slice(0, 3, 0), ArgumentError, "must not be 0"),
        ((..., ...), ArgumentError, "only one ellipsis"),
    ],
)
def test_a_wrong_key_is_explained_eagerly_and_when_the_graph_is_built(
    key: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        mg.zeros((3, 4))[key]
    with mg.Graph().as_default():
        with pytest.raises(error, match=message):
            mg.placeholder("float32", (3, 4))[key]


def test_a_fed_index_out_of_range_is_explained_in_the_run() -> None:
    with mg.Graph().as_default() as graph:
        i = mg.placeholder("int32", ())
        rows = mg.placeholder("int32", (None,))
        x = mg.constant(np.zeros((3, 2)))
        one, some = x[i], x[:, rows]
    session = mg.Session(graph=graph)
    with pytest.raises(IndexOutOfRangeError, match="index 5 is out of range for axis 0 of size 3"):
        session.run(one, {i: 5})
    with pytest.raises(IndexOutOfRangeError, match="index -3 is out of range for axis 1 of size 2"):
        session.run(some, {rows: [0, -3]})


def test_static_values_pass_through_indexing_and_stacking() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None, 6))
        y = mg.placeholder("float32", (4, None))
        rows = mg.shape(y)[0]
        assert mg.reshape(x, mg.stack([rows, -1])).shape == (4, None)
        assert mg.reshape(x, [-1, mg.shape(x)[1]]).shape == (None, 6)
        assert mg.zeros(mg.concat([mg.shape(x)[1:], [2]])).shape == (6, 2)
        assert mg.zeros(mg.shape(x)[::-1]).shape == (6, None)
        assert x[:, : mg.shape(y)[0]].shape == (None, 4)
        assert mg.constant([5, 6, 7])[1].spec.value == 6
        with pytest.raises(IndexOutOfRangeError, match="index 6"):
            x[0, mg.shape(x)[1]]


def test_a_mask_of_known_value_gives_a_known_shape() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None, 3))
        assert x[:, [True, False, True]].shape == (None, 2)
        assert x[x > 0].shape == (None,)
        assert mg.boolean_mask(x, mg.placeholder("bool", (3,)), axis=1).shape == (None, None)


# -- take, gather, scatter -------------------------------------------------------------------------


def test_take_agrees_with_numpy() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for axis in (0, 1, 2, -1, -3):
        np.testing.assert_array_equal(
            value(mg.take(x, [[1, 0], [-1, 1]], axis=axis)), np.take(x, [[1, 0], [-1, 1]], axis)
        )


def test_the_gradient_of_gather_is_made_of_the_rows_used() -> None:
    table = mg.Variable(np.arange(8.0).reshape(4, 2))
    with mg.GradientTape() as tape:
        loss = mg.sum(mg.gather(table, [[3, 1], [3, 3]]) * [[[1.0, 2.0]], [[10.0, 20.0]]])
    gradient = tape.gradient(loss, table)
    assert isinstance(gradient, mg.IndexedSlices)
    assert gradient.indices.tolist() == [3, 1, 3, 3]
    assert gradient.values.shape == (4, 2)
    assert gradient.dense().tolist() == [[0, 0], [1, 2], [0, 0], [21, 42]]


def test_the_gradient_of_gather_in_a_graph_with_unknown_sizes() -> None:
    with mg.Graph().as_default() as graph:
        table = mg.placeholder("float64", (None, None))
        rows = mg.placeholder("int32", (None,))
        (sparse,) = mg.gradients(mg.gather(table, rows), table)
        full = sparse.dense()
    session = mg.Session(graph=graph)
    feed = {table: np.ones((3, 2)), rows: [2, 2]}
    assert session.run(full, feed).tolist() == [[0, 0], [0, 0], [2, 2]]
    assert session.run(full, {**feed, rows: np.zeros(0, int)}).tolist() == [[0, 0]] * 3


def test_gather_refuses_negative_rows() -> None:
    with pytest.raises(IndexOutOfRangeError, match=r"index -1 .* must lie in \[0, 3\)"):
        mg.gather(np.ones((3, 2)), [0, -1])


def test_scatter_adds_up_and_gather_nd_reads_back() -> None:
    places = [[0, 1], [2, 0], [0, 1]]
    made = mg.scatter(places, np.array([1.0, 10.0, 100.0]), (3, 2))
    assert made.tolist() == [[0, 101], [0, 0], [10, 0]]
    assert mg.gather_nd(made, places).tolist() == [101, 10, 101]
    rows = mg.scatter([[2], [0]], [[1, 2], [3, 4]], mg.asarray([3, 2]))
    assert rows.tolist() == [[3, 4], [0, 0], [1, 2]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8"])
def test_scattering_keeps_the_dtype_and_repeated_rows_add(dtype: str) -> None:
    values = np.ones((50, 3), dtype)
    made = mg.slices_to_dense(values, np.arange(50) % 2, np.zeros((2, 3), dtype))
    assert made.dtype == dtype
    assert made.tolist() == [[25] * 3] * 2


def test_half_precision_rows_add_up_in_single() -> None:
    values = np.full((3000, 1), 1.0, np.float16)
    # 2048 + 1 is 2048 in float16.
    made = scatter_like(values, np.zeros((1, 1), np.float16), np.zeros(3000, int))
    assert made.tolist() == [[3000.0]]


def test_of_repeated_places_the_last_wins_whatever_the_memory_order() -> None:
    backwards = np.array([0, 0, 1, 1])[::-1]
    assert mg.index_set(np.zeros(2), backwards, [1.0, 2.0, 3.0, 4.0]).tolist() == [4, 2]
    columns = np.asfortranarray([[0, 0], [0, 0]])
    assert mg.index_set(np.zeros(1), columns, [[1.0, 2.0], [3.0, 4.0]]).tolist() == [4]
    assert last_writer(np.zeros(2), backwards).tolist() == [False, True, False, True]


def test_index_set_stops_an_infinite_gradient_where_it_was_overwritten() -> None:
    values = mg.Variable(np.array([0.0, 1.0]))
    with mg.GradientTape() as tape:
        loss = mg.sum(mg.log(mg.index_set(np.ones(1), [0, 0], values)))
    assert tape.gradient(loss, values).tolist() == [0, 1]


# -- one-hot ---------------------------------------------------------------------------------------


def test_one_hot_rows_of_the_identity() -> None:
    labels = np.array([2, 0, 1])
    np.testing.assert_array_equal(value(mg.one_hot(labels, 3)), np.eye(3, dtype=np.float32)[labels])
    assert mg.one_hot(labels, 3).dtype == mg.float32
    assert mg.one_hot(labels, 3, dtype="int64").dtype == mg.int64
    assert mg.one_hot(labels, 3, True, False).dtype == mg.bool
    np.testing.assert_array_equal(value(mg.one_hot(labels, 4, axis=0)), np.eye(4)[labels].T)
    assert mg.one_hot([[5, -1]], 2, 9, 7).tolist() == [[[7, 7], [7, 7]]]


def test_one_hot_depth_may_be_fed() -> None:
    with mg.Graph().as_default() as graph:
        depth = mg.placeholder("int32", ())
        labels = mg.placeholder("int32", (None,))
        made = mg.one_hot(labels, depth)
        assert made.shape == (None, None)
        assert mg.one_hot(labels, mg.shape(mg.zeros((2, 5)))[1]).shape == (None, 5)
    result = mg.Session(graph=graph).run(made, {depth: 3, labels: [1]})
    assert result.tolist() == [[0, 1, 0]]
