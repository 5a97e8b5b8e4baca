"""Neural networks: activations and losses as ops.

The folder is `nn/`; the import name is `minigrad.nn`.
"""

from minigrad.core import registry
from minigrad.core.origin import mark_internal
from minigrad.nn.activations import log_softmax, relu
from minigrad.nn.losses import softmax_cross_entropy
from minigrad.ops.statistics import softmax

__all__ = ["log_softmax", "relu", "softmax", "softmax_cross_entropy"]

mark_internal(__path__[0])
registry.verify()
