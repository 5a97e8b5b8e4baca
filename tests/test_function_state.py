"""`mg.function` and state: variables, random numbers, training steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors, nn, optim


def array(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape)


# -- state -------------------------------------------------------------------------------------


def test_variables_are_read_and_written_at_the_call() -> None:
    v = mg.Variable(1.0)

    @mg.function
    def bump(x: Any) -> Any:
        before = v * 1.0
        v.assign_add(x)
        middle = v * 1.0
        v.assign(v * 2.0)
        return before, middle, v.value(), v

    x = mg.asarray(2.0)
    before, middle, after, same = bump(x)
    assert (before, middle, after) == (1.0, 3.0, 6.0)
    assert same is v
    v.assign(0.0)
    assert bump(x)[:3] == (0.0, 2.0, 4.0)
    assert float(v) == 4.0


def test_effects_keep_the_order_of_the_code_in_loops_and_branches() -> None:
    def code(v: Any, x: Any) -> Any:
        def body(i: Any, total: Any) -> Any:
            v.assign_add(x)
            total = total + v
            v.assign(v * 2.0)
            return i + 1, total

        _, total = mg.while_loop(lambda i, total: i < 3, body, (0, 0.0))
        more = mg.cond(x > 1.0, lambda: v.assign_add(1.0) + v, lambda: v * 1.0)
        return total, more, v * 1.0

    for x in (2.0, 0.5):
        one, other = mg.Variable(1.0), mg.Variable(1.0)
        traced = mg.function(code)
        assert [float(y) for y in traced(one, mg.asarray(x))] == [
            float(y) for y in code(other, mg.asarray(x))
        ]
        assert float(one) == float(other)


def test_a_call_that_fails_changes_nothing() -> None:
    v = mg.Variable(1.0)
    generator = mg.random.Generator(seed=1)

    @mg.function
    def bad(index: Any) -> Any:
        v.assign(5.0)
        mg.random.normal((2,), generator=generator)
        return mg.gather(mg.ones(3), index)

    with pytest.raises(errors.IndexOutOfRangeError, match=r"test_function_state\.py"):
        bad(np.array([7]))
    assert (float(v), generator.counter) == (1.0, 0)
    bad(np.array([0]))
    assert (float(v), generator.counter) == (5.0, 512)


def test_the_first_call_draws_as_eager_code_and_later_ones_draw_on() -> None:
    noise = mg.function(lambda: mg.random.normal((3,)))
    mg.random.seed(4)
    eager = mg.random.normal((3,)).tolist()
    mg.random.seed(4)
    drawn = [noise().tolist() for _ in range(3)]
    assert drawn[0] == eager
    assert len({tuple(d) for d in drawn}) == 3
    mg.random.seed(4)
    assert [noise().tolist() for _ in range(3)] == drawn
    assert noise.stats().kept == 1
    fixed = mg.function(lambda: mg.random.normal((3,), seed=2))
    assert fixed().tolist() == fixed().tolist() == mg.random.normal((3,), seed=2).tolist()


def test_generators_and_dropout_go_on_where_eager_code_left_them() -> None:
    one, other = mg.random.Generator(seed=3), mg.random.Generator(seed=3)
    draw = mg.function(lambda g: mg.random.uniform((2,), generator=g))
    for use in (draw, draw, draw.python_function, draw):
        assert use(one).tolist() == draw.python_function(other).tolist()
    first, second = nn.Dropout(0.5, seed=1), nn.Dropout(0.5, seed=1)
    drop = mg.function(first)
    for _ in range(3):
        assert drop(mg.ones(8)).tolist() == second(mg.ones(8)).tolist()


def test_python_code_runs_in_each_call_by_host_call() -> None:
    seen = []

    @mg.function
    def watched(x: Any) -> Any:
        mg.host_call(lambda a: seen.append(float(a)) or a, x, out=((), "float32"))
        return x

    watched(mg.asarray(1.0))
    watched(mg.asarray(2.0))
    assert seen == [1.0, 2.0]


def test_a_variable_is_made_in_the_first_call_only() -> None:
    class Scale:
        def __init__(self) -> None:
            self.factor: Any = None

        @mg.function
        def __call__(self, x: Any) -> Any:
            if self.factor is None:
                self.factor = mg.Variable(mg.random.normal(()) * 0.0 + 2.0)
            return self.factor * x

    scale = Scale()
    assert scale(mg.asarray(3.0)) == 6.0
    scale.factor.assign(5.0)
    assert scale(mg.asarray(3.0)) == 15.0
    assert scale(mg.ones(2)).tolist() == [5.0, 5.0]

    for make in (mg.Variable, lambda x: nn.Linear(1, 1).weight, lambda x: mg.random.Generator(1)):
        with pytest.raises(errors.StateError, match="whenever it is traced"):
            mg.function(lambda x, make=make: (make(1.0), x)[1])(mg.ones(()))
    with pytest.raises(errors.StateError, match="depends on the function's argument 'x'"):
        mg.function(lambda x: mg.Variable(x * 2.0) + x)(mg.ones(()))


def test_parameters_and_slots_are_made_when_they_are_needed() -> None:
    model, optimizer = nn.Linear(None, 1), optim.Adam(0.1)

    @mg.function
    def step(x: Any, y: Any) -> Any:
        return optimizer.minimize(lambda: mg.mean((model(x) - y) ** 2), model)

    x, y = array(16, 3).astype("float32"), np.ones((16, 1), np.float32)
    losses = [float(step(x, y)) for _ in range(200)]
    assert losses[-1] < 1e-2 * losses[0]
    assert int(optimizer.iterations) == 200
    assert model.in_features in (3, None)


# -- training, beside eager code ---------------------------------------------------------------


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 8, bias=False)
        self.norm = nn.BatchNorm(8)
        self.dropout = nn.Dropout(0.25)
        self.output = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.output(self.dropout(nn.relu(self.norm(self.hidden(x)))))


OPTIMIZERS = [
    lambda: optim.SGD(0.1, momentum=0.9, clip_global_norm=1.0),
    lambda: optim.Adam(optim.ExponentialDecay(0.05, 0.9), accumulate_steps=2),
    lambda: optim.Lookahead(optim.AdamW(0.02, weight_decay=0.01), k=2),
    lambda: optim.Adafactor(0.02, skip_nonfinite=True),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_a_training_step_does_what_it_does_eagerly(make: Any) -> None:
    x, labels = array(32, 4), np.random.default_rng(1).integers(0, 3, 32)

    def train(compiled: bool) -> tuple[list[float], dict[str, Any]]:
        mg.random.seed(3)
        model, optimizer = Classifier().to("float64"), make()
        average = optim.ExponentialMovingAverage(0.5)

        def step(x: Any, y: Any) -> Any:
            loss = optimizer.minimize(lambda: mg.mean(nn.softmax_cross_entropy(model(x), y)), model)
            average.update(model.parameters())
            return loss

        run = mg.function(step) if compiled else step
        losses = [float(run(x, labels)) for _ in range(6)]
        return losses, model.state_dict() | average.state_dict()

    (eager, expected), (compiled, found) = train(False), train(True)
    np.testing.assert_allclose(compiled, eager, rtol=1e-9)
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-7, atol=1e-9, err_msg=name)
