"""What the bodies of branches and loops may hold: variables, effects, inner gradients, rules."""

from __future__ import annotations

import gc
import json
import weakref

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn as nn
import minigrad.optim as optim


def initialized(graph):
    session = mg.Session(graph=graph)
    with graph.as_default():
        session.run(mg.global_variables_initializer())
    return session


# -- variables ---------------------------------------------------------------------------------


def test_reads_see_the_assignments_of_earlier_runs():
    with mg.Graph().as_default() as g:
        v = mg.Variable(1.0)
        x = mg.placeholder("float64", ())

        def body(i, a):
            made = a * mg.astype(v, "float64")
            v.assign(v * 2.0)
            return made

        y = mg.fori_loop(0, 4, body, x)  # x * 1 * 2 * 4 * 8
        (d,) = mg.gradients(y * y, [x])
        (dd,) = mg.gradients(d, [x])
        with mg.control_dependencies([y]):
            after = v * 1.0
    session = initialized(g)
    assert session.run([y, d, dd, after, v.read()], {x: 3.0}) == [192, 24576, 8192, 16, 1]
    assert session.run(v) == 16
    assert session.run([y, d], {x: 1.0}) == [16**4 * 64, 2 * (16**4 * 64) ** 2]


def test_the_gradient_of_an_assigned_variable_is_that_of_its_reads():
    def product(v):
        a = mg.asarray(1.0)
        for _ in range(3):
            a = a * v
            v.assign_add(1.0)
        return a

    v = mg.Variable(1.0)
    with mg.GradientTape() as tape:
        y = product(v)
    expected = [float(y), float(tape.gradient(y, v))]

    v = mg.Variable(1.0)
    with mg.Graph().as_default() as g:
        y = mg.fori_loop(0, 3, lambda i, a: (a * v, v.assign_add(1.0))[0], 1.0)
        d = mg.gradients(y, [v])
    assert mg.Session(graph=g).run([y, *d]) == expected == [6, 11]
    assert float(v) == 4


def test_a_read_after_an_assignment_of_the_same_run():
    with mg.Graph().as_default() as g:
        v = mg.Variable(1.0)
        x = mg.placeholder("float32", ())

        def body(i, a):
            with mg.control_dependencies([v.assign_add(1.0)]):
                return a * v

        y = mg.fori_loop(0, 3, body, x)  # x * 2 * 3 * 4
        (d,) = mg.gradients(y, [x])
    assert initialized(g).run([y, d], {x: 2.0}) == [48, 24]


def test_assignments_in_nested_loops_and_branches():
    with mg.Graph().as_default() as g:
        v = mg.Variable(0.0)

        def inner(j, b):
            mg.cond(mg.equal(j % 2, 0), lambda: v.assign_add(1.0), lambda: v.assign(v * 2.0))
            return b + v

        y = mg.fori_loop(0, 2, lambda i, a: mg.fori_loop(0, 3, inner, a) + v, 0.0)
    session = initialized(g)
    # Inner reads: 0, 1, 2 and the outer one 0; then 3, 4, 8 and the outer one 3.
    assert session.run(y) == 0 + 1 + 2 + 0 + 3 + 4 + 8 + 3
    assert session.run(v) == 9


def test_a_condition_may_assign():
    with mg.Graph().as_default() as g:
        v = mg.Variable(0.0)

        def below(i):
            v.assign_add(1.0)
            return v < 3.0

        n = mg.while_loop(below, lambda i: i + 1, 0, maximum_iterations=10)
    session = initialized(g)
    assert session.run(n) == 3 and session.run(v) == 4


def test_a_run_that_fails_assigns_nothing():
    def check(k):
        if k == 2:
            raise OSError("disk full")
        return k

    with mg.Graph().as_default() as g:
        v = mg.Variable(1.0)

        def body(i, a):
            v.assign(v * 2.0)
            return a + mg.host_call(check, i, out=((), "int32"))

        y = mg.fori_loop(0, 4, body, 0)
    session = initialized(g)
    with pytest.raises(OSError, match="disk full"):
        session.run(y)
    assert session.run(v) == 1


