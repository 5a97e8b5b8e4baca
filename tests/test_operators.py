"""Python's operators and the methods on tensors and variables, eager and symbolic."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg

ARITHMETIC = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
#: Where text itself speaks first, in its own words.
TEXT_OPERATORS = [operator.add, operator.mul, operator.mod]
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]


def run(make: Callable[..., Any], *arrays: Any) -> Any:
    """The value of ``make(*placeholders)`` in a session."""
    with mg.Graph().as_default() as graph:
        places = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        result = make(*places)
        assert not isinstance(result, np.ndarray)
    with mg.Session(graph=graph) as sess:
        return sess.run(result, dict(zip(places, arrays, strict=True)))


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
def test_a_tensor_meets_tensors_arrays_lists_and_numbers(op: Any) -> None:
    a, b = np.array([1.5, 2.0, 2.5]), np.array([2.0, 2.0, 0.5])
    want = op(a, b)
    for left, right in [
        (mg.asarray(a), mg.asarray(b)),
        (mg.asarray(a), b),
        (a, mg.asarray(b)),
        (mg.asarray(a), b.tolist()),
        (a.tolist(), mg.asarray(b)),
        (mg.asarray(a), mg.Variable(b)),
        (mg.Variable(a), b),
    ]:
        got = op(left, right)
        assert isinstance(got, mg.Tensor)
        np.testing.assert_array_equal(got.numpy(), want.astype(got.numpy().dtype))
    np.testing.assert_array_equal(op(mg.asarray(a), 2.0).numpy(), op(a, 2.0))
    np.testing.assert_array_equal(op(2.0, mg.asarray(a)).numpy(), op(2.0, a))
    np.testing.assert_array_equal(op(np.float64(2.0), mg.asarray(a)).numpy(), op(2.0, a))
    # Compiled code has a power of its own, which rounds in its own way.
    np.testing.assert_allclose(run(op, a, b), want, rtol=1e-15)
    np.testing.assert_allclose(run(lambda x: op(2.0, x), a), op(2.0, a), rtol=1e-15)
    np.testing.assert_allclose(run(lambda x: op(b, x), a), op(b, a), rtol=1e-15)


@pytest.mark.parametrize("op", BITWISE)
def test_bitwise_operators(op: Any) -> None:
    a, b = np.array([6, 9, 12]), np.array([3, 1, 2])
    for left, right in [(mg.asarray(a), mg.asarray(b)), (mg.asarray(a), b), (a, mg.asarray(b))]:
        np.testing.assert_array_equal(op(left, right).numpy(), op(a, b))
    np.testing.assert_array_equal(op(mg.asarray(a), 3).numpy(), op(a, 3))
    np.testing.assert_array_equal(op(3, mg.asarray(b)).numpy(), op(3, b))
    np.testing.assert_array_equal(run(op, a, b), op(a, b))


def test_logic_on_bools() -> None:
    p, q = mg.asarray([False, False, True, True]), mg.asarray([False, True, False, True])
    assert (p & q).tolist() == [False, False, False, True]
    assert (p | q).tolist() == [False, True, True, True]
    assert (p ^ q).tolist() == [False, True, True, False]
    assert (~p).tolist() == [True, True, False, False]
    assert (p & True).tolist() == p.tolist()


def test_unary_operators() -> None:
    x = np.array([-1.5, 2.0])
    for op in (operator.neg, operator.pos, abs):
        np.testing.assert_array_equal(op(mg.asarray(x)).numpy(), op(x))
        np.testing.assert_array_equal(run(op, x), op(x))
    assert (~mg.asarray([0, 5])).tolist() == [-1, -6]


def test_matmul_operator() -> None:
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0], [6.0]])
    np.testing.assert_array_equal((mg.asarray(a) @ mg.asarray(b)).numpy(), a @ b)
    np.testing.assert_array_equal((mg.asarray(a) @ b).numpy(), a @ b)
    np.testing.assert_array_equal((a @ mg.asarray(b)).numpy(), a @ b)
    np.testing.assert_array_equal(run(operator.matmul, a, b), a @ b)


def test_numbers_take_the_dtype_of_the_tensor() -> None:
    for dtype in ("float16", "float32", "float64"):
        x = mg.asarray([1.0, 2.0], dtype=dtype)
        for y in (x + 1, 1.5 * x, 2 - x, 1 / x, x**2, 2.0**x, x % 2, x // 0.5):
            assert y.dtype == dtype
    n = mg.asarray([1, 2], dtype="int8")
    assert (n + 1).dtype == "int8"
    assert (n / 2).dtype == "float32"
    assert (n * 0.5).dtype == "float32"
    with pytest.raises(TypeError, match="does not fit int8"):
        n + 300


@pytest.mark.parametrize("op", [*ARITHMETIC, *BITWISE, *COMPARISONS[2:], operator.matmul])
@pytest.mark.parametrize("other", [object(), "text", None, {}, {1, 2}, len])
def test_what_is_no_tensor_is_left_to_python(op: Any, other: Any) -> None:
    def check(x: Any) -> None:
        for left, right in [(x, other), (other, x)]:
            if not (isinstance(other, str) and op in TEXT_OPERATORS):
                with pytest.raises(TypeError, match=r"unsupported operand|not supported between"):
                    op(left, right)

    check(mg.asarray([1.0, 2.0]))
    check(mg.Variable([1.0, 2.0]))
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (2,))
        check(x)
        assert len(graph.get_operations()) == 1


@pytest.mark.parametrize("other", [None, object(), "text", {}, len])
def test_equality_with_what_is_no_tensor_is_false(other: Any) -> None:
    x = mg.asarray([1.0, 2.0])
    assert (x == other) is False
    assert (other == x) is False
    assert (x != other) is True
    assert other not in [x]
    with mg.Graph().as_default():
        p = mg.placeholder("float32", (2,))
        assert (p == other) is False
        assert (p != other) is True


def test_text_compares_with_text() -> None:
    words = mg.asarray(["a", "b"])
    assert (words == "a").tolist() == [True, False]
    assert (words != ["a", "a"]).tolist() == [False, True]
    with pytest.raises(TypeError):
        words + "c"


def test_an_object_of_another_library_gets_its_turn() -> None:
    class Other:
        def __radd__(self, left: Any) -> str:
            return "added"

        def __eq__(self, left: object) -> Any:
            return "compared"

        __hash__ = object.__hash__

    assert mg.asarray([1.0]) + Other() == "added"  # type: ignore[operator]
    assert (mg.asarray([1.0]) == Other()) == "compared"


def test_errors_in_operands_are_explained() -> None:
    x = mg.asarray([1.0, 2.0])
    with pytest.raises(
        mg.errors.ShapeError, match=r"add: shapes \(2,\) and \(3,\) do not broadcast"
    ):
        operator.add(x, [1.0, 2.0, 3.0])
    with pytest.raises(mg.errors.ShapeError, match="do not broadcast"):
        operator.eq(x, [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match=r"bitwise_and does not take float32; it takes bool, int8"):
        x & x
    with pytest.raises(TypeError, match="cannot make a tensor from list"):
        operator.add(x, [object()])
    with pytest.raises(TypeError, match="text"):
        x + mg.asarray(["a", "b"])


def test_comparison_keeps_the_hash_an_identity() -> None:
    x, y = mg.asarray([1.0]), mg.asarray([1.0])
    assert {x: "x", y: "y"}[y] == "y"
    assert len({x, y}) == 2
    assert isinstance(x == y, mg.Tensor)


def test_operators_name_their_nodes_as_tensorflow_does() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (2,))
        made = [x + 1, x - 1, x * 2, x / 2, x // 2, x % 2, x**2, -x, abs(x), x < 1, x == 1]
    types = " ".join(t.op.type for t in made)  # type: ignore[attr-defined]
    assert types == "Add Sub Mul RealDiv FloorDiv FloorMod Pow Neg Abs Less Equal"


def test_augmented_assignment_makes_a_new_tensor() -> None:
    x = first = mg.asarray([1.0, 2.0])
    x += 1
    x *= 2
    assert x.tolist() == [4.0, 6.0]
    assert first.tolist() == [1.0, 2.0]


def test_operators_differentiate() -> None:
    def f(x: Any) -> Any:
        return ((-x + 3.0) * x - 1.0 / x) ** 2 / 2.0 + abs(x) % 7.0

    x = 1.5
    inner = (3 - x) * x - 1 / x
    want = inner * (3 - 2 * x + 1 / x**2) + 1
    assert mg.grad(f)(np.float64(x)).item() == pytest.approx(want, rel=1e-12)


def test_transposes() -> None:
    x = mg.asarray([[1, 2, 3], [4, 5, 6]])
    assert x.T.tolist() == x.mT.tolist() == [[1, 4], [2, 5], [3, 6]]
    stack = mg.asarray(np.arange(8).reshape(2, 2, 2))
    assert stack.mT.tolist() == [[[0, 2], [1, 3]], [[4, 6], [5, 7]]]
    with pytest.raises(mg.errors.ShapeError, match=r"x.T is for matrices.*\(2, 2, 2\).*x.mT"):
        stack.T
    with mg.Graph().as_default():
        with pytest.raises(mg.errors.ShapeError, match=r"x.T is for matrices.*<unknown>"):
            mg.placeholder("float32").T
        assert mg.placeholder("float32", (None, 3)).T.shape == (3, None)
    assert mg.Variable([[1, 2]]).T.shape == (2, 1)


def test_size() -> None:
    assert mg.asarray([[1, 2], [3, 4]]).size == 4
    assert mg.Variable([1.0, 2.0]).size == 2
    with mg.Graph().as_default():
        assert mg.placeholder("float32", (2, 3)).size == 6
        assert mg.placeholder("float32", (None, 3)).size is None
        assert mg.placeholder("float32").size is None


def test_methods() -> None:
    a = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])
    for x in (mg.asarray(a), mg.Variable(a)):
        assert x.sum().item() == 22.0
        assert x.sum(0).tolist() == [5.0, 7.0, 10.0]
        assert x.mean(axis=1, keepdims=True).tolist() == [[2.0], [16 / 3]]
        assert x.max(-1).tolist() == [3.0, 7.0]
        assert x.min(axis=(0, 1)).item() == 1.0
        assert x.reshape(3, -1).shape == x.reshape((3, 2)).shape == (3, 2)
        assert x.reshape(-1).shape == (6,)
        assert x.astype("int32").dtype == "int32"
    assert run(lambda x: x.T.reshape(-1).sum(), a) == 22.0


def test_python_rounds_tensors_and_numbers() -> None:
    assert round(mg.asarray([0.5, 1.5, -2.7])).tolist() == [0.0, 2.0, -3.0]
    x, v = mg.asarray(3.14159), mg.Variable([2.71828])
    assert (round(x, 3), round(v, 2), round(mg.asarray(1250), -2)) == (3.142, 2.72, 1200)
    assert type(round(x, 0)) is float
    with pytest.raises(mg.errors.ArgumentError, match=r"of one element, got .*mg\.round\(x"):
        round(mg.asarray([1.0, 2.0]), 1)
    with mg.Graph().as_default(), pytest.raises(mg.errors.ArgumentError, match="concrete tensor"):
        round(mg.placeholder("float32", ()), 1)
    with mg.GradientTape(), pytest.warns(mg.errors.LostGradientWarning, match="round") as log:
        round(v, 1)
    assert log[0].filename == __file__


def test_indexing() -> None:
    a = np.arange(6.0).reshape(2, 3)
    for x in (mg.asarray(a), mg.Variable(a)):
        assert x[1].tolist() == [3.0, 4.0, 5.0]
        assert x[:, ::-1].tolist() == [[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]
        assert x[x > 2.5].tolist() == [3.0, 4.0, 5.0]
        assert [row.tolist() for row in x] == a.tolist()
    assert run(lambda x: x[..., 0] * 2, a).tolist() == [0.0, 6.0]
    with pytest.raises(mg.errors.ImmutableTensorError):
        mg.asarray(a)[0] = 1.0


def test_numpy_ufuncs_give_tensors() -> None:
    x = mg.asarray(np.array([0.25, 0.5]))
    pairs: list[tuple[np.ufunc, Any]] = [
        (np.sin, mg.sin),
        (np.exp, mg.exp),
        (np.sqrt, mg.sqrt),
        (np.absolute, mg.abs),
        (np.isnan, mg.isnan),
    ]
    for ufunc, function in pairs:
        got = ufunc(x)
        assert isinstance(got, mg.Tensor)
        assert got.tolist() == function(x).tolist()
    assert isinstance(np.maximum(x, 0.3), mg.Tensor)
    with mg.Graph().as_default():
        assert np.tanh(mg.placeholder("float32", (2,))).op.type == "Tanh"  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"np.add.reduce has no counterpart"):
        np.add.reduce(x)  # type: ignore[call-overload]


def test_an_argument_too_many_is_refused_and_written_to_by_nobody() -> None:
    x, y = mg.asarray([1.0]), mg.asarray([5.0])
    with pytest.raises(TypeError, match="positional argument"):
        mg.sin(x, y)  # type: ignore[call-arg]
    assert y.tolist() == [5.0]


def test_lists_keep_their_digits_beside_float64() -> None:
    x = mg.asarray(np.array([1.0, 2.0]))
    for made in (x * [0.1, 0.2], [0.1, 0.2] * x, mg.multiply(x, (0.1, 0.2))):
        assert made.dtype is mg.float64
        np.testing.assert_array_equal(made, np.array([1.0, 2.0]) * [0.1, 0.2])
    assert (mg.asarray([1.0, 2.0]) * [0.1, 0.2]).dtype is mg.float32
    assert mg.add([0.1], [0.2]).dtype is mg.float32
    assert mg.take(x, [1, 0]).tolist() == [2.0, 1.0]
    with mg.Graph().as_default():
        p = mg.placeholder("float64", (2,))
        out = mg.Session().run(p * [0.1, 0.2], {p: [1.0, 2.0]})
    np.testing.assert_array_equal(out, np.array([1.0, 2.0]) * [0.1, 0.2])
