"""minigrad: reverse-mode automatic differentiation on NumPy, lazily and eagerly."""

from minigrad.core import registry

from minigrad.core.bind import bind, bind_all
from minigrad.core.context import STATE
from minigrad.core.graph import *
from minigrad.core.primitive import Ctx, Grads, composite, primitive
from minigrad.core.samples import Fails, Sample
from minigrad.core.variable import Variable
from minigrad.ops.basic import *
from minigrad.ops.elementwise import *
from minigrad.ops.shaping import *
from minigrad.ops.state_ops import *
from minigrad.ops.methods import install
from minigrad.autodiff import gradients
install()
registry.verify()
__version__ = "0.1.0"
