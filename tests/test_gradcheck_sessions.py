"""Gradient checks of losses in a session."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    FailedPreconditionError,
    FeedError,
    GradientError,
    GraphError,
    NotDifferentiableError,
    StateError,
)


class Network:
    """A small classifier in float32, with weight decay, in a graph of its own."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.graph = mg.Graph()
        with self.graph.as_default():
            self.x = mg.placeholder("float32", (None, 4), name="x")
            self.labels = mg.placeholder("int32", (None,), name="labels")
            self.w1 = mg.Variable(rng.normal(size=(4, 5)).astype("float32"), name="w1")
            self.b1 = mg.Variable(np.zeros(5, "float32"), name="b1")
            self.w2 = mg.Variable(rng.normal(size=(5, 3)).astype("float32"), name="w2")
            hidden = mg.tanh(self.x @ self.w1 + self.b1)
            logits = hidden @ self.w2
            rows = mg.arange(mg.shape(self.x)[0])
            picked = logits[rows, self.labels]
            decay = 0.01 * (mg.sum(self.w1**2.0) + mg.sum(self.w2**2.0))
            self.loss = mg.mean(mg.logsumexp(logits, axis=1) - picked) + decay
            self.session = mg.Session()
            self.session.run(mg.global_variables_initializer())
        self.feeds = {
            self.x: rng.normal(size=(6, 4)).astype("float32"),
            self.labels: rng.integers(0, 3, 6).astype("int32"),
        }

    def state(self):
        return self.session.run([self.w1, self.b1, self.w2])


@pytest.fixture
def net():
    return Network()


def test_a_float32_loss_scores_as_float64(net):
    report = mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session, order=2)
    assert report.verdict == "right"
    assert report.error(1) < 1e-9
    assert [c.name for c in report.checks] == ["w1", "b1", "w2"] * 2
    assert not report.projected


