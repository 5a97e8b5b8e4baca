"""Gradient checking: analytic gradients against central differences in float64.

`gradcheck` checks a function, a tape, or a loss in a session; `check_primitive` checks everything
that a primitive's definition promises, on its own samples.
"""
