"""Matrix products, einsum and the products along chosen axes."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import errors

RNG = np.random.default_rng(0)
#: How far results may be from NumPy's, by dtype.
CLOSE = {"float32": 1e-5, "float64": 1e-12, "int64": 0.0}


def numbers(*shape: int, dtype: str = "float64") -> Any:
    return (RNG.normal(size=shape) * 3).astype(dtype)


def static(known: str, shape: tuple[int, ...]) -> Any:
    """A placeholder's shape of which this much is known."""
    return {"shape": shape, "rank": [None] * len(shape), "nothing": None}[known]


SHAPES = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((2,), (2, 3)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((2, 1, 2, 3), (4, 3, 2)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((2, 0), (0, 3)),
    ((0, 3), (3, 2)),
    ((0, 2, 3), (3, 2)),
    ((1, 0), (1, 0, 2)),
    ((0, 3), (2, 3, 2)),
    ((4, 2, 0), (0, 3)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("dtype", CLOSE)
def test_matmul_gives_numpys_values(a: Any, b: Any, dtype: str) -> None:
    x, y = numbers(*a, dtype=dtype), numbers(*b, dtype=dtype)
    made = mg.matmul(x, y)
    np.testing.assert_allclose(made, x @ y, rtol=CLOSE[dtype], atol=10 * CLOSE[dtype])
    assert made.dtype == dtype
    np.testing.assert_array_equal(mg.asarray(x) @ y, made)


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("known", ["shape", "rank", "nothing"])
def test_matmul_in_a_graph_with_unknown_dimensions(a: Any, b: Any, known: str) -> None:
    x, y = numbers(*a), numbers(*b)
    with mg.Graph().as_default() as graph:
        p = mg.placeholder("float64", static(known, a))
        q = mg.placeholder("float64", static(known, b))
        product = p @ q
        gradients = mg.gradients(mg.sum(product * product), [p, q])
    with mg.Session(graph=graph) as session:
        found = session.run([product, *gradients], {p: x, q: y})

    def loss(u: Any, v: Any) -> Any:
        return mg.sum((u @ v) ** 2)

    eager = mg.grad(loss, argnums=(0, 1))(x, y)
    np.testing.assert_allclose(found[0], x @ y, rtol=1e-12)
    np.testing.assert_allclose(found[1], eager[0], rtol=1e-12)
    np.testing.assert_allclose(found[2], eager[1], rtol=1e-12)
    assert found[1].shape == a
    assert found[2].shape == b


def test_the_gradient_of_a_shared_weight_is_the_sum_over_the_batch() -> None:
    x, w = numbers(7, 5, 3), numbers(3, 4)
    g = numbers(7, 5, 4)
    found = mg.grad(lambda w: mg.sum(mg.matmul(x, w) * g))(w)
    np.testing.assert_allclose(found, np.einsum("bij,bik->jk", x, g), rtol=1e-12)


def test_the_gradient_of_a_matrix_product_is_made_of_matrix_products() -> None:
    with mg.Graph().as_default():
        x, w = mg.placeholder("float32", (None, 3)), mg.placeholder("float32", (3, 2))
        gradient = mg.gradients(mg.sum(x @ w), w)[0]
    assert gradient.op.type == "MatMul"


def test_half_precision_products_accumulate_in_single() -> None:
    ones = np.ones((1, 4096), np.float16)
    assert mg.matmul(ones, ones.T).item() == 4096.0
    assert mg.einsum("ij,kj->ik", ones, ones).item() == 4096.0
    assert mg.einsum("ij,kj->ik", ones, ones).dtype == "float16"


def test_matmul_names_what_does_not_fit() -> None:
    with pytest.raises(errors.ShapeError, match=r"\(2, 3\) and \(4, 5\) do not multiply.*3.*4"):
        mg.matmul(np.ones((2, 3)), np.ones((4, 5)))
    with mg.Graph().as_default() as graph:
        x, y = mg.placeholder("float64"), mg.placeholder("float64")
        z = mg.matmul(x, y)
    with mg.Session(graph=graph) as session, pytest.raises(ValueError, match="do not multiply"):
        session.run(z, {x: np.ones((2, 3)), y: np.ones((4, 5))})


# -- einsum ------------------------------------------------------------------------------------

EQUATIONS = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ba,cb", [(2, 3), (4, 2)]),
    ("i,i", [(3,), (3,)]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
    ("...ij,...jk->...ik", [(5, 1, 2, 3), (4, 3, 2)]),
    ("...ij,...jk", [(2, 3), (4, 3, 2)]),
    ("i...j,j...->...i", [(2, 4, 3), (3, 1)]),
    ("ii->i", [(3, 3)]),
    ("iii->i", [(2, 2, 2)]),
    ("ii", [(3, 3)]),
    ("iijj->ij", [(2, 2, 3, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("ijk->kij", [(2, 3, 4)]),
    ("ij,kl->il", [(2, 3), (4, 5)]),
    ("ij,jk,kl,lm->im", [(2, 30), (30, 20), (20, 40), (40, 3)]),
    ("i,ij,j->", [(2,), (2, 3), (3,)]),
    (",ij->ij", [(), (2, 3)]),
    (" i j , j -> i ", [(2, 3), (3,)]),
    ("aB,Bc->ac", [(2, 3), (3, 2)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
    ("ij,jk->ik", [(2, 0), (0, 3)]),
    ("...ii->...i", [(2, 3, 3)]),
    ("...,...->...", [(2, 1), (3,)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
@pytest.mark.parametrize("dtype", CLOSE)
def test_einsum_gives_numpys_values(equation: str, shapes: Any, dtype: str) -> None:
    operands = [numbers(*s, dtype=dtype) for s in shapes]
    expected = np.einsum(equation, *operands)
    made = mg.einsum(equation, *operands)
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(made, expected, rtol=CLOSE[dtype], atol=CLOSE[dtype] * scale)
    assert made.dtype == dtype


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
@pytest.mark.parametrize("known", ["rank", "nothing"])
def test_einsum_in_a_graph_with_unknown_dimensions(equation: str, shapes: Any, known: str) -> None:
    values = [numbers(*s) for s in shapes]
    with mg.Graph().as_default() as graph:
        places = [mg.placeholder("float64", static(known, s)) for s in shapes]
        y = mg.einsum(equation, *places)
        gradients = mg.gradients(mg.sum(y * y), places)
    with mg.Session(graph=graph) as session:
        found = session.run(gradients, dict(zip(places, values, strict=True)))
    eager = mg.grad(
        lambda *xs: mg.sum(mg.einsum(equation, *xs) ** 2), argnums=tuple(range(len(values)))
    )(*values)
    for f, e, v in zip(found, eager, values, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-10)
        assert f.shape == v.shape


@given(st.data())
def test_einsum_of_random_equations(data: st.DataObject) -> None:
    """Values are NumPy's; gradients are checked along a random direction, as einsum is linear."""
    sizes = {c: data.draw(st.integers(0 if c == "a" else 1, 3)) for c in "abcd"}
    labels = st.lists(st.sampled_from("abcd"), max_size=3).map("".join)
    terms = data.draw(st.lists(labels, min_size=1, max_size=3))
    present = sorted(set("".join(terms)))
    output = "".join(data.draw(st.permutations(present)))[: data.draw(st.integers(0, 4))]
    equation = f"{','.join(terms)}->{output}"
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    operands = [rng.normal(size=[sizes[c] for c in t]) for t in terms]
    expected = np.einsum(equation, *operands)
    np.testing.assert_allclose(mg.einsum(equation, *operands), expected, rtol=1e-9, atol=1e-12)
    weights = rng.normal(size=expected.shape)
    for i, x in enumerate(operands):
        direction = rng.normal(size=x.shape)

        def loss(v: Any, i: int = i) -> Any:
            return mg.sum(mg.einsum(equation, *operands[:i], v, *operands[i + 1 :]) * weights)

        slope = np.sum(np.asarray(mg.grad(loss)(x)) * direction)
        moved = np.einsum(equation, *operands[:i], direction, *operands[i + 1 :])
        np.testing.assert_allclose(slope, np.sum(moved * weights), rtol=1e-9, atol=1e-9)


def test_the_gradient_of_einsum_is_einsum_where_it_can_be() -> None:
    with mg.Graph().as_default():
        x, y = mg.placeholder("float32", (None, 3)), mg.placeholder("float32", (3, None))
        made = mg.einsum("ij,jk->ik", x, y)
        gradient = mg.gradients(mg.sum(made), x)[0]
    assert made.shape == (None, None)
    assert gradient.op.type == "Einsum"
    assert gradient.op.attrs["equation"] == "ik,jk->ij"


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij->i->j", [(2, 2)], "'-'"),
        ("i.j->ij", [(2, 2)], r"'\.'"),
        ("i......j", [(2, 2)], r"'\.'"),
        ("i1", [(2, 2)], "'1'"),
        ("ij,jk->ik", [(2, 2)], "2 terms but 1 operand"),
        ("ij->ijk", [(2, 2)], "'k' is in no operand's term"),
        ("ij->iij", [(2, 2)], "names 'i' twice"),
        ("...ij->ij", [(2, 2)], r"'\.\.\.' only in its operands"),
        ("ij->...ij", [(2, 2)], r"'\.\.\.' only in its output"),
    ],
)
def test_einsum_explains_a_malformed_equation(equation: str, shapes: Any, message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        mg.einsum(equation, *(np.ones(s) for s in shapes))


def test_einsum_finds_a_wrong_size_in_the_run_too() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (2, None))
        y = mg.einsum("ij,jk->ik", x, np.ones((3, 4)))
    with mg.Session(graph=graph) as session, pytest.raises(ValueError, match=r"label 'j'.*1.*3"):
        session.run(y, {x: np.ones((2, 1))})


def test_einsum_needs_no_more_than_the_letters() -> None:
    letters = string.ascii_letters
    x = np.ones((1,) * 20)
    with pytest.raises(errors.ArgumentError, match="52 letters"):
        mg.einsum(",".join(["...", *letters]), x, *[np.ones(1)] * 52)


# -- products along axes -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", CLOSE)
def test_products_along_axes_give_numpys_values(dtype: str) -> None:
    a, b = numbers(2, 3, 4, dtype=dtype), numbers(4, 3, 5, dtype=dtype)
    v, w = numbers(4, dtype=dtype), numbers(2, 3, 4, dtype=dtype)
    close: Any = {"rtol": CLOSE[dtype], "atol": 30 * CLOSE[dtype]}
    np.testing.assert_allclose(mg.tensordot(a, b, axes=1), np.tensordot(a, b, 1), **close)
    axes: Any = ((2, 1), (0, -2))
    np.testing.assert_allclose(mg.tensordot(a, b, axes=axes), np.tensordot(a, b, axes), **close)
    pair: Any = (2, 0)
    np.testing.assert_allclose(mg.tensordot(a, b, axes=pair), np.tensordot(a, b, pair), **close)
    np.testing.assert_allclose(mg.tensordot(v, v, axes=0), np.tensordot(v, v, 0), **close)
    np.testing.assert_allclose(mg.vecdot(w, v), np.vecdot(w, v), **close)
    z, one = v + 1j, w - 2j
    np.testing.assert_allclose(mg.vecdot(one, z), np.vecdot(one, z), **close)
    np.testing.assert_allclose(mg.vecdot(a, w, axis=0), np.sum(a * w, axis=0), **close)
    np.testing.assert_allclose(mg.outer(v, w[0, 0]), np.outer(v, w[0, 0]), **close)
    np.testing.assert_allclose(mg.linalg.kron(a, b), np.kron(a, b), **close)
    x, y = a[:, :, :1], w[:, :, 1:]
    np.testing.assert_allclose(
        mg.linalg.cross(x, y, axis=1), np.cross(x, y, axisa=1, axisb=1, axisc=1), **close
    )
    assert mg.tensordot(a, b, axes=1).dtype == dtype


def test_tensordot_does_not_stretch_dimensions_of_one_in_a_run() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (2, None))
        y = mg.tensordot(x, np.ones((3, 4)), axes=1)
        z = mg.vecdot(x, np.ones(3))
    with mg.Session(graph=graph) as session:
        for fetch in (y, z):
            with pytest.raises(ValueError, match=r"1.*3"):
                session.run(fetch, {x: np.ones((2, 1))})


def test_kron_with_unknown_dimensions() -> None:
    a, b = numbers(2, 3), numbers(3, 1)
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float64", (None, 3))
        y = mg.linalg.kron(x, b)
        gradient = mg.gradients(mg.sum(y), x)[0]
    with mg.Session(graph=graph) as session:
        value, slope = session.run([y, gradient], {x: a})
    np.testing.assert_allclose(value, np.kron(a, b))
    np.testing.assert_allclose(slope, np.full((2, 3), b.sum()))
