"""Optimization: optimizers, learning-rate schedules, clipping, averages of weights.

`help(optim.Adam)` says all about one of them. ``minimize(loss, variables)`` makes a step.

Optimizers:
    SGD, Momentum, EWMomentum, AdaGrad, Adadelta, RMSprop, Adam, AMSGrad, AdamW, Adamax, NAdam,
    RAdam, Lion, LAMB, Adafactor; LBFGS (LBFGSResult) for full batches
    ParameterGroup: settings of their own for some variables
    Optimizer, Minimizer, OptimizerOptions, SlotSpec, Step: for rules of your own
Around an optimizer:
    Lookahead, ExponentialMovingAverage, StochasticWeightAveraging, WeightAverage
Learning rates:
    ConstantSchedule, InverseTimeDecay, ExponentialDecay, RootDecay, StepDecay, PolynomialDecay,
    PiecewiseConstant, CosineDecay, CosineDecayRestarts, OneCycle, CyclicalRate, NoamSchedule,
    LinearWarmup, JoinSchedules, ManualSchedule, ReduceOnPlateau; Schedule, as_schedule
Gradients:
    clip_by_value, clip_by_norm, clip_by_global_norm, global_norm

The folder is `optim/`; the import name is `minigrad.optim`.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from minigrad.core import registry as _registry
from minigrad.core.origin import mark_internal as _mark_internal
from minigrad.hints import missing as _missing

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

_mark_internal(__path__[0])
_registry.verify()

if not _TYPE_CHECKING:  # A type checker would take it to mean that every name exists.

    def __getattr__(name: str) -> _Any:
        """A hint for a name that other libraries have."""
        raise AttributeError(_missing(name, globals(), __name__))
