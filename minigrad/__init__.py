"""minigrad: reverse-mode automatic differentiation on NumPy, lazily and eagerly.

Array functions carry the array API standard's names, graph machinery TensorFlow's. In eager code
ops compute at once; inside ``with mg.Graph().as_default():`` they add nodes that a `Session` runs.

>>> import minigrad as mg
>>> mg.grad(lambda w: w**2 - 10.0 * w + 25.0)(4.0)
Tensor(-2., shape=(), dtype=float32)
"""

import importlib as _importlib
import typing as _typing

# Every module lists its public names in its own `__all__`, so that a new op is written in one file.
from minigrad import checkout, later, serialize
from minigrad import errors as errors
from minigrad import nest as nest
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
from minigrad.ops import methods
from minigrad.ops.basic import *
from minigrad.ops.comparison import *
from minigrad.ops.counting import *
from minigrad.ops.custom import *
from minigrad.ops.elementwise import *
from minigrad.ops.exponential import *
from minigrad.ops.indexing import *
from minigrad.ops.logic import *
from minigrad.ops.manipulation import *
from minigrad.ops.powers import *
from minigrad.ops.products import *
from minigrad.ops.reductions import *
from minigrad.ops.rounding import *
from minigrad.ops.scans import *
from minigrad.ops.selection import *
from minigrad.ops.shaping import *
from minigrad.ops.signs import *
from minigrad.ops.stacking import *
from minigrad.ops.state_ops import *
from minigrad.ops.statistics import *
from minigrad.shapes import *

if _typing.TYPE_CHECKING:
    # Loaded when one of their names is first used: see `minigrad.later`, which lists them.
    from minigrad import linalg as linalg
    from minigrad import random as random
    from minigrad.autodiff import *
    from minigrad.checkpointing import *
    from minigrad.control_flow import *
    from minigrad.explaining import *
    from minigrad.functions.api import *
    from minigrad.gradcheck.api import *
    from minigrad.gradcheck.primitives import *
    from minigrad.gradcheck.report import *
    from minigrad.namespace import *
    from minigrad.ops.along_axis import *
    from minigrad.ops.broadcasting import *
    from minigrad.ops.contractions import *
    from minigrad.ops.control import *
    from minigrad.ops.creation import *
    from minigrad.ops.data_dependent import *
    from minigrad.ops.diagonals import *
    from minigrad.ops.differences import *
    from minigrad.ops.effects import *
    from minigrad.ops.einsum import *
    from minigrad.ops.encoding import *
    from minigrad.ops.gathering import *
    from minigrad.ops.hyperbolic import *
    from minigrad.ops.joining import *
    from minigrad.ops.padding import *
    from minigrad.ops.ranges import *
    from minigrad.ops.scattering import *
    from minigrad.ops.sorting import *
    from minigrad.ops.special_functions import *
    from minigrad.ops.tiling import *
    from minigrad.ops.trigonometric import *
    from minigrad.ops.updates import *
    from minigrad.render.drawing import *
    from minigrad.saving import *
    from minigrad.session import *
    from minigrad.tape import *
    from minigrad.threads import *
    from minigrad.transforms import *

__version__ = "0.1.0"

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
registry.later(later.OPS)

if not _typing.TYPE_CHECKING:  # A type checker would take it to mean that every name exists.
    # Python puts a package into this namespace when it is first imported. These two are called as
    # functions are: imported now, with nothing in them yet, they cannot take their places later.
    from minigrad import gradcheck, render

    del gradcheck, render

    def __getattr__(name: str) -> _typing.Any:
        """What is loaded when first used; for names that do not exist, a hint."""
        if name in later.MODULE_OF:
            found = getattr(_importlib.import_module(later.MODULE_OF[name]), name)
            return globals().setdefault(name, found)
        if name in later.NAMESPACES:
            return _importlib.import_module(f"minigrad.{name}")
        # Not Python's own suggestion, which knows no names of other libraries.
        missing = _importlib.import_module("minigrad.hints").missing
        raise AttributeError(missing(name, __dir__()))

    def __dir__() -> list[str]:
        return sorted({*globals(), *later.MODULE_OF, *later.NAMESPACES})

    # Not nn and optim, which ``from minigrad import *`` would import.
    __all__ = [name for name in __dir__() if name[0] != "_" and name not in ("nn", "optim")]
