"""Neural networks: functions, modules that own parameters, and initializers.

The folder is `nn/`; the import name is `minigrad.nn`.
"""

from minigrad.core import registry
from minigrad.core.origin import mark_internal

# Every module lists its public names in its own `__all__`.
from minigrad.nn.functional.batch_normalization import *
from minigrad.nn.functional.gates import *
from minigrad.nn.functional.losses import *
from minigrad.nn.functional.normalization import *
from minigrad.nn.functional.piecewise import *
from minigrad.nn.functional.rectifiers import *
from minigrad.nn.functional.response_normalization import *
from minigrad.nn.functional.smooth import *
from minigrad.nn.functional.softmax import *
from minigrad.nn.functional.standardizing import *

mark_internal(__path__[0])
registry.verify()