def test_what_control_dependencies_around_a_loop_order():
    with mg.Graph().as_default() as g:
        v = mg.Variable(0.0)
        with mg.control_dependencies([v.assign(5.0)]):

            def body(i, a):
                with mg.control_dependencies([a * 1.0]):
                    return a + v

            around = mg.fori_loop(0, 2, body, 0.0)
    assert initialized(g).run(around) == 10


@pytest.mark.parametrize("depth", [1, 2])
def test_a_body_waits_for_operations_from_around(depth):
    with mg.Graph().as_default() as g:
        v = mg.Variable(0.0)
        before = v.assign(5.0)

        def body(i, a):
            with mg.control_dependencies([before]):
                return a + v

        def nested(i, a):
            return mg.fori_loop(0, 2, body, a)

        y = mg.fori_loop(0, 2, body if depth == 1 else nested, 0.0)
    session = initialized(g)
    assert session.run(y) == 5 * 2**depth and session.run(v) == 5


def test_a_graph_that_trains_by_itself():
    with mg.Graph().as_default() as g:
        w = mg.Variable(1.0)

        def body(i, last):
            loss = w * w
            (d,) = mg.gradients(loss, [w])
            w.assign_sub(0.25 * d)
            return loss

        y = mg.fori_loop(0, 3, body, 0.0)
    session = initialized(g)
    assert session.run(y) == 0.5**4 and session.run(w) == 0.5**3


def test_an_optimizer_trains_in_a_loop():
    def steps(optimizer, w, count):
        for _ in range(count):
            optimizer.minimize(lambda: mg.sum(w * w), [w])
        return w.numpy()

    expected = steps(optim.Adam(0.1), mg.Variable([1.0, -2.0]), 5)
    with mg.Graph().as_default() as g:
        w = mg.Variable([1.0, -2.0])
        optimizer = optim.Adam(0.1)
        optimizer.build([w])

        def body(i, count):
            optimizer.minimize(mg.sum(w * w), [w])
            return count + 1

        y = mg.fori_loop(0, 5, body, 0)
    session = initialized(g)
    assert session.run(y) == 5
    np.testing.assert_allclose(session.run(w), expected, rtol=1e-6)


def test_trainable_variables_are_known_in_a_body():
    with mg.Graph().as_default():
        v = mg.Variable(1.0)
        found = []
        mg.fori_loop(0, 2, lambda i, a: found.extend(mg.trainable_variables()) or a, 0.0)
    assert [x.name for x in found] == [v.name]


def test_a_module_in_a_loop_learns():
    with mg.Graph().as_default() as g:
        layer = nn.Linear(2, 2)
        x = mg.placeholder("float32", (None, 2))
        looped = mg.sum(mg.fori_loop(0, 3, lambda i, a: mg.tanh(layer(a)), x))
        plain = mg.sum(mg.tanh(layer(mg.tanh(layer(mg.tanh(layer(x)))))))
        variables = mg.trainable_variables()
        made = [mg.gradients(y, variables) for y in (looped, plain)]
    a, b = initialized(g).run(made, {x: [[0.5, -1.0]]})
    for da, db in zip(a, b, strict=True):
        np.testing.assert_allclose(da, db, rtol=1e-5)