def test_nothing_changes(net):
    before, nodes = net.state(), len(net.graph)
    net.graph.finalize()
    mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session)
    assert len(net.graph) == nodes
    for old, new in zip(before, net.state(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_default_session_is_used(net):
    with net.session:
        assert mg.gradcheck(net.loss, feed_dict=net.feeds).verdict == "right"


def test_the_loss_includes_what_regularizes_it(net):
    # A gradient of the data term alone must not pass for that of the whole loss.
    with net.graph.as_default():

        @mg.custom_gradient
        def forgotten(w):
            return 0.01 * mg.sum(w**2.0), lambda g: 0.0 * w * g

        loss = net.loss + forgotten(net.w1)
    report = mg.gradcheck(loss, feed_dict=net.feeds, session=net.session)
    assert report.verdict == "bug"
    assert {c.name: c.verdict for c in report.checks} == {"w1": "bug", "b1": "right", "w2": "right"}


def test_only_some_variables_or_tensors(net):
    report = mg.gradcheck(
        net.loss, feed_dict=net.feeds, session=net.session, variables=[net.b1, net.x]
    )
    assert [(c.name, c.shape) for c in report.checks] == [("b1", (5,)), ("x:0", (6, 4))]
    assert report.verdict == "right"


def test_intermediate_results():
    with mg.Graph().as_default():
        w = mg.Variable(0.5, name="w")
        h = mg.exp(w)
        loss = h * h + w
        sess = mg.Session()
        sess.run(w.initializer)
    report = mg.gradcheck(loss, session=sess, variables=[w, h])
    assert report.verdict == "right"
    assert report.checks[0].worst[0].numeric == pytest.approx(2 * np.exp(1.0) + 1.0)
    assert report.checks[1].worst[0].numeric == pytest.approx(2 * np.exp(0.5))


def test_a_fed_intermediate_result_cuts_the_graph(net):
    h = net.graph.get_tensor_by_name("Tanh:0")
    feeds = net.feeds | {h: np.ones((6, 5), "float32")}
    report = mg.gradcheck(net.loss, feed_dict=feeds, session=net.session)
    assert [c.name for c in report.checks] == ["w1", "w2"]
    assert report.verdict == "right"


def test_an_eager_variable_needs_no_session():
    v = mg.Variable([1.0, 2.0], name="v")
    with mg.Graph().as_default():
        loss = mg.sum(mg.exp(v) * v)
    assert mg.gradcheck(loss).verdict == "right"
    assert v.numpy().tolist() == [1.0, 2.0]


def test_a_loss_of_several_numbers_is_projected():
    v = mg.Variable([1.0, 2.0])
    with mg.Graph().as_default():
        y = mg.exp(v)
    report = mg.gradcheck(y)
    assert report.projected
    assert report.verdict == "right"


def test_variables_that_do_not_matter_have_zero_gradients(net):
    with net.graph.as_default():
        loss = mg.sum(net.w2**2.0)
    report = mg.gradcheck(loss, session=net.session, variables=[net.w1, net.w2])
    assert [c.verdict for c in report.checks] == ["right", "right"]
    assert report.checks[0].relative_error == 0.0


# -- randomness, state and effects --------------------------------------------------------------


def test_dropout_is_refused_by_the_name_of_its_node(net):
    with net.graph.as_default(), mg.name_scope("dropout"):
        mask = mg.random.uniform((5,))
        loss = net.loss + mg.sum(mg.where(mask < 0.5, net.b1, 0.0))
    with pytest.raises(GradientError, match="draws random numbers in node 'dropout/"):
        mg.gradcheck(loss, feed_dict=net.feeds, session=net.session)


def test_a_fed_draw_is_no_draw(net):
    with net.graph.as_default():
        mask = mg.random.uniform((5,))
        loss = net.loss + mg.sum(mask * net.b1)
    feeds = net.feeds | {mask: np.full(5, 0.25, "float32")}
    assert mg.gradcheck(loss, feed_dict=feeds, session=net.session).verdict == "right"


def test_a_draw_that_the_loss_does_not_need_is_no_obstacle(net):
    with net.graph.as_default():
        noise = mg.random.uniform((5,))
        with mg.control_dependencies([noise]):
            loss = mg.identity(net.loss)
    assert mg.gradcheck(loss, feed_dict=net.feeds, session=net.session).verdict == "right"


def test_effects_do_not_happen(net):
    calls = []
    with net.graph.as_default():
        counter = mg.Variable(0, trainable=False, name="counter")
        net.session.run(counter.initializer)
        net.graph.add_effect(net.loss, counter.assign_add(1))
        log = mg.host_call(lambda x: calls.append(1) or x, net.loss, out=((), "float32"))
        net.graph.add_effect(net.loss, log)
    assert mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session).verdict == "right"
    assert net.session.run(counter) == 0
    assert calls == []


def test_a_read_after_an_assignment_sees_it_and_commits_nothing():
    with mg.Graph().as_default():
        v = mg.Variable([1.0, 2.0], name="v")
        with mg.control_dependencies([v.assign_add([10.0, 10.0])]):
            later = v.read()
        loss = mg.sum(later**3.0) + mg.sum(v**2.0)
        sess = mg.Session()
        sess.run(v.initializer)
    report = mg.gradcheck(loss, session=sess)
    assert report.verdict == "right"
    expected = 3.0 * np.array([11.0, 12.0]) ** 2 + 2.0 * np.array([1.0, 2.0])
    found = {c.index: c.numeric for c in report.checks[0].worst}
    np.testing.assert_allclose([found[(0,)], found[(1,)]], expected, rtol=1e-8)
    assert sess.run(v).tolist() == [1.0, 2.0]


def test_the_result_of_an_assignment_has_no_gradient():
    with mg.Graph().as_default():
        v, w = mg.Variable(1.0), mg.Variable(2.0)
        loss = v.assign(w * 2.0) * 3.0
        sess = mg.Session()
        sess.run(mg.global_variables_initializer())
    with pytest.raises(NotDifferentiableError, match="an assignment changes state"):
        mg.gradcheck(loss, session=sess, variables=[w])


def test_python_functions_in_the_graph():
    calls = []

    def square(x):
        calls.append(x.dtype)
        return x * x

    def slope(c):
        return c.grads[0] * 2.0 * c.inputs[0]

    v = mg.Variable(np.array([1.0, 2.0], "float32"))
    with mg.Graph().as_default():
        once = mg.host_call(lambda: calls.append("once") or np.float32(3.0), out=((), "float32"))
        y = mg.host_call(square, v, out=((2,), "float32"), gradient=slope)
        loss = mg.sum(y) * once
    assert mg.gradcheck(loss).verdict == "right"
    assert calls.count("once") == 1
    assert np.dtype("float64") in calls


# -- ways that gradients take -------------------------------------------------------------------


def test_stop_gradient_is_held_fixed():
    v = mg.Variable([0.3, -0.4])
    with mg.Graph().as_default():
        loss = mg.sum(v * mg.stop_gradient(mg.exp(v)))
    report = mg.gradcheck(loss, order=2)
    assert report.verdict == "right"


def test_checkpointed_parts_count(net):
    with net.graph.as_default():
        layer = mg.checkpoint(lambda x: mg.tanh(mg.tanh(x @ net.w1) + net.b1))
        loss = mg.sum(layer(net.x) ** 2.0)
        nodes = len(net.graph)
    report = mg.gradcheck(loss, feed_dict=net.feeds, session=net.session, order=2)
    assert report.verdict == "right"
    assert [c.name for c in report.checks] == ["w1", "b1"] * 2
    assert len(net.graph) == nodes


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "right"), (1.1, "bug"), (-1.0, "bug")])
def test_custom_gradients_count(factor, verdict):
    v = mg.Variable([0.3, -0.4])

    @mg.custom_gradient
    def cube(x):
        # The rule reads a tensor of the graph that was made with the result.
        square = x * x
        return square * x, lambda g: g * square * (3.0 * factor)

    graph = mg.Graph()
    with graph.as_default():
        loss = mg.sum(mg.sin(cube(2.0 * v)))
        nodes = len(graph)
        graph.finalize()
    report = mg.gradcheck(loss, order=2)
    assert report.checks[0].verdict == verdict
    assert (report.checks[1].verdict == "right") is (factor == 1.0)
    assert len(graph) == nodes


