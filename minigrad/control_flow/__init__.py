"""Branches and loops: nodes that hold bodies in a graph, plain Python in eager code.

`tracing` makes a body of a function, `inlining` computes a body's ops again. `case` and `loop` are
the two primitives; `loop_layout` says which of a loop's inputs and outputs is what, `loop_history`
collects and slices, `loop_gradient` is its gradient. `branches`, `loops` and `scans` hold the
public functions, and `carried` what the loops share.
"""

from minigrad.control_flow import loop_gradient as _loop_gradient  # noqa: F401  (attaches the rule)
from minigrad.control_flow.branches import cond, switch_case
from minigrad.control_flow.loops import fori_loop, while_loop
from minigrad.control_flow.scans import map_fn, scan

__all__ = ["cond", "fori_loop", "map_fn", "scan", "switch_case", "while_loop"]
