"""From a module's text to functions that can be called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minigrad.compile.native.assembler import assemble
from minigrad.compile.native.linker import Code, link
from minigrad.compile.native.symbols import addresses

_DECLARATION = re.compile(r'^declare\b[^@\n]*@"?([\w.$-]+)"?\s*\(', re.MULTILINE)


def load(ir: str | Sequence[str], names: Sequence[str]) -> Code:
    """Compile a module, or several that see each other's functions, and link it into the process.

    `ir` is LLVM's text; `names` are the functions whose addresses are wanted. What is declared and
    not defined is found by `minigrad.compile.native.symbols`, or else in the process's libraries.
    """
    modules = [ir] if isinstance(ir, str) else ir
    objects = [assemble(module) for module in modules]
    declared = {name for module in modules for name in _DECLARATION.findall(module)}
    return link(objects, names, addresses(declared))
