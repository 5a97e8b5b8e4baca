"""Declared state: a parameter or buffer whose variable is made once its shape is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from minigrad.core.bind import tensor_of
from minigrad.core.context import changed
from minigrad.core.generator import Generator, choose_key
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import DType, DTypeLike, as_dtype
from minigrad.errors import ShapeError, StateError
from minigrad.nn.initializers import Initializer, as_initializer
from minigrad.shapes import Shape, as_shape, compatible, show

if TYPE_CHECKING:
    from minigrad.nn.modules.base.naming import Place
    from minigrad.philox import Key

__all__: list[str] = []


class Declared:
    """One parameter or buffer of a module: what is known of it, and its variable once made.

    The key of its random numbers is chosen here, when it is declared. So its values depend
    neither on when it is made nor on what was made before.
    """

    __slots__ = (
        "dtype",
        "frozen",
        "initializer",
        "is_buffer",
        "key",
        "seeded",
        "shape",
        "trainable",
        "variable",
    )

    def __init__(
        self,
        shape: Any,
        initializer: Any,
        dtype: DTypeLike,
        *,
        trainable: bool,
        is_buffer: bool,
        place: Place,
    ) -> None:
        self.shape: Shape = as_shape(shape)
        self.dtype: DType = as_dtype(dtype)
        self.initializer: Initializer = as_initializer(initializer)
        self.trainable = trainable
        self.is_buffer = is_buffer
        self.frozen = False
        self.variable: Variable | None = None
        self.key: Key | None = None
        self.seeded = True
        if self.initializer.draws:
            self.key, self.seeded = choose_key(place.home, None)

    @classmethod
    def around(cls, variable: Variable, *, is_buffer: bool) -> Declared:
        """The declaration of a variable that exists."""
        made = cls.__new__(cls)
        made.shape = variable.shape
        made.dtype = variable.dtype
        made.initializer = as_initializer(0)
        made.trainable = variable.trainable
        made.is_buffer = is_buffer
        made.frozen = False
        made.variable = variable
        made.key, made.seeded = None, True
        return made

    def known(self) -> bool:
        """Whether every dimension is known."""
        return self.shape is not None and None not in self.shape

    def size(self) -> int | None:
        """Number of elements, or None if it is not known."""
        return math.prod(self.shape) if self.known() else None  # type: ignore[arg-type]

    def is_trainable(self) -> bool:
        """Whether gradients and optimizers are for it."""
        if self.variable is not None:
            return self.variable.trainable
        return self.trainable and not self.frozen

    def set_shape(self, shape: Any, path: str) -> None:
        """Fill in the dimensions that were not known.

        Raises:
            ShapeError: a known one differs.
        """
        found = as_shape(shape)
        if not compatible(self.shape, found):
            raise ShapeError(
                f"{path!r} was declared with shape {show(self.shape)}, which does not become "
                f"{show(found)}"
            )
        if not self.known():
            self.shape = found

    def convert(self, dtype: DType, replaced: dict[int, Variable]) -> None:
        """Change the dtype; a variable made already is replaced by a converted copy.

        Args:
            dtype: the new one.
            replaced: the copies by the `id` of their originals, so that sharing is kept.

        Raises:
            StateError: the variable belongs to a graph.
        """
        old = self.variable
        if old is not None:
            if old.graph is not None:
                raise StateError(
                    f"variable {old.name!r} has been made in a graph, where its dtype is fixed; "
                    "change the module's dtype before its first use"
                )
            if id(old) not in replaced:
                value = old.numpy().astype(dtype.dtype)
                with changed(graph=None):
                    replaced[id(old)] = Variable(value, trainable=old.trainable, name=old.name)
            self.variable = replaced[id(old)]
        self.dtype = dtype

    def make(self, place: Place, name: str) -> Variable:
        """The variable, in the module's graph or in eager code, whatever is going on there now."""
        home = place.home
        if home is None:
            with changed(graph=None, scope="", control=(), tapes=(), log=None, origin=None):
                return Variable(
                    lambda: self._initial(place, name),
                    trainable=self.trainable and not self.frozen,
                    name=f"{place.path()}/{name}",
                )
        scope = place.scope_in(home)
        with changed(graph=home, scope=scope, control=(), tapes=(), log=None, origin=None):
            return Variable(
                lambda: self._initial(place, name),
                trainable=self.trainable and not self.frozen,
                name=name,
            )

    def _initial(self, place: Place, name: str) -> Tensor:
        """The initial value."""
        generator = None
        if self.key is not None:
            # A new generator each time, always at the start of its stream: making twice, as two
            # threads may do, gives the same numbers.
            generator = Generator.from_key(self.key, graph=place.home, seeded=self.seeded)
        shape: tuple[int, ...] = self.shape  # type: ignore[assignment]
        made = tensor_of(
            self.initializer(shape, self.dtype, generator=generator), self.dtype, name="initial"
        )
        if made.spec.shape != shape:
            raise ShapeError(
                f"the initializer of {place.path()}/{name} was to give shape {show(shape)}, got "
                f"{show(made.spec.shape)} from {self.initializer!r}"
            )
        return made


def same(state: Declared | Variable) -> object:
    """What a shared parameter is the same by: its variable, once that is made."""
    if isinstance(state, Variable) or state.variable is None:
        return state
    return state.variable