# -- effects added to tensors ------------------------------------------------------------------


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("lazy", [False, True])
def test_added_effects_happen_once_a_run_of_the_body(lazy, recomputed):
    outer, inner = mg.Variable(0), mg.Variable(0)

    def positive(h):
        made = h * 1.5
        mg.add_effect(made, lambda: inner.assign_add(1))
        return made

    def body(i, a):
        h = a * a
        mg.add_effect(h, lambda: outer.assign_add(1))
        return mg.cond(h > 2.0, lambda: positive(h), lambda: h)

    def function(x):
        return mg.fori_loop(0, 3, body, x)

    function = mg.checkpoint(function) if recomputed else function
    # From 1.2: 1.44, then 2.07 * 1.5, then its square times 1.5: 1.5**3 * x**8.
    k, x0 = 1.5**3, 1.2
    if lazy:
        with mg.Graph().as_default() as g:
            x = mg.placeholder("float64", ())
            y = function(x)
            (d,) = mg.gradients(y, [x])
            (dd,) = mg.gradients(d, [x])
        made = mg.Session(graph=g).run([y, d, dd], {x: x0})
        np.testing.assert_allclose(made[2], k * 56 * x0**6)
    else:
        x = mg.asarray(np.float64(x0))
        with mg.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        made = [float(y), float(tape.gradient(y, x))]
    np.testing.assert_allclose(made[:2], [k * x0**8, k * 8 * x0**7])
    assert (int(outer), int(inner)) == (3, 2)


# -- checkpoints -------------------------------------------------------------------------------


def test_a_checkpointed_loop_draws_and_assigns_once():
    with mg.Graph().as_default() as g:
        mg.random.seed(0)
        v = mg.Variable(np.float64(2.0))
        u = mg.Variable(np.float64(0.0), trainable=False)
        x = mg.placeholder("float64", ())

        def body(c, _):
            e = mg.random.uniform((), 0.5, 1.5, dtype="float64")
            made = c * e * v * (u + 1.0)
            u.assign_add(1.0)
            return made, e

        y, es = mg.checkpoint(lambda q: mg.scan(body, q, length=3))(x)
        dx, dv = mg.gradients(y, [x, v])
        (dxv,) = mg.gradients(dx, [v])
        later = mg.random.uniform(())
    session = initialized(g)
    y, es, dx, dv, dxv = session.run([y, es, dx, dv, dxv], {x: 1.0})
    k = np.prod(es) * 6  # Times v**3.
    np.testing.assert_allclose([y, dx, dv, dxv], [8 * k, 8 * k, 12 * k, 12 * k])
    assert session.run(u) == 3
    with mg.Graph().as_default() as g:
        # Gradients use up no seeds: draws that come later are the same without them.
        mg.random.seed(0)
        mg.random.uniform(())
        alone = mg.random.uniform(())
    assert mg.Session(graph=g).run(alone) == session.run(later)


def test_checkpoints_inside_a_loop():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())
        noisy = mg.checkpoint(lambda q: mg.sin(q) * mg.random.uniform((), dtype="float64"))
        y = mg.fori_loop(0, 1, lambda i, a: noisy(a), x)
        (d,) = mg.gradients(y, [x])
        (dd,) = mg.gradients(d, [x])
    y, d, dd = mg.Session(graph=g).run([y, d, dd], {x: 0.5})
    drawn = y / np.sin(0.5)
    np.testing.assert_allclose([d, dd], [drawn * np.cos(0.5), -drawn * np.sin(0.5)])


# -- gradients of the user's own ---------------------------------------------------------------


def test_host_calls_with_a_gradient_happen_once():
    calls = []

    def sine(q):
        calls.append(float(q))
        return np.sin(q)

    def rule(c):
        return c.grads[0] * mg.cos(c.inputs[0])

    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())

        def body(i, a):
            return mg.host_call(sine, a, out=((), "float64"), gradient=rule)

        y = mg.fori_loop(0, 2, body, x)
        (d,) = mg.gradients(y, [x])
        (dd,) = mg.gradients(d, [x])
    made = mg.Session(graph=g).run([y, d, dd], {x: 0.7})
    s, c = np.sin(0.7), np.cos(0.7)
    second = -np.sin(s) * c * c - np.cos(s) * s
    np.testing.assert_allclose(made, [np.sin(s), np.cos(s) * c, second])
    assert calls == [0.7, s]


