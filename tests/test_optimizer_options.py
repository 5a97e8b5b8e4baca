"""Options of optimizers: penalties, clipping, skipping, accumulating, groups, Lookahead."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from optimizer_runs import MODES, Mode, variable

import minigrad as mg
from minigrad import errors, nn, optim

# -- options -------------------------------------------------------------------------------


@pytest.mark.parametrize("run", MODES)
def test_weight_decay_of_both_kinds_and_l1_by_hand(run: Mode) -> None:
    ((got,),) = run(optim.SGD(0.1, weight_decay=0.5), [[2.0, -4.0]], [[[1.0, 1.0]]])
    np.testing.assert_allclose(got, [2 - 0.1 * (1 + 1), -4 - 0.1 * (1 - 2)], rtol=1e-14)
    ((got,),) = run(optim.SGD(0.1, decoupled_weight_decay=0.5), [[2.0, -4.0]], [[[1.0, 1.0]]])
    np.testing.assert_allclose(got, [2 * 0.95 - 0.1, -4 * 0.95 - 0.1], rtol=1e-14)
    ((got,),) = run(optim.SGD(0.1, l1=0.5), [[2.0, -4.0, 0.0]], [[[1.0, 1.0, 1.0]]])
    np.testing.assert_allclose(got, [2 - 0.15, -4 - 0.05, -0.1], rtol=1e-14)


def test_decoupled_decay_is_not_scaled_by_adams_denominator() -> None:
    coupled, apart = variable(1.0), variable(1.0)
    optim.Adam(0.1, weight_decay=0.5).apply_gradients([(np.float64(0.0), coupled)])
    optim.AdamW(0.1, weight_decay=0.5).apply_gradients([(np.float64(0.0), apart)])
    assert coupled.item() == pytest.approx(0.9)  # Adam makes 0.1 of any gradient.
    assert apart.item() == pytest.approx(0.95)


@pytest.mark.parametrize("run", MODES)
def test_clipping_by_hand(run: Mode) -> None:
    starts, step = [[0.0, 0.0], [0.0]], [[[3.0, 0.5], [-4.0]]]
    ((a, b),) = run(optim.SGD(1.0, clip_value=1.0), starts, step)
    np.testing.assert_allclose([*a, *b], [-1.0, -0.5, 1.0], rtol=1e-14)
    ((a, b),) = run(optim.SGD(1.0, clip_norm=2.0), starts, step)
    norm = math.hypot(3.0, 0.5)
    np.testing.assert_allclose([*a, *b], [-6 / norm, -1 / norm, 2.0], rtol=1e-14)
    ((a, b),) = run(optim.SGD(1.0, clip_global_norm=1.0), starts, step)
    norm = math.sqrt(9 + 0.25 + 16)
    np.testing.assert_allclose([*a, *b], [-3 / norm, -0.5 / norm, 4 / norm], rtol=1e-14)


def test_clipping_comes_before_the_penalties() -> None:
    w = variable(10.0)
    optim.SGD(1.0, clip_value=1.0, weight_decay=0.5).apply_gradients([(np.float64(7.0), w)])
    assert w.item() == 10 - (1 + 5)


@pytest.mark.parametrize("run", MODES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_with_a_gradient_that_is_not_finite_is_skipped_whole(run: Mode, bad: float) -> None:
    def optimizer() -> optim.Optimizer:
        return optim.Adam(0.1, skip_nonfinite=True)

    good = [[[1.0, 2.0], 1.0], [[-3.0, 1.0], 2.0]]
    starts = [[1.0, 1.0], 1.0]
    spoilt = run(optimizer(), starts, [good[0], [[bad, 0.0], 1.0], [[0.0, 0.0], bad], good[1]])
    clean = run(optimizer(), starts, good)
    for index, expected in [(0, 0), (1, 0), (2, 0), (3, 1)]:
        for a, b in zip(spoilt[index], clean[expected], strict=True):
            np.testing.assert_array_equal(a, b)


def test_skipped_steps_are_counted() -> None:
    w = variable(1.0)
    optimizer = optim.SGD(0.1, skip_nonfinite=True)
    for g in (1.0, math.nan, math.inf, 1.0):
        optimizer.apply_gradients([(np.float64(g), w)])
    assert (optimizer.skipped.item(), optimizer.iterations.item()) == (2, 2)
    with pytest.raises(errors.StateError, match="skip_nonfinite=True"):
        optim.SGD(0.1).skipped


@pytest.mark.parametrize("run", MODES)
def test_accumulated_gradients_make_one_update_with_their_mean(run: Mode) -> None:
    gradients = [[[1.0, 4.0]], [[3.0, 0.0]], [[-1.0, 1.0]], [[2.0, 1.0]]]
    means = [[[2.0, 2.0]], [[0.5, 1.0]]]
    collected = run(optim.Adam(0.1, accumulate_steps=2), [[1.0, 1.0]], gradients)
    plain = run(optim.Adam(0.1), [[1.0, 1.0]], means)
    np.testing.assert_array_equal(collected[0][0], [1.0, 1.0])
    for index, expected in [(1, 0), (2, 0), (3, 1)]:
        np.testing.assert_allclose(collected[index][0], plain[expected][0], rtol=1e-14)


@pytest.mark.parametrize("run", MODES)
def test_a_skipped_gradient_does_not_count_among_the_accumulated(run: Mode) -> None:
    optimizer = optim.SGD(1.0, accumulate_steps=2, skip_nonfinite=True)
    history = run(optimizer, [0.0], [[1.0], [math.nan], [3.0], [5.0], [7.0]])
    assert [float(h[0]) for h in history] == [0.0, 0.0, -2.0, -2.0, -8.0]


def test_a_missing_gradient_counts_as_zero_while_accumulating() -> None:
    a, b = variable(0.0, "a"), variable(0.0, "b")
    optimizer = optim.SGD(1.0, accumulate_steps=2)
    optimizer.apply_gradients([(np.float64(2.0), a), (np.float64(4.0), b)])
    optimizer.apply_gradients([(np.float64(2.0), a), (None, b)])
    assert (a.item(), b.item()) == (-2.0, -2.0)


def test_what_was_collected_counts_even_if_the_last_call_leaves_the_variable_out() -> None:
    a, b = variable(0.0, "a"), variable(0.0, "b")
    optimizer = optim.SGD(1.0, accumulate_steps=2)
    optimizer.apply_gradients([(np.float64(2.0), a), (np.float64(4.0), b)])
    optimizer.apply_gradients([(np.float64(2.0), a)])
    assert (a.item(), b.item()) == (-2.0, -2.0)
    for _ in range(2):
        optimizer.apply_gradients([(np.float64(2.0), a)])
    assert (a.item(), b.item()) == (-4.0, -2.0)


def test_clipping_to_a_norm_does_not_overflow_in_float16() -> None:
    g = np.full(100, 100.0, np.float16)  # Its squares are too large for float16.
    norm = optim.global_norm([g])
    assert (norm.dtype, norm.item()) == (mg.float32, 1000.0)
    ((clipped,), _) = optim.clip_by_global_norm([g], 1.0)
    assert clipped.dtype == mg.float16
    np.testing.assert_allclose(clipped, 0.1, rtol=1e-3)
    w = variable(np.zeros(100), dtype=np.float16)
    optim.SGD(1.0, clip_norm=1.0).apply_gradients([(g, w)])
    np.testing.assert_allclose(w.numpy(), -0.1, rtol=1e-3)


# -- groups --------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
def test_groups_have_rates_and_penalties_of_their_own(lazy: bool) -> None:
    with mg.Graph().as_default() if lazy else mg.name_scope("eager") as scope:
        weight, bias, other = (variable(1.0, name) for name in ("weight", "bias", "other"))
        optimizer = optim.SGD(
            0.1,
            weight_decay=0.5,
            groups=[
                optim.ParameterGroup([bias], weight_decay=0.0),
                {
                    "variables": [other],
                    "learning_rate": lambda step: mg.astype(step + 1, "float64"),
                },
            ],
        )
        pairs = [(np.float64(1.0), v) for v in (weight, bias, other)]
        made = optimizer.apply_gradients(pairs)
        if lazy:
            with mg.Session(graph=scope) as session:  # type: ignore[arg-type]
                session.run(mg.global_variables_initializer())
                session.run(made)
                got = session.run([weight, bias, other])
        else:
            got = [v.item() for v in (weight, bias, other)]
    np.testing.assert_allclose(got, [1 - 0.15, 0.9, 1 - 1.5], rtol=1e-14)


def test_the_decay_of_a_group_is_of_the_optimizers_kind() -> None:
    w = variable(1.0)
    optimizer = optim.AdamW(0.1, groups=[optim.ParameterGroup([w], weight_decay=0.5)])
    optimizer.apply_gradients([(np.float64(0.0), w)])
    assert w.item() == pytest.approx(0.95)


def test_bad_groups_are_refused() -> None:
    w = variable(1.0, "w")
    group = optim.ParameterGroup([w])
    with pytest.raises(errors.ArgumentError, match="'w' is in two groups"):
        optim.SGD(0.1, groups=[group, {"variables": [w]}])
    with pytest.raises(errors.ArgumentError, match="no variables"):
        optim.ParameterGroup([])
    with pytest.raises(errors.ArgumentError, match=r"learning_rate .* got -1"):
        optim.ParameterGroup([w], learning_rate=-1)
    with pytest.raises(errors.ArgumentError, match="needs 'variables'"):
        optim.SGD(0.1, groups=[{"learning_rate": 1.0}])
    with pytest.raises(errors.ArgumentError, match=r"has no \['momentum'\]"):
        optim.SGD(0.1, groups=[{"variables": [w], "momentum": 1.0}])
    with pytest.raises(errors.ArgumentTypeError, match="ParameterGroups or dicts"):
        optim.SGD(0.1, groups=[w])  # type: ignore[list-item]


def test_an_optimizer_shows_what_is_not_the_default() -> None:
    assert repr(optim.SGD(0.1)) == "<minigrad.optim.SGD 'SGD' learning_rate=0.1>"
    assert repr(optim.SGD(0.1, weight_decay=0.5, decoupled_weight_decay=0.25)).endswith(
        "learning_rate=0.1 weight_decay=0.5 decoupled_weight_decay=0.25>"
    )
    group = optim.ParameterGroup([variable(0.0, "w")], weight_decay=0.0, learning_rate=0.5)
    shown = repr(optim.AdamW(0.1, clip_norm=1.0, accumulate_steps=3, groups=[group]))
    assert "weight_decay=0.01 clip_norm=1.0 accumulate_steps=3 groups=[Param" in shown
    assert repr(group) == "ParameterGroup([w], learning_rate=0.5, weight_decay=0.0)"
    many = optim.ParameterGroup([variable(0.0, name) for name in "abcdef"])
    assert repr(many) == "ParameterGroup([a, b, c, d, … 6 variables])"
    lazy = nn.LazyLinear(2)
    assert repr(optim.ParameterGroup(lazy, l1=0.5)) == "ParameterGroup(LazyLinear, l1=0.5)"
    assert repr(optim.ParameterGroup(lazy.parameters)) == "ParameterGroup(parameters)"


def test_a_group_can_be_changed_between_steps() -> None:
    w, v = variable(0.0, "w"), variable(0.0, "v")
    group = optim.ParameterGroup([w], learning_rate=0.5)
    optimizer = optim.SGD(1.0, groups=[group])
    pairs = [(np.float64(1.0), w), (np.float64(1.0), v)]
    optimizer.apply_gradients(pairs)
    group.learning_rate = 0.25
    optimizer.learning_rate = 2.0
    optimizer.apply_gradients(pairs)
    assert (w.item(), v.item()) == (-0.75, -3.0)
    with pytest.raises(errors.ArgumentError, match=r"learning_rate .* got -1"):
        group.learning_rate = -1.0
    with pytest.raises(errors.ArgumentError, match=r"l1 .* got nan"):
        group.l1 = math.nan


def test_a_group_may_hold_frozen_variables() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].freeze()
    group = {"variables": model[0], "learning_rate": 0.0}
    optimizer = optim.SGD(1.0, groups=[group])
    x = np.ones((1, 2), np.float32)
    before = [p.numpy() for p in model.parameters()]
    optimizer.minimize(lambda: mg.sum(model(x)), model)
    model.unfreeze()
    optimizer.minimize(lambda: mg.sum(model(x)), model)
    changed = [
        bool((p.numpy() != b).any()) for p, b in zip(model.parameters(), before, strict=True)
    ]
    assert changed == [False, False, True, True]


# -- sparse gradients ----------------------------------------------------------------------


def embedding_loss(table: mg.Variable) -> mg.Tensor:
    rows = mg.gather(table, np.array([0, 2, 0]))
    return mg.sum(mg.square(rows))


SPARSE: list[Callable[[], optim.Optimizer]] = [
    lambda: optim.SGD(0.1),
    lambda: optim.SGD(0.1, weight_decay=0.1),
    lambda: optim.Momentum(0.1),
    lambda: optim.Adam(0.1, clip_norm=1.0),
    lambda: optim.SGD(0.1, accumulate_steps=1, skip_nonfinite=True),
    lambda: optim.AdaGrad(0.1, accumulate_steps=2),
]


@pytest.mark.parametrize("make", SPARSE)
def test_gradients_of_rows_count_as_the_dense_ones(make: Callable[[], optim.Optimizer]) -> None:
    start = np.arange(8.0).reshape(4, 2)
    sparse, dense = variable(start, "sparse"), variable(start, "dense")
    for v, densify in ((sparse, False), (dense, True)):
        optimizer = make()
        for _ in range(4):
            with mg.GradientTape() as tape:
                loss = embedding_loss(v)
            (g,) = tape.gradient(loss, [v])
            assert isinstance(g, mg.IndexedSlices)
            optimizer.apply_gradients([(g.dense() if densify else g, v)])
    np.testing.assert_allclose(sparse.numpy(), dense.numpy(), rtol=1e-13)
    with mg.Graph().as_default():
        lazy = variable(start, "lazy")
        train = make().minimize(embedding_loss(lazy))
        with mg.Session() as session:
            session.run(mg.global_variables_initializer())
            for _ in range(4):
                session.run(train)
            np.testing.assert_allclose(session.run(lazy), dense.numpy(), rtol=1e-13)


def test_plain_descent_on_rows_makes_no_dense_gradient() -> None:
    with mg.Graph().as_default() as graph:
        table = variable(np.ones((5, 2)))
        optim.SGD(0.1).minimize(embedding_loss(table))
        assert "SlicesToDense" not in {op.type for op in graph.get_operations()}


# -- lookahead -----------------------------------------------------------------------------


@pytest.mark.parametrize("run", MODES)
def test_lookahead_by_hand(run: Mode) -> None:
    optimizer = optim.Lookahead(optim.SGD(1.0), k=2, alpha=0.25)
    history = run(optimizer, [0.0], [[-1.0], [-3.0], [-4.0], [-4.0]])
    # Fast 1, 4; slow 0.25*4 = 1. Fast 5, 9; slow 1 + 0.25*8 = 3.
    assert [float(h[0]) for h in history] == [1.0, 1.0, 5.0, 3.0]


@pytest.mark.parametrize("run", MODES)
def test_lookahead_does_not_pull_again_in_a_skipped_step(run: Mode) -> None:
    inner = optim.SGD(1.0, skip_nonfinite=True)
    optimizer = optim.Lookahead(inner, k=2, alpha=0.5)
    history = run(optimizer, [0.0], [[-1.0], [-3.0], [math.nan], [-1.0], [-1.0]])
    assert [float(h[0]) for h in history] == [1.0, 2.0, 2.0, 3.0, 3.0]
