"""Which of the user's lines created a node: found quickly, described only when printed."""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType

_roots = [os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep]
#: File name -> is it part of the framework.
_internal: dict[str, bool] = {}


def mark_internal(directory: str) -> None:
    """Count the files under `directory` as part of the framework, not as user code."""
    _roots.append(os.path.abspath(directory) + os.sep)
    _internal.clear()


def is_internal(filename: str) -> bool:
    """True for a source file of the framework."""
    known = _internal.get(filename)
    if known is None:
        path = os.path.abspath(filename)
        known = _internal[filename] = path.startswith(tuple(_roots))
    return known


def user_position(depth: int = 1) -> tuple[CodeType, int]:
    """The code object and instruction offset of the nearest caller outside the framework."""
    frame = sys._getframe(depth)
    while True:
        code = frame.f_code
        known = _internal.get(code.co_filename)
        if known is None:
            known = is_internal(code.co_filename)
        if not known:
            return code, frame.f_lasti
        if frame.f_back is None:
            return code, frame.f_lasti
        frame = frame.f_back


def line_number(code: CodeType, offset: int) -> int:
    """The source line of an instruction."""
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def describe(code: CodeType | str, offset: int) -> str:
    """``file.py:12`` for a position; a text, from a graph that was loaded, stands as it is."""
    if isinstance(code, str):
        return code
    return f"{os.path.basename(code.co_filename)}:{line_number(code, offset)}"


def describe_long(code: CodeType | str, offset: int) -> str:
    """``file "…/file.py", line 12: source text`` for a position."""
    if isinstance(code, str):
        return code
    line = line_number(code, offset)
    text = linecache.getline(code.co_filename, line).strip()
    place = f'file "{code.co_filename}", line {line}, in {code.co_name}'
    return f"{place}: {text}" if text else place
