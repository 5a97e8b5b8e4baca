"""`Module`: the base of everything that owns parameters."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minigrad.core.bind import tensor_of
from minigrad.core.context import STATE, in_graph
from minigrad.core.current_graph import graph_of, graph_of_arguments, name_scope
from minigrad.core.observing import CHANGES, observe
from minigrad.core.tensor import Array, Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import DTypeLike, as_dtype
from minigrad.errors import ArgumentTypeError, DTypeError, MinigradError, ShapeError, StateError
from minigrad.held_values import read_values
from minigrad.nn.modules.base.calls import CALL, Call, training_flag
from minigrad.nn.modules.base.declared import Declared
from minigrad.nn.modules.base.state import LoadResult, load_state
from minigrad.nn.modules.base.summary import Summary, summarize
from minigrad.nn.modules.base.tree import Tree
from minigrad.shapes import show

if TYPE_CHECKING:
    from minigrad.core.graph import Graph
    from minigrad.session import Session

__all__ = ["Module"]

M = TypeVar("M", bound="Module")


def _training(module: Module) -> Any:
    """The flag that holds now: that of the call around, or the module's own."""
    flag = CALL.get().training
    return module._training if flag is None else flag


def _attributes(module: Module) -> int:
    """How often attributes of the module were set."""
    return module._changes


