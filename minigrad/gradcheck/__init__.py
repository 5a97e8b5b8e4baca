"""Gradient checking: analytic gradients against central differences in float64.

`gradcheck` checks a function, a tape, or a loss in a session; `check_primitive` checks everything
that a primitive's definition promises, on its own samples.
"""

from __future__ import annotations

from minigrad.gradcheck.api import gradcheck
from minigrad.gradcheck.primitives import PrimitiveReport, check_primitive
from minigrad.gradcheck.report import ArgumentCheck, Component, GradcheckReport

__all__ = [
    "ArgumentCheck",
    "Component",
    "GradcheckReport",
    "PrimitiveReport",
    "check_primitive",
    "gradcheck",
]