def test_a_custom_gradient_may_read_the_bodies_around():
    def function(x):
        def outer(i, a):
            factor = mg.sin(a)

            @mg.custom_gradient
            def odd(b):
                return b * 2.0, lambda upstream: [upstream * factor]

            return mg.fori_loop(0, 2, lambda j, b: odd(b) + b * b, a)

        return mg.fori_loop(0, 2, outer, x)

    def plain(x):
        for _ in range(2):
            factor = mg.sin(x)
            rule = lambda u, f=factor: [u * f]  # noqa: E731
            for _ in range(2):
                x = mg.with_gradient([x], [x * 2.0], rule=rule)[0] + x * x
        return x

    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())
        y = function(x)
        (d,) = mg.gradients(y, [x])
        (dd,) = mg.gradients(d, [x])
    made = mg.Session(graph=g).run([y, d, dd], {x: 0.3})
    at = np.float64(0.3)
    expected = [plain(mg.asarray(at)), mg.grad(plain)(at), mg.grad(mg.grad(plain))(at)]
    np.testing.assert_allclose(made, [float(t) for t in expected], rtol=1e-12)


# -- gradients taken inside and around ---------------------------------------------------------


def by_gradients(a, h, x):
    return mg.gradients(a * h, [x])[0]


def by_tape(a, h, x):
    with mg.GradientTape() as tape:
        tape.watch(x)
        loss = a * h
    return tape.gradient(loss, x)


@pytest.mark.parametrize("inner", [by_gradients, by_tape])
@pytest.mark.parametrize("depth", [1, 2])
def test_gradients_in_a_body_reach_what_was_computed_outside(inner, depth):
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())
        h = x * x

        def body(i, a):
            return a + inner(a, h, x)  # a * (1 + 2 x)

        def nested(i, a):
            return mg.cond(a > 0.0, lambda: body(i, a), lambda: a)

        y = mg.fori_loop(0, 2, body if depth == 1 else nested, mg.constant(np.float64(1.0)))
        (d,) = mg.gradients(y, [x])
    assert mg.Session(graph=g).run([y, d], {x: 3.0}) == [49, 28]


def test_gradients_in_a_body_for_variables_used_outside():
    with mg.Graph().as_default() as g:
        w = mg.Variable(3.0)
        h = w * w
        y = mg.fori_loop(0, 2, lambda i, a: a + mg.gradients(a * h, [w])[0], 1.0)
    assert initialized(g).run(y) == 49


def test_derivatives_of_functions_in_a_body():
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", ())

        def body(i, a):
            slope = mg.grad(lambda q: a * q * q)(x)  # 2 a x
            curve = mg.hessian(lambda q: q**3.0)(a)  # 6 a
            _, along = mg.jvp(lambda q: q * q * x, (a,), (a,))  # 2 a a x
            return slope + curve + along

        y = mg.fori_loop(0, 2, body, x)
        (d,) = mg.gradients(y, [x])

    def plain(x):
        for_x = lambda a: 2.0 * a * x + 6.0 * a + 2.0 * a * a * x  # noqa: E731
        return for_x(for_x(x))

    made = mg.Session(graph=g).run([y, d], {x: 0.5})
    np.testing.assert_allclose(made, [plain(0.5), float(mg.grad(plain)(np.float64(0.5)))])


def test_derivatives_around_loops():
    def looped(x):
        return mg.sum(mg.fori_loop(0, 2, lambda i, a: mg.sin(a) * x, x))

    def plain(x):
        return mg.sum(mg.sin(mg.sin(x) * x) * x)

    x0, v = np.array([0.3, -0.7]), np.array([1.0, 2.0])
    with mg.Graph().as_default() as g:
        x = mg.placeholder("float64", (2,))
        made = [mg.hessian(looped)(x), mg.jvp(looped, (x,), (v,))[1]]
        with mg.GradientTape() as tape:
            tape.watch(x)
            y = looped(x)
        made.append(tape.gradient(y, x))
    expected = [mg.hessian(plain)(x0), mg.jvp(plain, (x0,), (v,))[1], mg.grad(plain)(x0)]
    for values in (mg.Session(graph=g).run(made, {x: x0}), [mg.hessian(looped)(x0)]):
        for a, b in zip(values, expected, strict=False):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-12)


