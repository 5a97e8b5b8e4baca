"""LLVM's text to machine code, by parts of LLVM that were measured not to leak.

There is one target machine for each level, and one pass manager with its pass builder: making new
ones for each module would leak 4 KB a time, LLVM's own pipelines 80.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm

from minigrad.compile.native.host import host

#: Held around all that goes on inside LLVM.
lock = threading.RLock()


def assemble(ir: str) -> bytes:
    """An object file of the module that the text `ir` is."""
    with lock:
        return _assemble(ir)


@functools.cache
def machine(level: int) -> Any:
    """LLVM's target machine for this CPU that generates code with `level` (0 to 3) of effort."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=host().cpu, features=host().features, opt=level, reloc="pic", codemodel="small"
    )


def _assemble(ir: str) -> bytes:
    module = llvm.parse_assembly(ir)
    target = machine(2)
    module.triple = target.triple
    module.data_layout = str(target.target_data)
    module.verify()
    passes, builder = _passes()
    passes.run(module, builder)
    image: bytes = target.emit_object(module)
    module.close()
    return image


@functools.cache
def _passes() -> tuple[Any, Any]:
    tuning = llvm.create_pipeline_tuning_options(2)
    tuning.loop_vectorization = tuning.slp_vectorization = tuning.loop_unrolling = False
    builder = llvm.create_pass_builder(machine(2), tuning)
    passes = llvm.create_new_module_pass_manager()
    steps: list[Callable[[], None]] = [
        passes.add_always_inliner_pass,
        passes.add_sroa_pass,
        passes.add_instruction_combine_pass,
        passes.add_simplify_cfg_pass,
        passes.add_new_gvn_pass,
        passes.add_dead_code_elimination_pass,
    ]
    for step in steps:
        step()
    return passes, builder
