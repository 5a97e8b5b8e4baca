"""`mg.function`: what it computes, when it traces, what it does to state, and what it refuses."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import threading
import warnings
import weakref
from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors, nn, optim


def array(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape)


# -- what it computes --------------------------------------------------------------------------


def test_a_function_computes_what_its_code_does_and_runs_the_code_once() -> None:
    runs = []

    @mg.function
    def wave(x: Any) -> Any:
        runs.append(x)
        return mg.sin(x) * 2.0 + 1.0

    x = array(3)
    for _ in range(3):
        np.testing.assert_allclose(wave(x), np.sin(x) * 2.0 + 1.0, rtol=1e-12)
    assert wave(mg.asarray(x)).dtype is mg.float64
    assert len(runs) == 1
    assert wave.__name__ == "wave"
    assert wave.python_function(x).shape == (3,)


class Marked(np.ndarray[Any, Any]):
    """An array of a type of its own."""


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Result:
    value: Any
    label: str


def test_results_keep_their_structure_and_what_is_no_tensor_stays_as_it_is() -> None:
    @mg.function
    def parts(x: Any) -> Any:
        return {"pair": Pair(x, [2.0 * x]), "result": Result(x + 1.0, "up"), "none": None, "n": 3}

    made = parts(mg.asarray([1.0]))
    assert isinstance(made["pair"], Pair)
    assert made["pair"].second[0].tolist() == [2.0]
    assert (made["result"].value.tolist(), made["result"].label) == ([2.0], "up")
    assert (made["none"], made["n"]) == (None, 3)
    assert mg.function(lambda x: (x, x))(1.0)[0] == 1.0


def test_results_are_the_callers_own() -> None:
    same = mg.function(lambda x: (x, mg.reshape(x, (2,)), x[:1]))
    x = np.array([[1.0], [2.0]])
    results = same(x)
    x[:] = 9.0
    assert [r.tolist() for r in results] == [[[1.0], [2.0]], [1.0, 2.0], [[1.0]]]


def test_arguments_are_given_by_position_by_name_or_left_out() -> None:
    @mg.function
    def power(x: Any, n: int = 2, *, scale: float = 1.0) -> Any:
        return scale * x**n

    x = mg.asarray(3.0)
    assert [power(x), power(x, 2), power(x=x, n=2), power(x, scale=1.0)] == [9.0] * 4
    assert power.stats().traces == 1
    assert (power(x, 3), power(x, scale=2.0)) == (27.0, 18.0)
    with pytest.raises(TypeError, match="missing a required argument"):
        power()  # type: ignore[call-arg]


def test_arguments_are_nests_arrays_of_all_kinds_and_numbers() -> None:
    @mg.function
    def total(parts: Any, by_name: Any) -> Any:
        return mg.sum(parts[0]) + mg.sum(parts[1][0]) + mg.sum(by_name["x"])

    x = array(4, 4)
    kinds = [
        x,
        x[::2, ::-1],
        x.astype(">f8"),
        np.asfortranarray(x),
        x.view(Marked),
        np.float64(2.0),
        mg.asarray(x),
        np.zeros((0, 3)),
    ]
    for kind in kinds:
        for _ in range(2):
            expected = float(np.sum(np.asarray(kind)))
            np.testing.assert_allclose(total([kind, (1.0,)], {"x": 2}), expected + 3.0, rtol=1e-12)


def test_sparse_rows_come_in_and_go_out() -> None:
    table = mg.Variable(np.zeros((4, 2)))
    rows = mg.IndexedSlices(mg.asarray(np.ones((2, 2))), mg.asarray([1, 3]), table.value())

    double = mg.function(lambda s: mg.IndexedSlices(s.values * 2.0, s.indices, s.like))
    made = double(rows)
    assert isinstance(made, mg.IndexedSlices)
    assert made.dense().tolist() == [[0, 0], [2, 2], [0, 0], [2, 2]]

    @mg.function
    def look_up(indices: Any) -> Any:
        return mg.sum(mg.gather(table, indices))

    with mg.GradientTape() as tape:
        y = look_up(np.array([2, 2]))
    slope = tape.gradient(y, table)
    assert isinstance(slope, mg.IndexedSlices)
    assert slope.dense().tolist() == [[0, 0], [0, 0], [2, 2], [0, 0]]


def test_loops_and_branches_are_decided_in_each_call() -> None:
    @mg.function
    def grow(x: Any) -> Any:
        y = mg.cond(mg.sum(x) > 0.0, lambda: x * 2.0, lambda: -x)
        return mg.while_loop(lambda y: mg.sum(y) < 10.0, lambda y: y * y, y)

    assert grow(np.array([1.5, 0.5])).tolist() == [9.0, 1.0]
    assert grow(np.array([-2.0, -1.0])).tolist() == [16.0, 1.0]
    assert grow.stats().traces == 1


def test_a_tensor_of_known_length_can_be_iterated_over() -> None:
    rows = mg.function(lambda x: [row * 2.0 for row in x])
    assert [row.tolist() for row in rows(np.array([[1.0], [2.0]]))] == [[2.0], [4.0]]
    assert len(mg.function(lambda x: tuple(x))(mg.ones(3))) == 3


# -- when it is traced anew --------------------------------------------------------------------


def test_one_trace_serves_a_signature() -> None:
    scaled = mg.function(lambda x, n: x * n)
    x = mg.ones(3)
    for args in ((x, 2), (x * 2.0, 2), (np.ones(3, np.float32), 2)):
        scaled(*args)
    assert scaled.stats().traces == 1
    for args in ((mg.ones(4), 2), (mg.ones(3, dtype="float64"), 2), (x, 3), (x, 3.0), (x, x)):
        before = scaled.stats().traces
        scaled(*args)
        scaled(*args)
        assert scaled.stats().traces == before + 1
    assert scaled.stats().calls == 3 + 5 * 2
    same = mg.function(lambda n: n)
    assert [same(n) for n in (True, 1, 1.0)] == [True, 1, 1.0]
    assert same.stats().traces == 3


def test_zeros_and_nans_of_either_kind_are_told_apart() -> None:
    sign = mg.function(lambda x, n: mg.copysign(x, n))
    x = mg.asarray(1.0)
    assert (sign(x, 0.0), sign(x, -0.0), sign(x, 0.0)) == (1.0, -1.0, 1.0)
    sign(x, float("nan"))
    sign(x, float("nan"))
    assert sign.stats().traces == 3


def test_objects_count_by_identity_and_are_not_kept_alive() -> None:
    scaled = mg.function(lambda x, layer: layer(x))
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    x = np.ones((1, 2), np.float32)
    for layer in (first, second, first):
        np.testing.assert_allclose(scaled(x, layer), layer(x), rtol=1e-6)
    assert scaled.stats().traces == 2
    gone = weakref.ref(second)
    del second, layer
    gc.collect()
    assert gone() is None
    assert scaled.stats().kept == 1


def test_whether_a_module_trains_is_part_of_a_trace() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm(3), nn.Dropout(0.5))
    run = mg.function(lambda x: model(x))
    x = array(8, 3).astype("float32")
    run(x)
    model.eval()
    np.testing.assert_allclose(run(x), model(x), rtol=1e-6)
    model.train()
    run(x)
    assert run.stats().traces == 2
    # A part of it alone, and the flag of a call around.
    model[2].training = False
    np.testing.assert_array_equal(run(x), mg.function(lambda x: model[1](model[0](x)))(x))
    model.train()

    class Around(nn.Module):
        def forward(self, x: Any) -> Any:
            return run(x)

    around = Around()
    expected = model(x, training=False)
    for _ in range(2):
        np.testing.assert_allclose(around(x, training=False), expected, rtol=1e-6)
    np.testing.assert_allclose(mg.function(model)(x, training=False), expected, rtol=1e-6)


def test_what_is_changed_about_a_model_or_an_optimizer_is_seen() -> None:
    layer = nn.Linear(2, 1)
    run = mg.function(lambda x: layer(x))
    x = np.ones((1, 2), np.float32)
    run(x)
    layer.weight = mg.Variable(np.full((2, 1), 3.0, np.float32))
    layer.bias.assign([0.0])
    assert run(x).tolist() == [[6.0]]
    layer.to("float64")
    assert run(x.astype("float64")).dtype is mg.float64

    w = mg.Variable(0.0)
    optimizer = optim.SGD(1.0)
    step = mg.function(lambda: optimizer.minimize(lambda: -w, [w]))
    step()
    optimizer.learning_rate = 10.0
    step()
    assert float(w) == 11.0
    assert "learning rate" in step.stats().last_reason


def test_freezing_is_seen() -> None:
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = optim.SGD(0.5)
    step = mg.function(lambda x: optimizer.minimize(lambda: mg.sum(second(first(x)))))
    x = np.ones((1, 1), np.float32)
    step(x)
    first.freeze()
    before = first.state_dict()
    moved = float(second.bias)
    step(x)
    assert all(np.array_equal(v, before[k]) for k, v in first.state_dict().items())
    assert float(second.bias) != moved


def test_input_signature_lets_sizes_vary() -> None:
    matrix = mg.Spec((None, 2), mg.float32)

    @mg.function(input_signature=[matrix, {"by": mg.Spec((), mg.float32)}])
    def scaled(x: Any, options: Any) -> Any:
        assert x.shape == (None, 2)
        return x * options["by"]

    for n in (1, 4, 0):
        assert scaled(np.ones((n, 2)), {"by": 3}).shape == (n, 2)
    assert scaled([[1, 2]], {"by": 2.0}).tolist() == [[2.0, 4.0]]
    assert scaled.stats().traces == 1
    with pytest.raises(errors.ShapeError, match=r"expects shape \(\?, 2\), got \(1, 3\)"):
        scaled(np.ones((1, 3)), {"by": 3})
    with pytest.raises(errors.DTypeError, match="float32, got one of float64"):
        scaled(mg.ones((1, 2), dtype="float64"), {"by": 3})
    with pytest.raises(errors.ArgumentError, match="nest like"):
        scaled(np.ones((1, 2)), {"times": 3})
    with pytest.raises(errors.ArgumentError, match="describes 1 arguments, the call has 2"):
        mg.function(lambda x, y: x, input_signature=[matrix])([[1, 2]], 3)
    with pytest.raises(errors.ArgumentTypeError, match=r"holds a mg\.Spec"):
        mg.function(lambda x: x, input_signature=[3])
    with pytest.raises(errors.ArgumentTypeError, match="a list with an entry"):
        mg.function(lambda x: x, input_signature=matrix)


def test_reduce_retracing_lets_sizes_vary_that_have_varied() -> None:
    total = mg.function(lambda x: mg.sum(x * x, axis=0), reduce_retracing=True)
    for n in range(1, 12):
        assert total(np.ones((n, 2))).tolist() == [n, n]
    assert total.stats().traces == 2
    assert total.stats().signatures[-1] == "(float64 tensor of shape (?, 2))"


def test_a_function_that_is_traced_again_and_again_says_why() -> None:
    x = mg.ones(2)
    cases: list[tuple[Any, Any, str]] = [
        (lambda x, n: x * n, lambda i: (x, i), "argument 'n' is 7, not 6 .* mg.asarray"),
        (lambda x: x + x, lambda i: (mg.ones(i),), r"shape \(7,\), not .*input_signature"),
        (lambda f, x: f(x), lambda i: (lambda x: x, x), "argument 'f' is this function, not"),
        (lambda xs: xs[0], lambda i: ([x] * (i + 1),), "another structure"),
    ]
    for code, arguments, message in cases:
        function = mg.function(code)
        keep = [arguments(i) for i in range(8)]
        with pytest.warns(RuntimeWarning, match=f"traced 8 times for 8 calls.*{message}"):
            for args in keep:
                function(*args)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seldom = mg.function(lambda x: x + x)
        for n in range(10):
            for _ in range(9):
                seldom(mg.ones(n))


def test_a_bounded_number_of_traces_is_kept() -> None:
    double = mg.function(lambda x: x + x, max_traces=3)
    graphs = []
    for n in range(6):
        assert double(mg.ones(n)).shape == (n,)
        graphs.append(weakref.ref(double.graph_for(mg.ones(n))))
    assert double.stats().kept == 3
    gc.collect()
    assert [graph() is None for graph in graphs] == [True] * 3 + [False] * 3
    double(mg.ones(5))
    assert double.stats().traces == 6
    double(mg.ones(0))
    assert double.stats().traces == 7
    with pytest.raises(errors.ArgumentError, match="max_traces"):
        mg.function(lambda x: x, max_traces=0)


# -- where it is called ------------------------------------------------------------------------


def test_functions_call_functions() -> None:
    inner = mg.function(lambda x: mg.sin(x))
    outer = mg.function(lambda x: inner(x) + inner(2.0 * x))
    np.testing.assert_allclose(outer(np.float64(1.0)), np.sin(1.0) + np.sin(2.0))
    assert inner.stats().traces == 0

    @mg.function
    def factorial(x: Any, n: int) -> Any:
        return x if n == 0 else n * factorial(x, n - 1)

    assert factorial(mg.asarray(1.0), 5) == 120.0


def test_in_a_graph_a_call_adds_nodes_there() -> None:
    v = mg.Variable(3.0)
    scaled = mg.function(lambda x: mg.tanh(x * v))
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (None,))
        y = scaled(x)
        (dx,) = mg.gradients(y, [x])
    assert y.graph is graph
    assert scaled.stats().traces == 0
    z = scaled(x)  # By its argument alone.
    session = mg.Session(graph=graph)
    np.testing.assert_allclose(*session.run([y, z], {x: [0.5]}))
    np.testing.assert_allclose(session.run(dx, {x: [0.0]}), [3.0])
    with pytest.raises(errors.ArgumentError, match="symbolic"):
        scaled.graph_for(x)


def test_recomputation_and_gradient_checks_go_through_the_code() -> None:
    layer = nn.Dropout(0.5, seed=4)
    run = mg.function(lambda x: layer(x) * x)
    x = mg.ones(8)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = mg.checkpoint(run)(x)
    np.testing.assert_array_equal(tape.gradient(y, x), 2.0 * y)
    assert mg.gradcheck(mg.function(lambda x: mg.sum(mg.tanh(x))), array(3)).ok


def test_methods_belong_to_their_instances() -> None:
    class Model(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.layer = nn.Linear(2, size)

        @mg.function
        def score(self, x: Any, scale: float = 1.0) -> Any:
            return mg.sum(self.layer(x)) * scale

    small, large = Model(1), Model(5)
    x = mg.ones((1, 2))
    for model in (small, large, small):
        np.testing.assert_allclose(model.score(x), mg.sum(model.layer(x)), rtol=1e-6)
    assert Model.score.stats().traces == 2
    np.testing.assert_allclose(
        mg.grad(small.score)(x), mg.permute_dims(small.layer.weight, (1, 0)), rtol=1e-6
    )
    np.testing.assert_allclose(mg.grad(small.score)(x, scale=2.0), mg.grad(small.score)(x) * 2.0)
    assert len(small.score.graph_for(x)) > 3
    assert "Model(" in repr(small.score)
    assert copy.deepcopy(small).score(x).shape == ()
    alive = weakref.ref(large)
    del large, model
    gc.collect()
    assert alive() is None


def test_the_instance_of_a_method_is_one_object_even_if_it_is_a_dataclass() -> None:
    @dataclasses.dataclass
    class Scale:
        factor: Any
        calls: int = 0
        offset: Any = None

        @mg.function(input_signature=[mg.Spec((None,), mg.float32)])
        def apply(self, x: Any) -> Any:
            self.calls += 1
            if self.offset is None:
                self.offset = mg.Variable(1.0)
            return self.factor * x + self.offset

    scale = Scale(mg.asarray(2.0))
    for n in (1, 2, 3):
        assert scale.apply([1.0] * n).tolist() == [3.0] * n
    assert scale.calls == 2  # Once more after the variable was made.
    assert scale.apply.stats().traces == 1


def test_many_threads_call_one_function() -> None:
    v = mg.Variable(np.zeros(()))
    traced = []

    @mg.function
    def add(x: Any) -> Any:
        traced.append(1)
        v.assign_add(mg.sum(x))
        return x * 2.0

    failures = []

    def work(n: int) -> None:
        try:
            for _ in range(50):
                assert add(np.full(n, 1.0)).tolist() == [2.0] * n
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(1 + i % 3,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert float(v) == 50 * 2 * (1 + 2 + 3)
    assert len(traced) == add.stats().traces == 3


# -- what it refuses ---------------------------------------------------------------------------


def test_a_tensor_has_no_value_while_a_function_is_traced() -> None:
    v = mg.Variable(1.0)
    for code, advice in [
        (lambda x: x if x > 0.0 else -x, "mg.cond"),
        (lambda x: x * float(x), "return it and convert"),
        (lambda x: np.asarray(x), "mg.host_call"),
        (lambda x: x * v.numpy(), "use the variable itself"),
        (lambda x: x * v.item(), "use the variable itself"),
    ]:
        with pytest.raises(errors.SymbolicTensorError, match=advice) as caught:
            mg.function(code)(1.0 + mg.zeros(()))
        assert caught.value.__notes__ == ["while function '<lambda>' was traced"]
    with pytest.raises(errors.SymbolicTensorError, match="length is not known"):
        mg.function(lambda x: list(x), input_signature=[mg.Spec((None,), mg.float32)])([1.0])
    with pytest.raises(errors.StateError, match="outside of the function"):
        mg.function(lambda: mg.random.seed(1))()


def test_a_tensor_that_leaks_out_of_a_trace_says_so() -> None:
    leaked: list[Any] = []
    keep = mg.function(lambda x: leaked.append(x * 2.0))
    keep(mg.ones(2))
    (tensor,) = leaked
    uses = [
        lambda: tensor + 1.0,
        lambda: mg.sum(tensor),
        lambda: tensor.numpy(),
        lambda: float(tensor),
        lambda: keep(tensor),
        lambda: mg.function(lambda x: x + tensor)(mg.ones(2)),
        lambda: mg.function(lambda x: tensor)(mg.ones(2)),
        lambda: mg.function(lambda x: x)(tensor),
    ]
    for use in uses:
        with pytest.raises(errors.MinigradError, match="a trace of function '<lambda>', which is"):
            use()


def test_a_trace_that_fails_leaves_nothing_behind() -> None:
    v = mg.Variable(1.0)

    @mg.function
    def picky(x: Any) -> Any:
        v.assign(2.0)
        return x @ mg.ones((3, 3))

    with pytest.raises(errors.ShapeError, match=r"\(2,\)") as caught:
        picky(mg.ones(2))
    assert "while function 'picky' was traced" in caught.value.__notes__
    assert mg.executing_eagerly()
    assert (float(v), picky.stats().traces, picky.stats().kept) == (1.0, 0, 0)
    assert picky(mg.ones(3)).shape == (3,)


def test_options_are_checked() -> None:
    with pytest.raises(errors.ArgumentTypeError, match="takes a Python function"):
        mg.function(3)  # type: ignore[call-overload]
    with pytest.raises(errors.ArgumentError, match="executor"):
        mg.function(lambda x: x, executor="quick")  # type: ignore[call-overload]
    log = mg.function(lambda x: mg.log(x), check_numerics=True)
    with pytest.raises(errors.NumericsError, match="Log"):
        log(mg.asarray(-1.0))
    assert mg.function(lambda x: x * 2.0, executor="reference")(1.0) == 2.0


# -- as an object ------------------------------------------------------------------------------


@mg.function
def module_level(x: Any) -> Any:
    return x * 2.0


def test_it_shows_its_graph_and_is_copied_and_pickled_by_name() -> None:
    graph = module_level.graph_for(mg.ones(2))
    assert [op.type for op in graph.get_operations()] == ["Placeholder", "Const", "Mul"]
    assert "digraph" in mg.to_dot(graph)
    assert copy.copy(module_level) is copy.deepcopy(module_level) is module_level
    assert "traced" in repr(module_level)
    assert pickle.dumps(module_level)
    assert module_level.stats().signatures[0] == "(float32 tensor of shape (2,))"
