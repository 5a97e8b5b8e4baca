"""Initial values of parameters: ``initializer(shape, dtype) -> Tensor``.

Where signals should neither grow nor fade from layer to layer, the variance of a weight is a
constant over the number of numbers that are summed: the fan-in (going forward), the fan-out (going
back) or their average. `fans` counts them.

| class | variance | source |
| --- | --- | --- |
| `GlorotUniform`, `GlorotNormal` (= Xavier) | 2 / (fan_in + fan_out) | [1] |
| `XavierFanIn` | 1 / fan_in | the "Xavier" of many courses |
| `HeUniform`, `HeNormal` (= Kaiming) | 2 / fan_in | [2] |
| `LecunUniform`, `LecunNormal` | 1 / fan_in | [3] |

[1] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
networks", 2010. [2] K. He et al., "Delving Deep into Rectifiers", 2015. [3] Y. LeCun et al.,
"Efficient BackProp", 1998.

The papers fix variances, not shapes. As in Keras the normal ones here are truncated at two standard
deviations and scaled up by 1/0.87962566…, so that the variance is exactly as stated. PyTorch's
``xavier_normal_`` and ``kaiming_normal_`` are not truncated; for those write
``VarianceScaling(scale, mode, "normal")``.
"""

from minigrad.nn.initializers.base import (
    Constant,
    Identity,
    Initializer,
    Ones,
    Zeros,
    as_initializer,
)
from minigrad.nn.initializers.random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    KaimingNormal,
    KaimingUniform,
    LecunNormal,
    LecunUniform,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    XavierFanIn,
    XavierNormal,
    XavierUniform,
    fans,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "KaimingNormal",
    "KaimingUniform",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "XavierFanIn",
    "XavierNormal",
    "XavierUniform",
    "Zeros",
    "as_initializer",
    "fans",
]
