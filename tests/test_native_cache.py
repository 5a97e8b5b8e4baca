"""The disk cache of native code: what is found, and what is not trusted."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import minigrad as mg

pytest.importorskip("llvmlite")

from minigrad.compile.native import assembler
from minigrad.compile.native.cache import Cache, default_folder, key

pytestmark = pytest.mark.skipif(
    os.name != "posix", reason="Windows has no owners that could be checked: there is no cache"
)

NAME = key(["name"])
CODE = bytes(range(256)) * 40


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "native")


@pytest.fixture
def entry(cache: Cache) -> Path:
    """The file of one entry that is there."""
    cache.put(NAME, CODE)
    assert cache.get(NAME) == CODE
    return cache.folder / NAME.hex()


def test_what_was_put_is_found_again(cache: Cache) -> None:
    assert cache.get(NAME) is None
    cache.put(NAME, CODE)
    assert Cache(cache.folder).get(NAME) == CODE
    assert cache.get(key(["other"])) is None
    cache.put(NAME, b"newer")
    assert cache.get(NAME) == b"newer"
    assert [path.name for path in cache.folder.iterdir()] == [NAME.hex()]


def test_folder_and_files_are_private(entry: Path) -> None:
    before = os.umask(0)
    os.umask(before)
    assert entry.parent.stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o777 == 0o600


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def alter_code(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def alter_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def swap_for_another_entry(path: Path) -> None:
    cache = Cache(path.parent)
    other = key(["other"])
    cache.put(other, b"other code")
    os.replace(path.parent / other.hex(), path)


def link_to_a_copy(path: Path) -> None:
    copy = path.parent / "copy"
    path.rename(copy)
    path.symlink_to(copy)


def make_writable_by_all(path: Path) -> None:
    path.chmod(0o666)


def make_writable_by_the_group(path: Path) -> None:
    path.chmod(0o620)


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def open_the_folder(path: Path) -> None:
    path.parent.chmod(0o755)


def link_the_folder(path: Path) -> None:
    folder = path.parent
    moved = folder.with_name("moved")
    folder.rename(moved)
    folder.symlink_to(moved)


@pytest.mark.parametrize(
    "spoil",
    [
        truncate,
        empty,
        alter_code,
        alter_header,
        append,
        swap_for_another_entry,
        link_to_a_copy,
        make_writable_by_all,
        make_writable_by_the_group,
        make_a_folder,
        make_a_pipe,
        open_the_folder,
        link_the_folder,
    ],
)
def test_a_spoilt_entry_counts_as_missing(
    spoil: Callable[[Path], None], entry: Path, cache: Cache
) -> None:
    spoil(entry)
    assert cache.get(NAME) is None


@pytest.mark.parametrize("owned", ["folder", "entry"])
def test_what_belongs_to_somebody_else_counts_as_missing(
    owned: str, entry: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        os.chown(entry if owned == "entry" else entry.parent, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert cache.get(NAME) is None
    cache.put(key(["more"]), CODE)
    if owned == "folder":
        assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_nothing_is_written_into_a_folder_that_is_not_private(entry: Path, cache: Cache) -> None:
    entry.parent.chmod(0o777)
    cache.put(key(["more"]), CODE)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "native")
    cache.put(NAME, CODE)
    assert cache.get(NAME) is None


def test_what_was_not_needed_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "native", limit=10 * (len(CODE) + 100))
    names = [key([str(k)]) for k in range(12)]
    for age, name in enumerate(names[:9]):
        cache.put(name, CODE)
        os.utime(cache.folder / name.hex(), (1e9 + age, 1e9 + age))
    assert cache.get(names[0]) == CODE  # Which makes it the newest.
    for name in names[9:]:
        cache.put(name, CODE)
    left = [k for k, name in enumerate(names) if cache.get(name) is not None]
    assert left[0] == 0
    assert left[1:] == list(range(left[1], 12))
    assert 6 <= len(left) <= 9
    assert sum(path.stat().st_size for path in cache.folder.iterdir()) <= cache._limit


def test_where_the_cache_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    assert default_folder() == tmp_path / "native"
    for off in ("", "0"):
        monkeypatch.setenv("MINIGRAD_CACHE_DIR", off)
        assert default_folder() is None
    monkeypatch.delenv("MINIGRAD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "minigrad" / "native"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folder() == tmp_path / "home" / ".cache" / "minigrad" / "native"


MODULE = "define i64 @f() { ret i64 %d }"


def compiled(ir: str) -> tuple[int, int]:
    """How many modules were compiled, and found, to assemble a module."""
    before = assembler.statistics()
    assembler.assemble(ir)
    after = assembler.statistics()
    return after.compiled - before.compiled, after.cached - before.cached


def test_a_module_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    assert compiled(MODULE % 1) == (1, 0)
    assert compiled(MODULE % 1) == (0, 1)
    assert compiled(MODULE % 2) == (1, 0)
    (file,) = [p for p in (tmp_path / "native").iterdir() if compiled(MODULE % 1) == (0, 1)][:1]
    for path in (tmp_path / "native").iterdir():
        truncate(path)
    assert file.exists()
    assert compiled(MODULE % 1) == (1, 0)
    assert compiled(MODULE % 1) == (0, 1)
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", "0")
    assert compiled(MODULE % 1) == (1, 0)


@pytest.mark.parametrize("part", ["version", "processor", "recipe"])
def test_other_versions_processors_and_recipes_share_nothing(
    part: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    assert compiled(MODULE % 3) == (1, 0)
    if part == "recipe":
        monkeypatch.setattr(assembler, "_THOROUGH", assembler._THOROUGH._replace(level=1))
    else:
        if part == "version":
            monkeypatch.setattr(mg, "__version__", "0.0.0")
        else:
            host = assembler.host()
            other = type(host)(host.cpu, host.features + ",-x87", host.vector_bytes)
            monkeypatch.setattr(assembler, "host", lambda: other)
        monkeypatch.setattr(assembler, "_environment", assembler._environment.__wrapped__)
    assert compiled(MODULE % 3) == (1, 0)


def test_another_process_finds_it(tmp_path: Path) -> None:
    script = """
    import ctypes, minigrad
    from minigrad.compile.native import assembler
    def refuse(*args):
        raise AssertionError("LLVM has seen the text")
    if assembler.default_folder().exists():
        assembler.llvm.parse_assembly = refuse
    from minigrad.compile.native.engine import load
    code = load("define i64 @f() { ret i64 42 }", ["f"])
    print(ctypes.PYFUNCTYPE(ctypes.c_int64)(code.address("f"))(), assembler.statistics().cached)
    """
    root = Path(__file__).resolve().parent.parent
    environment = {
        **os.environ,
        "MINIGRAD_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": str(root),
    }
    for cached in (0, 1):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["42", str(cached)]
