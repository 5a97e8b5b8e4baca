"""The benchmarks compute what they say; whether it is fast is no test's business."""

import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import pytest

from benchmarks import references, steps
from benchmarks.__main__ import main
from benchmarks.lineup import PYTHONS_VARIABLE, parse_pythons
from benchmarks.remote import Remote, RemoteError
from benchmarks.results import Row, table
from benchmarks.sides import SIDES, load
from benchmarks.sides.base import ADDS_SUMMAND, Options
from benchmarks.sides.minigrad import Minigrad
from benchmarks.timing import Timing
from benchmarks.whole_processes import cached_in
from benchmarks.workloads import WORKLOADS, Found, Workload, check


@pytest.fixture(autouse=True)
def _no_interpreters_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHONS_VARIABLE, raising=False)


every_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=list(WORKLOADS))


# -- references --------------------------------------------------------------------------------


@every_workload
def test_a_reference_has_the_derivative_of_its_loss(workload: Workload) -> None:
    values = workload.values(small=True)
    x, labels = values.x, values.labels
    if workload.trains:
        assert labels is not None
        x, labels = x[0], labels[0]
    _, gradients = workload.formula(values.parameters, x, labels)
    of_input = workload.name in ("W1", "W4", "W5")
    sources = [x] if of_input else values.parameters
    assert [g.shape for g in gradients] == [s.shape for s in sources]
    rng, step = np.random.default_rng(0), 1e-6
    directions = [rng.normal(size=s.shape) for s in sources]

    def loss(factor: float) -> float:
        moved = [s + factor * d for s, d in zip(sources, directions, strict=True)]
        arguments = (values.parameters, moved[0]) if of_input else (moved, x)
        return float(workload.formula(*arguments, labels)[0])

    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    assert (loss(step) - loss(-step)) / (2 * step) == pytest.approx(slope, rel=1e-5)


def test_adam_takes_the_first_steps_by_its_formula() -> None:
    w = [np.array([1.0, -2.0])]
    adam = references.Adam(w)
    adam.apply([np.array([0.5, -0.25])])  # The first step is the rate, whatever the gradient.
    np.testing.assert_allclose(w[0], [1.0 - 1e-3, -2.0 + 1e-3], rtol=1e-9)
    adam.apply([np.array([0.5, 0.25])])
    m, v = 0.1 * 0.25 - 0.09 * 0.25, 0.001 * 0.0625 + 0.000999 * 0.0625
    second = 1e-3 * (m / (1 - 0.81)) / (np.sqrt(v / (1 - 0.999**2)) + 1e-8)
    np.testing.assert_allclose(w[0], [1.0 - 2e-3, -2.0 + 1e-3 - second], rtol=1e-9)


# -- sides -------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["minigrad", "numpy"])
@every_workload
def test_a_side_computes_what_the_reference_does(workload: Workload, side: str) -> None:
    values = workload.values(small=True)
    expected = workload.reference(values)
    made = load(side, Options(threads=1))
    for variant in made.variants:
        case = made.case(workload, values.cast("float32"), variant)
        found = case.found()
        assert all(g.dtype == np.float32 for g in found.gradients)
        assert check(variant, found, expected) < 1e-4
        case.step()


def test_minigrad_runs_with_the_executor_that_is_asked_for() -> None:
    workload = WORKLOADS["W2"]
    values = workload.values(small=True)
    side = Minigrad(Options(threads=1, executor="reference"))
    case = side.case(workload, values.cast("float32"), "make_callable")
    assert check("reference", case.found(), workload.reference(values)) < 1e-4


def test_a_chain_of_adds_is_one() -> None:
    side = Minigrad(Options(threads=1))
    side.warm_up()
    chain = side.adds(10, "make_callable")
    assert chain.value == 16 * (1 + 10 * ADDS_SUMMAND)
    np.testing.assert_array_equal(chain.gradient, np.ones(16))
    chain.step()


@pytest.fixture
def _packages_that_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets sides be imported without their packages, and be forgotten afterwards."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(importlib, "import_module", lambda name: MagicMock(name=name))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    for about in SIDES.values():
        name = f"benchmarks.sides.{about.module}"
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.delitem(sys.modules, name)


