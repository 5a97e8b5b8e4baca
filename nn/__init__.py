"""Neural networks: modules that own parameters, the functions they are made of, initializers.

`help(nn.Conv2d)` says all about one of them; functions are in lower case. `Module` is the base.

Layers:
    Linear, LazyLinear, Bilinear, Embedding, Conv1d, Conv2d, Conv3d, ConvTranspose1d,
    ConvTranspose2d, ConvTranspose3d, DepthwiseConv2d, SeparableConv2d
    RNN, GRU, LSTM, RNNCell, GRUCell, LSTMCell
    MultiHeadAttention, TransformerEncoder, TransformerEncoderLayer, TransformerDecoder,
    TransformerDecoderLayer, PositionalEncoding, LearnedPositions, RotaryPositions
    MaxPool1d, MaxPool2d, MaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, GlobalMaxPool,
    GlobalAvgPool, Resize, Upsample, ZeroPad1d, ZeroPad2d, ZeroPad3d
    BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, LayerNorm, RMSNorm, GroupNorm,
    InstanceNorm, LocalResponseNorm
    Dropout, SpatialDropout, SpatialDropout1d, SpatialDropout2d, SpatialDropout3d, AlphaDropout,
    GaussianDropout, GaussianNoise
    Sequential, Residual, ModuleList, ModuleDict, Flatten, Identity, Lambda, Module, Summary
Activations as modules:
    ReLU, ReLU6, LeakyReLU, PReLU, ELU, SELU, CELU, GELU, SiLU, Mish, Softplus, Softsign, Sigmoid,
    LogSigmoid, Tanh, Tanhshrink, Hardtanh, Hardsigmoid, Hardswish, Hardshrink, Softshrink,
    Threshold, Softmax, LogSoftmax, Softmin, Hardmax, GLU, Maxout
Losses as modules:
    CrossEntropyLoss, NLLLoss, BCELoss, BCEWithLogitsLoss, CTCLoss, MSELoss, L1Loss, HuberLoss,
    SmoothL1Loss, LogCoshLoss, HingeLoss, SquaredHingeLoss, KLDivLoss, PoissonNLLLoss,
    GaussianNLLLoss, CosineEmbeddingLoss, CosineSimilarity, TripletMarginLoss
Functions, layers:
    conv1d, conv2d, conv3d, conv1d_transpose, conv2d_transpose, conv3d_transpose,
    depthwise_conv2d, separable_conv2d, max_pool1d, max_pool2d, max_pool3d, avg_pool1d, avg_pool2d,
    avg_pool3d, global_max_pool, global_avg_pool, resize, pixel_shuffle, pixel_unshuffle
    batch_norm, batch_norm_training, layer_norm, rms_norm, group_norm, instance_norm, l2_normalize,
    local_response_normalization, standardize, mean_square_normalize, window_sum
    dropout, spatial_dropout, alpha_dropout, gaussian_dropout, gaussian_noise, embedding,
    embedding_bag, rnn_cell, gru_cell, lstm_cell
    scaled_dot_product_attention, attention_weights, causal_mask, length_mask,
    sinusoidal_positions, rotary_embedding
Functions, activations:
    relu, relu6, leaky_relu, prelu, elu, selu, celu, gelu, silu, swish, mish, softplus, softsign,
    sigmoid, log_sigmoid, tanh, tanhshrink, hardtanh, hardsigmoid, hardswish, hardshrink,
    softshrink, threshold, softmax, log_softmax, softmin, hardmax, glu, maxout
Functions, losses:
    softmax_cross_entropy, cross_entropy, nll_loss, sigmoid_cross_entropy, binary_cross_entropy,
    binary_cross_entropy_with_logits, ctc_loss, mse_loss, mae_loss, l1_loss, huber_loss,
    smooth_l1_loss, log_cosh_loss, hinge_loss, squared_hinge_loss, kl_divergence,
    poisson_nll_loss, gaussian_nll_loss, cosine_similarity, cosine_embedding_loss,
    triplet_margin_loss, l1_penalty, l2_penalty
Results of several parts:
    BatchNormalized, Standardized, MeanSquareNormalized
Where parameters start: `nn.initializers`
    GlorotUniform, GlorotNormal, HeUniform, HeNormal, Orthogonal, TruncatedNormal, …

The folder is `nn/`; the import name is `minigrad.nn`.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from minigrad.core import registry as _registry
from minigrad.core.origin import mark_internal as _mark_internal
from minigrad.hints import missing as _missing
from minigrad.nn import initializers as initializers

# Every module lists its public names in its own `__all__`.
from minigrad.nn.functional.activations.gates import *
from minigrad.nn.functional.activations.piecewise import *
from minigrad.nn.functional.activations.rectifiers import *
from minigrad.nn.functional.activations.smooth import *
from minigrad.nn.functional.activations.softmax import *
from minigrad.nn.functional.attention.dot_product import *
from minigrad.nn.functional.attention.positions import *
from minigrad.nn.functional.convolution.depthwise import *
from minigrad.nn.functional.convolution.functions import *
from minigrad.nn.functional.convolution.transposed import *
from minigrad.nn.functional.embedding import *
from minigrad.nn.functional.losses.binary import *
from minigrad.nn.functional.losses.cross_entropy import *
from minigrad.nn.functional.losses.ctc import *
from minigrad.nn.functional.losses.divergences import *
from minigrad.nn.functional.losses.likelihood import *
from minigrad.nn.functional.losses.penalties import *
from minigrad.nn.functional.losses.regression import *
from minigrad.nn.functional.losses.similarity import *
from minigrad.nn.functional.noise.dropout import *
from minigrad.nn.functional.noise.gaussian import *
from minigrad.nn.functional.normalization.batch import *
from minigrad.nn.functional.normalization.layers import *
from minigrad.nn.functional.normalization.response import *
from minigrad.nn.functional.normalization.standardizing import *
from minigrad.nn.functional.pooling.functions import *
from minigrad.nn.functional.recurrent.cells import *
from minigrad.nn.functional.resizing.resize import *
from minigrad.nn.modules.activations.along_axes import *
from minigrad.nn.modules.activations.simple import *
from minigrad.nn.modules.activations.with_options import *
from minigrad.nn.modules.base.module import *
from minigrad.nn.modules.base.summary import *
from minigrad.nn.modules.containers import *
from minigrad.nn.modules.convolution.depthwise import *
from minigrad.nn.modules.convolution.layers import *
from minigrad.nn.modules.convolution.transposed import *
from minigrad.nn.modules.dropout import *
from minigrad.nn.modules.embedding import *
from minigrad.nn.modules.linear import *
from minigrad.nn.modules.losses.classification import *
from minigrad.nn.modules.losses.regression import *
from minigrad.nn.modules.normalization.batch import *
from minigrad.nn.modules.normalization.layers import *
from minigrad.nn.modules.pooling import *
from minigrad.nn.modules.recurrent.cells import *
from minigrad.nn.modules.recurrent.networks import *
from minigrad.nn.modules.resizing import *
from minigrad.nn.modules.simple import *
from minigrad.nn.modules.transformer.attention import *
from minigrad.nn.modules.transformer.layers import *
from minigrad.nn.modules.transformer.positions import *
from minigrad.nn.modules.transformer.stacks import *

_mark_internal(__path__[0])
_registry.verify()

if not _TYPE_CHECKING:  # A type checker would take it to mean that every name exists.

    def __getattr__(name: str) -> _Any:
        """A hint for a name that other libraries have."""
        raise AttributeError(_missing(name, globals(), __name__))
