"""Sessions: what can be fetched and fed, what a run sees, and what it says when it cannot."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors

EAGER = mg.asarray([1.0, 1.0])


@pytest.fixture
def graph() -> Any:
    g = mg.Graph()
    with g.as_default():
        yield g


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Parts:
    value: Any
    doubled: Any


def test_the_course_lines(graph: mg.Graph) -> None:
    c = mg.multiply(mg.constant(2), mg.constant(10))
    assert repr(c) == 'Tensor("Mul:0", shape=(), dtype=int32)'
    x = mg.placeholder("int64", name="x")
    with mg.Session() as sess:
        assert sess.run(c) == 20
        assert sess.run(2 * x, {x: 3}) == 6


def test_gradient_descent_in_a_graph_reaches_the_minimum(graph: mg.Graph) -> None:
    w = mg.Variable(0.0, name="w")
    cost = w**2 - 10.0 * w + 25.0
    (slope,) = mg.gradients(cost, [w])
    train = w.assign_sub(0.1 * slope)
    with mg.Session() as sess:
        sess.run(mg.global_variables_initializer())
        for _ in range(200):
            sess.run(train)
        assert abs(sess.run(w) - 5.0) < 1e-5


def test_any_nest_can_be_fetched(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (2,), name="x")
    y = x * 2.0
    v = mg.Variable(7.0, name="v")
    sess = mg.Session()
    sess.run(mg.global_variables_initializer())
    fetched = sess.run(
        {"a": [x, y], "b": Pair(y, (y.op, v)), "c": Parts(x, y), "d": "x:0", "e": []},
        {x: [1.0, 2.0]},
    )
    np.testing.assert_array_equal(fetched["a"][1], [2.0, 4.0])
    assert isinstance(fetched["b"], Pair)
    assert fetched["b"].second == (None, 7.0)
    assert isinstance(fetched["c"], Parts)
    np.testing.assert_array_equal(fetched["c"].doubled, [2.0, 4.0])
    np.testing.assert_array_equal(fetched["d"], [1.0, 2.0])
    assert fetched["e"] == []
    assert sess.run([]) == []


def test_dataclasses_with_derived_or_frozen_fields_can_be_fetched(graph: mg.Graph) -> None:
    @dataclasses.dataclass(frozen=True)
    class Model:
        loss: Any
        twice: Any = dataclasses.field(init=False, default=None)

        def __post_init__(self) -> None:
            object.__setattr__(self, "twice", self.loss * 2.0)

    got = mg.Session().run(Model(mg.constant(1.5)))
    assert (got.loss, got.twice) == (1.5, 3.0)


def test_scalars_come_back_as_numpy_scalars_and_arrays_are_the_callers_own(
    graph: mg.Graph,
) -> None:
    v = mg.Variable([1.0, 2.0])
    x = mg.placeholder("float32", (2,))
    sess = mg.Session()
    sess.run(v.initializer)
    assert type(sess.run(mg.constant(1))) is np.int32
    assert sess.run(mg.constant("hello")) == "hello"
    first = sess.run(v)
    first[:] = 99.0
    np.testing.assert_array_equal(sess.run(v), [1.0, 2.0])
    mine = np.array([5.0, 6.0], np.float32)
    fetched = sess.run(x, {x: mine})
    fetched[:] = 0.0
    np.testing.assert_array_equal(mine, [5.0, 6.0])


def test_a_fed_array_that_changes_later_does_not_change_what_was_assigned(graph: mg.Graph) -> None:
    v = mg.Variable(np.zeros(2))
    x = mg.placeholder("float64", (2,))
    sess = mg.Session()
    mine = np.array([1.0, 2.0])
    sess.run(v.assign(x), {x: mine})
    mine[:] = 99.0
    np.testing.assert_array_equal(sess.run(v), [1.0, 2.0])


def test_any_tensor_can_be_fed_and_feeding_cuts_what_lies_above(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", ())
    middle = x * 3.0
    end = middle + 1.0
    c = mg.constant(5.0)
    v = mg.Variable(1.0)
    sess = mg.Session()
    assert sess.run(end, {middle: 10.0}) == 11.0
    assert sess.run(c + 1.0, {c: 1.0}) == 2.0
    assert sess.run(v + 1.0, {v: 4.0}) == 5.0
    assert sess.run(end, {"Mul:0": 1.0}) == 2.0
    assert sess.run(middle, {middle: 8.0}) == 8.0


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0)[::2],
        np.arange(3.0).astype(">f4"),
        np.broadcast_to(np.float64(1.0), (3,)),
        [1, 2, 3],
        (np.float32(1.0), 2.0, 3),
        mg.asarray([1.0, 2.0, 3.0]),
    ],
    ids=["strided", "big-endian", "read-only", "ints", "mixed", "tensor"],
)
def test_awkward_feeds_work(graph: mg.Graph, value: Any) -> None:
    x = mg.placeholder("float32", (3,))
    fetched = mg.Session().run(x + 0.0, {x: value})
    np.testing.assert_array_equal(fetched, np.asarray(value, np.float32))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_what_is_fed_in_another_byte_order_comes_out_in_the_machines(
    graph: mg.Graph, dtype: str
) -> None:
    x = mg.placeholder(dtype, (None,))
    fed = np.array([1, 2, 3], np.dtype(dtype).newbyteorder())
    with mg.Session() as session:
        for y in session.run([x, mg.reshape(x, (3, 1)), x + x], {x: fed}):
            assert y.dtype.isnative and y.dtype == dtype
        np.testing.assert_array_equal(session.run(x + x, {x: fed}), [2, 4, 6])


def test_placeholder_with_default(graph: mg.Graph) -> None:
    keep = mg.placeholder_with_default(1.0, ())
    sess = mg.Session()
    assert sess.run(keep * 2.0) == 2.0
    assert sess.run(keep * 2.0, {keep: 0.25}) == 0.5


def test_make_callable(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", ())
    y = mg.placeholder("float32", ())
    call = mg.Session().make_callable({"sum": x + y}, [x, y])
    assert call(1.0, 2.0) == {"sum": 3.0}
    with pytest.raises(errors.FeedError, match="expected 2 values"):
        call(1.0)
    with pytest.raises(errors.FeedError, match="expected rank 0, got 1"):
        call([1.0], 2.0)


def test_reads_see_the_start_of_the_run_and_fetched_variables_its_end(graph: mg.Graph) -> None:
    v = mg.Variable(1.0)
    before = v + 0.0
    update = v.assign(10.0)
    with mg.control_dependencies([update]):
        after = v + 0.0
        not_an_op = before
    sess = mg.Session()
    sess.run(v.initializer)
    assert sess.run([before, update, after, v, not_an_op]) == [1.0, 10.0, 10.0, 10.0, 1.0]


def test_a_read_ordered_after_something_else_still_sees_the_start(graph: mg.Graph) -> None:
    v = mg.Variable(1.0)
    update = v.assign(10.0)
    with mg.control_dependencies([mg.no_op()]):
        read = v + 0.0
    sess = mg.Session()
    sess.run(v.initializer)
    assert sess.run([update, read]) == [10.0, 1.0]


def test_two_additions_in_one_run_both_count(graph: mg.Graph) -> None:
    v = mg.Variable(1.0)
    a, b = v.assign_add(1.0), v.assign_add(10.0)
    sess = mg.Session()
    sess.run(v.initializer)
    assert sess.run([a, b, v]) == [2.0, 12.0, 12.0]


def test_an_eager_variable_is_shared_by_eager_code_and_sessions() -> None:
    v = mg.Variable(1.0, name="shared")
    g = mg.Graph()
    with g.as_default():
        grow = v.assign_add(1.0)
        double = v * 2.0
    first, second = mg.Session(graph=g), mg.Session(graph=g)
    first.run(grow)
    second.run(grow)
    assert v.numpy() == 3.0
    v.assign(10.0)
    assert first.run([double, v]) == [20.0, 10.0]


def test_each_session_has_its_own_values_of_graph_variables(graph: mg.Graph) -> None:
    v = mg.Variable(1.0)
    grow = v.assign_add(1.0)
    first, second = mg.Session(), mg.Session()
    first.run(v.initializer)
    second.run(v.initializer)
    first.run(grow)
    assert (first.run(v), second.run(v)) == (2.0, 1.0)


def test_load_and_value_of(graph: mg.Graph) -> None:
    v = mg.Variable([1.0, 2.0])
    sess = mg.Session()
    sess.load(v, [3.0, 4.0])
    np.testing.assert_array_equal(sess.value_of(v), [3.0, 4.0])
    with pytest.raises(errors.FeedError, match=r"shape \(3,\)"):
        sess.load(v, [1.0, 2.0, 3.0])


def test_a_closed_session_says_so(graph: mg.Graph) -> None:
    c = mg.constant(1)
    sess = mg.Session()
    sess.close()
    with pytest.raises(errors.StateError, match="closed"):
        sess.run(c)


def test_closing_during_a_run_assigns_nothing(graph: mg.Graph) -> None:
    v = mg.Variable(1.0)
    sess = mg.Session()
    sess.run(v.initializer)

    def close(x: np.ndarray) -> np.ndarray:
        sess.close()
        return x

    closing = mg.host_call(close, v, out=((), "float32"))
    update = v.assign(closing)
    with pytest.raises(errors.StateError, match="closed during this run"):
        sess.run(update)


def test_closing_during_a_run_that_only_reads_says_so_too(graph: mg.Graph) -> None:
    sess = mg.Session()
    y = mg.host_call(lambda x: sess.close() or x, mg.constant(1.0), out=((), "float32"))
    with pytest.raises(errors.StateError, match="closed during this run"):
        sess.run(y)


def test_a_callable_runs_effects_that_were_added_after_it(graph: mg.Graph) -> None:
    count = mg.Variable(0.0)
    x = mg.placeholder("float32", ())
    y = x * 2.0
    sess = mg.Session()
    sess.run(mg.global_variables_initializer())
    double = sess.make_callable(y, [x])
    assert double(1.0) == 2.0
    graph.add_effect(y, count.assign_add(1.0))
    assert double(1.0) == 2.0
    assert sess.run(count) == 1.0


def test_what_a_session_takes_is_checked(graph: mg.Graph) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="a session runs a Graph"):
        mg.Session("graph")  # type: ignore[arg-type]
    with pytest.raises(errors.FeedTypeError, match="must be a dictionary"):
        mg.Session().run([], [1.0])  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentTypeError, match="a name is text"):
        graph.get_tensor_by_name(3)  # type: ignore[arg-type]


def test_a_sparse_gradient_is_fetched_sparse(graph: mg.Graph) -> None:
    table = mg.Variable(np.ones((4, 2), np.float32))
    (slope,) = mg.gradients(mg.sum(mg.gather(table, [1, 1]) * 3.0), [table])
    sess = mg.Session()
    sess.run(mg.global_variables_initializer())
    got = sess.run(slope)
    assert isinstance(got, mg.IndexedSlices)
    assert got.indices.tolist() == [1, 1]
    assert np.asarray(got).tolist() == [[0, 0], [6, 6], [0, 0], [0, 0]]


def test_feeding_a_variable_feeds_all_that_read_it(graph: mg.Graph) -> None:
    v = mg.Variable(1.0)
    with mg.control_dependencies([mg.no_op()]):
        late = v * 2.0
    soon = v * 3.0
    sess = mg.Session()
    assert sess.run([late, soon], {v: 5.0}) == [10.0, 15.0]
    assert sess.make_callable([late, soon], [v])(6.0) == [12.0, 18.0]


def test_a_graph_that_grows_from_run_to_run_is_warned_of_once(graph: mg.Graph) -> None:
    sess = mg.Session()
    with pytest.warns(RuntimeWarning, match="has grown between"):
        for i in range(60):
            sess.run(mg.constant(i))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(60):
            sess.run(mg.constant(i))


# -- errors ------------------------------------------------------------------------------------


def test_a_missing_feed_names_the_placeholder_and_its_line(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (None, 3), name="images")
    with pytest.raises(errors.FeedError, match=r"placeholder 'images' was not fed") as caught:
        mg.Session().run(x * 2.0)
    assert "test_session.py" in str(caught.value)
    assert 'x = mg.placeholder("float32", (None, 3), name="images")' in str(caught.value)


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (np.zeros(3), errors.FeedError, "expected rank 2, got 1"),
        (np.zeros((2, 4)), errors.FeedError, "dimension 1 is 4, expected 3"),
        (np.zeros((2, 3), complex), errors.FeedTypeError, "expected float32, got complex128"),
        (np.array([["a"] * 3]), errors.FeedTypeError, "expected float32, got string"),
        ([[1.0, 2.0], [3.0]], errors.FeedError, "cannot make a tensor"),
        (None, errors.FeedError, "cannot make a tensor"),
    ],
)
def test_a_wrong_feed_is_refused(
    graph: mg.Graph, value: Any, error: type[Exception], match: str
) -> None:
    x = mg.placeholder("float32", (None, 3), name="x")
    with pytest.raises(error, match=match):
        mg.Session().run(x, {x: value})


def test_a_float_does_not_become_an_integer_silently(graph: mg.Graph) -> None:
    x = mg.placeholder("int32", ())
    sess = mg.Session()
    with pytest.raises(errors.FeedTypeError, match=r"expected int32, got the float 3\.7"):
        sess.run(x, {x: 3.7})
    with pytest.raises(errors.FeedTypeError, match="expected int32, got float64"):
        sess.run(x, {x: np.float64(3.0)})
    with pytest.raises(errors.FeedTypeError, match="do not fit int32"):
        sess.run(x, {x: np.int64(2**40)})


def test_what_cannot_be_fed_is_refused(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (), name="x")
    y = x * 2.0
    sess = mg.Session()
    with pytest.raises(errors.FeedTypeError, match="cannot feed the operation 'x'"):
        sess.run(y, {x.op: 1.0})
    with pytest.raises(errors.FeedTypeError, match="keys are tensors, variables or names"):
        sess.run(y, {3: 1.0})
    with pytest.raises(errors.FeedError, match="no operation 'nope'"):
        sess.run(y, {"nope:0": 1.0})
    with pytest.raises(errors.FeedTypeError, match="symbolic"):
        sess.run(y, {x: y})
    with pytest.raises(errors.FeedError, match="fed twice"):
        sess.run(y, {x: 1.0, "x:0": 2.0})


def test_what_cannot_be_fetched_is_refused(graph: mg.Graph) -> None:
    sess = mg.Session()
    with pytest.raises(errors.FetchError, match="no operation called 'nope'"):
        sess.run("nope")
    with pytest.raises(errors.FetchError, match=r"there is no operation 'nope'"):
        sess.run("nope:0")
    with pytest.raises(errors.FetchTypeError, match="cannot fetch None"):
        sess.run(None)
    with pytest.raises(errors.FetchTypeError, match=r"cannot fetch 3 \(int\)"):
        sess.run([3])
    with mg.Graph().as_default():
        foreign = mg.constant(1)
    with pytest.raises(errors.FetchError, match="belongs to"):
        sess.run(foreign)


def test_a_concrete_tensor_is_neither_fed_nor_fetched(graph: mg.Graph) -> None:
    sess = mg.Session()
    eager = EAGER
    with pytest.raises(errors.FetchTypeError, match="has its value already"):
        sess.run(eager)
    with pytest.raises(errors.FeedTypeError, match="it is concrete"):
        sess.run(mg.constant(1), {eager: 1.0})


def test_an_uninitialized_variable_is_named(graph: mg.Graph) -> None:
    w = mg.Variable(1.0, name="weights")
    sess = mg.Session()
    for fetch in (w, w * 2.0, w.assign_add(1.0)):
        with pytest.raises(errors.FailedPreconditionError, match="'weights' was used before"):
            sess.run(fetch)


def test_a_shape_mismatch_in_a_run_names_node_shapes_and_line(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (None,), name="x")
    y = mg.placeholder("float32", (None,), name="y")
    total = x + y
    with pytest.raises(errors.ShapeError, match=r"\(2,\) and \(3,\) do not broadcast") as caught:
        mg.Session().run(total, {x: [1.0, 2.0], y: [1.0, 2.0, 3.0]})
    message = str(caught.value)
    assert "node 'Add' (Add)" in message
    assert "total = x + y" in message
    assert "x:0 shape=(2,) dtype=float32" in message


def test_check_numerics_stops_at_the_first_bad_node(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (2,), name="x")
    bad = mg.log(x)
    end = bad * 0.0
    assert np.isnan(mg.Session().run(end, {x: [0.0, 1.0]})[0])
    sess = mg.Session(check_numerics=True)
    np.testing.assert_array_equal(sess.run(end, {x: [1.0, 1.0]}), [0.0, 0.0])
    with pytest.raises(errors.NumericsError, match=r"Log:0 has 0 NaN and 1 infinite") as caught:
        sess.run(end, {x: [0.0, 1.0]})
    assert "bad = mg.log(x)" in str(caught.value)


def test_the_sessions_that_a_with_block_makes_default(graph: mg.Graph) -> None:
    assert mg.get_default_session() is None
    with mg.Session() as sess:
        assert mg.get_default_session() is sess
    assert mg.get_default_session() is None