class Module(Tree):
    """A part of a model: parameters, other modules, and a `forward` that computes with them.

    A subclass declares parameters and assigns other modules in `__init__`, and defines `forward`.
    The same code computes eagerly and builds graphs:

    >>> import minigrad as mg, minigrad.nn as nn
    >>> class MLP(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.hidden = nn.Linear(4, 8)
    ...         self.output = nn.Linear(8, 2)
    ...     def forward(self, x):
    ...         return self.output(nn.relu(self.hidden(x)))
    >>> model = MLP()
    >>> model(mg.ones((3, 4))).shape
    (3, 2)
    >>> with mg.Graph().as_default():
    ...     model(mg.placeholder("float32", (None, 4))).name
    'mlp/output/Add:0'

    *Attributes.* Assigning a module, a variable, or a list, tuple or dict of them, makes it part of
    this one. An untrainable variable counts as a buffer: saved, but not a parameter. One variable
    or module may be assigned in several places, which shares it: `parameters` has it once,
    `state_dict` under every path.

    *Parameters* are declared by `add_parameter`, and made when they are first needed: by an
    attribute access, by `parameters` and its kin, or by the first call. So a layer may leave the
    size of its input open until then. They belong to where the module was constructed, to eager
    code or to a graph, wherever it is called. (What `mg.global_variables_initializer` covers are
    the variables made before it.)

    *Names.* A module without a parent is called `name`, or after its class in snake case; a part
    after its attribute. Parameters and the nodes of `forward` share that name scope, in every
    graph: ``mlp/hidden/weight``, ``mlp/hidden/MatMul``.

    *Calls.* In a graph all of `forward` joins the graph, also what has no symbolic operand. NumPy
    arrays among the positional arguments arrive as tensors.

    Args:
        name: the name in graphs; by default the class's.

    Raises:
        ArgumentTypeError: the name is no text, or empty.
        ArgumentError: (from assigning an attribute) it would hide one that every module has.
        StateError: (from a call) the class does not define `forward`, or leaves a shape open.
    """

    def __init__(self, *, name: str | None = None) -> None:
        if name is not None:
            if not isinstance(name, str) or not name:
                raise ArgumentTypeError(f"a module's name is text, got {name!r}")
            self._place.name = name

    # -- computing -------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a subclass defines it, callers call the module itself."""
        raise StateError(
            f"{type(self).__name__} does not define forward(self, …), so it cannot be called"
        )

    def infer_sizes(self, *args: Any, **kwargs: Any) -> None:
        """Set the shapes left open by `add_parameter`, from the arguments of the first call.

        A subclass that leaves any open calls `set_shape` here. It is called before `forward`, as
        long as some shape is unknown.
        """
        raise StateError(
            f"{type(self).__name__} leaves shapes of its parameters open, and so must define "
            "infer_sizes(self, …), which calls set_shape"
        )

    def size_of(self, x: Any, axis: int = -1) -> int:
        """The static size of an axis of an input, for `infer_sizes` and checks.

        Raises:
            ShapeError: `x` has no such axis, or its size is not known.
        """
        shape = x.spec.shape if isinstance(x, Tensor | Variable) else np.shape(x)
        inside = shape is not None and -len(shape) <= axis < len(shape)
        size = shape[axis] if shape is not None and inside else None
        if size is None:
            raise ShapeError(
                f"{type(self).__name__} needs to know the size of axis {axis} of its input, whose "
                f"shape is {show(shape)}; give it to the placeholder, or to the layer when making "
                "it (in_features=, in_channels=, …)"
            )
        return int(size)

    def __call__(self, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """Compute `forward`.

        Args:
            args: its arguments.
            training: stands in for `training` of this module and all that it calls, for this call.
            kwargs: its keyword arguments.
        """
        if training is None:
            return self._enter(args, kwargs)
        flag = training_flag(training)
        token = CALL.set(Call(flag, CALL.get().dry))
        try:
            return self._enter(args, kwargs)
        finally:
            CALL.reset(token)

    def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the body in the graph it belongs to, in its own name scope."""
        call = CALL.get()
        observe(self, "an attribute", _attributes, counts=True)
        graph: Graph | None = (
            graph_of_arguments(args, kwargs)
            or graph_of(self._training if call.training is None else call.training)
            or STATE.get().graph
            or self._place.home
        )
        try:
            if graph is None:
                return self._compute(args, kwargs)
            if call.dry is not None:
                result = self._compute(args, kwargs)
                call.dry.results.append((self, result))
                return result
            self.named_children()  # Names them, before one of them is called.
            with in_graph(graph), name_scope(self._scope_in(graph)):
                return self._compute(args, kwargs)
        except MinigradError as error:
            if not hasattr(error, "__notes__"):  # The innermost module says where it was.
                error.add_note(f"in {self._place.path()}: {self._title()}")
            raise

    def _compute(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if any(isinstance(x, np.ndarray | np.generic) for x in args):
            args = tuple(
                [tensor_of(x) if isinstance(x, np.ndarray | np.generic) else x for x in args]
            )
        if self._unsized:
            self._settle(args, kwargs)
        return self.forward(*args, **kwargs)

    def _settle(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Find the shapes that were left open."""
        if not all(d.known() for d in self._declared.values()):
            self.infer_sizes(*args, **kwargs)
        for name, declared in self._declared.items():
            if not declared.known():
                raise StateError(
                    f"{type(self).__name__}.infer_sizes did not settle the shape of {name!r}, "
                    f"which is {show(declared.shape)}; it should call set_shape({name!r}, …)"
                )
        self.__dict__["_unsized"] = False

    # -- training or not -------------------------------------------------------------------

    @property
    def training(self) -> Any:
        """Whether the module is in training: a bool, or a boolean scalar tensor.

        The `training=` of the innermost call around, else what `train` and `eval` have set; True
        at first. Pass it on to functions that take `training=`, without asking ``if``: it may be
        a tensor that only a run gives a value.
        """
        log = STATE.get().log
        observe(self, "training", _training, CALL)
        flag = _training(self)
        # A checkpointed function is computed again after the call.
        return flag if log is None else log.choose(lambda: flag)

    @training.setter
    def training(self, value: Any) -> None:
        self.__dict__["_training"] = training_flag(value)
        CHANGES.note()

    def train(self: M, mode: Any = True) -> M:
        """Set `training` of this module and all below it; returns the module.

        Args:
            mode: a bool, or a boolean scalar tensor such as a placeholder, so that one graph
                serves training and testing.

        Raises:
            ArgumentTypeError: it is neither.
        """
        flag = training_flag(mode)
        for module in self.modules():
            module.__dict__["_training"] = flag
        CHANGES.note()
        return self

    def eval(self: M) -> M:
        """The same as ``train(False)``."""
        return self.train(False)

    def freeze(self: M) -> M:
        """Make all parameters untrainable; returns the module.

        Tapes no longer watch them by themselves, and they leave `trainable_parameters` and their
        graph's `trainable_variables`, which optimizers use by default. A training op that was
        built before goes on changing them. Gradients still flow through. Buffers, such as the
        averages of batch normalisation, follow `training`, not this.
        """
        return self._set_frozen(True)

    def unfreeze(self: M) -> M:
        """Undo `freeze`: parameters are trainable again, unless declared otherwise."""
        return self._set_frozen(False)

    def _set_frozen(self: M, frozen: bool) -> M:
        for module in self.modules():
            for name, part in list(module._own_state()):
                if isinstance(part, Declared):
                    if not part.is_buffer:
                        part.frozen = frozen
                        if part.variable is not None:
                            part.variable.trainable = part.trainable and not frozen
                elif frozen and part.trainable:
                    part.trainable = False
                    module._frozen.add(name)
                elif not frozen and name in module._frozen:
                    part.trainable = True
                    module._frozen.discard(name)
        return self

    def apply(self: M, function: Callable[[Module], object]) -> M:
        """Call `function` on every module below this one and then on this one; returns it."""
        for module in reversed(self.modules()):
            function(module)
        return self

    def to(self: M, dtype: DTypeLike) -> M:
        """Change the dtype of all floating parameters and buffers; returns the module.

        Those made already are replaced by new variables with the same values, so do this before an
        optimizer has seen them.

        Raises:
            DTypeError: `dtype` is not floating.
            StateError: one has been made in a graph, where its dtype is fixed.
        """
        wanted = as_dtype(dtype)
        if not wanted.is_floating:
            raise DTypeError(f"to() takes a floating dtype, got {wanted}")
        replaced: dict[int, Variable] = {}
        for module in self.modules():
            for name, part in list(module._own_state()):
                if not part.dtype.is_floating or part.dtype is wanted:
                    continue
                if isinstance(part, Variable):
                    raise StateError(
                        f"variable {part.name!r} is in a list and cannot change its dtype; make it "
                        "an attribute of the module"
                    )
                part.convert(wanted, replaced)
                if part.variable is not None:
                    module.__dict__[name] = part.variable
                module._note_change()
        return self

    # -- saving ----------------------------------------------------------------------------

    def state_dict(self, *, session: Session | None = None) -> dict[str, Array]:
        """The values of all parameters and buffers, as NumPy arrays, all of one moment.

        Args:
            session: holds the values of graph-owned variables; by default the one whose ``with``
                block this is.

        Returns:
            A dict from paths such as ``"hidden.weight"`` to arrays of the caller's own. What is
            shared appears under every path.

        Raises:
            StateError: the shape of a parameter is not known yet, or there is no session.
            FailedPreconditionError: a graph-owned variable is not initialized.
        """
        return read_values(dict(self._state()), session)

    def load_state_dict(
        self,
        values: Mapping[str, Any],
        *,
        strict: bool = True,
        session: Session | None = None,
    ) -> LoadResult:
        """Set parameters and buffers to the values in a dict like that of `state_dict`.

        Shapes that were left open are taken from the values. Floats convert to the parameter's
        precision. All is set at once, or nothing.

        Args:
            values: arrays by path.
            strict: whether a missing or unexpected path is an error.
            session: as for `state_dict`; it needs no initializer.

        Returns:
            The missing and the unexpected paths; empty when `strict`.

        Raises:
            ArgumentError: the values do not fit; the message names every missing, unexpected and
                misshapen entry, those of another kind of dtype, and those of a shared parameter
                that differ.
        """
        return load_state(self, values, strict=strict, session=session)

    # -- showing ---------------------------------------------------------------------------

    def summary(
        self, *inputs: Any, dtype: DTypeLike = "float32", training: Any = False, **kwargs: Any
    ) -> Summary:
        """A table of the modules, their output shapes and parameters; `print` it.

        The module is run on placeholders in a graph that is then forgotten: nothing is computed,
        drawn or changed. Sizes of layers that were left open are known afterwards.

        Args:
            inputs: for each input of `forward` a shape, such as ``(None, 28, 28, 1)``, a
                `minigrad.Spec`, or a sample (an array or tensor).
            dtype: the dtype of inputs given by a shape.
            training: as for a call.
            kwargs: keyword arguments of `forward`, as they are.

        >>> import minigrad.nn as nn
        >>> print(nn.Sequential(nn.Linear(None, 3), nn.Flatten()).summary((None, 4)))
        layer   class       output shape  parameters
        --------------------------------------------
        (this)  Sequential  (?, 3)                 -
          0     Linear      (?, 3)                15
          1     Flatten     (?, 3)                 -
        --------------------------------------------
        15 parameters (60 bytes), 15 trainable
        """
        return summarize(self, inputs, dtype, training, kwargs)

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses: the arguments that matter."""
        return ""

    def _title(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        parts = self.named_children()
        if not parts:
            return self._title()
        lines = [self.extra_repr()] if self.extra_repr() else []
        lines += [f"({name}): {part!r}" for name, part in parts]
        inside = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inside}\n)"

    # -- copying ---------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        place = self._place
        if place.home is not None:
            raise StateError(
                f"{place.path()!r} belongs to {place.home!r} and cannot be copied or pickled; make "
                "it in eager code, or save its state_dict()"
            )
        state = dict(self.__dict__)
        state["_place"] = (place.prefix, place.name)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        prefix, name = state.pop("_place")
        place = self._place
        self.__dict__.update(state)
        place.home, place.prefix, place.name = None, prefix, name
        self.named_children()  # They find their parent again.


Tree.base = Module
