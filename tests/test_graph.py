"""Graphs: names, scopes, dependencies, listing, and what they refuse."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors


@pytest.fixture
def graph() -> Any:
    g = mg.Graph()
    with g.as_default():
        yield g


def test_symbolic_tensors_print_name_shape_and_dtype(graph: mg.Graph) -> None:
    assert repr(mg.placeholder("float32", (None, 3), name="x")) == (
        'Tensor("x:0", shape=(?, 3), dtype=float32)'
    )
    assert repr(mg.placeholder("float32", (None,))) == (
        'Tensor("Placeholder:0", shape=(?,), dtype=float32)'
    )
    assert repr(mg.placeholder("float32")) == 'Tensor("Placeholder_1:0", dtype=float32)'


def test_names_are_unique_and_scopes_nest(graph: mg.Graph) -> None:
    a = mg.constant(1)
    b = mg.constant(1)
    assert [a.name, b.name] == ["Const:0", "Const_1:0"]
    with mg.name_scope("layer") as prefix:
        assert prefix == "layer/"
        with mg.name_scope("inner"):
            assert (a + b).name == "layer/inner/Add:0"
    with mg.name_scope("layer"):
        assert (a + b).name == "layer_1/Add:0"
    with mg.name_scope("layer/"):
        assert (a + b).name == "layer/Add:0"
        with mg.name_scope(None):
            assert (a + b).name == "Add:0"
    with pytest.raises(errors.ArgumentError, match="not a valid name"):
        mg.constant(1, name="what is this?")


def test_names_differ_by_case_only(graph: mg.Graph) -> None:
    assert mg.placeholder("float32", (), name="X").name == "X:0"
    assert mg.placeholder("float32", (), name="x").name == "x:0"


def test_finding_by_name(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (), name="input")
    y = mg.identity(x, name="output")
    assert graph.get_tensor_by_name("output:0") is y
    assert graph.get_operation_by_name("input") is x.op
    with pytest.raises(errors.GraphError, match=r"no operation 'out'.*did you mean 'output'"):
        graph.get_tensor_by_name("out:0")
    with pytest.raises(errors.GraphError, match="has 1 outputs"):
        graph.get_tensor_by_name("output:1")
    with pytest.raises(errors.GraphError, match=r"tensors are called .*, such as 'output:0'$"):
        graph.get_tensor_by_name("output")
    with pytest.raises(errors.GraphError, match=r"no operation 'out' .*did you mean 'output'\?"):
        graph.get_tensor_by_name("out")
    with pytest.raises(errors.GraphError, match=r"there is no operation 'xx' either$"):
        graph.get_tensor_by_name("xx")
    mg.no_op(name="nothing")
    with pytest.raises(errors.GraphError, match="the operation 'nothing' has no outputs"):
        graph.get_tensor_by_name("nothing")


def test_the_listing_has_a_line_for_every_node(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (None, 3), name="x")
    with mg.name_scope("scaled"):
        _ = x * 2.0
    text = str(graph).splitlines()
    assert text[1].split() == ["name", "op", "inputs", "shape", "dtype", "line"]
    line = next(row for row in text if row.startswith("scaled/Mul "))
    assert line.split()[:2] == ["scaled/Mul", "Mul"]
    assert "x, scaled/Mul/x2" in line
    assert "(?, 3)" in line
    assert "test_graph.py:" in line
    assert len(text) == 2 + len(graph)


def test_gradient_nodes_inherit_the_users_line(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (), name="x")
    y = x * x * x  # the line in question
    line = y.op.line
    (g,) = mg.gradients(y, [x])
    assert g.op.forward is not None
    assert g.op.line == line
    assert g.op.name.startswith("gradients/")


def test_shape_mismatch_is_reported_when_the_node_is_built(graph: mg.Graph) -> None:
    before = len(graph)
    x = mg.placeholder("float32", (2, 3))
    y = mg.placeholder("float32", (None, 4))
    with pytest.raises(errors.ShapeError, match=r"\(2, 3\) and \(\?, 4\) do not broadcast"):
        x + y
    with pytest.raises(errors.ShapeError, match=r"\(2, 3\).*\(5, 4\)"):
        mg.matmul(x, mg.placeholder("float32", (5, 4)))
    assert len(graph) == before + 3  # Nothing half-built stays behind.


def test_mixing_two_graphs_names_both() -> None:
    with mg.Graph("first").as_default():
        a = mg.constant(1.0)
    with mg.Graph("second").as_default():
        b = mg.constant(1.0)
    with pytest.raises(errors.GraphError, match=r"two graphs.*'first'.*'second'"):
        a + b


def test_symbolic_tensors_refuse_to_be_values(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", (3,), name="x")
    with pytest.raises(errors.SymbolicTensorError, match=r"mg\.where"):
        if x > 0:  # type: ignore[truthy-bool]
            pass
    with pytest.raises(errors.SymbolicTensorError, match=r"mg\.unstack"):
        list(x)  # type: ignore[call-overload]
    with pytest.raises(errors.SymbolicTensorError, match="unstack"):
        _ = 1.0 in x  # type: ignore[operator]
    with pytest.raises(errors.SymbolicTensorError, match=r"mg\.Session\(\)\.run"):
        float(x)  # type: ignore[arg-type]
    with pytest.raises(errors.SymbolicTensorError, match=r"run"):
        np.asarray(x)
    with pytest.raises(errors.ImmutableTensorError, match="index_set"):
        x[0] = 1.0
    assert len(x) == 3
    with pytest.raises(TypeError):
        len(mg.placeholder("float32", (None,)))


def test_gradient_of_integers_is_refused(graph: mg.Graph) -> None:
    n = mg.placeholder("int32", ())
    x = mg.placeholder("float32", ())
    with pytest.raises(errors.NotDifferentiableError, match="integer or bool"):
        mg.gradients(n * 2, [n])
    with pytest.raises(errors.NotDifferentiableError, match="integer or bool"):
        mg.gradients(x, [n])


def test_gradients_of_unconnected_and_intermediate_tensors(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", ())
    z = mg.placeholder("float32", (2,))
    h = x * x
    y = h * 3.0
    gx, gh, gz = mg.gradients(y, [x, h, z])
    got = mg.Session().run([gx, gh, gz], {x: 2.0, z: [1.0, 1.0]})
    assert got[:2] == [12.0, 3.0]
    np.testing.assert_array_equal(got[2], [0.0, 0.0])
    assert mg.gradients(y, [z], unconnected="none") == [None]
    with pytest.raises(errors.GradientError, match="does not depend"):
        mg.gradients(y, [z], unconnected="error")
    (g,) = mg.gradients([y, h], [x], [2.0, None])
    assert mg.Session().run(g, {x: 1.0}) == 14.0
    with pytest.raises(errors.ArgumentError, match="as many grad_ys"):
        mg.gradients(y, [x], [1.0, 2.0])


def test_the_zero_gradient_of_a_variable_needs_no_initializer(graph: mg.Graph) -> None:
    used, unused = mg.Variable(1.0), mg.Variable([2.0, 3.0])
    slopes = mg.gradients(used * 2.0, [unused])
    sess = mg.Session()
    sess.run(used.initializer)
    assert sess.run(slopes[0]).tolist() == [0.0, 0.0]
    with pytest.raises(errors.ArgumentError, match="unconnected must be"):
        mg.gradients(used * 2.0, [used], unconnected="nought")  # type: ignore[arg-type]


def test_parts_of_a_graph_are_not_copied_or_pickled(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", ())
    for part in (x, x.op):
        assert copy.copy(part) is part
        assert copy.deepcopy({"part": part})["part"] is part
    for thing in (x, x.op, graph):
        with pytest.raises(errors.GraphError, match="cannot be pickled"):
            pickle.dumps(thing)
    with pytest.raises(errors.StateError, match="cannot be pickled or copied"):
        copy.copy(mg.Session())


def test_finalize_refuses_new_nodes(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", ())
    y = x + 1.0
    graph.finalize()
    with pytest.raises(errors.FinalizedGraphError, match="finalized and takes no more nodes"):
        x + 2.0
    assert mg.Session().run(y, {x: 1.0}) == 2.0


def test_collections(graph: mg.Graph) -> None:
    with mg.name_scope("g"):
        v = mg.Variable(1.0, name="v")
    w = mg.Variable(1.0, name="w", trainable=False)
    assert [x.name for x in mg.global_variables()] == ["g/v", "w"]
    assert [x.name for x in mg.trainable_variables()] == ["g/v"]
    assert mg.global_variables("g/")[0] is v
    mg.add_to_collection("mine", w)
    assert mg.get_collection("mine")[0] is w
    assert mg.get_collection("other") == []


def test_control_dependencies_order_effects(graph: mg.Graph) -> None:
    order: list[str] = []

    def note(name: str) -> mg.Operation:
        def call() -> Any:
            order.append(name)
            return np.float32(0)

        return mg.host_call(call, out=((), "float32")).op

    a = note("a")
    with mg.control_dependencies([a]):
        b = note("b")
        with mg.control_dependencies(None):
            c = note("c")
    sess = mg.Session()
    sess.run(b)
    assert order == ["a", "b"]
    order.clear()
    sess.run(c)
    assert order == ["c"]
    with pytest.raises(errors.ArgumentTypeError, match="takes operations and tensors"):
        with mg.control_dependencies([3]):  # type: ignore[list-item]
            pass


def test_control_dependencies_hold_for_constants_and_variables(graph: mg.Graph) -> None:
    count = mg.Variable(0.0)
    sess = mg.Session()
    sess.run(mg.global_variables_initializer())
    with mg.control_dependencies([count.assign_add(1.0)]):
        done = mg.constant(7.0)
    assert sess.run(done) == 7.0
    assert sess.run(count) == 1.0
    with mg.control_dependencies([count]):
        after = mg.no_op()
    assert [op.type for op in after.control_inputs] == ["VariableV2"]


def test_scopes_and_dependencies_hold_for_composites_outside_any_with() -> None:
    mg.reset_default_graph()
    count = mg.Variable(0.0)

    @mg.composite
    def double(x: Any) -> Any:
        return x * 2.0

    with mg.name_scope("model"):
        x = mg.placeholder("float32", (), name="x")
        with mg.control_dependencies([mg.assign_add(count, x)]):
            y = double(x)
    assert (x.name, y.name) == ("model/x:0", "model/double/Mul:0")
    assert mg.Session().run(y, {x: 3.0}) == 6.0
    assert count.numpy() == 3.0
    mg.reset_default_graph()


def test_scopes_in_eager_code_leave_nothing_behind() -> None:
    mg.reset_default_graph()
    for _ in range(3):
        with mg.name_scope("layer") as prefix:
            assert prefix == "layer/"
    with mg.get_default_graph().as_default(), mg.name_scope("layer") as prefix:
        assert prefix == "layer/"
    with pytest.raises(errors.ArgumentError, match="not a valid name"), mg.name_scope("a b"):
        pass
    with pytest.raises(errors.ArgumentTypeError, match="takes text"), mg.name_scope(3):  # type: ignore[arg-type]
        pass
    mg.reset_default_graph()


def test_symbolic_parts_of_a_list_take_the_other_operands_with_them() -> None:
    """A variable beside a list of symbolic tensors is read in the graph, never a constant of it."""
    v = mg.Variable(2.0)
    with mg.Graph().as_default():
        x = mg.placeholder("float32", ())
    (slope,) = mg.gradients(mg.sum(mg.multiply(v, [x, x])), [v])
    assert mg.Session(graph=x.graph).run(slope, {x: 3.0}) == 6.0


def test_a_placeholder_outside_any_with_joins_the_default_graph() -> None:
    mg.reset_default_graph()
    x = mg.placeholder("float32", (), name="x")
    y = x * 2.0
    z = mg.asarray(1.0) + 1.0
    assert y.graph is mg.get_default_graph()
    assert z == 2.0
    assert mg.Session().run(y, {x: 4.0}) == 8.0
    mg.reset_default_graph()
    assert mg.placeholder("float32", (), name="x").name == "x:0"
    with mg.Graph().as_default(), pytest.raises(errors.GraphError, match="reset_default_graph"):
        mg.reset_default_graph()
    mg.reset_default_graph()


def test_the_default_graph_is_local_to_the_thread() -> None:
    seen: list[bool] = []
    with mg.Graph().as_default():
        thread = threading.Thread(target=lambda: seen.append(mg.executing_eagerly()))
        thread.start()
        thread.join()
        assert not mg.executing_eagerly()
    assert seen == [True]


def test_a_composite_outside_any_with_joins_its_operands_graph_whole() -> None:
    step = mg.Variable(0.0, name="step")

    @mg.composite
    def dropout(x: Any, rate: float) -> Any:
        keep = mg.random.uniform(mg.shape(x), seed=3) >= rate
        return mg.where(keep, x / (1.0 - rate), 0.0)

    @mg.composite
    def decayed(x: Any) -> Any:
        rate = 1.0 / (1.0 + step)
        return x * rate

    with mg.Graph().as_default():
        x = mg.placeholder("float32", (None,), name="x")
    noisy, scaled = dropout(x, 0.5), decayed(x)
    assert noisy.graph is x.graph
    assert scaled.graph is x.graph
    assert noisy.op.name.startswith("dropout/")
    sess = mg.Session(graph=x.graph)
    ones = np.ones(64, np.float32)
    first, second = sess.run(noisy, {x: ones}), sess.run(noisy, {x: ones})
    assert set(np.unique(first)) == {0.0, 2.0}
    assert (first != second).any()
    assert sess.run(scaled, {x: [1.0]})[0] == 1.0
    step.assign_add(1.0)
    assert sess.run(scaled, {x: [1.0]})[0] == 0.5


def test_threads_may_build_one_graph(graph: mg.Graph) -> None:
    x = mg.placeholder("float32", ())

    def build() -> None:
        y: Any = x
        for _ in range(300):
            y = y + x

    threads = [threading.Thread(target=build) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    operations = graph.get_operations()
    assert len(operations) == 1 + 4 * 300
    assert [op.index for op in operations] == list(range(len(operations)))
    assert len({op.name for op in operations}) == len(operations)


def test_a_long_chain_builds_differentiates_and_runs(graph: mg.Graph) -> None:
    x = mg.placeholder("float64", ())
    y: Any = x
    for _ in range(20_000):
        y = y + x
    (g,) = mg.gradients(y, [x])
    assert mg.Session().run([y, g], {x: 1.0}) == [20_001.0, 20_001.0]


def test_graph_variables_and_eager_code_keep_apart() -> None:
    with mg.Graph().as_default():
        v = mg.Variable([1.0], name="v")
    with pytest.raises(errors.StateError, match="belongs to a graph"):
        v.numpy()
    assert (v * 2.0).graph is v.graph
    with mg.Graph().as_default(), pytest.raises(errors.GraphError, match="two graphs"):
        mg.constant(1.0) * v


def test_variables_take_initializer_functions_and_dtypes() -> None:
    v = mg.Variable(lambda: mg.ones((2, 2)), dtype="float64")
    assert (v.shape, v.dtype) == ((2, 2), mg.float64)
    with mg.Graph().as_default():
        w = mg.Variable(lambda: mg.random.normal((3,), seed=1), name="w")
        sess = mg.Session()
        sess.run(w.initializer)
        assert sess.run(w).shape == (3,)
        with pytest.raises(errors.ShapeError, match="known shape"):
            mg.Variable(mg.placeholder("float32", (None,)))
    with pytest.raises(errors.DTypeError, match="expected int32"):
        mg.Variable(1).assign(1.5)
    with pytest.raises(errors.ShapeError, match=r"has shape \(2, 2\)"):
        v.assign([1.0])


def test_variables_pickle_and_copy() -> None:
    import copy
    import pickle

    v = mg.Variable([1.0, 2.0], name="v", trainable=False)
    for twin in (pickle.loads(pickle.dumps(v)), copy.deepcopy(v), copy.copy(v)):
        assert (twin.name, twin.trainable, twin.dtype) == ("v", False, mg.float32)
        twin.assign([9.0, 9.0])
        np.testing.assert_array_equal(v.numpy(), [1.0, 2.0])
