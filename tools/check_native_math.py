"""Check native float32 functions of one number on all 2³² inputs against double precision.

    python tools/check_native_math.py [--only exp,tanh] [--processes 2]

For each function it prints the largest error in units of the last place, where it is, and how many
inputs it is wrong about: NaN or infinity where the reference has none, or the other way round.
The references are NumPy's and SciPy's functions in float64, good to about 2⁻²⁸ of such a unit.
Each function takes half a minute. It needs what the extra `jit` installs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.special

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from native_loops import element_loop  # noqa: E402

from minigrad.compile.native.scalars import Scalars  # noqa: E402

Array = Any

#: Inputs at a time: so few that arrays stay in a cache and their memory is not given back.
_CHUNK = 1 << 14
_CHUNKS = (1 << 32) // _CHUNK


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1 + e)


def _erfinv(x: Array) -> Array:
    # Outside [-1, 1] SciPy is slow.
    return np.where(np.abs(x) > 1, np.nan, scipy.special.erfinv(np.clip(x, -1, 1)))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


REFERENCES: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "erfinv": _erfinv,
    "cbrt": np.cbrt,
}


class Worst(NamedTuple):
    """What a stretch of inputs showed."""

    error: float
    at: float
    got: float
    want: float
    wrong: int
    wrong_at: float


_loops: dict[str, Any] = {}


def _native(name: str) -> Any:
    if name not in _loops:
        _loops[name] = element_loop(lambda w, x: getattr(Scalars(w), name)(x), [np.float32])
    return _loops[name]


_OFFSETS = np.arange(_CHUNK, dtype=np.uint32)
_LIMIT = float(np.finfo(np.float32).max)


def check_chunk(name: str, chunk: int) -> Worst:
    """The worst of inputs whose bits lie in one chunk."""
    x = (_OFFSETS + np.uint32(chunk * _CHUNK)).view(np.float32)
    made = _native(name)(x)
    with np.errstate(all="ignore"):
        exact = np.asarray(REFERENCES[name](x.astype(np.float64)))
        rounded = exact.astype(np.float32)
        # Of the power of two below the result a unit is 2^-23.
        power = (rounded.view(np.uint32) & np.uint32(0x7F800000)).view(np.float32)
        errors = made - exact
        errors /= np.maximum(power, np.finfo(np.float32).tiny)
        np.abs(errors, out=errors)
    wrong = np.zeros(0, np.intp)
    if not np.isfinite(errors).all():
        infinite = np.isinf(made) | np.isinf(rounded)
        # At the threshold of overflow either is right.
        edge = np.abs(np.abs(exact) / _LIMIT - 1) < 2.0**-22
        unlike = (np.isnan(made) != np.isnan(exact)) | (infinite & (made != rounded) & ~edge)
        wrong = np.flatnonzero(unlike)
        errors[~np.isfinite(errors)] = 0
    k = int(np.argmax(errors))
    values = float(x[k]), float(made[k]), float(exact[k])
    where = float(x[wrong[0]]) if wrong.size else 0.0
    return Worst(float(errors[k]) * 2**23, *values, wrong.size, where)


def main() -> int:
    """Check what the command line names, or everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="functions, separated by commas")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    names = [n for n in arguments.only.split(",") if n] or list(REFERENCES)
    failed = False
    with ProcessPoolExecutor(arguments.processes) as pool:
        for name in names:
            start = time.perf_counter()
            found = list(pool.map(check_chunk, [name] * _CHUNKS, range(_CHUNKS), chunksize=2048))
            worst = max(found)
            wrong = sum(f.wrong for f in found)
            line = f"{name:12} {worst.error:.3f} ulp at {worst.at!r}: {worst.got!r}"
            line += f", not {worst.want!r}"
            if wrong:
                where = next(f.wrong_at for f in found if f.wrong)
                line += f"; {wrong} of the wrong kind, as at {where!r}"
            print(f"{line}  [{time.perf_counter() - start:.0f} s]", flush=True)
            failed |= bool(wrong) or worst.error > 4
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