packages = pytest.mark.parametrize("side", [name for name in SIDES if name != "minigrad"])


@packages
@pytest.mark.usefixtures("_packages_that_do_nothing")
def test_a_side_has_all_workloads_and_tells_of_its_own_variants(side: str) -> None:
    made = load(side, Options(threads=1))
    assert all(callable(getattr(made, workload.method)) for workload in WORKLOADS.values())
    told = {*made.slow, *made.only_steps, *made.longest_chain, *made.longest_slow_chain}
    assert told <= set(made.variants)
    assert made.variants[0] not in made.slow


@pytest.mark.usefixtures("_packages_that_do_nothing")
def test_tinygrad_says_that_it_needs_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delitem(os.environ, "CC", raising=False)
    with pytest.raises(RuntimeError, match="there is no 'clang' in PATH"):
        load("tinygrad", Options(threads=1))


# -- checking ----------------------------------------------------------------------------------


def test_what_is_wrong_is_refused(tmp_path: Path) -> None:
    right = Found([2.0], [np.array([3.0, 4.0])])
    assert check("it", right, right) == 0
    wrong = [
        Found([2.003], right.gradients),
        Found([np.nan], right.gradients),
        Found([2.0], [np.array([3.0, 4.01])]),
        Found([2.0], [np.array([3.0])]),
        Found([2.0], []),
        Found([2.0, 2.0], right.gradients),
    ]
    for found in wrong:
        with pytest.raises(ArithmeticError, match="it: expected"):
            check("it", found, right)
    path = str(tmp_path / "found.npz")
    right.save(path)
    assert check("it", Found.load(path), right) == 0


# -- results -----------------------------------------------------------------------------------


def test_the_ratio_is_to_the_best_peer() -> None:
    row = Row("W1", "tiny", {"minigrad": Timing(2e-3, 1e-3)}, bar=0.7)
    assert (row.best_peer, row.ratio) == (None, None)
    row.found |= {
        "minigrad.run": Timing(1e-3, 1e-3),
        "torch": Timing(8e-3, 7e-3),
        "jax": Timing(4e-3, 4e-3),
        "numpy": Timing(3e-3, 3e-3),
    }
    assert (row.best_peer, row.ratio) == ("numpy", pytest.approx(2 / 3))
    row.no_peers = frozenset({"numpy"})
    assert (row.best_peer, row.ratio) == ("jax", pytest.approx(0.5))
    shown = row.to_json()
    assert shown["minigrad_ms"] == pytest.approx(2.0)
    assert shown["best_peer_ms"] == pytest.approx(4.0)
    row.left_out["torch.compile"] = "no compiler"
    text = table([row], [*row.found, "torch.compile"], {"cores": 2})
    assert "W1 tiny" in text and "0.50  0.7" in text
    assert "W1: torch.compile: no compiler" in text and "cores: 2" in text


# -- processes and the command line ------------------------------------------------------------


def test_a_worker_reports_what_fails_and_goes_on() -> None:
    with Remote("numpy", sys.executable, Options(threads=1)) as remote:
        with pytest.raises(RemoteError, match="KeyError"):
            remote.ask("round", workload="W1", variant="by hand", seconds=0.01)
        assert remote.ask("about")["version"] == np.__version__
        assert not remote.has_ended()


def test_an_interpreter_that_is_none_is_named() -> None:
    for path, why in (("/there/is/no/python", "No such file"), ("/", "Permission denied")):
        with pytest.raises(RemoteError, match=f"{path} cannot be run: {why}"):
            Remote("numpy", path, Options(threads=1))


def test_a_worker_that_dies_says_why() -> None:
    with Remote("no such side", sys.executable, Options(threads=1)) as remote:
        with pytest.raises(RemoteError, match="status 1: KeyError: 'no such side'"):
            remote.ask("about")
        assert remote.has_ended()


