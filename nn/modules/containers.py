"""Modules made of modules: lists, dicts, chains."""

from __future__ import annotations

import itertools
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar, overload

from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError
from minigrad.nn.modules.base.declared import Declared
from minigrad.nn.modules.base.module import Module
from minigrad.nn.modules.base.tree import Tree

__all__ = [
    "ModuleDict",
    "ModuleList",
    "Sequential",
]

L = TypeVar("L", bound="ModuleList")


def _module(owner: Module, value: Any) -> Module:
    """A checked member of a container. Raises `ArgumentTypeError`."""
    if isinstance(value, Module):
        return value
    hint = "; make one of it with nn.Lambda(function)" if callable(value) else ""
    if isinstance(value, type) and issubclass(value, Module):
        hint = f"; write {value.__name__}(…)"
    raise ArgumentTypeError(f"{type(owner).__name__} holds modules, got {value!r:.80}{hint}")


class ModuleList(Module):
    """A list of modules. It is not callable itself; `forward` of the module around it decides.

    A plain list assigned as an attribute works as well; this one has a `repr`, and is a module
    that can be passed around.

    >>> import minigrad.nn as nn
    >>> layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    >>> layers.append(nn.Flatten())
    >>> len(layers), layers[-1], len(layers[1:])
    (4, Flatten(), 3)
    """

    def __init__(self, modules: Iterable[Module] = (), *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.__dict__["_items"] = []
        self.extend(modules)

    _items: list[Module]

    def _parts(self) -> Iterator[tuple[str, Variable | Declared | Tree]]:
        for name, part in super()._parts():
            yield name.removeprefix("_items."), part

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        self.insert(len(self._items), module)

    def extend(self, modules: Iterable[Module]) -> None:
        """Add modules at the end."""
        for module in modules:
            self.append(module)

    def insert(self, index: int, module: Module) -> None:
        """Insert a module before position `index`."""
        self._items.insert(index, _module(self, module))
        self._place.adopt(module._place, str(len(self._items) - 1))

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self: L, index: slice) -> L: ...
    def __getitem__(self: L, index: int | slice) -> Module | L:
        if isinstance(index, slice):
            return self._sliced(index)
        return self._items[index]

    def _sliced(self: L, index: slice) -> L:
        return type(self)(self._items[index])

    def __setitem__(self, index: int, module: Module) -> None:
        self._items[index] = _module(self, module)
        self._place.adopt(module._place, str(index % len(self._items)))

    def __delitem__(self, index: int | slice) -> None:
        del self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Module]:
        return iter(list(self._items))


class Sequential(ModuleList):
    """Modules called one after the other, each on the result of the one before.

    Args:
        modules: the modules, in order, or one list of them, or one dict (whose keys are names).
        name: see `Module`.

    Raises:
        ArgumentTypeError: one of them is no module.
        ArgumentError: a key of the dict is no text, is empty or has a dot; or (from `insert`) a
            module is put before the end of a chain with names.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.Lambda(mg.tanh), nn.Linear(8, 1))
    >>> model(mg.ones((2, 4))).shape
    (2, 1)
    >>> [name for name, _ in model.named_parameters()]
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(
        self,
        *modules: Module | Iterable[Module] | Mapping[str, Module],
        name: str | None = None,
    ) -> None:
        only: Any = modules[0] if len(modules) == 1 else None
        listed: Iterable[Any] = modules
        names: list[str] | None = None
        if isinstance(only, Mapping):
            names = [_key(self, key) for key in only]
            listed = list(only.values())
        elif only is not None and not isinstance(only, Module) and isinstance(only, Iterable):
            listed = list(only)
        elif isinstance(only, ModuleList) and not isinstance(only, Sequential):
            listed = list(only)
        super().__init__((), name=name)
        self.__dict__["_names"] = names or []
        for index, module in enumerate(listed):
            if names:
                self._place.adopt(_module(self, module)._place, names[index])
            self.append(module)

    _names: list[str]

    def _parts(self) -> Iterator[tuple[str, Variable | Declared | Tree]]:
        for name, part in super()._parts():
            if name.isdecimal() and int(name) < len(self._names):
                name = self._names[int(name)]
            yield name, part

    def insert(self, index: int, module: Module) -> None:
        """Insert a module before position `index`."""
        if self._names and index < len(self._items):
            raise ArgumentError("a Sequential with names takes more modules at its end only")
        super().insert(index, module)

    def _each_name(self) -> list[str | None]:
        """The name of each module; None for those added later, which come last."""
        return [*self._names, *[None] * (len(self._items) - len(self._names))]

    def _sliced(self, index: slice) -> Sequential:
        made = super()._sliced(index)
        chosen = self._each_name()[index]
        made._names[:] = [name for name in itertools.takewhile(bool, chosen) if name]
        return made

    def __delitem__(self, index: int | slice) -> None:
        names = self._each_name()
        del self._items[index], names[index]
        self._names[:] = [name for name in names if name]

    def forward(self, x: Any) -> Any:
        """The result of the last module."""
        before: Module | None = None
        for module in list(self._items):
            try:
                made = module(x)
            except Exception as error:
                if before is not None and isinstance(x, tuple):
                    error.add_note(
                        f"the module before, {type(before).__name__}, returns a tuple; take one "
                        "part with nn.Lambda(lambda r: r[0])"
                    )
                raise
            before, x = module, made
        return x


def _key(owner: Module, key: Any) -> str:
    """A checked key of a `ModuleDict`."""
    if not isinstance(key, str) or not key or "." in key:
        raise ArgumentError(
            f"a key of {type(owner).__name__} is text without a dot, because paths are joined by "
            f"dots; got {key!r}"
        )
    return key


class ModuleDict(Module):
    """A dict of modules, by names that become part of their paths.

    >>> import minigrad.nn as nn
    >>> heads = nn.ModuleDict({"mean": nn.Linear(4, 1), "scale": nn.Linear(4, 1)})
    >>> [name for name, _ in heads.named_parameters()]
    ['mean.weight', 'mean.bias', 'scale.weight', 'scale.bias']
    """

    def __init__(
        self, modules: Mapping[str, Module] | None = None, *, name: str | None = None
    ) -> None:
        super().__init__(name=name)
        self.__dict__["_items"] = {}
        for key, module in (modules or {}).items():
            self[key] = module

    _items: dict[str, Module]

    def _parts(self) -> Iterator[tuple[str, Variable | Declared | Tree]]:
        for name, part in super()._parts():
            yield name.removeprefix("_items."), part

    def __getitem__(self, key: str) -> Module:
        return self._items[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self._items[_key(self, key)] = _module(self, module)
        self._place.adopt(module._place, key)

    def __delitem__(self, key: str) -> None:
        del self._items[key]

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._items))

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._items.keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._items.values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return self._items.items()
