"""What `import minigrad` loads, and what waits until it is used; nobody can tell the difference."""

import ast
import importlib
import json
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad import later
from minigrad.errors import RegistryError

ROOT = Path(__file__).parents[1]
MODULES = {**later.OPS, **later.TOOLS}

#: Not needed by NumPy, or slow to load.
COSTLY = {
    "decimal",
    "difflib",
    "fractions",
    "graphviz",
    "llvmlite",
    "minigrad.compile",
    "minigrad.hints",
    "minigrad.nn",
    "minigrad.optim",
    "minigrad.ops.linalg",
    "minigrad.ops.numpy_functions",
    "minigrad.random_kernels",
    "numpy.random",
    "safetensors",
    "scipy",
    "statistics",
    "subprocess",
    "threadpoolctl",
    "xml",
}


def fresh(code: str) -> Any:
    """What `code`, run by a new Python, leaves in the variable `result`."""
    code = f"import minigrad as mg\n{code}\nimport json\nprint(json.dumps(result))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def star_imports(*, checked_only: bool) -> set[str]:
    """The modules that `minigrad/__init__.py` imports all names of; or that only checkers see."""
    tree = ast.parse((ROOT / "minigrad" / "__init__.py").read_text(encoding="utf-8"))
    block: list[ast.stmt] = tree.body
    if checked_only:
        test = "_typing.TYPE_CHECKING"
        block = next(n.body for n in block if isinstance(n, ast.If) and ast.unparse(n.test) == test)
    return {
        n.module
        for n in block
        if isinstance(n, ast.ImportFrom) and n.module and n.names[0].name == "*"
    }


def test_import_loads_no_more_than_tensors_need() -> None:
    loaded = set(fresh("import sys; result = list(sys.modules)"))
    assert not loaded & (COSTLY | set(MODULES))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_list_has_the_public_names_of_a_module_that_waits(module: str) -> None:
    if module.removeprefix("minigrad.") in later.NAMESPACES:
        assert MODULES[module] == ""
        return
    names = sorted(importlib.import_module(module).__all__)
    listed = MODULES[module].split()
    assert sorted(listed) == names, f"minigrad/later.py should have {module!r}: {' '.join(names)!r}"


def test_type_checkers_see_what_waits() -> None:
    waiting = {module for module, names in MODULES.items() if names}
    assert star_imports(checked_only=True) == waiting
    assert not star_imports(checked_only=False) & waiting


def test_every_public_name_can_be_had() -> None:
    assert set(later.MODULE_OF) <= set(dir(mg))
    assert {"nn", "optim", "linalg", "random"} <= set(dir(mg))
    for name, module in later.MODULE_OF.items():
        assert getattr(mg, name) is getattr(importlib.import_module(module), name)
        assert vars(mg)[name] is getattr(mg, name)


def test_a_star_import_gives_all_but_the_upper_packages() -> None:
    code = "names = {}; exec('from minigrad import *', names); result = sorted(names)"
    names = fresh(
        code + "; import sys; assert not {'minigrad.nn', 'minigrad.optim'} & {*sys.modules}"
    )
    assert {n for n in later.MODULE_OF if n[0] != "_"} <= set(names)
    assert {"add", "linalg", "newaxis", "random"} <= set(names)
    assert not {"nn", "optim", "importlib", "typing"} & set(names)


def test_no_module_takes_the_place_of_a_function() -> None:
    every = [
        m.name
        for m in pkgutil.walk_packages(mg.__path__, "minigrad.")
        if not m.name.startswith(("minigrad.compile.", "minigrad.__main__"))
    ]
    code = f"import importlib\nfor m in {every}: importlib.import_module(m)\n"
    code += f"result = [n for n in {list(later.MODULE_OF)} if type(getattr(mg, n)) is type(mg)]"
    assert fresh(code) == []
    assert mg.gradcheck(lambda x: x * 2, 1.0)


def test_only_the_modules_listed_as_ops_define_primitives() -> None:
    code = f"""
import importlib
before = len(mg.registry.REGISTRY)
mg.registry.verify()
for module in {list(later.TOOLS)}:
    importlib.import_module(module)
result = [before, len(mg.registry.REGISTRY)]
"""
    before, after = fresh(code)
    assert before == after


@pytest.mark.parametrize(
    "code",
    [
        "mg.registry.primitive_of('Sort').name",
        "mg.registry.primitive_of('sort').name",
        "mg.registry.REGISTRY['Sort'].name",
        "mg.registry.REGISTRY.get('Sort').name",
        "next(p.name for p in mg.registry.REGISTRY.values() if p.op == 'Sort')",
        f"__import__('pickle').loads({pickle.dumps(mg.sort)!r}).name",
    ],
)
def test_a_primitive_is_found_before_its_module_is_loaded(code: str) -> None:
    assert fresh(f"result = {code}") == "sort"


def test_a_saved_graph_loads_the_ops_it_needs() -> None:
    graph = mg.Graph()
    with graph.as_default():
        mg.sort(mg.constant([3.0, 1.0, 2.0]))
    last = graph.get_operations()[-1].name
    code = f"graph = mg.Graph.from_dict({graph.to_dict()!r})\n"
    code += f"result = mg.Session(graph).run('{last}:0').tolist()"
    assert fresh(code) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("call", "expected"),
    [("np.sin(mg.asarray(0.0))", 0.0), ("np.trace(mg.asarray([[1.0, 2.0], [3.0, 4.0]]))", 5.0)],
)
def test_functions_of_numpy_load_their_counterparts(call: str, expected: float) -> None:
    code = f"import numpy as np\nx = {call}\nassert isinstance(x, mg.Tensor)\nresult = float(x)"
    assert fresh(code) == expected


def test_a_name_of_ours_is_refused_to_others_at_once() -> None:
    code = """
try:
    @mg.primitive("Sort", samples=[mg.Sample(2.0)])
    def mine(x, /):
        "Sorts."
except mg.errors.RegistryError as error:
    result = str(error)
"""
    assert "op 'Sort' is defined twice" in fresh(code)


def test_an_interrupted_import_can_be_repeated() -> None:
    code = """
import numpy as np
from minigrad.core.primitive import Primitive
kernel = Primitive.kernel
def interrupted(self, function):
    raise KeyboardInterrupt
Primitive.kernel = interrupted
hits = 0
for name in ("sort", "sin"):
    try:
        getattr(mg, name)
    except KeyboardInterrupt:
        hits += 1
Primitive.kernel = kernel
x = mg.asarray([2.0, 1.0])
assert mg.sort(x).numpy().tolist() == [1.0, 2.0]
assert np.sin(x).numpy().tolist() == np.sin(np.float32([2.0, 1.0])).tolist()
result = hits
"""
    assert fresh(code) == 2


def test_a_kernel_is_a_python_function() -> None:
    @mg.primitive("NotAFunction", samples=[mg.Sample(2.0)])
    def planted(x: Any, /) -> Any:
        """Nothing."""

    try:
        with pytest.raises(RegistryError, match="must be a Python function"):
            planted.kernel(abs)
    finally:
        mg.registry.unregister(planted)


def test_names_that_do_not_exist_are_refused_with_a_hint() -> None:
    with pytest.raises(AttributeError, match=r"here it is mg\.sum"):
        mg.reduce_sum  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"did you mean mg\.argsort\?"):
        mg.argsrt  # type: ignore[attr-defined]
