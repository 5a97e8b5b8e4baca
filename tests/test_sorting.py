"""Sorting, selecting, searching, distinct elements, and picking along an axis."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
from minigrad.errors import ArgumentError, IndexOutOfRangeError, ShapeError
from minigrad.ops.along_axis import add_along_axis

ROWS = st.lists(st.integers(-3, 3), min_size=1, max_size=40)


@given(ROWS, st.booleans())
def test_order_is_stable_both_ways(row: list[int], descending: bool) -> None:
    order = sorted(range(len(row)), key=row.__getitem__, reverse=descending)  # Stable both ways.
    assert mg.argsort(row, descending=descending).tolist() == order
    assert mg.sort(row, descending=descending).tolist() == [row[i] for i in order]


@given(ROWS, st.data(), st.booleans())
def test_top_k_takes_the_first_of_equal_elements(row: list[int], data: Any, largest: bool) -> None:
    k = data.draw(st.integers(0, len(row)))
    order = sorted(range(len(row)), key=row.__getitem__, reverse=largest)[:k]
    column = np.array([row, row], float).T
    values, indices = mg.top_k(column, k, axis=0, largest=largest)
    assert indices.numpy()[:, 1].tolist() == order
    assert values.numpy()[:, 0].tolist() == [row[i] for i in order]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "bool"])
def test_sorting_is_numpys(axis: int, dtype: str) -> None:
    x = np.random.default_rng(0).integers(-2, 3, size=(4, 5)).astype(dtype)
    assert_array_equal(mg.sort(x, axis=axis), np.sort(x, axis=axis))
    assert_array_equal(mg.argsort(x, axis=axis), np.argsort(x, axis=axis, stable=True))
    assert mg.sort(x, axis=axis).numpy().dtype == dtype
    assert mg.argsort(x, axis=axis).dtype is mg.int64


def test_nan_counts_as_the_largest() -> None:
    x = [1.0, math.nan, 2.0]
    assert mg.argsort(x).tolist() == [0, 2, 1]
    assert mg.argsort(x, descending=True).tolist() == [1, 2, 0]
    many = np.arange(40.0)
    many[[3, 7]] = math.nan
    assert mg.top_k(many, 3).indices.tolist() == [3, 7, 39]
    assert mg.top_k(many, 1).indices.tolist() == [3]
    assert mg.top_k(many, 3, largest=False).indices.tolist() == [0, 1, 2]


def test_gradients_go_back_to_where_elements_came_from() -> None:
    weights = np.array([1.0, 10.0, 100.0])
    for descending, want in [(False, [10, 1, 100]), (True, [10, 100, 1])]:

        def f(x: Any, descending: bool = descending) -> Any:
            return mg.sum(mg.sort(x, descending=descending) * weights)

        assert mg.grad(f)(np.array([5.0, 2.0, 8.0])).tolist() == want
    # Equal elements: in the order of argsort.
    ties = mg.grad(lambda x: mg.sum(mg.sort(x) * weights))(np.array([5.0, 5.0, 5.0]))
    assert ties.tolist() == [1, 10, 100]
    top = mg.grad(lambda x: mg.sum(mg.top_k(x, 2).values * np.array([1.0, 7.0])))
    assert top(np.array([5.0, 2.0, 8.0])).tolist() == [7, 0, 1]


def test_k_may_be_fed() -> None:
    with mg.Graph().as_default() as graph:
        x, k = mg.placeholder("float64", (None,)), mg.placeholder("int32", ())
        top = mg.top_k(x, k)
        gradient = mg.gradients(mg.sum(top.values), [x])[0]
        assert top.values.shape == (None,)
        assert mg.top_k(x, mg.constant(2)).indices.shape == (2,)
    row = np.array([3.0, 1.0, 2.0])
    with mg.Session(graph=graph) as session:
        values, ones = session.run([top.values, gradient], {x: row, k: 2})
        assert values.tolist() == [3, 2]
        assert ones.tolist() == [1, 0, 1]
        with pytest.raises(ShapeError, match="k=4 is more than the size 3"):
            session.run(top, {x: row, k: 4})
        with pytest.raises(ArgumentError, match="negative"):
            session.run(top, {x: row, k: -1})


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted_is_numpys(side: Any) -> None:
    rng = np.random.default_rng(0)
    x, v = rng.integers(0, 9, size=20), rng.integers(-1, 10, size=(3, 4))
    order = np.argsort(x)
    want = np.searchsorted(x, v, side=side, sorter=order)
    assert_array_equal(mg.searchsorted(x, v, side=side, sorter=order), want)
    assert_array_equal(mg.searchsorted(np.sort(x), v, side=side), want)
    with pytest.raises(ArgumentError, match="side"):
        mg.searchsorted(x, v, side="middle")


def test_distinct_elements() -> None:
    x = np.array([[3, 1, 3], [2, 1, 3]])
    found = mg.unique_all(x)
    assert found.values.tolist() == [1, 2, 3]
    assert found.indices.tolist() == [1, 3, 0]
    assert found.inverse_indices.tolist() == [[2, 0, 2], [1, 0, 2]]
    assert found.counts.tolist() == [2, 1, 3]
    assert mg.unique(x).tolist() == mg.unique_values(x).tolist() == [1, 2, 3]
    assert mg.unique_counts(x).counts.tolist() == [2, 1, 3]
    assert_array_equal(mg.unique_inverse(x).inverse_indices, found.inverse_indices)
    values, index, counts = mg.unique(x, return_index=True, return_counts=True)
    assert (values.tolist(), index.tolist(), counts.tolist()) == ([1, 2, 3], [1, 3, 0], [2, 1, 3])
    assert len(mg.unique_values([math.nan, math.nan, 1.0]).tolist()) == 3


def test_sizes_that_depend_on_values_are_unknown_until_a_run() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("int32", (None,))
        distinct, places = mg.unique_all(x), mg.nonzero(x)
        assert distinct.values.shape == places[0].shape == (None,)
        with pytest.raises(ShapeError, match="rank must be known"):
            mg.nonzero(mg.placeholder("float32"))
    with mg.Session(graph=graph) as session:
        got, where = session.run([distinct, places], {x: [5, 0, 5]})
        assert got.values.tolist() == [0, 5]
        assert got.counts.tolist() == [1, 2]
        assert where[0].tolist() == [0, 2]


def test_nonzero_is_numpys() -> None:
    x = np.random.default_rng(0).integers(0, 2, size=(3, 4))
    for got, want in zip(mg.nonzero(x), np.nonzero(x), strict=True):
        assert_array_equal(got, want)
    with pytest.raises(ShapeError, match="at least one axis"):
        mg.nonzero(3.0)


@pytest.mark.parametrize(
    ("shape", "picked", "axis"),
    [((2, 3), (2, 5), -1), ((2, 3), (4, 3), 0), ((2, 3), (1, 2), 1), ((1, 3), (4, 2), 1)],
)
def test_taking_along_an_axis_and_adding_back(
    shape: tuple[int, ...], picked: tuple[int, ...], axis: int
) -> None:
    rng = np.random.default_rng(0)
    x, n = rng.normal(size=shape), shape[axis]
    indices = rng.integers(-n, n, size=picked)
    want = np.take_along_axis(x, indices, axis)
    taken = mg.take_along_axis(x, indices, axis=axis)
    assert_array_equal(taken, want)
    # <take(x), v> = <x, add(v)>: each is the other's adjoint.
    v = rng.normal(size=want.shape)
    added = add_along_axis(v, indices, x, axis=axis).numpy()
    assert_allclose(np.sum(want * v), np.sum(x * added), rtol=1e-13)
    for dtype in ("float32", "int64", "complex128"):
        exact = add_along_axis(np.ones(want.shape, dtype), indices, x, axis=axis)
        assert exact.numpy().dtype == dtype
        assert exact.numpy().sum() == want.size


def test_an_index_outside_the_axis_is_refused() -> None:
    with pytest.raises(IndexOutOfRangeError, match="index -4 is out of range for axis 0 of size 3"):
        mg.take_along_axis([1.0, 2.0, 3.0], [-4])
    with mg.Graph().as_default() as graph:
        i = mg.placeholder("int64", (None,))
        y = mg.take_along_axis([1.0, 2.0, 3.0], i)
    with mg.Session(graph=graph) as session:
        assert session.run(y, {i: [2, -3]}).tolist() == [3, 1]
        with pytest.raises(IndexOutOfRangeError, match="index 3 is out of range"):
            session.run(y, {i: [3]})


def test_gradients_of_unknown_shapes() -> None:
    value = np.random.default_rng(0).normal(size=(2, 5))

    def f(x: Any) -> Any:
        return (
            mg.sum(mg.square(mg.sort(x, axis=0)) * mg.cumulative_sum(x, axis=-1))
            + mg.sum(mg.square(mg.top_k(x, 2).values))
            + mg.sum(mg.square(mg.diff(x, n=2)))
        )

    want = mg.grad(f)(value)
    for shape in (None, (None, None), (2, None)):
        with mg.Graph().as_default() as graph:
            x = mg.placeholder("float64", shape)
            gradient = mg.gradients(f(x), [x])[0]
        with mg.Session(graph=graph) as session:
            assert_allclose(session.run(gradient, {x: value}), want, rtol=1e-13)


@pytest.mark.parametrize("n", [0, 1, 2, 4])
@pytest.mark.parametrize("axis", [0, -1])
def test_differences_are_numpys(n: int, axis: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 3))
    assert_array_equal(mg.diff(x, n=n, axis=axis), np.diff(x, n=n, axis=axis))
    ends = np.ones((3, 3))
    want = np.diff(x, n=n, axis=axis, prepend=ends, append=ends)
    assert_array_equal(mg.diff(x, n=n, axis=axis, prepend=ends, append=ends), want)


def test_differences_of_nothing_have_a_gradient() -> None:
    assert mg.diff(np.zeros(0)).shape == (0,)
    assert mg.grad(lambda x: mg.sum(mg.diff(x)))(np.zeros(0)).shape == (0,)
    assert mg.grad(lambda x: mg.sum(mg.diff(x, n=3)))(np.ones(2)).tolist() == [0, 0]
