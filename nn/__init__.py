"""Neural networks: functions, modules that own parameters, and initializers.

The folder is `nn/`; the import name is `minigrad.nn`.
"""

from minigrad.core import registry
from minigrad.core.origin import mark_internal

# Every module lists its public names in its own `__all__`.
from minigrad.nn.functional.activations import *
from minigrad.nn.functional.losses import *
from minigrad.ops.statistics import softmax as softmax

mark_internal(__path__[0])
registry.verify()
