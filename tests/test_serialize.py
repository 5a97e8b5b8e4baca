"""Saving graphs as data, and variables in files."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors

LOAD_AND_RUN = """
import json, sys
import numpy as np
import minigrad as mg
data = json.load(open(sys.argv[1]))
g = mg.Graph.from_dict(data)
with mg.Session(graph=g) as sess:
    sess.run("init")
    x = np.linspace(-1.0, 1.0, 6).reshape(2, 3)
    out = sess.run(["loss:0", "slope:0", "noise:0"], {"x:0": x})
    print(json.dumps([np.asarray(v).tolist() for v in out]))
"""


def build() -> tuple[mg.Graph, list[Any]]:
    g = mg.Graph("model")
    shared = mg.Variable(np.array([0.5, 0.25, 2.0]), name="shared")
    with g.as_default():
        x = mg.placeholder("float64", (None, 3), name="x")
        w = mg.Variable(np.arange(6.0).reshape(3, 2), name="w")
        h = mg.tanh(mg.matmul(x * shared, w)[:, ::-1])
        loss = mg.identity(mg.sum(mg.square(h)), name="loss")
        (slope,) = mg.gradients(loss, [w])
        slope = mg.identity(slope, name="slope")
        noise = mg.identity(mg.random.normal((4,), seed=3), name="noise")
        init = mg.global_variables_initializer()
    return g, [loss, slope, noise, init]


def test_a_graph_saved_and_loaded_in_a_new_process_gives_the_same_results(tmp_path: Path) -> None:
    g, (loss, slope, noise, init) = build()
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(g.to_dict()))
    script = tmp_path / "load.py"
    script.write_text(LOAD_AND_RUN)
    printed = subprocess.run(
        [sys.executable, str(script), str(file)], check=True, capture_output=True, text=True
    ).stdout
    sess = mg.Session(graph=g)
    sess.run(init)
    x = np.linspace(-1.0, 1.0, 6).reshape(2, 3)
    mine = sess.run([loss, slope, noise], {"x:0": x})
    for theirs, own in zip(json.loads(printed), mine, strict=True):
        np.testing.assert_array_equal(np.array(theirs, own.dtype), own)


def test_a_loaded_graph_has_the_same_listing_effects_and_collections() -> None:
    g = mg.Graph()
    with g.as_default():
        x = mg.placeholder("float32", (), name="x")
        count = mg.Variable(0.0, name="count", trainable=False)
        y = x * 2.0
        g.add_effect(y, count.assign_add(1.0))
        (dy,) = mg.gradients(y, [x])
        mg.add_to_collection("outputs", y)
    twin = mg.Graph.from_dict(json.loads(json.dumps(g.to_dict())))
    assert str(twin).splitlines()[1:] == str(g).splitlines()[1:]
    assert [op.forward is None for op in twin.get_operations()] == [
        op.forward is None for op in g.get_operations()
    ]
    assert twin.get_collection("outputs")[0].name == y.name
    (counted,) = twin.get_collection("variables")
    assert (counted.name, counted.trainable) == ("count", False)
    sess = mg.Session(graph=twin)
    sess.run(counted.initializer)
    assert sess.run([y.name, dy.name], {"x:0": 3.0}) == [6.0, 2.0]
    assert sess.run(counted) == 1.0
    with twin.as_default():
        sess.run(counted.assign_add(1.0))
        (again,) = mg.gradients(twin.get_tensor_by_name(y.name) * counted, [counted])
    assert sess.run(again, {"x:0": 3.0}) == 6.0


def test_eager_variables_of_one_name_stay_apart_when_loaded() -> None:
    a, b, unused = [mg.Variable(x, name="w") for x in (1.0, 2.0, 3.0)]
    g = mg.Graph()
    with g.as_default():
        y = mg.add(a * 10.0, b)
        for v in (a, b, unused):
            mg.add_to_collection("weights", v)
    twin = mg.Graph.from_dict(json.loads(json.dumps(g.to_dict())))
    assert mg.Session(graph=twin).run(y.name) == 12.0
    assert [float(v) for v in twin.get_collection("weights")] == [1.0, 2.0, 3.0]


def double(x: np.ndarray) -> np.ndarray:
    return 2 * x


def test_python_functions_are_named_and_given_again() -> None:
    g = mg.Graph()
    with g.as_default():
        y = mg.host_call(double, mg.constant(3.0), out=((), "float32"))
    data = json.loads(json.dumps(g.to_dict()))
    lost = mg.Graph.from_dict(data)
    with pytest.raises(errors.GraphError, match=r"functions=\{'.*double': f\}"):
        mg.Session(graph=lost).run(y.name)
    name = f"{double.__module__}.{double.__qualname__}"
    found = mg.Graph.from_dict(data, functions={name: double})
    assert mg.Session(graph=found).run(y.name) == 6.0


def test_data_that_is_no_graph_is_refused() -> None:
    with pytest.raises(errors.ArgumentError, match="not a graph saved by"):
        mg.Graph.from_dict({"nodes": []})
    g = mg.Graph()
    with g.as_default():
        mg.constant(1)
    data = g.to_dict()
    data["nodes"][0]["op"] = "NoSuchOp"
    with pytest.raises(errors.GraphError, match="'NoSuchOp', which is not registered"):
        mg.Graph.from_dict(data)
    with pytest.raises(errors.ArgumentError, match="version 99, expected 1"):
        mg.Graph.from_dict({**g.to_dict(), "version": 99})


def test_damaged_data_is_refused() -> None:
    g = mg.Graph()
    with g.as_default():
        mg.constant([1.0, 2.0])

    def no_attributes(data: dict[str, Any]) -> None:
        data["nodes"][0]["attrs"] = {}

    def cut(data: dict[str, Any]) -> None:
        data["nodes"][0]["attrs"]["value"]["array"]["data"] = "AAAA"

    for damage in (no_attributes, cut, lambda data: data.pop("name"), lambda data: data.clear()):
        data = g.to_dict()
        damage(data)
        data |= {"format": "minigrad-graph", "version": 1}
        with pytest.raises(errors.GraphError, match="damaged"):
            mg.Graph.from_dict(data)


# -- variables in files ------------------------------------------------------------------------


def test_variables_are_saved_from_one_session_and_restored_in_another(tmp_path: Path) -> None:
    with mg.Graph().as_default():
        v = mg.Variable(np.arange(3.0), name="layer/v")
        n = mg.Variable(np.int64(7), name="n")
        flag = mg.Variable(True, name="flag", trainable=False)
        first, second = mg.Session(), mg.Session()
        first.run(mg.global_variables_initializer())
        first.run(v.assign_add([10.0, 10.0, 10.0]))
        path = mg.save(tmp_path / "model.safetensors", session=first)
        mg.restore(path, session=second)
        np.testing.assert_array_equal(second.run(v), [10.0, 11.0, 12.0])
        assert second.run([n, flag]) == [7, True]
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_file_that_does_not_fit_changes_nothing_and_says_all_that_is_wrong(
    tmp_path: Path,
) -> None:
    a, b = mg.Variable([1.0, 2.0], name="a"), mg.Variable([3.0], name="b")
    path = mg.save(tmp_path / "f", [a, b])
    c = mg.Variable([9.0, 9.0, 9.0], name="a")
    d = mg.Variable([9.0], name="d")
    ok = mg.Variable([9.0], name="b")
    with pytest.raises(errors.ArgumentError) as caught:
        mg.restore(path, [c, d, ok])
    message = str(caught.value)
    assert "missing in the file: 'd'" in message
    assert "'a' is float32 of shape (2,) in the file, the variable is float32 of shape (3,)" in (
        message
    )
    assert ok.numpy() == 9.0
    with mg.Graph().as_default():
        mg.Variable([0.0, 0.0], name="a")
        with pytest.raises(errors.ArgumentError, match="unexpected in the file: 'b'"):
            mg.restore(path, session=mg.Session())


def test_saving_what_cannot_be_saved(tmp_path: Path) -> None:
    with mg.Graph().as_default():
        v = mg.Variable(1.0, name="v")
        with pytest.raises(errors.StateError, match="pass session="):
            mg.save(tmp_path / "f", [v])
        with pytest.raises(errors.FailedPreconditionError, match="'v' is not initialized"):
            mg.save(tmp_path / "f", [v], session=mg.Session())
    with pytest.raises(errors.ArgumentError, match="two variables are called"):
        mg.save(tmp_path / "f", [mg.Variable(1.0, name="x"), mg.Variable(1.0, name="x")])
    with pytest.raises(errors.ArgumentError, match="there are no variables"):
        mg.save(tmp_path / "f", [])
    (tmp_path / "text").write_text("not a file of tensors")
    with pytest.raises(errors.ArgumentError, match="is not a safetensors file"):
        mg.restore(tmp_path / "text", [mg.Variable(1.0)])
    with pytest.raises(FileNotFoundError, match="no file"):
        mg.restore(tmp_path / "none", [mg.Variable(1.0)])
    assert [p.name for p in tmp_path.iterdir()] == ["text"]


@pytest.mark.parametrize(
    ("variables", "error", "message"),
    [
        (lambda v: v, errors.ArgumentTypeError, "as a list or as a dict"),
        (lambda v: mg.Session(), errors.ArgumentTypeError, "as a list or as a dict"),
        (lambda v: 3, errors.ArgumentTypeError, "as a list or as a dict"),
        (lambda v: [v, np.ones(2)], errors.ArgumentTypeError, "expected a variable, got array"),
        (lambda v: {1: v}, errors.ArgumentError, "1 cannot be the name"),
        (lambda v: {"__metadata__": v}, errors.ArgumentError, "'__metadata__' cannot be the name"),
        (lambda v: {}, errors.ArgumentError, "no variables"),
        (lambda v: [mg.Variable(np.ones(2) + 1j)], errors.DTypeError, "is of complex128"),
        (lambda v: [mg.Variable("text")], errors.DTypeError, "is of string"),
    ],
)
def test_what_is_no_choice_of_variables(
    variables: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    v = mg.Variable(1.0, name="v")
    with pytest.raises(error, match=message):
        mg.save(tmp_path / "f", variables(v))
    assert not list(tmp_path.iterdir())


def test_every_dtype_that_a_file_holds_comes_back(tmp_path: Path) -> None:
    kinds = [
        "bool",
        "int8",
        "uint16",
        "int64",
        "uint64",
        "float16",
        "float32",
        "float64",
        "complex64",
    ]
    made = {kind: mg.Variable(np.array([1, 0, 1]).astype(kind), name=kind) for kind in kinds}
    made |= {"scalar": mg.Variable(2.0), "empty": mg.Variable(np.zeros((0, 2)))}
    before = {name: v.numpy().copy() for name, v in made.items()}
    path = mg.save(tmp_path / "f", made)
    for v in made.values():
        v.assign(mg.zeros_like(v))
    mg.restore(path, made)
    for name, v in made.items():
        assert v.numpy().dtype == before[name].dtype
        np.testing.assert_array_equal(v.numpy(), before[name])


def test_numbers_that_numpy_lacks_are_refused(tmp_path: Path) -> None:
    entry = {"v": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}
    header = json.dumps(entry).encode()
    path = tmp_path / "f"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(2))
    with pytest.raises(errors.ArgumentError, match="a dtype that NumPy lacks"):
        mg.restore(path, [mg.Variable([1.0], name="v")])


def test_a_closed_session_neither_saves_nor_restores(tmp_path: Path) -> None:
    with mg.Graph().as_default():
        v = mg.Variable(1.0, name="v")
        session = mg.Session()
        session.run(v.initializer)
        path = mg.save(tmp_path / "f", session=session)
        session.close()
    for act in (mg.save, mg.restore):
        with pytest.raises(errors.StateError, match="this session is closed"):
            act(path, [v], session=session)


def test_a_replaced_file_keeps_its_permissions_and_the_links_to_it(tmp_path: Path) -> None:
    v = mg.Variable(1.0, name="v")
    path = mg.save(tmp_path / "f", [v])
    path.chmod(0o600)
    link = tmp_path / "latest"
    link.symlink_to(path)
    v.assign(2.0)
    mg.save(link, [v])
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    v.assign(3.0)
    mg.restore(path, [v])
    assert float(v.numpy()) == 2.0
    with pytest.raises(errors.ArgumentError, match="is a folder"):
        mg.save(tmp_path, [v])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "latest"]
