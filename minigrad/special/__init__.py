"""Vectorised special functions over an array namespace `xp`.

Each is a plain function of a namespace (`numpy`, `jax.numpy`, ...) and arrays, without in-place
writes or data-dependent shapes, and keeps the dtype: float16, float32 or float64.  On NumPy none
of them warns, except of an overflow where the result itself overflows.

Each docstring states the largest error found on NumPy.  `jax.numpy` gives the same to about 3 ulp
in float64: its exp and log are less exact, and compiled code fuses products and sums.
"""

from .elementary import logaddexp, sigmoid, sinc, softplus, xlogy
from .erf_family import erf, erfc, erfinv
from .gamma_family import lgamma
from .polygamma_family import digamma, polygamma, polygamma1, trigamma

__all__ = [
    "digamma",
    "erf",
    "erfc",
    "erfinv",
    "lgamma",
    "logaddexp",
    "polygamma",
    "polygamma1",
    "sigmoid",
    "sinc",
    "softplus",
    "trigamma",
    "xlogy",
]
