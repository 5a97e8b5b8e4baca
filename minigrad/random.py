"""Random tensors: Philox 4x32-10 streams with TensorFlow's counters, conversions and seeds.

Every function here draws anew each time it is called in eager code, and in each run of the graph
it was called in. Three ways decide the numbers:

* ``seed=``: in eager code the same numbers at every call; in a graph the t-th run of a session
  gives the t-th piece of the stream. TensorFlow 1's numbers for the same seed come out.
* ``generator=``: the next piece of a `Generator`, in eager code and graphs alike.
* neither: `seed` (of the graph or the process) and the op's place among such ops decide.

What differs from NumPy: a shape comes first, and the dtype is float32. What differs from
TensorFlow: parameters may have any shape that broadcasts to the draw's, and gradients flow to them.
"""

from __future__ import annotations

from minigrad.core.generator import Generator, seed
from minigrad.ops.random_continuous import normal, truncated_normal, uniform
from minigrad.ops.random_discrete import bernoulli, categorical, integers, permutation, shuffle

__all__ = [
    "Generator",
    "bernoulli",
    "categorical",
    "integers",
    "normal",
    "permutation",
    "seed",
    "shuffle",
    "truncated_normal",
    "uniform",
]
