"""Object files, linked into this process by ORC and unlinked when nobody needs them any more."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm

from minigrad.compile.lock import lock
from minigrad.compile.native.assembler import machine

# What a library costs beside its code, some 11 KB, ORC gives back only with the whole engine; an
# engine costs .7 ms. So each takes this many libraries, then a new one is begun.
_LIBRARIES_PER_ENGINE = 16


class Code:
    """Machine code in memory, until it is closed or collected: an address keeps nothing alive."""

    def __init__(self, library: _Library) -> None:
        self._library: _Library | None = library
        self._addresses = library.addresses

    def address(self, name: str) -> int:
        """Where the function `name` lies; `KeyError` for one that was not asked for."""
        return self._addresses[name]

    def function(self, name: str, prototype: Any) -> Any:
        """The function `name` as one of ctypes; `prototype` is a `ctypes.PYFUNCTYPE` or the like.

        It keeps the code in memory, until that is closed.
        """
        function = prototype(self.address(name))
        function.code = self
        return function

    def close(self) -> None:
        """Free the memory. Whoever calls a function of it afterwards crashes; twice is no harm."""
        library, self._library = self._library, None
        if library is not None:
            _closed.append(library)
            _free_closed()

    def keep(self) -> None:
        """Never free the memory, not even when the interpreter ends: threads may run in it."""
        library, self._library = self._library, None
        if library is not None:
            _kept.append(library)

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At the end of the process a thread may still be inside, and nothing is left to be saved;
        # the module's own names may be gone by then.
        if not is_finalizing():
            self.close()


class _Library:
    """One linked library: the tracker that holds its memory, and the engine it belongs to."""

    def __init__(self, engine: _Engine, tracker: Any, names: Sequence[str]) -> None:
        self._engine = engine
        self._tracker = tracker
        self.addresses = {name: int(tracker[name]) for name in names}

    def free(self) -> None:
        self._tracker.close()
        self._engine.released()


class _Engine:
    """An instance of ORC's JIT; it is given back once it is full and all its libraries are gone."""

    def __init__(self) -> None:
        # JITLink puts all of a library side by side, so that its parts are always within reach of
        # each other; the older linker does not, but is the only one that knows Windows well.
        self._jit = llvm.create_lljit_compiler(machine(2), use_jit_link=sys.platform != "win32")
        self._made = 0
        self._alive = 0

    @property
    def full(self) -> bool:
        return self._made >= _LIBRARIES_PER_ENGINE

    def link(
        self, objects: Sequence[bytes], names: Sequence[str], imports: Mapping[str, int]
    ) -> _Library:
        builder = llvm.JITLibraryBuilder()
        for code in objects:
            builder.add_object_img(code)
        for name, address in imports.items():
            builder.import_symbol(name, address)
        builder.add_current_process()
        for name in names:
            builder.export_symbol(name)
        self._made += 1
        library = _Library(self, builder.link(self._jit, f"library{self._made}"), names)
        self._alive += 1
        return library

    def released(self) -> None:
        self._alive -= 1
        if self.full and not self._alive:
            self._jit.close()


_engine: _Engine | None = None
_closed: deque[_Library] = deque()
_kept: list[_Library] = []


def link(objects: Sequence[bytes], names: Sequence[str], imports: Mapping[str, int]) -> Code:
    """Link objects, which see each other's functions, and find the functions `names` of them.

    What they need and do not have comes from `imports`, then from the libraries of the process.

    Raises:
        RuntimeError: a function is to be found nowhere; LLVM has printed its name.
    """
    global _engine
    with lock:
        if _engine is None or _engine.full:
            _engine = _Engine()
        code = Code(_engine.link(objects, names, imports))
    _free_closed()
    return code


def _free_closed() -> None:
    """Free what was closed, unless another thread is inside LLVM: it will, or the next call.

    A finalizer, which may run anywhere, must not wait for a long compilation.
    """
    while _closed and lock.acquire(blocking=False):
        try:
            _closed.popleft().free()
        except IndexError:
            return  # Another thread took the last one.
        finally:
            lock.release()
