"""Ctrl-C in long native code: the GIL is released, and taken now and then to look for signals.

Who runs for long keeps a state ``{ptr, i64}`` on its stack: what ``PyEval_SaveThread`` gave back,
and when it last looked. `begin` and `end` are the text that goes around the work, between them
``i32 mg_poll(ptr state)`` is called as often as one likes; it costs a look at the clock, and every
10 ms a turn at the GIL. Non-zero: stop now, call `end`, return; the exception is set, and raised
where Python called the code through ``ctypes.PYFUNCTYPE``.
"""

from __future__ import annotations

import ctypes
import sys

from minigrad.compile.lock import once
from minigrad.compile.native.assembler import assemble
from minigrad.compile.native.linker import link
from minigrad.compile.native.process import python_address

_PERIOD = 10_000_000  # nanoseconds
_API = ("PyEval_SaveThread", "PyEval_RestoreThread", "PyErr_CheckSignals")

#: What a module must declare to use `begin`, ``mg_poll`` and `end`.
DECLARATIONS = """
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @mg_poll(ptr)
"""

# A state whose time is 0 has just begun: the clock is read at the first poll, not at entry.
_POLL = f"""
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @PyErr_CheckSignals()

define i32 @mg_poll(ptr %state) nounwind {{
entry:
  %now = call i64 @now()
  %last.p = getelementptr {{ ptr, i64 }}, ptr %state, i32 0, i32 1
  %last = load i64, ptr %last.p
  %fresh = icmp eq i64 %last, 0
  br i1 %fresh, label %begin, label %look
begin:
  store i64 %now, ptr %last.p
  ret i32 0
look:
  %passed = sub i64 %now, %last
  %soon = icmp slt i64 %passed, {_PERIOD}
  br i1 %soon, label %go, label %ask
go:
  ret i32 0
ask:
  %thread = load ptr, ptr %state
  call void @PyEval_RestoreThread(ptr %thread)
  %signal = call i32 @PyErr_CheckSignals()
  %thread.new = call ptr @PyEval_SaveThread()
  store ptr %thread.new, ptr %state
  %later = call i64 @now()
  store i64 %later, ptr %last.p
  ret i32 %signal
}}
"""

_CLOCK = """
declare i32 @clock_gettime(i32, ptr)
define internal i64 @now() nounwind {
  %time = alloca { i64, i64 }, align 8
  call i32 @clock_gettime(i32 $MONOTONIC, ptr %time)
  %seconds = load i64, ptr %time
  %rest.p = getelementptr { i64, i64 }, ptr %time, i32 0, i32 1
  %rest = load i64, ptr %rest.p
  %nanoseconds = mul i64 %seconds, 1000000000
  %now = add i64 %nanoseconds, %rest
  ret i64 %now
}
"""

_CLOCK_WINDOWS = """
declare i64 @GetTickCount64()
define internal i64 @now() nounwind {
  %milliseconds = call i64 @GetTickCount64()
  %now = mul i64 %milliseconds, 1000000
  ret i64 %now
}
"""


def begin(state: str) -> str:
    """Instructions that make the state ``%{state}`` and release the GIL; in a function's entry.

    >>> print(begin("poll"))
      %poll = alloca { ptr, i64 }, align 8
      %poll.thread = call ptr @PyEval_SaveThread()
      store { ptr, i64 } zeroinitializer, ptr %poll
      store ptr %poll.thread, ptr %poll
    """
    return (
        f"  %{state} = alloca {{ ptr, i64 }}, align 8\n"
        f"  %{state}.thread = call ptr @PyEval_SaveThread()\n"
        f"  store {{ ptr, i64 }} zeroinitializer, ptr %{state}\n"
        f"  store ptr %{state}.thread, ptr %{state}"
    )


def end(state: str, place: str = "end") -> str:
    """Instructions that take the GIL again; `place` tells several ends of one function apart.

    >>> print(end("poll"))
      %poll.end = load ptr, ptr %poll
      call void @PyEval_RestoreThread(ptr %poll.end)
    """
    return (
        f"  %{state}.{place} = load ptr, ptr %{state}\n"
        f"  call void @PyEval_RestoreThread(ptr %{state}.{place})"
    )


@once
def poll_address() -> int:
    """Where ``mg_poll`` lies; compiled at the first call and kept."""
    imports = {name: python_address(name) for name in _API}
    if sys.platform == "win32":
        clock = _CLOCK_WINDOWS
        ticks = ctypes.WinDLL("kernel32").GetTickCount64
        imports["GetTickCount64"] = ctypes.cast(ticks, ctypes.c_void_p).value or 0
    else:
        clock = _CLOCK.replace("$MONOTONIC", "6" if sys.platform == "darwin" else "1")
    code = link([assemble(_POLL + clock)], ["mg_poll"], imports)
    address = code.address("mg_poll")
    code.keep()
    return address
