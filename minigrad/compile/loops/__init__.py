"""Loops that do less: what two of them would both compute, and what need not be done in every run.

The gradient of a loop computes each run again, because it does not know what the executor can
afford to keep; and it adds up the gradients of what is captured run by run. Here, where all shapes
are known, the loop that comes first keeps what the other one needs, and sums of products become
one product.
"""

from minigrad.compile.loops.improving import improve

__all__ = ["improve"]
