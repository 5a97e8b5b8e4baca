"""LLVM's text to machine code, by way of the disk cache.

LLVM is used in parts that were measured not to leak: one target machine for each level of effort,
one pass manager with its pass builder. New ones for each module would leave 4 KB behind, LLVM's own
pipelines 80. Generating code takes ten times as long as these passes; .05 ms a line of vectors.
"""

from __future__ import annotations

import functools
import sys
import time
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm

from minigrad.compile.lock import lock
from minigrad.compile.native.cache import Cache, default_folder, key
from minigrad.compile.native.host import host


class Recipe(NamedTuple):
    """How a module is made machine code: passes of the optimiser, effort of the generator."""

    passes: tuple[str, ...]
    level: int


# Kernels are written as vectors already: what is left is to share address computations and loads.
# Levels 1 to 3 take the same time and differ by a hundredth in speed.
_THOROUGH = Recipe(
    (
        "always_inliner",
        "sroa",
        "instruction_combine",
        "simplify_cfg",
        "new_gvn",
        "dead_code_elimination",
    ),
    level=2,
)
# A fifth of the time, code a third slower; and straight through, whatever the size.
QUICK = Recipe(("always_inliner",), level=0)
_LONG_MODULE = 20_000
_LONG_FUNCTION = 5_000


class Statistics(NamedTuple):
    """What this process has compiled: modules compiled, modules found on disk, seconds for both."""

    compiled: int
    cached: int
    seconds: float


_statistics = Statistics(0, 0, 0.0)


def statistics() -> Statistics:
    """What has been compiled so far."""
    return _statistics


def assemble(ir: str, recipe: Recipe | None = None) -> bytes:
    """An object file of the module that the text `ir` is.

    Args:
        ir: LLVM's text.
        recipe: how it is made; by default as its length asks for.

    Raises:
        RuntimeError: LLVM does not take it for a module; it says why.
    """
    global _statistics
    begin = time.perf_counter()
    recipe = recipe or recipe_for(ir)
    cache = _cache(default_folder())
    name = _key(ir, recipe)
    code = None if cache is None else cache.get(name)
    found = code is not None
    if code is None:
        with lock:
            code = compile_module(ir, recipe)
        if cache is not None:
            cache.put(name, code)
    with lock:
        old = _statistics
        _statistics = Statistics(
            old.compiled + (not found),
            old.cached + found,
            old.seconds + time.perf_counter() - begin,
        )
    return code


def recipe_for(ir: str) -> Recipe:
    """Less effort for modules and functions that would take seconds."""
    if ir.count("\n") <= _LONG_FUNCTION:
        return _THOROUGH
    longest = max((part.count("\n") for part in ir.split("\n}")), default=0)
    if longest > _LONG_FUNCTION or ir.count("\n") > _LONG_MODULE:
        return QUICK
    return _THOROUGH


def compile_module(ir: str, recipe: Recipe) -> bytes:
    """Machine code of a module, made anew. Signals get their turn between the steps."""
    # A context of its own, which takes the module's constants and types along when it goes.
    module = llvm.parse_assembly(ir, llvm.create_context())
    target = machine(recipe.level)
    module.triple = target.triple
    module.data_layout = str(target.target_data)
    module.verify()
    passes, builder = _pass_manager(recipe)
    passes.run(module, builder)
    code: bytes = target.emit_object(module)
    module.close()
    return code


@functools.cache
def machine(level: int) -> Any:
    """LLVM's target machine for this CPU that generates code with `level` (0 to 3) of effort."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=host().cpu, features=host().features, opt=level, reloc="pic", codemodel="small"
    )


@functools.cache
def _pass_manager(recipe: Recipe) -> tuple[Any, Any]:
    tuning = llvm.create_pipeline_tuning_options(recipe.level)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(machine(recipe.level), tuning)
    passes = llvm.create_new_module_pass_manager()
    for name in recipe.passes:
        getattr(passes, f"add_{name}_pass")()
    return passes, builder


@functools.cache
def _cache(folder: Any) -> Cache | None:
    return None if folder is None else Cache(folder)


def _key(ir: str, recipe: Recipe) -> bytes:
    return key((_environment(), repr(recipe), ir))


@functools.cache
def _environment() -> str:
    """All that code depends on beside its text and its recipe."""
    # Not imported: the package's own module stands above plans.
    own = sys.modules["minigrad"].__version__
    version = ".".join(map(str, llvm.llvm_version_info))
    return "\n".join(
        [
            f"minigrad {own}",
            f"llvmlite {llvmlite.__version__}",
            f"LLVM {version}",
            llvm.get_default_triple(),
            host().cpu,
            host().features,
        ]
    )
