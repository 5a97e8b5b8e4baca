"""The base class of optimizers. An optimizer is a rule for one variable; the rest is here.

The rule is a pure function of tensors, made of ops. In eager code it computes and the results are
assigned; in a graph it adds nodes, and the assignments are one operation.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Never, cast

from minigrad.autodiff import Gradient, dense
from minigrad.core.bind import tensor_of
from minigrad.core.indexed_slices import IndexedSlices
from minigrad.core.observing import CHANGES, observe
from minigrad.core.tensor import ConcreteTensor, Tensor
from minigrad.core.variable import Variable
from minigrad.dtypes import float64, int64
from minigrad.errors import ArgumentError, StateError
from minigrad.ops.basic import astype
from minigrad.ops.comparison import equal
from minigrad.ops.elementwise import add, divide, multiply
from minigrad.ops.logic import logical_and, logical_not
from minigrad.ops.selection import where
from minigrad.ops.shaping import zeros_like
from minigrad.ops.signs import sign
from minigrad.optim.arguments import (
    Rate,
    count,
    flag,
    nonnegative,
    positive,
)
from minigrad.optim.arguments import (
    learning_rate as checked_rate,
)
from minigrad.optim.clipping import clip_by_global_norm, clip_by_norm, clip_by_value
from minigrad.optim.commit import Update, scope_of
from minigrad.optim.groups import ParameterGroup, Settings, group_tuple
from minigrad.optim.minimizer import Minimizer, Pairs
from minigrad.optim.rates import StepRates
from minigrad.optim.slots import Counters, SlotSpec, SlotTable
from minigrad.optim.step import Step, all_finite, choose
from minigrad.optim.unknown import refusal

__all__ = ["Optimizer"]


def _options(optimizer: Optimizer) -> tuple[Any, ...]:
    """What a step takes from the optimizer's attributes; objects by their identity."""
    own = optimizer._defaults
    groups = [group.over(own, decoupled=optimizer.decouples) for group in optimizer.groups]
    values = [value for settings in (own, *groups) for value in settings]
    return tuple([v if isinstance(v, int | float) else id(v) for v in values])