def test_a_nested_checkpoint():
    v = mg.Variable([0.3, -0.4])
    inner = mg.checkpoint(lambda x: mg.tanh(2.0 * x))
    outer = mg.checkpoint(lambda x: inner(inner(x)) * v)
    with mg.Graph().as_default():
        loss = mg.sum(outer(mg.exp(v)))
    assert mg.gradcheck(loss, order=2).verdict == "right"


def test_rows_looked_up_from_a_table():
    table = mg.Variable(np.random.default_rng(0).normal(size=(5, 2)).astype("float32"))
    with mg.Graph().as_default():
        rows = mg.take(table, mg.constant([1, 3, 3]), axis=0)
        loss = mg.sum(rows**3.0)
    assert mg.gradcheck(loss).verdict == "right"


def test_a_chain_of_many_nodes_needs_no_stack():
    v = mg.Variable(0.5)
    with mg.Graph().as_default():
        y = mg.sin(v)
        for _ in range(3000):
            y = y + v
    assert mg.gradcheck(y * y).verdict == "right"


# -- what is refused ----------------------------------------------------------------------------


def test_missing_and_wrong_feeds(net):
    with pytest.raises(FeedError, match="placeholder 'labels' was not fed"):
        mg.gradcheck(net.loss, feed_dict={net.x: net.feeds[net.x]}, session=net.session)
    with pytest.raises(FeedError, match="dimension 1 is 3, expected 4"):
        mg.gradcheck(net.loss, feed_dict={net.x: np.ones((6, 3))}, session=net.session)


def test_uninitialized_variables(net):
    with pytest.raises(FailedPreconditionError, match="'w1' was used before it was initialized"):
        mg.gradcheck(net.loss, feed_dict=net.feeds, session=mg.Session(graph=net.graph))


def test_a_closed_session_is_refused(net):
    net.session.close()
    with pytest.raises(StateError, match="this session is closed"):
        mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session)


def test_a_single_variable_and_none(net):
    report = mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session, variables=net.w2)
    assert [c.name for c in report.checks] == ["w2"]
    with pytest.raises(ArgumentError, match="variables is empty"):
        mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session, variables=[])


def test_a_session_of_another_graph(net):
    with pytest.raises(GraphError, match="the session runs"):
        mg.gradcheck(net.loss, feed_dict=net.feeds, session=mg.Session(graph=mg.Graph()))


def test_what_cannot_be_differentiated_for(net):
    with pytest.raises(ArgumentTypeError, match="variables must be variables or symbolic tensors"):
        mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session, variables=["w1"])
    with pytest.raises(NotDifferentiableError, match="not of a floating dtype"):
        mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session, variables=[net.labels])
    with pytest.raises(ArgumentError, match="named twice"):
        mg.gradcheck(net.loss, feed_dict=net.feeds, session=net.session, variables=[net.w1] * 2)
    with net.graph.as_default(), pytest.raises(GradientError, match="floating dtype"):
        mg.gradcheck(mg.argmax(net.w1), session=net.session)


def test_a_loss_without_variables():
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (2,))
        loss = mg.sum(x * x)
    with pytest.raises(ArgumentError, match="reads no trainable variable"):
        mg.gradcheck(loss, feed_dict={x: [1.0, 2.0]})
    assert mg.gradcheck(loss, feed_dict={x: [1.0, 2.0]}, variables=[x]).verdict == "right"


def test_a_failing_node_names_the_users_line(net):
    with net.graph.as_default():
        loss = mg.sum(mg.ensure_shape(net.x, (2, None)) @ net.w1)
    with pytest.raises(mg.errors.ShapeError, match="test_gradcheck_sessions"):
        mg.gradcheck(loss, feed_dict=net.feeds, session=net.session)
