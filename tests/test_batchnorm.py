"""Batch normalisation as a module: averages by hand, and when they change."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import minigrad as mg
import minigrad.nn as nn
from minigrad.errors import ArgumentError, ShapeError, StateError

#: Channel 0 has means 2, 6, 5 and biased variances 1, 4, 9; channel 1 is always 3.
BATCHES = [
    np.array([[1.0, 3.0], [3.0, 3.0]]),
    np.array([[4.0, 3.0], [8.0, 3.0]]),
    np.array([[2.0, 3.0], [8.0, 3.0]]),
]
#: With momentum 0.75, from mean 0 and variance 1, for channel 0:
#: 0.25 · 2 = 0.5; 0.75 · 0.5 + 0.25 · 6 = 1.875; 0.75 · 1.875 + 0.25 · 5 = 2.65625.
MEANS = [0.5, 1.875, 2.65625]
#: 0.75 + 0.25 · 1 = 1; 0.75 + 0.25 · 4 = 1.75; 0.75 · 1.75 + 0.25 · 9 = 3.5625.
VARIANCES = [1.0, 1.75, 3.5625]
#: For channel 1, 3 · (1 - 0.75^k) and 0.75^k.
MEANS_1 = [0.75, 1.3125, 1.734375]
VARIANCES_1 = [0.75, 0.5625, 0.421875]


def layer_of(**options: Any) -> nn.BatchNorm:
    """A layer of two channels whose results are easy to say."""
    given: dict[str, Any] = {"momentum": 0.75, "epsilon": 0.0, "dtype": "float64", **options}
    return nn.BatchNorm(2, **given)


def averages(layer: nn.BatchNorm) -> list[list[float]]:
    """Mean and variance."""
    return [layer.moving_mean.tolist(), layer.moving_variance.tolist()]


START = [[0.0, 0.0], [1.0, 1.0]]
AFTER = [
    [[m, m1], [v, v1]] for m, m1, v, v1 in zip(MEANS, MEANS_1, VARIANCES, VARIANCES_1, strict=True)
]


class Lazily:
    """A layer called in a graph on a placeholder of unknown batch size."""

    def __init__(self, layer: nn.BatchNorm, training: Any = None) -> None:
        with mg.Graph().as_default():
            self.x = mg.placeholder("float64", (None, 2))
            self.y = layer(self.x) if training is None else layer(self.x, training=training)
        self.session = mg.Session(graph=self.x.graph)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(self.y, {self.x: x})  # type: ignore[no-any-return]


@pytest.mark.parametrize("lazy", [False, True])
def test_averages_over_three_batches_and_the_test_that_follows(lazy: bool) -> None:
    layer = layer_of(epsilon=1.0)
    assert averages(layer) == START
    train = Lazily(layer) if lazy else layer
    for batch, expected in zip(BATCHES, AFTER, strict=True):
        y = np.asarray(train(batch))
        centred = batch - batch.mean(0)
        assert_allclose(y, centred / np.sqrt((centred**2).mean(0) + 1.0), rtol=1e-14)
        assert averages(layer) == expected
    test = Lazily(layer, training=False) if lazy else layer.eval()
    y = np.asarray(test(np.array([[2.65625 + 2.0, 1.734375]])))
    assert_allclose(y, [[2.0 / np.sqrt(4.5625), 0.0]], rtol=1e-14)
    assert averages(layer) == AFTER[-1]


@pytest.mark.parametrize("lazy", [False, True])
def test_scale_and_shift(lazy: bool) -> None:
    layer = layer_of()
    layer.scale.assign([2.0, 5.0])
    layer.shift.assign([10.0, 0.5])
    call = Lazily(layer) if lazy else layer
    # A channel that is the same everywhere gives the shift; 0 / 0 needs an epsilon.
    layer.epsilon = 1e-5
    y = np.asarray(call(BATCHES[0])) if not lazy else Lazily(layer)(BATCHES[0])
    assert_allclose(y, [[8.0, 0.5], [12.0, 0.5]], rtol=1e-5)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("axis", "shape"), [(-1, (2, 3, 4, 5)), (1, (2, 5, 3, 4)), (1, (4, 5))])
def test_any_rank_and_axis(axis: int, shape: tuple[int, ...], lazy: bool) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    layer = nn.BatchNorm(None, axis=axis, dtype="float64")
    if lazy:
        with mg.Graph().as_default(), mg.Session() as session:
            inputs = mg.placeholder(
                "float64",
                [None if i not in (axis, axis % len(shape)) else d for i, d in enumerate(shape)],
            )
            y = session.run(layer(inputs), {inputs: x})
    else:
        y = np.asarray(layer(x))
    others = tuple(i for i in range(len(shape)) if i != axis % len(shape))
    mean, variance = x.mean(others), x.var(others)
    at = np.moveaxis(np.empty(shape), axis % len(shape), -1)
    at = (np.moveaxis(x, axis, -1) - mean) / np.sqrt(variance + 1e-5) + np.zeros_like(at)
    assert_allclose(y, np.moveaxis(at, -1, axis), rtol=1e-10, atol=1e-12)
    assert_allclose(layer.moving_mean.numpy(), 0.1 * mean, rtol=1e-12)
    assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * variance, rtol=1e-12)
    assert layer.num_features == 5


@pytest.mark.parametrize("lazy", [False, True])
def test_a_batch_of_one_and_an_empty_one(lazy: bool) -> None:
    layer = layer_of(epsilon=1e-5)
    layer.shift.assign([7.0, 8.0])
    call = Lazily(layer) if lazy else layer
    assert np.asarray(call(np.array([[4.0, 6.0]]))).tolist() == [[7.0, 8.0]]
    assert averages(layer) == [[1.0, 1.5], [0.75, 0.75]]
    assert np.asarray(call(np.zeros((0, 2)))).shape == (0, 2)
    assert averages(layer) == [[1.0, 1.5], [0.75, 0.75]]


def test_one_graph_serves_training_and_testing() -> None:
    layer = layer_of(epsilon=1.0)
    with mg.Graph().as_default():
        training = mg.placeholder("bool", ())
        x = mg.placeholder("float64", (None, 2))
        y = layer(x, training=training)
        (slope,) = mg.gradients(mg.sum(y**3), [x])
        session = mg.Session()
    session.run([y, slope], {x: BATCHES[0], training: True})
    assert averages(layer) == AFTER[0]
    # In a test no example depends on the others.
    alone = session.run(y, {x: BATCHES[1][:1], training: False})
    both = session.run(y, {x: BATCHES[1], training: False})
    assert_array_equal(alone, both[:1])
    assert_allclose(both, (BATCHES[1] - [0.5, 0.75]) / np.sqrt([2.0, 1.75]), rtol=1e-14)
    held, g = session.run([y, slope], {x: BATCHES[1], training: False})
    assert_allclose(g, 3 * held**2 / np.sqrt([2.0, 1.75]), rtol=1e-13)
    assert averages(layer) == AFTER[0]
    session.run(y, {x: BATCHES[1], training: True})
    assert averages(layer) == AFTER[1]


def test_training_may_be_an_eager_tensor_or_variable() -> None:
    layer = layer_of(epsilon=1.0)
    flag = mg.Variable(False)
    layer.train(flag)
    layer(BATCHES[0])
    call = Lazily(layer)
    call(BATCHES[0])
    assert averages(layer) == START
    flag.assign(True)
    layer(BATCHES[0])
    assert averages(layer) == AFTER[0]
    call(BATCHES[1])
    assert averages(layer) == AFTER[1]
    layer(BATCHES[2], training=mg.constant(True))
    assert averages(layer) == AFTER[2]


@pytest.mark.parametrize("by_tensor", [False, True])
def test_a_layer_applied_twice_averages_twice_in_order(by_tensor: bool) -> None:
    layer = layer_of(epsilon=1.0)
    with mg.Graph().as_default(), mg.Session() as session:
        training: Any = mg.placeholder("bool", ()) if by_tensor else True
        flag = {training: True} if by_tensor else {}
        x = mg.placeholder("float64", (None, 2))
        first = layer(x, training=training)
        second = layer(x + 2.0, training=training)
        total = mg.sum(first) + mg.sum(second)
        session.run([second, first, total], {x: BATCHES[0], **flag})
        # 0.75 · (0.25 · 2) + 0.25 · 4; in the other order it would be 1.25.
        assert layer.moving_mean.tolist()[0] == 1.375
        session.run(second, {x: BATCHES[0], **flag})
        assert layer.moving_mean.tolist()[0] == 0.75 * 1.375 + 0.25 * 4.0
    eager = layer_of()
    eager(BATCHES[0])
    eager(BATCHES[0] + 2.0)
    assert eager.moving_mean.tolist()[0] == 1.375


@pytest.mark.parametrize("by_tensor", [False, True])
def test_a_run_averages_once_however_much_it_fetches(by_tensor: bool) -> None:
    layer = layer_of(epsilon=1.0)
    with mg.Graph().as_default(), mg.Session() as session:
        training: Any = mg.placeholder("bool", ()) if by_tensor else True
        flag = {training: True} if by_tensor else {}
        x = mg.placeholder("float64", (None, 2))
        y = layer(x, training=training)
        loss = mg.sum(mg.tanh(y))
        slopes = mg.gradients(loss, [x, layer.scale, layer.shift])
        second = mg.gradients(mg.sum(slopes[0] ** 2), [x])
        session.run([y, loss, *slopes, *second], {x: BATCHES[0], **flag})
        assert averages(layer) == AFTER[0]
        session.run(x * 2.0, {x: BATCHES[0], **flag})
        session.run(loss, {y: BATCHES[0], **flag})  # It is fed what the layer would compute.
        assert averages(layer) == AFTER[0]


@pytest.mark.parametrize("by_tensor", [False, True])
def test_a_gradient_check_leaves_averages_alone(by_tensor: bool) -> None:
    layer = layer_of(epsilon=0.5)
    values = np.random.default_rng(0).normal(size=(4, 2))

    def loss(x: mg.Tensor, scale: mg.Tensor) -> mg.Tensor:
        return mg.sum(mg.sin(layer(x)) * scale)

    training = mg.constant(True) if by_tensor else True
    layer.train(training)
    assert mg.gradcheck(loss, values, np.ones(2), order=2).ok
    assert averages(layer) == START
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float64", (None, 2))
        flag = mg.placeholder("bool", ()) if by_tensor else True
        y = layer(x, training=flag)
        feeds = {x: values, **({flag: True} if by_tensor else {})}
        total = mg.sum(mg.sin(y))
        variables = [x, layer.scale]
        report = mg.gradcheck(total, feed_dict=feeds, session=session, variables=variables)
        assert report.ok, report
    assert averages(layer) == START


@pytest.mark.parametrize("by_tensor", [False, True])
def test_a_checkpoint_around_it_averages_once(by_tensor: bool) -> None:
    plain, layer = layer_of(epsilon=1.0), layer_of(epsilon=1.0)
    kept = mg.checkpoint(lambda x: mg.sin(layer(x)))

    with mg.GradientTape() as tape:
        x = mg.constant(BATCHES[0])
        tape.watch(x)
        loss = mg.sum(kept(x))
    g = tape.gradient(loss, [x, layer.scale])
    assert averages(layer) == AFTER[0]
    with mg.GradientTape() as tape:
        tape.watch(x)
        loss = mg.sum(mg.sin(plain(x)))
    for a, b in zip(g, tape.gradient(loss, [x, plain.scale]), strict=True):
        assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)

    with mg.Graph().as_default(), mg.Session() as session:
        inputs = mg.placeholder("float64", (None, 2))
        flag: Any = mg.placeholder("bool", ()) if by_tensor else True
        layer.train(flag)
        loss = mg.sum(kept(inputs))
        slopes = mg.gradients(loss, [inputs, layer.scale])
        feeds = {inputs: BATCHES[1], **({flag: True} if by_tensor else {})}
        got = session.run([loss, *slopes], feeds)
        assert averages(layer) == AFTER[1]
        layer.train(True)
    with mg.GradientTape() as tape:
        x = mg.constant(BATCHES[1])
        tape.watch(x)
        loss = mg.sum(mg.sin(plain(x)))
    for a, b in zip(got[1:], tape.gradient(loss, [x, plain.scale]), strict=True):
        assert_allclose(a, b.numpy(), rtol=1e-12)


def test_in_the_body_of_a_loop_every_iteration_averages() -> None:
    layer = layer_of(epsilon=1.0)
    stacked = np.stack(BATCHES)
    eager = layer_of(epsilon=1.0)
    mg.map_fn(eager, mg.constant(stacked))
    assert averages(eager) == AFTER[-1]
    with mg.Graph().as_default(), mg.Session() as session:
        xs = mg.placeholder("float64", (None, 2, 2))
        ys = mg.map_fn(layer, xs)
        (g,) = mg.gradients(mg.sum(ys**3), [xs])
        session.run([ys, g], {xs: stacked})
    assert averages(layer) == AFTER[-1]


def test_manual_updates_in_a_graph() -> None:
    layer = layer_of(epsilon=1.0, update="manual")
    with mg.Graph().as_default() as graph, mg.Session() as session:
        x = mg.placeholder("float64", (None, 2))
        y = layer(x)
        assert graph.get_collection(mg.GraphKeys.UPDATE_OPS) == layer.updates
        assert len(layer.updates) == 1
        session.run(y, {x: BATCHES[0]})
        assert averages(layer) == START
        session.run([y, *layer.updates], {x: BATCHES[0]})
        assert averages(layer) == AFTER[0]
        layer(x, training=False)
        assert len(layer.updates) == 1
        layer.summary((None, 2), training=True)
        assert len(layer.updates) == 1
        layer(x * 2.0)
        assert len(layer.updates) == 2
        with pytest.raises(StateError, match="body of a branch or loop"):
            mg.map_fn(layer, mg.reshape(x, (1, -1, 2)))
    assert copy.deepcopy(layer).updates == []
    assert pickle.loads(pickle.dumps(layer)).updates == []


def test_manual_updates_follow_a_flag() -> None:
    layer = layer_of(epsilon=1.0, update="manual")
    with mg.Graph().as_default(), mg.Session() as session:
        training = mg.placeholder("bool", ())
        x = mg.placeholder("float64", (None, 2))
        y = layer(x, training=training)
        (update,) = layer.updates
        got, _ = session.run([y, update], {x: BATCHES[0], training: True})
        assert_allclose(got[:, 0], [-(0.5**0.5), 0.5**0.5], rtol=1e-14)
        assert averages(layer) == AFTER[0]
        got, _ = session.run([y, update], {x: BATCHES[0], training: False})
        assert_allclose(got, (BATCHES[0] - [0.5, 0.75]) / np.sqrt([2.0, 1.75]), rtol=1e-14)
        assert averages(layer) == AFTER[0]


def test_manual_updates_are_handed_out_once_by_a_checkpoint() -> None:
    layer = layer_of(epsilon=1.0, update="manual")
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float64", (None, 2))
        loss = mg.sum(mg.checkpoint(lambda x: mg.sin(layer(x)))(x))
        slopes = mg.gradients(loss, [x])
        assert len(layer.updates) == 1
        session.run([loss, *slopes, *layer.updates], {x: BATCHES[0]})
    assert averages(layer) == AFTER[0]


def test_manual_updates_in_eager_code() -> None:
    layer = layer_of(epsilon=1.0, update="manual")
    layer(BATCHES[2])
    layer(BATCHES[0])
    assert averages(layer) == START
    for update in layer.updates:
        update()  # type: ignore[operator]
    assert averages(layer) == AFTER[0]


def test_averages_of_a_layer_made_in_a_graph_belong_to_the_session() -> None:
    with mg.Graph().as_default():
        layer = layer_of(epsilon=1.0)
        x = mg.placeholder("float64", (None, 2))
        y = layer(x)
        start = mg.global_variables_initializer()
        first, second = mg.Session(), mg.Session()
        for session in (first, second):
            session.run(start)
        first.run(y, {x: BATCHES[0]})
        assert first.run(layer.moving_mean).tolist() == AFTER[0][0]
        assert second.run(layer.moving_mean).tolist() == START[0]


def test_a_failed_run_changes_nothing() -> None:
    layer = layer_of(epsilon=1.0)
    with mg.Graph().as_default(), mg.Session() as session:
        x = mg.placeholder("float64", (None, 2))
        y = mg.reshape(layer(x), (3, 2))
        with pytest.raises(ShapeError):
            session.run(y, {x: BATCHES[0]})
    assert averages(layer) == START


def test_a_linear_layer_before_it_needs_no_bias() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(8, 3))
    before = nn.Linear(3, 2, bias=False, dtype="float64")
    layer = layer_of()
    expected = layer(before(x)).numpy()
    assert_allclose(layer(before(x) + np.array([100.0, -7.0])).numpy(), expected, rtol=1e-10)


def test_trains_in_both_modes_alike() -> None:
    rng = np.random.default_rng(2)
    xs, ts = rng.normal(size=(5, 6, 3)) * 4 + 2, rng.normal(size=(5, 6, 2))
    losses: list[list[float]] = []
    states = []
    for lazy in (False, True):
        mg.random.seed(3)
        model = nn.Sequential(
            nn.Linear(3, 4, bias=False, dtype="float64"),
            nn.BatchNorm(None, dtype="float64"),
            nn.Lambda(mg.tanh),
            nn.Linear(4, 2, dtype="float64"),
        )
        optimizer = mg.optim.SGD(0.1)
        if lazy:
            with mg.Graph().as_default(), mg.Session() as session:
                x, t = mg.placeholder("float64", (None, 3)), mg.placeholder("float64", (None, 2))
                loss = mg.mean((model(x) - t) ** 2)
                step = optimizer.minimize(loss, model.trainable_parameters())
                session.run(mg.global_variables_initializer())
                losses.append(
                    [
                        float(session.run([loss, step], {x: a, t: b})[0])
                        for a, b in zip(xs, ts, strict=True)
                    ]
                )
        else:
            row = []
            for a, b in zip(xs, ts, strict=True):
                with mg.GradientTape() as tape:
                    loss = mg.mean((model(a) - b) ** 2)
                variables = model.trainable_parameters()
                optimizer.apply_gradients(
                    zip(tape.gradient(loss, variables), variables, strict=True)
                )
                row.append(float(loss))
            losses.append(row)
        states.append(model.state_dict())
    mg.random.seed(None)
    assert_allclose(losses[0], losses[1], rtol=1e-10)
    assert set(states[0]) == {
        "0.weight",
        "1.scale",
        "1.shift",
        "1.moving_mean",
        "1.moving_variance",
        "3.weight",
        "3.bias",
    }
    for name, value in states[0].items():
        assert_allclose(value, states[1][name], rtol=1e-9)


def test_averages_are_saved_and_follow_no_freezing() -> None:
    layer = layer_of(epsilon=1.0)
    layer(BATCHES[0])
    other = nn.BatchNorm(None, momentum=0.75, epsilon=1.0, dtype="float64")
    other.load_state_dict(layer.state_dict())
    assert averages(other) == AFTER[0]
    assert other.num_features == 2
    other.freeze()
    other(BATCHES[1])
    assert averages(other) == AFTER[1]
    assert [name for name, _ in layer.named_parameters()] == ["scale", "shift"]
    assert [name for name, _ in layer.named_buffers()] == ["moving_mean", "moving_variance"]


def test_float16_averages_in_float32() -> None:
    layer = nn.BatchNorm(2, dtype="float16")
    y = layer(np.array([[1.0, 2.0], [3.0, 4.0]], np.float16))
    assert y.dtype == mg.float16
    assert layer.moving_mean.dtype == mg.float32
    assert layer(np.ones((2, 2), np.float16), training=False).dtype == mg.float16


def test_without_scale_and_shift() -> None:
    layer = layer_of(scale=False, shift=False, epsilon=1.0)
    assert layer.parameters() == []
    assert_allclose(layer(BATCHES[0]).numpy()[:, 0], [-(0.5**0.5), 0.5**0.5], rtol=1e-14)
    assert repr(layer) == (
        "BatchNorm(num_features=2, epsilon=1, scale=False, shift=False, momentum=0.75)"
    )


def test_errors() -> None:
    with pytest.raises(ArgumentError, match=r"momentum must lie in \[0, 1\]"):
        nn.BatchNorm(2, momentum=1.5)
    with pytest.raises(ArgumentError, match="update must be 'auto' or 'manual'"):
        nn.BatchNorm(2, update="never")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="num_features is an integer of 1 or more"):
        nn.BatchNorm(0)
    with pytest.raises(ArgumentError, match="epsilon"):
        nn.BatchNorm(2, epsilon=-1.0)
    with pytest.raises(ShapeError, match=r"num_features=2, got an input of shape \(4, 3\)"):
        nn.BatchNorm(2)(np.ones((4, 3)))