def test_json_has_the_documented_form(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--only", "w1,W9,first,memory,import", "--peers", "numpy,jax"]
    arguments += ["--python", "jax=/there/is/no/python", "--lengths", "10"]
    arguments += ["--small", "--rounds", "1", "--seconds", "0.01", "--json"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert set(found) == {"ratios", "machine"}
    rows = {row["workload"]: row for row in found["ratios"]}
    whole = ["W9/10 first", "W9/10 steady", "first cold", "first warm", "memory", "import"]
    assert list(rows) == ["W1", *whole]
    for row in rows.values():
        assert {"workload", "minigrad_ms", "best_peer", "best_peer_ms", "ratio"} <= set(row)
    for name in ("W1", "import"):
        row = rows[name]
        assert row["best_peer"] == "numpy"
        assert row["ratio"] == pytest.approx(row["minigrad_ms"] / row["best_peer_ms"])
    assert rows["first cold"]["best_peer"] is None  # NumPy does not differentiate.
    assert rows["memory"]["minigrad_mb"] > 10
    assert {"minigrad", "minigrad.run", "numpy"} <= set(rows["W1"]["all"])
    assert all(0 <= shown["error"] < 1e-3 for shown in rows["W1"]["all"].values())
    machine = found["machine"]
    assert machine["threads"] == 2
    assert set(machine["versions"]) == {"minigrad", "numpy"}
    why = "/there/is/no/python cannot be run: No such file or directory"
    assert machine["left_out"] == {"jax": why}
    assert f"jax is left out: {why}" in output.err


def test_without_minigrad_there_is_nothing_to_measure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--only", "W1", "--peers", "numpy", "--python", "minigrad=/no/python"]) == 1
    said = capsys.readouterr().err
    assert said == "minigrad cannot be run: /no/python cannot be run: No such file or directory\n"


def test_a_peer_that_its_interpreter_lacks_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SIDES, "tinygrad", SIDES["tinygrad"]._replace(package="no_such_package"))
    arguments = ["--only", "W1", "--peers", "tinygrad,numpy,numpy", "--small", "--rounds", "1"]
    assert main([*arguments, "--seconds", "0.01"]) == 0
    shown = capsys.readouterr().out
    assert f"left_out: tinygrad {sys.executable} has no module no_such_package" in shown
    assert shown.splitlines()[0].count("numpy") == 1


def test_what_is_interrupted_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "measure", interrupted)
    assert main(["--only", "W1", "--peers", "numpy"]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_the_table_is_printed_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["workloads", "--only", "W2", "--peers", "numpy", "--threads", "1"]
    assert main([*arguments, "--small", "--rounds", "2", "--seconds", "0.01"]) == 0
    shown = capsys.readouterr().out
    assert "W2 small classifier, Adam" in shown
    assert "best peer" in shown and "versions: minigrad" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "W1,W77"], "there is no 'W77'"),
        (["--peers", "minigrad"], "there is no 'minigrad'"),
        (["--python", "torch"], "expected SIDE=PATH"),
        (["--python", "caffe=/bin/python"], "expected SIDE=PATH"),
        (["--rounds", "0"], "expected a whole number above 0"),
        (["--lengths", "10,x"], "expected a whole number above 0, got 'x'"),
        (["--seconds", "-1"], "expected a number above 0"),
        (["nothing"], "there is no 'nothing'; choose from workloads, core, chain"),
        (["core", "--json"], "goes with the workloads alone"),
    ],
)
def test_wrong_arguments_are_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_interpreters_are_given_by_side() -> None:
    assert parse_pythons("") == {}
    assert parse_pythons("torch=/a,jax=/b=c") == {"torch": "/a", "jax": "/b=c"}
    found = parse_pythons("torch=python3,jax=there/python,tinygrad=~/python")
    here, home = os.path.abspath("there/python"), os.path.expanduser("~/python")
    assert found == {"torch": "python3", "jax": here, "tinygrad": home}


def test_compiled_code_is_kept_in_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTENSOR_FLAGS", raising=False)
    assert cached_in("/a")["PYTENSOR_FLAGS"] == "base_compiledir=/a"
    monkeypatch.setenv("PYTENSOR_FLAGS", "openmp=True")
    made = cached_in("/a")
    assert made["PYTENSOR_FLAGS"] == "openmp=True,base_compiledir=/a"
    assert made["MINIGRAD_CACHE_DIR"] == made["XDG_CACHE_HOME"] == "/a"
