"""From a module's text to functions that can be called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minigrad.compile.native.assembler import QUICK, assemble, recipe_for
from minigrad.compile.native.linker import Code, link
from minigrad.compile.native.split import split
from minigrad.compile.native.symbols import addresses

_DECLARATION = re.compile(r'^declare\b[^@\n]*@"?([\w.$-]+)"?\s*\(', re.MULTILINE)


def load(ir: str | Sequence[str], names: Sequence[str], *, quick: bool = False) -> Code:
    """Compile a module, or several that see each other's functions, and link it into the process.

    Each module is kept on disk by itself, and Ctrl-C is heeded between two of them; long ones are
    cut for that. What is declared and not defined comes from `minigrad.compile.native.symbols`, or
    else from the libraries of the process.

    Args:
        ir: LLVM's text.
        names: the functions whose addresses are wanted; they must not be ``internal``.
        quick: compile in a fifth of the time to code that takes a third longer and gives the same
            results, to the last bit.

    Raises:
        OperationError: SciPy's BLAS is declared, and there is none.
        RuntimeError: LLVM finds fault with a module, or a function that is declared nowhere.
    """
    modules = [ir] if isinstance(ir, str) else ir
    declared = {name for module in modules for name in _DECLARATION.findall(module)}
    imports = addresses(declared)
    recipes = [(QUICK if quick else recipe_for(module), module) for module in modules]
    objects = [assemble(part, recipe) for recipe, module in recipes for part in split(module)]
    return link(objects, names, imports)
