"""What the special-function kernels share: dtype handling and the evaluation of rationals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

__all__ = [
    "finish",
    "horner",
    "in_blocks",
    "is_double",
    "prepare",
    "product_error",
    "rational",
    "two_sum_error",
    "widest",
]

# Elements a time on NumPy: the dozens of temporaries of a block then stay in the cache.
_BLOCK = 8192


def in_blocks(kernel: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap an elementwise kernel so that NumPy computes a large array a block at a time.

    That is two to three times faster; compiled namespaces get the whole array.
    """

    @wraps(kernel)
    def blocked(xp: Any, x: Any) -> Any:
        if xp is not np or np.size(x) <= _BLOCK:
            return kernel(xp, x)
        array = np.asarray(x)
        flat = array.reshape(-1)
        parts = [kernel(np, flat[i : i + _BLOCK]) for i in range(0, flat.size, _BLOCK)]
        return np.concatenate(parts).reshape(array.shape)

    return blocked


def widest(xp: Any) -> Any:
    """Return the namespace's default float dtype: float64, or float32 under JAX without x64."""
    return xp.asarray(0.0).dtype


def prepare(xp: Any, x: Any, *, wide: bool = False) -> tuple[Any, Any]:
    """Return `x` in the dtype to compute in, and the dtype that the result must have.

    float16 (and bfloat16) are computed in float32.  With `wide`, everything is computed in
    float64 where the namespace has it: single-precision `exp` and `log` are off by two to four ulp
    in NumPy's vector code, which leaves nothing for the function built on them.

    Raises:
        TypeError: `x` is not a real floating-point array of at most 64 bits.
    """
    x = xp.asarray(x)
    dtype = x.dtype
    if not xp.isdtype(dtype, "real floating") or dtype.itemsize > 8:
        raise TypeError(
            f"expected an array of float16, float32 or float64, got {dtype}: convert it first"
        )
    if wide and dtype.itemsize < 8:
        x = x.astype(widest(xp))
    elif dtype.itemsize < 4:
        x = x.astype(xp.float32)
    return x, dtype


def finish(xp: Any, result: Any, dtype: Any) -> Any:
    """Return `result` as an array of `dtype` (NumPy's arithmetic turns 0-d arrays into scalars)."""
    return xp.asarray(result, dtype=dtype)


def is_double(x: Any) -> bool:
    """Whether `x` is computed in double precision."""
    return bool(x.dtype.itemsize == 8)


def horner(coefficients: Sequence[float], t: Any) -> Any:
    """Return the polynomial with these ascending coefficients at `t`; shape and dtype of `t`."""
    result = coefficients[-1] * t + coefficients[-2]
    for c in reversed(coefficients[:-2]):
        result = result * t + c
    return result


def rational(p: Sequence[float], q: Sequence[float], t: Any) -> Any:
    """Return P(t)/Q(t); shape and dtype of `t`."""
    return horner(p, t) / horner(q, t)


def two_sum_error(a: Any, b: Any, total: Any) -> Any:
    """Return a + b - total exactly, for total = a + b rounded (Knuth's TwoSum)."""
    b_seen = total - a
    return (a - (total - b_seen)) + (b - b_seen)


def product_error(a: Any, b: Any, product: Any) -> Any:
    """Return a b - product exactly, for product = a b rounded, unless a or b is huge or b tiny.

    Veltkamp's splitting and Dekker's product (Numer. Math. 18, 1971).
    """
    splitter = 2.0**27 + 1 if is_double(product) else 2.0**12 + 1
    a_high = _high_half(a, splitter)
    b_high = _high_half(b, splitter)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _high_half(a: Any, splitter: float) -> Any:
    scaled = a * splitter
    return scaled - (scaled - a)
