"""minigrad: reverse-mode automatic differentiation on NumPy, lazily and eagerly.

Array functions carry the array API standard's names, graph machinery TensorFlow's. In eager code
ops compute at once; inside ``with mg.Graph().as_default():`` they add nodes that a `Session` runs.

>>> import minigrad as mg
>>> mg.grad(lambda w: w**2 - 10.0 * w + 25.0)(4.0)
Tensor(-2., shape=(), dtype=float32)
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

# Every module lists its public names in its own `__all__`, so that a new op is written in one file.
from minigrad import checkout, serialize
from minigrad import errors as errors
from minigrad import linalg as linalg
from minigrad import nest as nest
from minigrad import random as random
from minigrad.autodiff import *
from minigrad.checkpointing import *
from minigrad.control_flow import *
from minigrad.core import registry as registry
from minigrad.core.bind import *
from minigrad.core.composites import *
from minigrad.core.current_graph import *
from minigrad.core.floating import *
from minigrad.core.graph import *
from minigrad.core.indexed_slices import *
from minigrad.core.operation import *
from minigrad.core.primitive import *
from minigrad.core.registry import *
from minigrad.core.rules import *
from minigrad.core.samples import *
from minigrad.core.tensor import *
from minigrad.core.variable import *
from minigrad.dtypes import *
from minigrad.dtypes import bool_
from minigrad.explaining import *
from minigrad.functions.api import *
from minigrad.gradcheck import *
from minigrad.hints import missing as _missing
from minigrad.namespace import *
from minigrad.ops import methods
from minigrad.ops.along_axis import *
from minigrad.ops.basic import *
from minigrad.ops.broadcasting import *
from minigrad.ops.comparison import *
from minigrad.ops.contractions import *
from minigrad.ops.control import *
from minigrad.ops.counting import *
from minigrad.ops.creation import *
from minigrad.ops.custom import *
from minigrad.ops.data_dependent import *
from minigrad.ops.diagonals import *
from minigrad.ops.differences import *
from minigrad.ops.effects import *
from minigrad.ops.einsum import *
from minigrad.ops.elementwise import *
from minigrad.ops.encoding import *
from minigrad.ops.exponential import *
from minigrad.ops.gathering import *
from minigrad.ops.hyperbolic import *
from minigrad.ops.indexing import *
from minigrad.ops.joining import *
from minigrad.ops.logic import *
from minigrad.ops.manipulation import *
from minigrad.ops.padding import *
from minigrad.ops.powers import *
from minigrad.ops.products import *
from minigrad.ops.ranges import *
from minigrad.ops.reductions import *
from minigrad.ops.rounding import *
from minigrad.ops.scans import *
from minigrad.ops.scattering import *
from minigrad.ops.selection import *
from minigrad.ops.shaping import *
from minigrad.ops.signs import *
from minigrad.ops.sorting import *
from minigrad.ops.special_functions import *
from minigrad.ops.stacking import *
from minigrad.ops.state_ops import *
from minigrad.ops.statistics import *
from minigrad.ops.tiling import *
from minigrad.ops.trigonometric import *
from minigrad.ops.updates import *
from minigrad.render import *
from minigrad.saving import *
from minigrad.session import *
from minigrad.shapes import *
from minigrad.tape import *
from minigrad.threads import *
from minigrad.transforms import *

__version__ = "0.1.0"

if not _TYPE_CHECKING:  # A type checker would take it to mean that every name exists.

    def __getattr__(name: str) -> _Any:
        """`minigrad.nn` and `minigrad.optim`, imported when first used; for others, a hint."""
        if name in ("nn", "optim"):
            return _importlib.import_module(f"minigrad.{name}")
        # Not Python's own suggestion, which knows no names of other libraries.
        raise AttributeError(_missing(name, globals()))


bool = bool_
#: The array API's constants.
e = 2.718281828459045
pi = 3.141592653589793
inf = float("inf")
nan = float("nan")
newaxis = None

checkout.install()
methods.install()
serialize.install()
registry.verify()
