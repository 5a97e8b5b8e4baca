"""Primitives: one definition holds the kernel, the shape rule, the gradient and the samples."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType, MethodType, SimpleNamespace
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    ParamSpec,
    TypeAlias,
    TypeVar,
    get_args,
    overload,
)

import numpy as np

from minigrad.core import registry
from minigrad.core.bind import apply, try_fast
from minigrad.core.composites import call_composite
from minigrad.core.operators import UFUNCS
from minigrad.core.rules import STRENGTH, Accepts, Ctx, Effect, Grads, Rule, accepted_dtypes
from minigrad.core.samples import Fails, Sample
from minigrad.core.state import state_users
from minigrad.dtypes import DType, float32
from minigrad.errors import DTypeError, MinigradError, RegistryError
from minigrad.shapes import Spec, broadcast

__all__ = ["Primitive", "primitive"]

P = ParamSpec("P")
R = TypeVar("R", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])

_NO_ATTRS: dict[str, Any] = {}
_ACCEPTS = get_args(Accepts)
_EFFECTS = get_args(Effect)

#: A string, because the name `np.random` alone would import that module.
SampleMaker: TypeAlias = "Callable[[np.random.Generator], Iterable[Sample]]"


class Primitive(Generic[P, R]):
    """A primitive or composite op. Calling it calls its public function; see `primitive`."""

    __wrapped__: Callable[P, R]

    def __init__(
        self,
        public: Callable[P, R],
        *,
        op: str,
        outputs: int | tuple[str, ...] | None,
        effect: Effect,
        elementwise: bool,
        accepts: Accepts,
        result: DType | Callable[[DType], DType] | None,
        promote: tuple[int, ...] | None,
        shape_only: tuple[int, ...],
        numpy: Callable[..., Any] | None,
        samples: SampleMaker | Sequence[Sample],
        errors: Sequence[Fails],
        not_differentiable: str | None,
    ) -> None:
        functools.update_wrapper(self, public)
        self.__wrapped__ = public
        self.op = op
        self.name = public.__name__
        names = outputs if isinstance(outputs, tuple) else None
        self.output_names = names or (("y",) if outputs == 1 else ())
        #: Number of outputs, or None where it depends on the call.
        self.outputs = len(names) if names else outputs if isinstance(outputs, int) else None
        self.single = self.outputs == 1 and names is None
        self.effect: Effect = effect
        self.elementwise = elementwise
        self.accepts: Accepts = accepts
        self.result = result
        #: Positions of the inputs that share one dtype; None means all of them.
        self.promote = promote
        #: Positions of inputs of which only shape and dtype are read.
        self.shape_only = shape_only
        #: A function of arrays alone that NumPy computes faster than the generic kernel.
        self.numpy = numpy
        self.samples = samples
        self.errors = errors
        self.not_differentiable = not_differentiable
        #: The kernel: ``(xp, *arrays, **attrs)``, with a transaction after `xp` if stateful.
        self.compute: Callable[..., Any] | None = None
        self.shape_rule: Callable[..., Any] | None = None
        self.gradient_rule: Callable[[Ctx], Grads] | None = None
        #: How plans compute it: one element of an elementwise op, or an op in simpler terms.
        self.scalar_form: Callable[..., Any] | None = None
        self.lowering_form: Callable[..., Any] | None = None
        #: What a primitive with bodies does on concrete tensors, in ops.
        self.eager: Callable[..., Any] | None = None
        self.input_names: tuple[str, ...] = ()
        self.variadic = False
        self._optional: frozenset[int] = frozenset()
        self._saved_inputs: frozenset[int] = frozenset()
        self._saves_rest = False
        self._input_mask: tuple[bool, ...] = ()
        self._output_mask: tuple[bool, ...] = ()
        self._saved_outputs: frozenset[int] = frozenset()
        self._saves_outputs = False
        self.fast_dtypes: frozenset[np.dtype[Any]] = frozenset(
            d.dtype for d in accepted_dtypes(accepts)
        )
        #: Number of arguments of a call that may take the short way; NumPy would take more, and
        #: write its result into the last.
        self.ufunc_inputs = numpy.nin if isinstance(numpy, np.ufunc) else -1
        if isinstance(numpy, np.ufunc) and UFUNCS.setdefault(numpy, self).op == op:
            UFUNCS[numpy] = self  # A definition that is run again replaces the one before.

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.ufunc_inputs == len(args) and not kwargs:
            # Such a function only binds its arguments; two calls less are a third of the time.
            made = try_fast(self, args)
            return apply(self, args, _NO_ATTRS) if made is None else made  # type: ignore[return-value]
        if self.compute is not None:
            return self.__wrapped__(*args, **kwargs)
        return call_composite(self.__wrapped__, self.op, args, kwargs)

    def __repr__(self) -> str:
        kind = "composite" if self.compute is None else "primitive"
        return f"<minigrad {kind} {self.name!r} (op {self.op!r})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (registry.primitive_of, (self.op,))

    if not TYPE_CHECKING:  # A type checker would see it in every attribute that holds one.

        def __get__(self, instance: object, owner: type | None = None) -> Any:
            # As functions do; it also makes help() show the signature.
            return self if instance is None else MethodType(self, instance)

    @property
    def is_composite(self) -> bool:
        """True when the body of ops is all there is."""
        return self.compute is None

    @property
    def stateful(self) -> bool:
        """True when the kernel takes the run's state as its second argument."""
        return self.effect in ("draw", "read", "write")

    @property
    def has_bodies(self) -> bool:
        """True for branches and loops: the kernel's second argument runs bodies."""
        return self.effect == "body"

    def effect_of(self, attrs: dict[str, Any]) -> Effect:
        """What a call with these attributes does; of one with bodies, the most that they do."""
        if not self.has_bodies:
            return self.effect
        found = {user.effect for user in state_users(attrs)}
        return max(found, key=STRENGTH.index, default="pure")

    # -- the parts of a definition ---------------------------------------------------------

    def kernel(self, function: F) -> F:
        """Decorate the kernel: ``def _(xp, x, *, axis): ...`` on arrays of one namespace.

        An input that may be left out has None as its default. The kernel of a primitive with the
        effect draw, read or write takes the run's state after `xp`.
        """
        self._once("kernel", self.compute)
        self.compute = function
        plain = inspect.unwrap(function)
        if not isinstance(plain, FunctionType):
            raise RegistryError(
                f"the kernel of {self.name!r} must be a Python function: its parameters name the "
                f"inputs; got {function!r}"
            )
        # Read off the code: `inspect.signature` for every kernel would be felt in import time.
        code = plain.__code__
        first = 2 if self.stateful or self.has_bodies else 1
        names = code.co_varnames[first : code.co_argcount]
        defaults = plain.__defaults__ or ()
        without = len(names) - len(defaults)
        self._optional = frozenset(without + i for i, x in enumerate(defaults) if x is None)
        self.variadic = bool(code.co_flags & inspect.CO_VARARGS)
        if self.variadic:
            names += (code.co_varnames[code.co_argcount + code.co_kwonlyargcount],)
        self.input_names = names
        return function

    def shape(self, function: F) -> F:
        """Decorate the shape-and-dtype rule: `Spec`s in, a `Spec` or a tuple of them out."""
        self._once("shape rule", self.shape_rule)
        self.shape_rule = function
        return function

    @overload
    def gradient(self, rule: Rule, /) -> Rule: ...
    @overload
    def gradient(self, /, *, saves: str | Sequence[str] = ()) -> Callable[[Rule], Rule]: ...

    def gradient(
        self, rule: Rule | None = None, /, *, saves: str | Sequence[str] = ()
    ) -> Rule | Callable[[Rule], Rule]:
        """Decorate the gradient rule, written in ops: a `Ctx` in, a gradient for each input out.

        Args:
            saves: names of the inputs (as the kernel calls them) and outputs (``"y"``, or as
                given to `primitive`; ``"outputs"`` for all) whose values the rule reads.
        """

        def put(rule: Rule) -> Rule:
            self._once("gradient", self.gradient_rule)
            for name in (saves,) if isinstance(saves, str) else saves:
                self._save(name)
            self.gradient_rule = rule
            return rule

        return put if rule is None else put(rule)

    def _save(self, name: str) -> None:
        self._input_mask = self._output_mask = ()
        if name in self.input_names:
            position = self.input_names.index(name)
            self._saved_inputs |= {position}
            if self.variadic and position == len(self.input_names) - 1:
                self._saves_rest = True
        elif name == "outputs":
            self._saves_outputs = True
        elif name in self.output_names:
            self._saved_outputs |= {self.output_names.index(name)}
        else:
            raise RegistryError(
                f"{self.name}: saves names {name!r}, which is no input "
                f"({', '.join(self.input_names)}) or output ({', '.join(self.output_names)}); "
                "the kernel must be given before the gradient"
            )

    def _once(self, what: str, present: object) -> None:
        if present is not None:
            raise RegistryError(f"primitive {self.name!r} has two definitions of its {what}")

    def eagerly(self, function: F) -> F:
        """Decorate what a primitive with bodies does on concrete tensors.

        A function of its inputs and attributes that calls ops, which tapes record one by one.
        """
        self._once("eager form", self.eager)
        self.eager = function
        return function

    def scalar(self, function: F) -> F:
        """Decorate how one element is computed in native code: ``def _(s, x, y, *, attrs): ...``.

        For an elementwise primitive. `s` writes code (`minigrad.compile.native.scalars.Scalars`);
        x and y are elements, of the dtype that the kernel would be given; the result is an
        element of the output. Without it plans call the kernel.
        """
        self._once("scalar form", self.scalar_form)
        self.scalar_form = function
        return function

    def lowering(self, function: F) -> F:
        """Decorate what the op comes down to in a plan: ``def _(b, x, y, *, attrs): ...``.

        `b` adds instructions (`minigrad.compile.lower.Builder`); x and y are operands, of known
        shapes and dtypes; the result is an operand, or a tuple of them, or NotImplemented where
        the kernel is to be called after all.
        """
        self._once("lowering", self.lowering_form)
        self.lowering_form = function
        return function

    # -- what the engine asks --------------------------------------------------------------

    def keeps_input(self, position: int) -> bool:
        """Whether a tape keeps the value of this input."""
        return position in self._saved_inputs or (
            self._saves_rest and position >= len(self.input_names) - 1
        )

    def input_mask(self, count: int) -> tuple[bool, ...]:
        """For each of `count` inputs, whether a tape keeps its value."""
        mask = self._input_mask
        if len(mask) != count:
            mask = self._input_mask = tuple([self.keeps_input(i) for i in range(count)])
        return mask

    def output_mask(self, count: int) -> tuple[bool, ...]:
        """For each of `count` outputs, whether a tape keeps its value."""
        mask = self._output_mask
        if len(mask) != count:
            mask = self._output_mask = tuple([self.keeps_output(i) for i in range(count)])
        return mask

    def keeps_output(self, position: int) -> bool:
        """Whether a tape keeps the value of this output."""
        return self._saves_outputs or position in self._saved_outputs

    def may_omit(self, position: int) -> bool:
        """Whether an input may be None: whether the kernel's parameter has None as its default."""
        return position in self._optional

    def input_name(self, position: int) -> str:
        """What the kernel calls an input."""
        last = len(self.input_names) - 1
        if self.variadic and position >= last:
            return f"{self.input_names[last]}_{position - last}"
        return self.input_names[position]

    def promoted(self, count: int) -> Sequence[int]:
        """Positions, among `count` inputs, that share one dtype."""
        if self.promote is None:
            return range(count)
        return [i for i in self.promote if i < count]

    def accept(self, dtype: DType) -> DType:
        """The dtype computed with when operands have this common one. Raises `DTypeError`."""
        if dtype.dtype in self.fast_dtypes:
            return dtype
        if self.accepts in ("float", "real_float") and (dtype.is_integer or dtype.is_bool):
            return float32
        names = ", ".join(d.name for d in accepted_dtypes(self.accepts))
        raise DTypeError(
            f"{self.name} does not take {dtype}; it takes {names}; cast with mg.astype"
        )

    def infer(self, specs: Sequence[Spec | None], attrs: dict[str, Any]) -> tuple[Spec, ...]:
        """Specs of the outputs. A mismatch raises with the op's name in front."""
        try:
            if self.shape_rule is not None:
                made = self.shape_rule(*specs, **attrs)
                return (made,) if isinstance(made, Spec) else tuple(made)
            return (self._infer_elementwise(specs),)
        except MinigradError as error:
            raise type(error)(f"{self.name}: {error}") from None

    def _infer_elementwise(self, specs: Sequence[Spec | None]) -> Spec:
        given = specs if None not in specs else [s for s in specs if s is not None]
        first: Any = given[self.promote[0] if self.promote else 0]
        shape = first.shape
        for s in given:
            if s.shape != shape:  # type: ignore[union-attr]
                shape = broadcast(*[s.shape for s in given])  # type: ignore[union-attr]
                break
        result = self.result
        if result is not None:
            return Spec(shape, result if isinstance(result, DType) else result(first.dtype))
        if shape is first.shape and first.value is None:
            # Shared where it may be: to the backward walk one spec object means one shape, and an
            # unknown length may be stretched in a run.
            if len(given) == 1 or (shape is not None and None not in shape):
                return first  # type: ignore[no-any-return]
        return Spec(shape, first.dtype)

    def pull_back(
        self,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        grads: Sequence[Any],
        attrs: dict[str, Any],
    ) -> Grads:
        """What the gradient rule makes of `grads`, with the gradients of all inputs wanted."""
        if self.gradient_rule is None:
            raise RegistryError(f"{self.name} has no gradient rule")
        needs = (True,) * len(inputs)
        space = SimpleNamespace(**attrs)
        return self.gradient_rule(Ctx(tuple(inputs), tuple(outputs), tuple(grads), space, needs))

    def problem(self) -> str | None:
        """What is missing from the definition, or None."""
        if not callable(self.samples) and not self.samples:
            return "has no samples; give some, so that it is tested"
        if not self.__doc__:
            return "has no docstring"
        if self.is_composite:
            if self.gradient_rule is not None or self.shape_rule is not None:
                return "has a gradient or shape rule but no kernel"
            return None
        if self.shape_rule is None and not self.elementwise:
            return "has no shape rule and is not elementwise"
        if self.gradient_rule is None and not self.not_differentiable:
            return (
                "has neither a gradient nor a reason for having none; decorate a rule with "
                "@….gradient(), or pass not_differentiable='why'"
            )
        if self.gradient_rule is not None and self.not_differentiable:
            return "has both a gradient and a reason for having none"
        return None

    def make_samples(self) -> list[Sample]:
        """The samples; those that draw numbers draw the same ones every time."""
        if callable(self.samples):
            seed = np.frombuffer(self.op.encode(), np.uint8)
            made = list(self.samples(np.random.default_rng(seed)))
        else:
            made = list(self.samples)
        for sample in made:
            if not isinstance(sample, Sample):
                raise RegistryError(
                    f"primitive {self.name!r}: samples must be mg.Sample(…) calls, "
                    f"got {type(sample).__name__}"
                )
        return made


