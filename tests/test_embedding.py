"""Embeddings: values, sparse gradients, padding, bags."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError

TABLE = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_rows_are_looked_up() -> None:
    ids = np.array([[2, 0], [0, 1]])
    assert nn.embedding(ids, TABLE).numpy().tolist() == TABLE[ids].tolist()
    assert nn.embedding(1, TABLE).tolist() == [3.0, 4.0]
    assert nn.embedding(ids, TABLE.astype("float16")).dtype is mg.float16


@pytest.mark.parametrize("padding", [None, 0])
def test_the_gradient_has_only_the_rows_that_were_used(padding) -> None:
    big = mg.Variable(np.zeros((1000, 2)))
    with mg.GradientTape() as tape:
        y = nn.embedding([7, 0, 7], big, padding_index=padding)
        loss = mg.sum(y * np.array([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]]))
    slope = tape.gradient(loss, big)
    assert isinstance(slope, mg.IndexedSlices)
    assert slope.values.shape == (3, 2)
    dense = slope.dense().numpy()
    assert dense[7].tolist() == [11.0, 22.0]
    assert dense[0].tolist() == ([3.0, 4.0] if padding is None else [0.0, 0.0])
    assert not dense[1:7].any()


def test_both_modes_agree_and_ids_are_checked_in_the_run() -> None:
    with mg.Graph().as_default():
        ids, table = mg.placeholder("int64"), mg.placeholder("float64", (None, None))
        y = nn.embedding(ids, table, padding_index=1)
        bag = nn.embedding_bag(ids, table, padding_index=1)
        slopes = [mg.convert_to_tensor(mg.gradients(mg.sum(v * v), table)[0]) for v in (y, bag)]
        with mg.Session() as session:
            feed = {ids: np.array([[0, 1], [2, 2]]), table: TABLE}
            got, got_bag, slope, slope_bag = session.run([y, bag, *slopes], feed)
            with pytest.raises(IndexOutOfRangeError, match=r"index 3 .* of size 3"):
                session.run(y, feed | {ids: np.array([3])})
    assert got.tolist() == TABLE[[[0, 1], [2, 2]]].tolist()
    assert slope.tolist() == [[2.0, 4.0], [0.0, 0.0], [20.0, 24.0]]  # Row 2 twice, row 1 never.
    assert got_bag.tolist() == [[1.0, 2.0], [5.0, 6.0]]
    assert slope_bag.tolist() == [[2.0, 4.0], [0.0, 0.0], [10.0, 12.0]]


def test_bags_by_hand() -> None:
    ids = np.array([[0, 1, 1], [2, 2, 0]])
    assert nn.embedding_bag(ids, TABLE, mode="sum").tolist() == [[7.0, 10.0], [11.0, 14.0]]
    assert_allclose(nn.embedding_bag(ids, TABLE).numpy(), TABLE[ids].mean(axis=1), rtol=1e-15)
    weights = np.array([[1.0, 2.0, 1.0], [0.0, 0.5, 1.5]])
    summed = np.einsum("bn,bnd->bd", weights, TABLE[ids])
    got = nn.embedding_bag(ids, TABLE, weights, mode="sum").numpy()
    assert_allclose(got, summed, rtol=1e-15)
    mean = nn.embedding_bag(ids, TABLE, weights).numpy()
    assert_allclose(mean, summed / [[4.0], [2.0]], rtol=1e-15)
    padded = nn.embedding_bag(ids, TABLE, padding_index=0)
    assert padded.tolist() == [[3.0, 4.0], [5.0, 6.0]]
    assert nn.embedding_bag(np.array([[0, 0]]), TABLE, padding_index=0).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.embedding([0, 3], TABLE), IndexOutOfRangeError, "index 3 .* size 3"),
        (lambda: nn.embedding([-1], TABLE), IndexOutOfRangeError, "index -1 .* size 3"),
        (lambda: nn.embedding([0.0], TABLE), DTypeError, "integers, got float32"),
        (lambda: nn.embedding([0], TABLE, padding_index=-1), IndexOutOfRangeError, "padding_index"),
        (lambda: nn.embedding_bag([0], TABLE, mode="max"), ArgumentError, "'mean' or 'sum'"),
        (lambda: nn.embedding_bag(0, TABLE), ShapeError, "no bag"),
    ],
)
def test_bad_arguments_are_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_padding_row_of_a_module_starts_and_stays_at_zero() -> None:
    mg.random.seed(0)
    table = nn.Embedding(4, 2, padding_index=2)
    before = table.weight.numpy()
    assert not before[2].any() and before[[0, 1, 3]].all()
    with mg.GradientTape() as tape:
        loss = mg.sum(mg.square(table(np.array([2, 1, 2])) - 1))
    (gradient,) = tape.gradient(loss, [table.weight])
    assert isinstance(gradient, mg.IndexedSlices)
    np.testing.assert_allclose(np.asarray(gradient), 2 * (before - 1) * [[0], [1], [0], [0]])
    assert repr(table) == "Embedding(4, 2, padding_index=2)"
    with pytest.raises(mg.errors.IndexOutOfRangeError, match="rows 0 to 3, got 4"):
        nn.Embedding(4, 2, padding_index=4)