def test_draws_and_assignments_in_nested_loops_to_the_third_order():
    with mg.Graph().as_default() as g:
        v = mg.Variable(np.float64(1.0))
        x = mg.placeholder("float64", ())

        def inner(c, _):
            e = mg.random.uniform((), 1.0, 2.0, dtype="float64")
            with mg.control_dependencies([v.assign_add(1.0)]):
                r = v * 1.0
            return mg.cond(c > -100.0, lambda: c * c * e * r, lambda: c), e

        def outer(c, _):
            end, es = mg.scan(inner, c, length=1)
            return end, es[0]

        y, es = mg.scan(outer, x, length=2)  # (x x e0 2)**2 e1 3
        made = [y]
        for _ in range(3):
            made += mg.gradients(made[-1], [x])
    y, d, dd, ddd, es = initialized(g).run([*made, es], {x: 0.5})
    k = 12 * es[0] ** 2 * es[1]
    np.testing.assert_allclose([y, d, dd, ddd], [k / 16, k / 2, 3 * k, 12 * k])


# -- graphs ------------------------------------------------------------------------------------


def test_a_graph_with_bodies_is_saved_and_loaded_twice():
    with mg.Graph().as_default() as g:
        mg.random.seed(4)
        v = mg.Variable(np.float64(1.0), name="v")
        x = mg.placeholder("float64", (None,), name="x")

        def body(i, a, s):
            with mg.control_dependencies([v.assign_add(1.0)]):
                q = v * 1.0
            h = a * mg.random.normal((), dtype="float64")
            mg.add_effect(h, lambda: v.assign_add(0.5))
            branches = {0: lambda: s + q, 2: lambda: s * q}
            s = mg.switch_case(i, branches, default=lambda: mg.sum(mg.map_fn(lambda z: z * s, a)))
            return i + 1, mg.concat([h, a[:1] * q]), s

        start = (0, x, mg.constant(np.float64(1.0)))
        _, a, s = mg.while_loop(
            lambda i, a, s: i < 4, body, start, shape_invariants=(None, (None,), None)
        )
        y = mg.sum(a) * s
        (d,) = mg.gradients(y, [x])
        (dd,) = mg.gradients(mg.sum(d * d), [x])
        init = mg.global_variables_initializer()
    fetches = [y, d, dd]
    once = mg.Graph.from_dict(json.loads(json.dumps(g.to_dict())))
    twice = mg.Graph.from_dict(json.loads(json.dumps(once.to_dict())))
    sessions = [mg.Session(graph=graph) for graph in (g, once, twice)]
    for session in sessions:
        session.run(init.name)
    for _ in range(2):
        results = [
            session.run([t.name for t in fetches], {"x:0": [0.3, 0.4]}) for session in sessions
        ]
        for other in results[1:]:
            for a, b in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_nodes_in_bodies_have_names_that_can_be_read():
    names = []
    with mg.Graph().as_default():
        x = mg.placeholder("float32", ())

        def body(count, total):
            made = mg.cond(total > 0.0, lambda: total * x, lambda: total)
            names.extend([count.name, total.name, made.name])
            return count + 1, made

        with mg.name_scope("layer"):
            mg.while_loop(lambda count, total: count < 3, body, (0, x))
    assert names == [
        "layer/While/body/count:0",
        "layer/While/body/total:0",
        "layer/While/body/Cond/Case:0",
    ]


def test_a_graph_with_bodies_is_freed():
    def use():
        with mg.Graph().as_default() as g:
            x = mg.placeholder("float64", ())
            y = mg.fori_loop(0, 3, lambda i, a: mg.cond(a > 0.0, lambda: a * x, lambda: a), x)
            d = mg.gradients(y, [x])
        assert mg.Session(graph=g).run(d, {x: 1.0}) == [4]
        return weakref.ref(g)

    alive = use()
    gc.collect()
    assert alive() is None
