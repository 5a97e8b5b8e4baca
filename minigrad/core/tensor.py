"""Tensors: `Tensor` is the one public type; concrete ones hold a value, symbolic ones a node."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.core.context import STATE
from minigrad.core.operators import Operators
from minigrad.dtypes import DType, from_numpy
from minigrad.errors import (
    ArgumentError,
    GradientError,
    LostGradientWarning,
    ShapeError,
    SymbolicTensorError,
)
from minigrad.shapes import Spec, show

Array: TypeAlias = NDArray[Any]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from minigrad.core.variable import Variable

    class SupportsArray(Protocol):
        """Anything NumPy can turn into an array."""

        def __array__(self) -> Array: ...

    TensorLike: TypeAlias = (
        "Tensor | Variable | Array | np.generic | bool | int | float | complex | str "
        "| SupportsArray | Sequence[TensorLike]"
    )
else:
    TensorLike = Any

__all__ = ["Tensor", "TensorLike"]

#: Versions of the array API standard; each extends the ones before.
API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")


class Tensor(Operators):
    """A tensor: concrete with a value, or symbolic as one output of a graph's node.

    Tensors never change. They are made by `minigrad.asarray`, `minigrad.placeholder`,
    `minigrad.constant` and by every op. ``==`` compares elementwise; the hash is the object's
    identity, so tensors can be dictionary keys.
    """

    __slots__ = ("__weakref__",)

    if TYPE_CHECKING:
        # What concrete tensors do, and symbolic ones refuse with a reason.
        @property
        def spec(self) -> Spec: ...
        def numpy(self) -> Array: ...
        def item(self) -> Any: ...
        def tolist(self) -> Any: ...
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array: ...
        def __bool__(self) -> bool: ...
        def __int__(self) -> int: ...
        def __float__(self) -> float: ...
        def __complex__(self) -> complex: ...
        def __index__(self) -> int: ...
        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator[Tensor]: ...

    @property
    def shape(self) -> Any:
        """The shape: a tuple with None for unknown dimensions, or None for an unknown rank."""
        return self.spec.shape

    @property
    def dtype(self) -> DType:
        """The element type, a `minigrad.DType`."""
        return self.spec.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions. Raises `ShapeError` when the rank is unknown."""
        shape = self.spec.shape
        if shape is None:
            raise ShapeError("the rank of this tensor is unknown; mg.shape(x) gives it in a run")
        return len(shape)

    @property
    def device(self) -> str:
        """Where the data lives; always ``"cpu"``."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
        """The tensor itself; the only device is ``"cpu"``."""
        if device != "cpu" or stream is not None:
            raise ArgumentError(f"the only device is 'cpu', without a stream, got {device!r}")
        return self

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        """The module whose functions follow the array API standard: `minigrad` itself.

        Raises:
            ArgumentError: `api_version` is no version up to 2024.12.
        """
        if api_version not in (None, *API_VERSIONS):
            raise ArgumentError(
                f"minigrad follows the array API's versions {', '.join(API_VERSIONS)}, "
                f"got {api_version!r}"
            )
        return sys.modules["minigrad"]

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        raise symbolic_refusal("there is no memory to share", "run it: mg.Session().run(x)")

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.__dlpack__()  # type: ignore[no-any-return]


_new_tuple = tuple.__new__


class ConcreteTensor(Tensor):
    """A tensor with a value."""

    __slots__ = ("_key", "_spec", "_value")

    def __init__(self, value: Array) -> None:
        self._spec: Spec | None = None
        #: The array; it may be shared with other tensors and is never written to.
        self._value = value
        #: Identity on tapes, given when first needed.
        self._key = 0

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        spec = self._spec
        if spec is None:
            value = self._value
            # What Spec(…) does, in half the time; every op on a tape passes here.
            spec = self._spec = _new_tuple(Spec, (value.shape, from_numpy(value.dtype), None))
        return spec

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self._value.shape

    def numpy(self) -> Array:
        """The value as a read-only NumPy array that shares memory with the tensor."""
        view = self._value.view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The value of a tensor of one element as a Python number.

        Raises:
            ShapeError: it has another number of elements.
        """
        return self._single("item()").item()

    def _single(self, what: str) -> Array:
        """The array, if it has one element."""
        if self._value.size != 1:
            raise ShapeError(
                f"{what} needs a tensor of one element, got shape {show(self.shape)}; "
                "reduce it first (mg.sum, mg.mean, mg.all, mg.any), or use tolist() or numpy()"
            )
        return self._value.reshape(())

    def tolist(self) -> Any:
        """The value as nested Python lists."""
        return self._value.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.is_recorded():
            raise GradientError(
                "NumPy would make a plain array of a tensor that a tape is recording, and its "
                "gradient would be lost; use functions of minigrad (mg.stack and mg.asarray take "
                "lists of tensors), or x.numpy() to take the value on purpose"
            )
        if dtype is not None and np.dtype(dtype) != self._value.dtype:
            if copy is False:
                raise ValueError(f"converting {self.dtype} to {dtype} needs a copy")
            return self._value.astype(dtype)
        return self._value.copy() if copy else self.numpy()

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: Any = None,
        copy: bool | None = None,
    ) -> Any:
        # DLPack before 1.0 cannot say "read-only", so such a consumer gets its own copy.
        read_only = max_version is not None and max_version >= (1, 0) and not copy
        value = self.numpy() if read_only else self._value.copy()
        return value.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._value.__dlpack_device__()

    def __bool__(self) -> bool:
        return bool(self._single("a truth value"))

    def __int__(self) -> int:
        return int(self._single("int()"))

    def is_recorded(self) -> bool:
        """Whether a tape follows what becomes of this value."""
        return bool(self._key) and any(self._key in tape.tracked for tape in STATE.get().tapes)

    def _warn_lost(self, what: str) -> None:
        if self.is_recorded():
            # NumPy calls float() too, when an element of an array is set to a tensor.
            warnings.warn(
                f"{what} of a tensor that a tape is recording: no gradient flows through the "
                "plain number. x.item() takes it on purpose; to fill an array, mg.stack its parts",
                LostGradientWarning,
                stacklevel=3,
            )

    def __float__(self) -> float:
        self._warn_lost("float()")
        return float(self._single("float()"))

    def __complex__(self) -> complex:
        self._warn_lost("complex()")
        return complex(self._single("complex()"))

    def __index__(self) -> int:
        return self._value.__index__()

    def __len__(self) -> int:
        return len(self._value)

    def __iter__(self) -> Iterator[Tensor]:
        if not self._value.ndim:
            raise ShapeError("a 0-d tensor cannot be iterated over")
        return (self[i] for i in range(len(self._value)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        text = np.array2string(self._value, separator=", ", prefix="Tensor(")
        return f"Tensor({text}, shape={show(self.shape)}, dtype={self.dtype})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (ConcreteTensor, (self._value,))

    def __copy__(self) -> ConcreteTensor:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ConcreteTensor:
        return self


class Ghost(Tensor):
    """Shape and dtype of a tensor whose value a tape did not keep.

    A gradient rule may hand it to ops that read only shapes (`sum_to_like`, `zeros_like`, …).
    """

    __slots__ = ("_spec", "owner")

    def __init__(self, spec: Spec, owner: str) -> None:
        self._spec = spec
        self.owner = owner

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        return self._spec

    def stand_in(self) -> Array:
        """An array of this shape and dtype that takes no memory; its elements mean nothing."""
        shape: Any = self._spec.shape
        return np.broadcast_to(np.zeros((), self._spec.dtype.dtype), shape)

    def refuse(self) -> GradientError:
        """The error for reading the value."""
        return GradientError(
            f"the gradient rule of {self.owner!r} reads a value that the tape did not keep; "
            f"name it in the rule's `saves`: @{self.owner}.gradient(saves=(…))"
        )

    def __repr__(self) -> str:
        return f"Ghost(shape={show(self.shape)}, dtype={self.dtype})"


def symbolic_refusal(what: str, instead: str) -> SymbolicTensorError:
    """The error for using a symbolic tensor where a value is needed."""
    return SymbolicTensorError(
        f"a symbolic tensor has no value while the graph is built, so {what}; {instead}"
    )
