"""Optimizers, learning-rate schedules and gradient clipping.

The folder is `optim/`; the import name is `minigrad.optim`.
"""

__all__: list[str] = []
