"""Modules as a tree: attributes that are parameters, buffers or other modules, and their names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.core.observing import CHANGES
from minigrad.core.tensor import Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError, StateError
from minigrad.nn.modules.base.calls import CALL
from minigrad.nn.modules.base.declared import Declared, same
from minigrad.nn.modules.base.naming import Place, snake_case
from minigrad.shapes import Shape, compatible, show

if TYPE_CHECKING:
    from minigrad.core.graph import Graph
    from minigrad.nn.modules.base.module import Module

__all__: list[str] = []

_OWN = frozenset({"_declared", "_place", "_training", "_unsized", "_frozen", "_changes"})


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The modules and variables in a plain list, tuple or dict, with dotted names."""
    stack: list[tuple[str, Any]] = [(name, value)]
    seen: set[int] = set()
    while stack:
        path, item = stack.pop()
        if isinstance(item, Tree | Variable):
            yield path, item
        elif isinstance(item, list | tuple | dict) and id(item) not in seen:
            seen.add(id(item))
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            stack.extend(reversed([(f"{path}.{key}", part) for key, part in pairs]))


class Tree:
    """The attributes of a module: which are parameters, buffers and modules."""

    _declared: dict[str, Declared]
    _place: Place
    _training: Any
    #: Whether some declared shape is not known yet.
    _unsized: bool
    #: Names of variables in lists that `freeze` has made untrainable.
    _frozen: set[str]
    #: How often attributes were set: what traces have read of them may then have changed.
    _changes: int

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # Here and not in __init__, so that one that forgets super().__init__() works too.
        made = super().__new__(cls)
        own = made.__dict__
        own["_declared"] = {}
        own["_place"] = Place(snake_case(cls.__name__))
        own["_training"] = True
        own["_unsized"] = False
        own["_frozen"] = set()
        own["_changes"] = 0
        return made

    # -- declaring -------------------------------------------------------------------------

    def add_parameter(
        self,
        name: str,
        shape: Any,
        initializer: Any,
        *,
        trainable: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        """Declare a parameter: a variable that is made when it is first needed.

        It is then an attribute of this name. Its random numbers are fixed now: the same seed
        gives the same values, in eager code and in graphs, whatever is made first.

        Args:
            name: the attribute's name.
            shape: None stands for a dimension (or for all of them) that `infer_sizes` sets.
            initializer: one of `minigrad.nn.initializers`, a function of the shape, an array or a
                number.
            trainable: whether gradients and optimizers are for it.
            dtype: its dtype.

        Raises:
            ArgumentError: the name is taken, or none that an attribute can have.
        """
        self._add(name, shape, initializer, dtype, trainable=trainable, is_buffer=False)

    def add_buffer(
        self, name: str, shape: Any, initializer: Any = 0, *, dtype: DTypeLike = "float32"
    ) -> None:
        """Declare state that is saved with the parameters but not trained, such as an average.

        Arguments and errors are those of `add_parameter`.
        """
        self._add(name, shape, initializer, dtype, trainable=False, is_buffer=True)

    def _add(
        self,
        name: str,
        shape: Any,
        initializer: Any,
        dtype: DTypeLike,
        *,
        trainable: bool,
        is_buffer: bool,
    ) -> None:
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(f"{name!r} cannot be the name of an attribute")
        if name in self.__dict__ or name in self._declared or hasattr(type(self), name):
            raise ArgumentError(f"{type(self).__name__} has an attribute {name!r} already")
        declared = Declared(
            shape,
            initializer,
            dtype,
            trainable=trainable,
            is_buffer=is_buffer,
            place=self._place,
        )
        self._declared[name] = declared
        if not declared.known():
            self.__dict__["_unsized"] = True

    #: The class whose attributes a module's own may not hide; `Module` sets it.
    base: type[Tree]

    def set_shape(self, name: str, shape: Any) -> None:
        """Fill in the dimensions of a declared parameter or buffer that were not known.

        Raises:
            ShapeError: a known dimension differs.
            ArgumentError: nothing of this name is declared.
        """
        self._lookup(name).set_shape(shape, f"{self._place.path()}/{name}")

    def shape_of(self, name: str) -> Shape:
        """The shape of a parameter or buffer as far as it is known, without making it.

        Raises:
            ArgumentError: nothing of this name is declared.
        """
        return self._lookup(name).shape

    def _lookup(self, name: str) -> Declared:
        found = self._declared.get(name)
        if found is None:
            known = ", ".join(map(repr, self._declared)) or "none"
            raise ArgumentError(
                f"{type(self).__name__} has no parameter or buffer {name!r}; it has {known}"
            )
        return found

    # -- attributes ------------------------------------------------------------------------

    if not TYPE_CHECKING:  # A type checker knows parameters from the class's annotations.

        def __getattr__(self, name: str) -> Any:
            declared = self.__dict__.get("_declared", {}).get(name)
            if declared is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return self._variable(name, declared)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(Tree.base, name) and name != "forward":
            if isinstance(getattr(Tree.base, name), property):
                object.__setattr__(self, name, value)
                return
            raise ArgumentError(
                f"self.{name} would hide what every module has; call the attribute otherwise"
            )
        if name in self._declared and value is not None:
            self._replace(name, value)
            return
        if isinstance(value, Variable):
            self._declared[name] = Declared.around(value, is_buffer=not value.trainable)
        else:
            self._declared.pop(name, None)
            for path, part in _inside(name, value):
                if isinstance(part, Tree):
                    self._place.adopt(part._place, path)
        # Not what a call leaves behind, such as its last result.
        if not isinstance(value, Tensor | np.ndarray):
            self._note_change()
        object.__setattr__(self, name, value)

    def _note_change(self) -> None:
        self.__dict__["_changes"] += 1
        CHANGES.note()

    def _replace(self, name: str, value: Any) -> None:
        """Put another variable in the place of a parameter, as sharing weights does."""
        declared = self._declared[name]
        if not isinstance(value, Variable):
            raise ArgumentTypeError(
                f"{name!r} is a parameter of {type(self).__name__}, got {value!r:.80}; to set its "
                f"value write module.{name}.assign(value), to share another module's, assign that "
                "module's variable"
            )
        if not compatible(declared.shape, value.shape):
            raise ShapeError(
                f"{name!r} of {type(self).__name__} has shape {show(declared.shape)}, the variable "
                f"to share has {show(value.shape)}"
            )
        self._declared[name] = Declared.around(value, is_buffer=declared.is_buffer)
        self._note_change()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        known = self._declared.pop(name, None)
        self._note_change()
        if known is None or name in self.__dict__:
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._declared})

    def _variable(self, name: str, declared: Declared) -> Variable:
        """The variable of a declared parameter or buffer, made now if need be.

        Raises:
            StateError: its shape is not known.
        """
        if declared.variable is not None:
            return declared.variable
        path = f"{self._place.path()}/{name}"
        if not declared.known():
            raise StateError(
                f"{path!r} has shape {show(declared.shape)}, of which not all is known yet: call "
                f"the {type(self).__name__} once, or say the size of its input when making it "
                "(in_features=, in_channels=, …)"
            )
        dry = CALL.get().dry
        if dry is not None:
            return dry.variable(declared)
        home = self._place.home
        if home is None:
            made = declared.make(self._place, name)
            # Two threads may both have made it, with equal values: the first one counts.
            kept: Variable = self.__dict__.setdefault(name, made)
            for graph, scope in list(self._place.scopes.items()):
                graph.name_reads(kept, scope + name)
        else:
            with home.lock:
                if declared.variable is not None:
                    return declared.variable
                kept = self.__dict__[name] = declared.make(self._place, name)
        declared.variable = kept
        return kept

    def _scope_in(self, graph: Graph) -> str:
        """The name scope in a graph; the reads of parameters are called after it."""
        scope = self._place.scope_in(graph)
        if self._place.home is None:
            for name, declared in self._declared.items():
                if declared.variable is not None:
                    graph.name_reads(declared.variable, scope + name)
        return scope

    # -- walking ---------------------------------------------------------------------------

    def _parts(self) -> Iterator[tuple[str, Variable | Declared | Tree]]:
        """Parameters, buffers and modules held by this one, with their names; not those deeper."""
        yield from self._declared.items()
        for name, value in list(self.__dict__.items()):
            if name not in _OWN and name not in self._declared:
                yield from _inside(name, value)

    def named_children(self) -> list[tuple[str, Module]]:
        """The modules that this one holds, by name."""
        found = [(name, part) for name, part in self._parts() if isinstance(part, Tree)]
        for name, part in found:
            self._place.adopt(part._place, name)
        return found  # type: ignore[return-value]

    def children(self) -> list[Module]:
        """The modules that this one holds."""
        return [part for _, part in self.named_children()]

    def _all_paths(self) -> Iterator[tuple[str, Module]]:
        """This module and all below it, each under every path that leads to it, parents first."""
        stack: list[tuple[str, Any, tuple[Tree, ...]]] = [("", self, ())]
        while stack:
            path, module, above = stack.pop()
            yield path, module
            inner = (*above, module)
            dot = f"{path}." if path else ""
            stack.extend(
                (dot + name, part, inner)
                for name, part in reversed(module.named_children())
                if not any(part is other for other in inner)
            )

    def named_modules(self) -> list[tuple[str, Module]]:
        """This module (named "") and all below it, parents first, each under its first path.

        >>> import minigrad.nn as nn
        >>> [name for name, _ in nn.Residual(nn.Sequential(nn.Linear(2, 2))).named_modules()]
        ['', 'inner', 'inner.0']
        """
        found: dict[int, tuple[str, Module]] = {}
        for path, module in self._all_paths():
            found.setdefault(id(module), (path, module))
        return list(found.values())

    def modules(self) -> list[Module]:
        """This module and all below it, parents first, each once."""
        return [module for _, module in self.named_modules()]

    def _state(self, *, buffers: bool | None = None) -> Iterator[tuple[str, Variable]]:
        """Parameters and buffers (or only the one or the other) under every path; makes them."""
        for path, module in self._all_paths():
            dot = f"{path}." if path else ""
            for name, part in module._own_state():
                if isinstance(part, Declared):
                    if buffers is None or part.is_buffer is buffers:
                        yield dot + name, module._variable(name, part)
                elif buffers is None or module._is_buffer(name, part) is buffers:
                    yield dot + name, part

    def _own_state(self) -> Iterator[tuple[str, Variable | Declared]]:
        for name, part in self._parts():
            if not isinstance(part, Tree):
                yield name, part

    def _is_buffer(self, name: str, variable: Variable) -> bool:
        """Whether a variable in a list is no parameter: not trainable, other than by freezing."""
        return not variable.trainable and name not in self._frozen

    def named_variables(self) -> list[tuple[str, Variable]]:
        """Parameters and buffers, each once, under its first path: what `minigrad.save` writes."""
        return _once(self._state())

    def named_parameters(self) -> list[tuple[str, Variable]]:
        """Parameters of this module and all below it, each once, under its first path.

        The paths are those of `state_dict`. Buffers are not among them; frozen parameters are.

        Raises:
            StateError: the shape of one is not known yet.

        >>> import minigrad.nn as nn
        >>> [(name, p.shape) for name, p in nn.Linear(2, 3).named_parameters()]
        [('weight', (2, 3)), ('bias', (3,))]
        """
        return _once(self._state(buffers=False))

    def parameters(self) -> list[Variable]:
        """Parameters of this module and all below it, each once; see `named_parameters`."""
        return [p for _, p in self.named_parameters()]

    def trainable_parameters(self) -> list[Variable]:
        """Those parameters that are not frozen: what an optimizer should be given."""
        return [p for p in self.parameters() if p.trainable]

    def named_buffers(self) -> list[tuple[str, Variable]]:
        """Buffers of this module and all below it, each once, under its first path."""
        return _once(self._state(buffers=True))

    def buffers(self) -> list[Variable]:
        """Buffers of this module and all below it, each once."""
        return [b for _, b in self.named_buffers()]

    def count_parameters(self, *, trainable_only: bool = False) -> int:
        """Number of elements of all parameters, each counted once; makes none of them.

        Raises:
            StateError: the shape of one is not known yet.

        >>> import minigrad.nn as nn
        >>> nn.Linear(10, 5).count_parameters()
        55
        """
        total = 0
        seen: set[int] = set()
        for module in self.modules():
            for name, part in module._own_state():
                if isinstance(part, Declared):
                    if part.is_buffer or (trainable_only and not part.is_trainable()):
                        continue
                    size = part.size()
                    if size is None:
                        module._variable(name, part)  # Says what is unknown.
                else:
                    if module._is_buffer(name, part) or (trainable_only and not part.trainable):
                        continue
                    size = Declared.around(part, is_buffer=False).size()
                if id(same(part)) not in seen:
                    seen.add(id(same(part)))
                    total += size or 0
        return total


def _once(pairs: Iterator[tuple[str, Variable]]) -> list[tuple[str, Variable]]:
    """Each variable once, under its first name."""
    found: dict[int, tuple[str, Variable]] = {}
    for name, variable in pairs:
        found.setdefault(id(variable), (name, variable))
    return list(found.values())
