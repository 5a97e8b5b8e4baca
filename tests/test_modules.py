"""`nn.Module`: attributes, names, where parameters live, both modes, training, freezing."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DTypeError,
    ShapeError,
    StateError,
)


class MLP(nn.Module):
    def __init__(self, inputs: int | None = 4, name: str | None = None) -> None:
        super().__init__(name=name)
        self.hidden = nn.Linear(inputs, 8)
        self.output = nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        return self.output(mg.tanh(self.hidden(x)))


class Scale(nn.Module):
    """A lazily sized layer with a buffer, which counts its training calls."""

    factor: mg.Variable
    count: mg.Variable

    def __init__(self) -> None:
        super().__init__()
        self.add_parameter("factor", (None,), nn.initializers.Normal())
        self.add_buffer("count", (), 0, dtype="int32")

    def infer_sizes(self, x: Any) -> None:
        self.set_shape("factor", (self.size_of(x),))

    def forward(self, x: Any) -> Any:
        return x * self.factor


class Flag(nn.Module):
    def forward(self, x: Any) -> Any:
        return mg.where(self.training, x + 1.0, x)


BATCH = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


# -- both modes ------------------------------------------------------------------------------------


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(16, 4)).astype(np.float32)
    return x, np.stack([x[:, 0] * x[:, 1], np.sin(x[:, 2])], axis=1).astype(np.float32)


def train_eagerly(inputs: int | None) -> list[float]:
    mg.random.seed(5)
    model = MLP(inputs)
    x, t = data()
    losses = []
    for _ in range(20):
        with mg.GradientTape() as tape:
            loss = mg.mean((model(x) - t) ** 2)
        parameters = model.parameters()
        for p, g in zip(parameters, tape.gradient(loss, parameters), strict=True):
            p.assign_sub(0.3 * g)
        losses.append(float(loss))
    return losses


def train_lazily(inputs: int | None) -> list[float]:
    x, t = data()
    with mg.Graph().as_default():
        mg.random.seed(5)
        model = MLP(inputs)
        px = mg.placeholder("float32", (None, 4))
        pt = mg.placeholder("float32", (None, 2))
        loss = mg.mean((model(px) - pt) ** 2)
        parameters = model.parameters()
        steps = [
            p.assign_sub(0.3 * g)
            for p, g in zip(parameters, mg.gradients(loss, parameters), strict=True)
        ]
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            return [
                float(session.run([loss, *steps], feed_dict={px: x, pt: t})[0]) for _ in range(20)
            ]


def test_the_same_class_trains_alike_in_both_modes() -> None:
    eager = train_eagerly(4)
    assert eager[-1] < 0.7 * eager[0]
    np.testing.assert_allclose(train_lazily(4), eager, rtol=1e-5)
    # Sizes that the first call tells change nothing.
    assert train_eagerly(None) == eager
    np.testing.assert_allclose(train_lazily(None), eager, rtol=1e-5)


def test_an_eager_module_in_a_graph_shares_its_variables() -> None:
    model = MLP()
    expected = model(BATCH).numpy()
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float32", (None, 4))
        y = model(x)
        np.testing.assert_allclose(session.run(y, {x: BATCH}), expected, rtol=1e-6, atol=1e-7)
        session.run(model.output.bias.assign([10.0, 20.0]))
    assert model.output.bias.tolist() == [10, 20]
    np.testing.assert_allclose(model(BATCH).numpy() - [10, 20], expected, rtol=1e-4, atol=1e-5)


def test_first_use_in_a_graph_makes_eager_variables_of_an_eager_module() -> None:
    mg.random.seed(2)
    model = MLP(None)
    with mg.Graph().as_default():
        model(mg.placeholder("float32", (None, 4)))
        assert mg.global_variables() == []
    assert model.hidden.weight.graph is None
    mg.random.seed(2)
    other = MLP(None)
    other(BATCH)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_values_do_not_depend_on_the_order_of_first_use() -> None:
    mg.random.seed(4)
    first = MLP()
    first.output.parameters()
    mg.random.seed(4)
    second = MLP()
    second.hidden.parameters()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_graph_owned_module_called_with_values_computes_in_its_graph() -> None:
    graph = mg.Graph()
    with graph.as_default():
        model = MLP()
    y = model(BATCH)
    assert y.graph is graph
    with mg.Session(graph=graph) as session:
        session.run(mg.global_variables_initializer())
        assert session.run(y).shape == (3, 2)


def test_the_whole_body_joins_the_graph() -> None:
    class Noise(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + mg.random.uniform(())

    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", ())
    y = Noise()(x)  # Outside the `with`, yet the draw is a node.
    session = mg.Session(graph=graph)
    assert session.run(y, {x: 0.0}) != session.run(y, {x: 0.0})


def test_parameters_are_made_outside_loops_tapes_and_dependencies() -> None:
    layer = nn.Linear(None, 4)
    with mg.GradientTape() as tape:
        y = mg.sum(layer(BATCH) ** 2)
    assert {v.name for v in tape.watched_variables()} == {"linear/weight", "linear/bias"}
    assert tape.gradient(y, layer.weight).shape == (4, 4)
    with mg.Graph().as_default(), mg.Session() as session:
        step = nn.Linear(4, 4)
        x = mg.constant(BATCH)
        _, y = mg.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, step(s)), (0, x))
        once = step(step(step(x)))
        session.run(mg.global_variables_initializer())
        np.testing.assert_allclose(*session.run([y, once]), rtol=1e-5)


def test_checkpoint_recomputes_with_the_training_flag_of_the_call() -> None:
    flag = Flag()
    x = mg.asarray(2.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = nn.Lambda(mg.checkpoint(lambda v: flag(v) ** 2))(x, training=False)
    assert float(y) == 4.0
    assert float(tape.gradient(y, x)) == 4.0  # 2 x; it would be 6 with training on.


def test_two_threads_make_one_variable() -> None:
    mg.random.seed(9)
    layer = nn.Linear(50, 50)
    found: list[mg.Variable] = []
    start = threading.Barrier(4)

    def use() -> None:
        start.wait()
        found.append(layer.weight)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(v is layer.weight for v in found)


# -- names -----------------------------------------------------------------------------------------


def test_parameters_and_nodes_share_the_scope_of_their_layer() -> None:
    with mg.Graph().as_default() as graph:
        model = MLP()
        x = mg.placeholder("float32", (None, 4), name="x")
        model(x)
        names = {op.name for op in graph.get_operations()}
        assert {"mlp/hidden/weight", "mlp/hidden/MatMul", "mlp/Tanh", "mlp/output/Add"} <= names
        model(x)  # Again: the same boxes.
        assert "mlp/hidden/MatMul_1" in {op.name for op in graph.get_operations()}
        other = MLP(name="critic")
        assert other(x).name == "critic/output/Add:0"
        assert MLP()(x).name == "mlp_1/output/Add:0"


def test_scopes_around_and_names_made_first_by_access() -> None:
    with mg.Graph().as_default():
        with mg.name_scope("tower"):
            model = MLP()
        assert model.hidden.weight.name == "tower/mlp/hidden/weight"
        assert model(mg.constant(BATCH)).name == "tower/mlp/output/Add:0"


def test_two_eager_layers_have_a_box_each_in_a_graph() -> None:
    first, second = nn.Linear(4, 3), nn.Linear(3, 2)
    first.parameters()
    with mg.Graph().as_default() as graph:
        second(first(mg.placeholder("float32", (None, 4))))
        names = [op.name for op in graph.get_operations()]
    assert {"linear/weight", "linear/MatMul", "linear_1/weight", "linear_1/MatMul"} <= set(names)
    assert second.weight.name == "linear/weight"


def test_named_parameters_and_modules() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Residual(nn.Linear(3, 3)))
    assert [n for n, _ in model.named_parameters()] == [
        "0.weight",
        "0.bias",
        "1.inner.weight",
        "1.inner.bias",
    ]
    assert [n for n, _ in model.named_modules()] == ["", "0", "1", "1.inner"]
    assert [type(m).__name__ for m in model.children()] == ["Linear", "Residual"]
    assert model.count_parameters() == 9 + 12


def test_plain_lists_and_dicts_of_modules_are_seen() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.layers: list[nn.Module] = []
            for size in (3, 2):
                self.layers.append(nn.Linear(None, size))
            self.heads = {"a": nn.Linear(2, 1), "b": (nn.Linear(2, 1), mg.Variable(1.0))}

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x)
            return self.heads["a"](x) + self.heads["b"][0](x)

    model = Net()
    assert model(BATCH).shape == (3, 1)
    assert [n for n, _ in model.named_parameters()] == [
        "heads.b.1",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
        "heads.a.weight",
        "heads.a.bias",
        "heads.b.0.weight",
        "heads.b.0.bias",
    ]
    with mg.Graph().as_default():
        y = model(mg.placeholder("float32", (None, 4)))
        assert y.op.graph.get_operation_by_name("net/layers/0/MatMul") is not None


def test_sharing() -> None:
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.Lambda(mg.tanh), shared)
    assert len(model.parameters()) == 2
    assert model.count_parameters() == 6
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Linear(3, 3)
            self.decoder = nn.Linear(3, 3)
            self.decoder.weight = self.encoder.weight

        def forward(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

    tied = Tied()
    assert tied.decoder.weight is tied.encoder.weight
    assert len(tied.parameters()) == 3
    assert tied.count_parameters() == 15
    twin = copy.deepcopy(tied)
    assert twin.decoder.weight is twin.encoder.weight
    assert twin.encoder.weight is not tied.encoder.weight
    with pytest.raises(ShapeError, match=r"'weight' of Linear has shape \(3, 3\).*has \(2, 2\)"):
        tied.decoder.weight = shared.weight


def test_a_module_may_hold_one_that_holds_it() -> None:
    parent, child = MLP(), MLP()
    parent.child = child
    child.parent = parent
    assert len(parent.parameters()) == 8
    assert "..." in repr(parent)
    assert child.hidden.weight.name == "mlp/child/hidden/weight"


def test_dropping_a_module_frees_it_without_the_collector() -> None:
    model = MLP()
    model(BATCH)
    gone = weakref.ref(model.hidden.weight)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()


# -- sizes -----------------------------------------------------------------------------------------


def test_sizes_come_from_the_first_call() -> None:
    layer = nn.Linear(None, 3)
    assert layer.in_features is None
    with pytest.raises(StateError, match=r"'linear/weight' has shape \(\?, 3\).*call the Linear"):
        layer.parameters()
    with pytest.raises(StateError, match="not all is known"):
        layer.count_parameters()
    layer(BATCH)
    assert layer.in_features == 4
    with pytest.raises(ShapeError, match=r"in_features=4, got an input of shape \(3, 5\)") as error:
        layer(np.ones((3, 5), np.float32))
    assert error.value.__notes__ == ["in linear: Linear(in_features=4, out_features=3)"]
    with mg.Graph().as_default():
        with pytest.raises(ShapeError, match="needs to know the size of axis -1"):
            nn.LazyLinear(2)(mg.placeholder("float32", (3, None)))
        with pytest.raises(ShapeError, match=r"in_features=4, got an input of shape \(\?, 5\)"):
            layer(mg.placeholder("float32", (None, 5)))


def test_an_own_lazily_sized_layer() -> None:
    model = Scale()
    assert model(BATCH).shape == (3, 4)
    assert [n for n, _ in model.named_parameters()] == ["factor"]
    assert [n for n, _ in model.named_buffers()] == ["count"]
    assert model.shape_of("factor") == (4,)
    with pytest.raises(ShapeError, match=r"declared with shape \(4,\), which does not become"):
        model.set_shape("factor", (5,))
    with pytest.raises(ArgumentError, match="no parameter or buffer 'factr'; it has 'factor'"):
        model.set_shape("factr", (5,))


def test_layers_that_forget_their_sizes_say_so() -> None:
    class Forgets(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_parameter("w", (None,), 0)

        def forward(self, x: Any) -> Any:
            return x

    with pytest.raises(StateError, match="must define infer_sizes"):
        Forgets()(BATCH)

    class Half(Forgets):
        def infer_sizes(self, x: Any) -> None:
            pass

    with pytest.raises(StateError, match="did not settle the shape of 'w'"):
        Half()(BATCH)


# -- attributes ------------------------------------------------------------------------------------


def test_forgetting_super_init_does_no_harm() -> None:
    class Short(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(4, 1)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    assert Short()(BATCH).shape == (3, 1)


def test_refused_attributes() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ArgumentTypeError, match=r"write module\.weight\.assign\(value\)"):
        layer.weight = np.ones((2, 2))  # type: ignore[assignment]
    with pytest.raises(ArgumentError, match="would hide what every module has"):
        layer.parameters = 3  # type: ignore[assignment, method-assign]
    with pytest.raises(ArgumentError, match="has an attribute 'weight' already"):
        layer.add_parameter("weight", (2,), 0)
    with pytest.raises(ArgumentError, match="cannot be the name of an attribute"):
        layer.add_parameter("a.b", (2,), 0)
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        layer.wieght  # type: ignore[attr-defined]
    with pytest.raises(StateError, match="does not define forward"):
        nn.Module()(1.0)
    with pytest.raises(ArgumentTypeError, match="name is text"):
        nn.Linear(2, 2, name=3)  # type: ignore[arg-type]


def test_attributes_may_be_removed_and_replaced() -> None:
    layer = nn.Linear(4, 2)
    layer.bias = None
    assert [n for n, _ in layer.named_parameters()] == ["weight"]
    assert layer(BATCH).shape == (3, 2)
    model = MLP()
    model.hidden = nn.Linear(4, 8, bias=False)
    assert len(model.parameters()) == 3
    del model.hidden
    assert len(model.parameters()) == 2
    assert "weight" in dir(layer)


def test_assigned_variables_are_parameters_or_buffers() -> None:
    model = nn.Module()
    model.scale = mg.Variable(2.0)
    model.count = mg.Variable(0, trainable=False)
    assert [n for n, _ in model.named_parameters()] == ["scale"]
    assert [n for n, _ in model.named_buffers()] == ["count"]


# -- training and freezing -------------------------------------------------------------------------


def test_training_flags() -> None:
    model = nn.Sequential(Flag(), nn.Residual(Flag()))
    assert model.training is True
    assert float(model(0.0)) == 3.0
    assert float(model(0.0, training=False)) == 0.0
    model.eval()
    assert not any(m.training for m in model.modules())
    assert float(model(0.0, training=True)) == 3.0
    assert model.train() is model
    model[0].eval()  # One layer only.
    assert float(model(0.0)) == 1.0
    model.training = False
    assert float(model(0.0)) == 1.0
    with pytest.raises(ArgumentTypeError, match="training is True, False or a boolean"):
        model(0.0, training="yes")
    with pytest.raises(ArgumentTypeError, match="a tensor of float32"):
        model.train(mg.constant(1.0))


def test_one_graph_trains_and_tests() -> None:
    model = Flag()
    with mg.Graph().as_default(), mg.Session() as session:
        flag = mg.placeholder("bool", ())
        x = mg.placeholder("float32", ())
        y = model(x, training=flag)
        assert session.run(y, {x: 1.0, flag: True}) == 2.0
        assert session.run(y, {x: 1.0, flag: False}) == 1.0
        z = model.train(flag)(x)
        assert session.run(z, {x: 1.0, flag: True}) == 2.0


def test_freezing_reaches_tapes() -> None:
    model = MLP(None)
    model.hidden.freeze()  # Before its parameters are made.
    with mg.GradientTape() as tape:
        mg.sum(model(BATCH))
    assert [v.name for v in tape.watched_variables()] == ["mlp/output/weight", "mlp/output/bias"]
    assert len(model.parameters()) == 4
    assert model.trainable_parameters() == model.output.parameters()
    assert model.count_parameters(trainable_only=True) == 18
    assert model.unfreeze() is model
    assert len(model.trainable_parameters()) == 4


def test_freezing_reaches_the_collections_of_a_graph() -> None:
    with mg.Graph().as_default():
        model = MLP()
        model(mg.constant(BATCH))
        before = mg.trainable_variables()
        model.hidden.freeze()
        assert mg.trainable_variables() == model.output.parameters()
        assert mg.global_variables() == before
        model.unfreeze()
        assert mg.trainable_variables() == before


def test_unfreeze_leaves_alone_what_was_declared_untrainable() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_parameter("table", (2,), 1, trainable=False)
            self.loose = [mg.Variable(1.0), mg.Variable(2.0, trainable=False)]

    model = Fixed()
    assert [n for n, _ in model.named_parameters()] == ["table", "loose.0"]
    model.freeze()
    assert [n for n, _ in model.named_parameters()] == ["table", "loose.0"]
    assert model.trainable_parameters() == []
    model.unfreeze()
    assert [v is model.loose[0] for v in model.trainable_parameters()] == [True]


# -- copying, converting, showing ------------------------------------------------------------------


def test_copies_and_pickles_are_independent() -> None:
    model = MLP(None)
    model(BATCH)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin(BATCH).numpy(), model(BATCH).numpy())
        twin.output.bias.assign([1.0, 1.0])
        assert model.output.bias.tolist() == [0, 0]
        assert twin.hidden.weight.name == "mlp/hidden/weight"
        with mg.Graph().as_default():
            assert twin(mg.constant(BATCH)).name == "mlp/output/Add:0"
    unmade = MLP()
    np.testing.assert_array_equal(
        copy.deepcopy(unmade).hidden.weight.numpy(), unmade.hidden.weight.numpy()
    )
    with mg.Graph().as_default():
        with pytest.raises(StateError, match="cannot be copied or pickled"):
            copy.deepcopy(MLP())


def test_changing_the_dtype() -> None:
    model = MLP(None)
    model.output.parameters()
    assert model.to("float64") is model
    assert model(BATCH.astype(np.float64)).dtype == "float64"
    assert {p.dtype for p in model.parameters()} == {mg.float64}
    tied = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    tied[1].weight = tied[0].weight
    tied.to("float16")
    assert tied[1].weight is tied[0].weight
    with pytest.raises(DTypeError, match="floating dtype, got int32"):
        model.to("int32")
    with mg.Graph().as_default():
        made = MLP()
        made.parameters()
        with pytest.raises(StateError, match="made in a graph"):
            made.to("float64")


def test_apply_visits_every_module_once_children_first() -> None:
    seen: list[str] = []
    model = nn.Sequential(nn.Linear(2, 2), nn.Identity())
    assert model.apply(lambda m: seen.append(type(m).__name__)) is model
    assert seen == ["Identity", "Linear", "Sequential"]


def test_repr() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Residual(nn.Linear(None, 3, bias=False)))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3)\n"
        "  (1): Residual(\n"
        "    (inner): Linear(in_features=?, out_features=3, bias=False)\n"
        "  )\n"
        ")"
    )
