"""Neural networks: functions, modules that own parameters, and initializers.

The folder is `nn/`; the import name is `minigrad.nn`.
"""

from minigrad.core import registry
from minigrad.core.origin import mark_internal
from minigrad.nn import initializers as initializers

# Every module lists its public names in its own `__all__`.
from minigrad.nn.functional.attention import *
from minigrad.nn.functional.batch_normalization import *
from minigrad.nn.functional.binary_losses import *
from minigrad.nn.functional.convolution import *
from minigrad.nn.functional.convolution_depthwise import *
from minigrad.nn.functional.convolution_transposed import *
from minigrad.nn.functional.cross_entropy_losses import *
from minigrad.nn.functional.ctc import *
from minigrad.nn.functional.divergences import *
from minigrad.nn.functional.dropout import *
from minigrad.nn.functional.embedding import *
from minigrad.nn.functional.gates import *
from minigrad.nn.functional.likelihood_losses import *
from minigrad.nn.functional.noise import *
from minigrad.nn.functional.normalization import *
from minigrad.nn.functional.penalties import *
from minigrad.nn.functional.piecewise import *
from minigrad.nn.functional.pooling import *
from minigrad.nn.functional.positions import *
from minigrad.nn.functional.rectifiers import *
from minigrad.nn.functional.recurrent import *
from minigrad.nn.functional.regression_losses import *
from minigrad.nn.functional.resize import *
from minigrad.nn.functional.response_normalization import *
from minigrad.nn.functional.similarity_losses import *
from minigrad.nn.functional.smooth import *
from minigrad.nn.functional.softmax import *
from minigrad.nn.functional.standardizing import *
from minigrad.nn.modules.activations import *
from minigrad.nn.modules.activations_along_axes import *
from minigrad.nn.modules.activations_with_options import *
from minigrad.nn.modules.attention import *
from minigrad.nn.modules.batch_normalization import *
from minigrad.nn.modules.classification_losses import *
from minigrad.nn.modules.containers import *
from minigrad.nn.modules.convolution import *
from minigrad.nn.modules.convolution_depthwise import *
from minigrad.nn.modules.convolution_transposed import *
from minigrad.nn.modules.dropout import *
from minigrad.nn.modules.embedding import *
from minigrad.nn.modules.linear import *
from minigrad.nn.modules.losses import *
from minigrad.nn.modules.module import *
from minigrad.nn.modules.normalization import *
from minigrad.nn.modules.pooling import *
from minigrad.nn.modules.positions import *
from minigrad.nn.modules.recurrent import *
from minigrad.nn.modules.recurrent_cells import *
from minigrad.nn.modules.resizing import *
from minigrad.nn.modules.simple import *
from minigrad.nn.modules.summary import *
from minigrad.nn.modules.transformer import *
from minigrad.nn.modules.transformer_stacks import *

mark_internal(__path__[0])
registry.verify()
