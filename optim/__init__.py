"""Optimization: optimizers, learning-rate schedules, clipping, averages of weights.

The folder is `optim/`; the import name is `minigrad.optim`.
"""

from minigrad.core.origin import mark_internal

# Every module lists its public names in its own `__all__`.
from minigrad.optim.adam import *
from minigrad.optim.adam_variants import *
from minigrad.optim.adaptive import *
from minigrad.optim.averaging import *
from minigrad.optim.clipping import *
from minigrad.optim.groups import *
from minigrad.optim.large_models import *
from minigrad.optim.lbfgs import *
from minigrad.optim.lookahead import *
from minigrad.optim.minimizer import *
from minigrad.optim.optimizer import *
from minigrad.optim.schedule_base import *
from minigrad.optim.schedule_cycles import *
from minigrad.optim.schedule_joins import *
from minigrad.optim.schedule_manual import *
from minigrad.optim.schedules import *
from minigrad.optim.sgd import *
from minigrad.optim.slots import *
from minigrad.optim.step import *

mark_internal(__path__[0])
