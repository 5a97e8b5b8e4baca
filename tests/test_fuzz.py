"""Random graphs on all executors, and whether what is wrong would be found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.registry import primitive_of
from minigrad.executor.plan import Plan
from minigrad.nn.functional.losses.reducing import multiply_no_nan
from minigrad.ops.elementwise import xdivy
from tools.fuzzing import checking
from tools.fuzzing.checking import check
from tools.fuzzing.drawing import draw
from tools.fuzzing.oracle import expected
from tools.fuzzing.programs import Line, Program, build
from tools.fuzzing.shrinking import shrink

pytest.importorskip("llvmlite")

ROOT = Path(__file__).resolve().parent.parent
BATCH = 25


@pytest.mark.parametrize("first", range(0, 150, BATCH))
def test_executors_agree_on_random_graphs(first: int) -> None:
    outcomes = []
    for seed in range(first, first + BATCH):
        program = draw(seed)
        verdict = check(program)
        outcomes.append(verdict.outcome)
        assert verdict.outcome != "differ", (
            f"seed {seed}: {verdict.executor} {verdict.what}\n"
            f"{program.only_set(verdict.set).script()}"
            f"python tools/fuzz.py --seed {seed} --count 1 makes it smaller"
        )
    assert outcomes.count("agree") > BATCH / 2


def test_a_seed_always_draws_the_same_graph() -> None:
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)
    built = build(draw(3))
    assert len(built.feeds) == draw(3).sets


def test_graphs_have_all_kinds_of_nodes() -> None:
    types = {op.type for seed in range(60) for op in build(draw(seed)).graph.get_operations()}
    kinds = {"MatMul", "Sum", "Softmax", "Transpose", "StridedSlice", "Select", "Cast", "ConcatV2"}
    assert kinds <= types
    assert len(types) > 100


def program_of(*texts: str, fetch: str = "v9") -> Program:
    lines = [Line("p0", "mg.placeholder('float32', (D0, 3))")]
    lines += [Line(*text.split(" = ")) for text in texts]
    array = "np.asarray(np.random.default_rng(1).normal(size=(D0, 3)), 'float32')"
    return Program({"D0": 5}, tuple(lines), {"p0": (array, array)}, (fetch, "p0"))


def test_what_is_wrong_is_found_and_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    # Any executor but the reference one calls the kernel for NumPy.
    monkeypatch.setattr(primitive_of("Cumsum"), "numpy", lambda x, **_: np.cumsum(x, -1) + 1e-3)
    program = program_of(
        "v1 = mg.tanh(p0)",
        "v2 = v1 * 2.0 + mg.sum(p0)",
        "v3 = mg.cumulative_sum(v2, axis=-1)",
        "v4 = mg.matrix_transpose(v3)",
        "v9 = mg.exp(-v4) + 1.0",
    )
    found = check(program, ("reference", "numpy"))
    assert found.outcome == "differ"
    assert found.executor == "numpy"
    assert "elements are wrong" in found.what
    smaller, verdict = shrink(program, found, lambda p: check_or_agree(p, ("reference", "numpy")))
    assert verdict.outcome == "differ"
    assert [line.name for line in smaller.lines] == ["p0", "v3"]
    assert smaller.sizes == {"D0": 1}
    assert smaller.fetches == ("v3",)
    assert "v3 = mg.cumulative_sum(p0, axis=-1)" in smaller.script()


def check_or_agree(program: Program, executors: tuple[str, ...]) -> Any:
    try:
        return check(program, executors)
    except (mg.errors.MinigradError, ValueError):
        return check(program_of("v9 = p0 * 1.0"), executors)


def test_an_error_of_another_kind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(x: Any, **_: Any) -> Any:
        raise ZeroDivisionError("injected")

    monkeypatch.setattr(primitive_of("Sort"), "numpy", fail)
    found = check(program_of("v9 = mg.sort(p0)"), ("reference", "numpy"))
    assert (found.outcome, found.executor) == ("differ", "numpy")
    assert "injected" in found.what


def test_ties_are_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sums of the same numbers in two orders: which is larger, rounding decides.
    program = program_of(
        "v1 = mg.sum(p0, axis=0)[0]",
        "v2 = mg.sum(p0[::-1], axis=0)[0]",
        "v9 = mg.where(v1 > v2, p0, -p0)",
    )
    monkeypatch.setattr(primitive_of("Greater"), "numpy", lambda a, b: np.less_equal(a, b))
    assert check(program, ("reference", "numpy")).outcome == "redrawn"


def test_every_set_of_feeds_meets_the_random_numbers_that_the_oracle_expects() -> None:
    program = program_of("v9 = nn.dropout(p0, 0.5, seed=1)")
    runs = checking._Check(build(program), ("reference", "numpy"))
    for feeds in runs.built.feeds:
        hope = runs._expected(feeds, moves=1)
        for name in ("reference", "numpy"):
            dropped, _, counter = runs._results(name, feeds)
            np.testing.assert_allclose(dropped, hope.values[0], rtol=1e-6)
            assert counter == hope.values[2] > 0


def test_a_script_runs_by_itself() -> None:
    script = program_of("v9 = mg.tanh(p0)").only_set(0).script(("reference", "numpy"))
    made = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, second = made.stdout.split("numpy\n")
    assert first == f"reference\n{second}"


def test_the_command_line() -> None:
    command = [sys.executable, "tools/fuzz.py", "--count", "3", "--executors", "numpy"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout.startswith("3 graphs: ")


# -- the oracle ----------------------------------------------------------------------------------


def hoped(build_graph: Any, *arrays: Any) -> Any:
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build_graph(*inputs)
    return expected(Plan(graph, [made], [], inputs), arrays, {}, 8)


def test_slack_is_what_rounding_may_do() -> None:
    x = np.random.default_rng(0).normal(size=50).astype("float32")
    eps = np.finfo("float32").eps
    plain = hoped(mg.exp, x)
    np.testing.assert_allclose(plain.values[0], np.exp(x.astype("float64")), rtol=1e-15)
    size = np.exp(x) * eps
    assert (plain.slack[0] >= 15 * size).all()
    assert (plain.slack[0] <= 40 * size * (1 + np.abs(x))).all()
    # A sum of what cancels may be off by its terms, and 1 over it by more.
    cancelling = hoped(lambda x: mg.sum(x - mg.mean(x)), x)
    assert 10 * eps < cancelling.slack[0] < 3000 * eps
    assert hoped(lambda x: 1.0 / mg.sum(x - mg.mean(x)), x).slack[0] > 1e3
    # What is passed on is moved once, and what is equal stays equal.
    assert (hoped(lambda x: mg.abs(mg.flip(x)), x).slack[0] <= 17 * np.abs(x[::-1]) * eps).all()
    assert hoped(lambda x: mg.tanh(x) - mg.tanh(x), x).slack[0].max() == 0


def test_sums_may_be_off_by_what_has_been_added_in_between() -> None:
    x = np.linspace(1, -1, 2001)
    slack = hoped(mg.sum, x).slack[0]
    size = np.finfo("float64").eps * np.abs(x).sum()
    # A chain of additions may round in the same direction every time.
    assert len(x) / 4 * size < slack < len(x) / 2 * size


def test_what_may_be_0_after_rounding_is_a_tie() -> None:
    x = np.array([3.0, 10.0, np.inf], "float32")
    assert not hoped(lambda x: mg.astype(1.0 - mg.tanh(x), "bool"), x[:1]).tied
    assert hoped(lambda x: mg.astype(1.0 - mg.tanh(x), "bool"), x[:2]).tied
    assert hoped(lambda x: mg.sum(x) == mg.sum(x[::-1]), x[:2]).tied
    assert not hoped(lambda x: x == x[::-1], x).tied
    assert hoped(lambda x: multiply_no_nan(x, 1.0 - mg.tanh(x[1])), x).tied
    assert not hoped(lambda x: multiply_no_nan(x, 1.0 - mg.tanh(x[1])), x[:2]).tied
    assert hoped(lambda x: xdivy(1.0 - mg.tanh(x[1]), x - x[1]), x).tied
    assert not hoped(lambda x: xdivy(1.0 - mg.tanh(x[1]), x), x[:2]).tied


def test_what_may_be_rounded_to_1_is_a_tie() -> None:
    x = np.array([0.5, 8.9], "float32")
    angle = lambda x: mg.argmax(mg.stack([x * 0.0, mg.acos(mg.tanh(x))]), axis=0)  # noqa: E731
    assert hoped(angle, x).tied
    assert not hoped(angle, x[:1]).tied


def test_float64_is_computed_in_a_wider_type() -> None:
    x = np.array([1e-3, 0.5, 3.0])
    found = hoped(lambda x: mg.sin(x) * mg.sin(x) + mg.cos(x) * mg.cos(x), x)
    assert found.values[0].dtype == np.longdouble
    if np.finfo(np.longdouble).eps < np.finfo(np.float64).eps:
        assert np.abs(found.values[0] - 1).max() < 1e-18


def test_loops_variables_and_branches_are_computed_wide() -> None:
    x = np.linspace(0.1, 1, 7, dtype="float32")

    def loop(x: Any) -> Any:
        (y,) = mg.while_loop(lambda a: mg.sum(a) < 50.0, lambda a: (a * 1.7,), (x,))
        return mg.cond(mg.sum(y) > 60.0, lambda: y * 2.0, lambda: y / 3.0)

    found = hoped(loop, x)
    wide = x.astype("float64")
    while wide.sum() < 50:
        wide = wide * np.float32(1.7)
    wide = wide * 2 if wide.sum() > 60 else wide / 3
    np.testing.assert_allclose(found.values[0], wide, rtol=1e-14)
    assert not found.tied
    assert hoped(lambda x: mg.where(mg.sum(x) > mg.sum(x[::-1]), 1.0, 2.0), x).tied