class Optimizer(Minimizer):
    """Base of all optimizers.

    An optimizer gets no variables when it is made. Each has slots (such as the momentum) beside
    it, which are variables too: made in the first step, or by `build`, where their variable
    lives (in its graph, or eagerly). `iterations` counts the updates; schedules and bias
    corrections go by it, for all variables alike (PyTorch counts for each variable).
    Slots have their variable's dtype; float16 rounds an epsilon below 3e-8 to 0, so give a larger
    one to an optimizer of such variables.

    A subclass gives its slots and its rule:

    >>> import minigrad as mg, minigrad.optim as optim
    >>> class SignDescent(optim.Optimizer):
    ...     def update(self, w, g, slots, step):
    ...         return w - step.rate * mg.sign(g), {}
    >>> w = mg.Variable([1.0, -1.0], name="w")
    >>> optimizer = SignDescent(0.5)
    >>> loss = optimizer.minimize(lambda: mg.sum(w * w), [w])
    >>> w.tolist(), int(optimizer.iterations)
    ([0.5, -0.5], 1)

    Args:
        learning_rate: a number; a schedule (any function of the number of updates made so far, an
            int64 scalar); or a scalar tensor or variable, which can be changed between steps.
        weight_decay: λ of the coupled penalty, L2: λ·w is added to the gradient. AdamW, Lion,
            LAMB and Adafactor take it as the decoupled kind.
        decoupled_weight_decay: λ of the decoupled one (I. Loshchilov and F. Hutter, "Decoupled
            weight decay regularization", 2019): w loses rate·λ·w beside the step.
        l1: factor of the L1 penalty: l1·sign(w) is added to the gradient.
        clip_value: bring each element of a gradient into [-clip_value, clip_value].
        clip_norm: scale each gradient to at most this norm.
        clip_global_norm: scale all gradients together to at most this norm. At most one of the
            three; clipping comes before the penalties.
        skip_nonfinite: a step with a NaN or an infinity in a gradient changes nothing, and counts
            in `skipped`.
        accumulate_steps: k: collect the gradients of k calls, then make one update with their
            mean. `iterations` counts updates, not calls.
        groups: `ParameterGroup`s, or dicts of their arguments, for variables with settings of
            their own.
        name: by default the class's.

    Raises:
        ArgumentError: a value out of range, such as a negative rate; or several kinds of clipping.
        ArgumentTypeError: a value of a wrong type, or an option that there is not.
    """

    #: Whether `weight_decay` means the decoupled kind.
    decouples: ClassVar[bool] = False
    #: Whether the rule applies decoupled weight decay itself.
    applies_decay: ClassVar[bool] = False

    def __init__(
        self,
        learning_rate: Rate,
        *,
        weight_decay: float = 0.0,
        decoupled_weight_decay: float = 0.0,
        l1: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        clip_global_norm: float | None = None,
        skip_nonfinite: bool = False,
        accumulate_steps: int = 1,
        groups: Iterable[ParameterGroup | Mapping[str, Any]] = (),
        name: str | None = None,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise refusal(type(self), Optimizer, unknown)
        super().__init__(type(self).__name__ if name is None else name)
        owner = self.name
        coupled = nonnegative(owner, "weight_decay", weight_decay)
        apart = nonnegative(owner, "decoupled_weight_decay", decoupled_weight_decay)
        if self.decouples:
            if coupled and apart:
                raise ArgumentError(
                    f"{owner}: weight_decay is decoupled already; give it or "
                    "decoupled_weight_decay, not both"
                )
            coupled, apart = 0.0, coupled or apart
        self._defaults = Settings(
            checked_rate(owner, learning_rate), coupled, apart, nonnegative(owner, "l1", l1)
        )
        clips = {
            "clip_value": clip_value,
            "clip_norm": clip_norm,
            "clip_global_norm": clip_global_norm,
        }
        given = [key for key, limit in clips.items() if limit is not None]
        if len(given) > 1:
            raise ArgumentError(f"{owner}: give only one of {' and '.join(given)}")
        self._clips = {key: positive(owner, key, clips[key]) for key in given}
        self.skip_nonfinite = flag(owner, "skip_nonfinite", skip_nonfinite)
        self.accumulate_steps = count(owner, "accumulate_steps", accumulate_steps)
        self.groups = group_tuple(owner, groups)
        #: The group of each variable seen so far; None for those in no group.
        self._group_of: dict[Variable, ParameterGroup | None] = {}
        self._grouped()  # A variable in two groups is found now where possible.
        self._counters = Counters(owner)
        self._slots = SlotTable(owner)

    # -- the rule --------------------------------------------------------------------------

    def slots(self, variable: Variable) -> dict[str, SlotSpec]:
        """The slots of a variable: by default none."""
        return {}

    @abstractmethod
    def update(
        self, w: Tensor, g: Tensor, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The rule: new values of a variable and of its slots.

        Args:
            w: the variable's value.
            g: the gradient, dense, clipped and with the penalties added.
            slots: the values of its slots.
            step: the rate and the number of the step.

        Returns:
            The new value, and new values of slots by name (those left out keep theirs).
        """

    def update_rows(
        self, w: Tensor, g: IndexedSlices, slots: dict[str, Tensor], step: Step
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """The same for a gradient of some rows; None (the default) if the rule needs all rows."""
        return None

    # -- settings --------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Rate:
        """The rate for variables in no group. Nodes that were built keep the one they had.

        A `minigrad.function` is traced anew for another rate; a variable or a schedule spares that.
        """
        return self._defaults.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        self._defaults = self._defaults._replace(learning_rate=checked_rate(self.name, value))
        CHANGES.note()

    def _grouped(self, *, needed: Iterable[Variable] = ()) -> dict[Variable, ParameterGroup]:
        """The group of each variable that has one. Raises `ArgumentError` if one has two."""
        found: dict[Variable, ParameterGroup] = {}
        for group in self.groups:
            if not needed and not group.is_known:
                continue
            for v in group.variables():
                if v in found:
                    raise ArgumentError(f"{self.name}: variable {v.name!r} is in two groups")
                found[v] = group
        return found

    def _settings(self, variables: Iterable[Variable]) -> list[Settings]:
        """The settings that hold for each variable now."""
        observe(self, "the learning rate or a penalty", _options)
        found: dict[ParameterGroup | None, Settings] = {None: self._defaults}
        for group in self.groups:
            found[group] = group.over(self._defaults, decoupled=self.decouples)
        return [found[self._group_of[v]] for v in variables]

    def operands(self) -> list[Any]:
        """The learning rates that are tensors or variables."""
        rates = [self._defaults.learning_rate, *[group.learning_rate for group in self.groups]]
        return [rate for rate in rates if isinstance(rate, Tensor | Variable)]

    # -- state -----------------------------------------------------------------------------

    @property
    def iterations(self) -> Variable:
        """How often the variables have been updated: an int64 variable, made beside the first."""
        return self._counters.get("iterations")

    @property
    def skipped(self) -> Variable:
        """How many steps were skipped because a gradient was not finite: an int64 variable.

        Raises:
            StateError: the optimizer was made without `skip_nonfinite=True`.
        """
        if not self.skip_nonfinite:
            raise StateError(f"{self.name} skips no steps; make it with skip_nonfinite=True")
        return self._counters.get("skipped")

    def get_slot(self, variable: Variable, name: str) -> Variable:
        """A variable's slot. Raises `ArgumentError` if there is none of that name.

        >>> import minigrad as mg, minigrad.optim as optim
        >>> w = mg.Variable([1.0], name="w")
        >>> optimizer = optim.SGD(0.1, momentum=0.9)
        >>> optimizer.apply_gradients([([2.0], w)])
        >>> optimizer.get_slot(w, "momentum").tolist()
        [2.0]
        """
        return self._slots.get(variable, name)

    def state(self) -> dict[str, Variable]:
        """Counters and slots, those made so far, by name."""
        return self._counters.named() | self._slots.named()

    def prepare(self, variables: Sequence[Variable]) -> list[Variable]:
        """Make the slots and counters that a step needs; all that it may write."""
        if any(v not in self._group_of for v in variables):
            groups = self._grouped(needed=variables)
            self._group_of.update([(v, groups.get(v)) for v in variables])
        needed = ["iterations"]
        if self.skip_nonfinite:
            needed.append("skipped")
        if self.accumulate_steps > 1:
            needed.append("collected")
        counters = [self._counters.get(name, variables[0]) for name in needed]
        for v in variables:
            specs = dict(self.slots(v))
            if self.accumulate_steps > 1:
                specs["gradients"] = SlotSpec(v.shape, v.dtype)
            self._slots.fill(v, specs)
        slots = [slot for v in variables for slot in self._slots[v].values()]
        return [*variables, *slots, *counters]

    def collecting(self) -> list[Variable]:
        """All variables seen so far if gradients are collected: a missing one counts as zero."""
        return list(self._slots) if self.accumulate_steps > 1 else []

    # -- a step ----------------------------------------------------------------------------

    def updates(self, pairs: Pairs, global_step: Variable | None) -> list[Update]:
        """The new values that one step gives."""
        made: list[Update] = []
        due: Tensor | None = None
        if self.skip_nonfinite:
            due = all_finite([g for g, _ in pairs if g is not None])
            made.append(Update(self.skipped, astype(logical_not(due), int64), add=True))
        if self.accumulate_steps > 1:
            pairs, due, more = self._collect(pairs, due)
            made += more
        one = tensor_of(1, int64) if due is None else astype(due, int64)
        before = tensor_of(self.iterations)
        made.append(Update(self.iterations, one, add=True))
        if global_step is not None:
            made.append(Update(global_step, astype(one, global_step.dtype), add=True))
        if not (isinstance(due, ConcreteTensor) and not due):
            made += self._apply(pairs, due, before)
        return made

    def _collect(self, pairs: Pairs, good: Tensor | None) -> tuple[Pairs, Tensor, list[Update]]:
        """Add gradients to those collected; their means, and whether there are enough of them."""
        k = self.accumulate_steps
        collected = self._counters.get("collected")
        number = add(collected, 1)
        enough = equal(number, k)
        made = [Update(collected, choose(good, where(enough, 0, number), tensor_of(collected)))]
        means: Pairs = []
        for g, v in pairs:
            slot = self._slots[v]["gradients"]
            old = tensor_of(slot)
            total = old if g is None else add(old, dense(g))
            made.append(Update(slot, choose(good, choose(enough, zeros_like(total), total), old)))
            means.append((divide(total, k), v))
        return means, enough if good is None else logical_and(enough, good), made

    def _apply(self, pairs: Pairs, due: Tensor | None, before: Tensor) -> list[Update]:
        """Updates of variables and slots; where `due` is False, they keep their values."""
        number = add(astype(before, float64), 1.0)
        rates = StepRates(self.name, before)
        shared: dict[Any, Tensor] = {}
        made: list[Update] = []
        gradients = self._clipped([cast(Gradient, g) for g, _ in pairs])
        variables = [v for _, v in pairs]
        for g, v, settings in zip(gradients, variables, self._settings(variables), strict=True):
            rate = rates.of(settings.learning_rate, v.dtype)
            step = Step(number, rate, settings.decoupled_weight_decay, v.dtype, shared)
            w = tensor_of(v)
            slots = self._slots[v]
            values = {name: tensor_of(slot) for name, slot in slots.items() if name != "gradients"}
            with scope_of(v):
                new, changes = self._updated(w, g, values, step, settings)
                made.append(Update(v, choose(due, new, w)))
                for name, value in changes.items():
                    made.append(Update(slots[name], choose(due, value, values[name])))
        return made

    def _clipped(self, gradients: list[Gradient]) -> list[Gradient]:
        if "clip_value" in self._clips:
            limit = self._clips["clip_value"]
            return clip_by_value(gradients, -limit, limit)
        if "clip_norm" in self._clips:
            return clip_by_norm(gradients, self._clips["clip_norm"])
        if "clip_global_norm" in self._clips:
            return clip_by_global_norm(gradients, self._clips["clip_global_norm"])[0]
        return gradients

    def _updated(
        self,
        w: Tensor,
        g: Gradient,
        slots: dict[str, Tensor],
        step: Step,
        settings: Settings,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The rule, with the penalties."""
        decay = settings.decoupled_weight_decay and not self.applies_decay
        if isinstance(g, IndexedSlices):
            if not (settings.weight_decay or settings.l1 or decay):
                made = self.update_rows(w, g, slots, step)
                if made is not None:
                    return made
            g = g.dense()
        if settings.weight_decay:
            g = add(g, multiply(step.constant(settings.weight_decay), w))
        if settings.l1:
            g = add(g, multiply(step.constant(settings.l1), sign(w)))
        if decay:
            w = multiply(w, step.shrinkage())
        return self.update(w, g, slots, step)

    def __repr__(self) -> str:
        own = self._defaults
        decay = {"weight_decay": own.weight_decay}
        decay["weight_decay" if self.decouples else "decoupled_weight_decay"] = (
            own.decoupled_weight_decay
        )
        given = {
            **decay,
            "l1": own.l1,
            **self._clips,
            "skip_nonfinite": self.skip_nonfinite,
            "accumulate_steps": self.accumulate_steps if self.accumulate_steps > 1 else 0,
            "groups": list(self.groups),
        }
        more = "".join([f" {key}={value!r}" for key, value in given.items() if value])
        return (
            f"<minigrad.optim.{type(self).__name__} {self.name!r} "
            f"learning_rate={own.learning_rate!r}{more}>"
        )
