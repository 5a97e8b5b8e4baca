"""What is built and installed is all of it, and one package name only."""

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

import minigrad
import minigrad.nn
import minigrad.optim

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "minigrad": ROOT / "minigrad",
    "minigrad.nn": ROOT / "nn",
    "minigrad.optim": ROOT / "optim",
}

FILES = ["pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "Makefile"]


def code_folders() -> list[Path]:
    return sorted({file.parent for folder in FOLDERS.values() for file in folder.rglob("*.py")})


def files_when_installed() -> set[str]:
    """The paths that the three folders' files have inside a wheel."""
    return {
        f"{name.replace('.', '/')}/{file.relative_to(folder).as_posix()}"
        for name, folder in FOLDERS.items()
        for file in folder.rglob("*")
        if file.suffix == ".py" or file.name == "py.typed"
    }


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, target: Path, hook: str) -> Path:
    """Runs a hook of the build backend, which reads `source`, and returns the file it wrote."""
    code = f"import sys, setuptools.build_meta as b; print(b.{hook}(sys.argv[1]))"
    return target / run(sys.executable, "-c", code, target, cwd=source).splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist of a copy of the checkout, for building leaves files behind."""
    source = tmp_path_factory.mktemp("checkout")
    for name in (*FILES, "minigrad", "nn", "optim", "tests", "tools"):
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, source)
    return build(source, tmp_path_factory.mktemp("sdist"), "build_sdist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the sdist, as an installer without a ready wheel does."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    run(sys.executable, "-m", "tarfile", "--extract", sdist, unpacked, cwd=unpacked)
    (source,) = unpacked.iterdir()
    return build(source, tmp_path_factory.mktemp("wheel"), "build_wheel")


def test_every_folder_with_code_is_a_package() -> None:
    missing = [str(f.relative_to(ROOT)) for f in code_folders() if not (f / "__init__.py").exists()]
    assert not missing, f"without an __init__.py these are left out of the build: {missing}"


def test_sdist_has_what_building_and_testing_need(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(FILES) <= names
    assert {"tests/conftest.py", "tests/test_packaging.py", "tools/venv.sh"} <= names


def test_wheel_holds_every_module_under_one_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == files_when_installed()


def test_wheel_imports(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = f"from importlib import import_module as f\nfor n in {[*FOLDERS]}: print(f(n).__file__)"
    places = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site"))
    site = (tmp_path / "site").resolve()
    assert all(Path(place).resolve().is_relative_to(site) for place in places.splitlines()), places


@pytest.mark.parametrize(
    ("package", "folder"), [(importlib.import_module(n), f) for n, f in FOLDERS.items()]
)
def test_checkout_is_what_gets_imported(package: ModuleType, folder: Path) -> None:
    assert package.__file__ is not None
    assert Path(package.__file__).parent.resolve() == folder.resolve(), (
        f"{package.__name__} comes from {package.__file__}, not from this checkout: "
        "install it here, with `pip install --editable .`"
    )


@pytest.mark.parametrize("name", FOLDERS)
def test_every_module_imports(name: str) -> None:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_version_is_stated_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|[ab]\d+|rc\d+)?", minigrad.__version__)
    assert version("minigrad") == minigrad.__version__, "reinstall: pip install --editable ."


def test_a_checkout_works_from_its_own_folder_without_being_installed(tmp_path: Path) -> None:
    for name in ("minigrad", "nn", "optim", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    code = "from minigrad import nn, optim; import minigrad.nn as n; print(n.__file__)"
    # -S keeps the editable installation of this environment out of it.
    path = os.pathsep.join([str(tmp_path), *[p for p in sys.path if p.endswith("site-packages")]])
    printed = run(sys.executable, "-S", "-c", code, cwd=tmp_path, PYTHONPATH=path)
    assert printed.strip() == str(tmp_path / "nn" / "__init__.py")