def primitive(
    op: str,
    *,
    samples: SampleMaker | Sequence[Sample],
    errors: Sequence[Fails] = (),
    outputs: int | tuple[str, ...] | None = 1,
    effect: Effect = "pure",
    elementwise: bool = False,
    accepts: Accepts = "any",
    result: DType | Callable[[DType], DType] | None = None,
    promote: tuple[int, ...] | None = None,
    shape_only: tuple[int, ...] = (),
    numpy: Callable[..., Any] | None = None,
    not_differentiable: str | None = None,
) -> Callable[[Callable[P, R]], Primitive[P, R]]:
    """Define a primitive: decorate its public function, then attach kernel, shape and gradient.

    The function's signature is the public one; its body only normalises arguments and ends in
    `bind` (or `bind_all` for several outputs). Without a kernel it is a *composite*: its body of
    ops runs in a name scope, in the graph of whichever argument is symbolic.

    Args:
        op: name of the graph node, in CamelCase.
        samples: calls to test it on: a list, or a function of a `numpy.random.Generator`.
        errors: calls that must raise.
        outputs: 1; a tuple of names; a number; or None where it depends on the call.
        effect: what it does beside computing: pure, draw, read, write or host; or body, for what
            the bodies among its attributes do.
        elementwise: inputs broadcast, and the output has the broadcast shape. The engine then
            undoes broadcasting in gradients, and no shape rule is needed.
        accepts: the dtypes it computes with, see `Accepts`.
        result: dtype of an elementwise result where it is not the operands' own: a dtype, or a
            function of the operands' dtype.
        promote: positions of the inputs that are brought to one dtype; by default all.
        shape_only: positions of inputs of which only the shape and dtype are read.
        numpy: what computes the same on NumPy arrays alone, faster. With a ufunc the body must do
            nothing but bind, because calls on ready tensors go past it.
        not_differentiable: why there is no gradient, where there is none.

    Raises:
        RegistryError: the name is taken.

    >>> import minigrad as mg
    >>> @mg.primitive("Cube", elementwise=True, accepts="float", samples=[mg.Sample(2.0)])
    ... def cube(x, /):
    ...     "x to the third power."
    ...     return mg.bind(cube, x)
    >>> @cube.kernel
    ... def _(xp, x):
    ...     return x * x * x
    >>> @cube.gradient(saves=("x",))
    ... def _(c):
    ...     return c.grads[0] * 3 * c.inputs[0] ** 2
    >>> mg.grad(cube)(2.0)
    Tensor(12., shape=(), dtype=float32)
    >>> mg.registry.unregister(cube)
    """

    if accepts not in _ACCEPTS:
        raise RegistryError(f"accepts must be one of {_ACCEPTS}, got {accepts!r}")
    if effect not in _EFFECTS:
        raise RegistryError(f"effect must be one of {_EFFECTS}, got {effect!r}")
    if not op.isidentifier():
        raise RegistryError(f"an op is named in CamelCase, without spaces or signs, got {op!r}")

    def put(public: Callable[P, R]) -> Primitive[P, R]:
        made = Primitive(
            public,
            op=op,
            outputs=outputs,
            effect=effect,
            elementwise=elementwise,
            accepts=accepts,
            result=result,
            promote=promote,
            shape_only=shape_only,
            numpy=numpy,
            samples=samples,
            errors=errors,
            not_differentiable=not_differentiable,
        )
        registry.register(made)
        return made

    return put
