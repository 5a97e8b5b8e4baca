"""Optimization: optimizers, learning-rate schedules, clipping, averages of weights.

The folder is `optim/`; the import name is `minigrad.optim`.
"""

from minigrad.core.origin import mark_internal

# Every module lists its public names in its own `__all__`.
from minigrad.optim.clipping import *

mark_internal(__path__[0])
