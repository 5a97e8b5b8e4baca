"""Goes through a program once, and puts something better in the place of instructions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.compile import views
from minigrad.compile.builder import FOLDED_ELEMENTS, Builder, NotPlanned
from minigrad.compile.kernels import pure_kernel
from minigrad.compile.program import STRIDED, Instruction, Kind, Operand, Program, Sizes
from minigrad.compile.rewrite.keys import key_of, key_of_step
from minigrad.compile.rewrite.rule import Rule
from minigrad.compile.rewrite.seeing import seen_in
from minigrad.core.primitive import Primitive
from minigrad.core.tensor import Array
from minigrad.executor.reference import Way


class Rewriter(Builder):
    """Simplifies instructions one after the other; given to rules as `b`.

    What a rule builds is simplified at once, like the program's own instructions. A rule sees
    inputs that have been through this already.

    Attributes:
        fired: how often each rule has been applied.
    """

    def __init__(self, program: Program, rules: Sequence[Rule]) -> None:
        super().__init__(program)
        self.fired: Counter[str] = Counter()
        self._rules: defaultdict[str, list[Rule]] = defaultdict(list)
        for r in rules:
            for name in r.on:
                self._rules[name].append(r)
        self._general = self._rules.pop("*", [])
        #: What stands for an operand that is no longer made. Never a key itself.
        self._instead: dict[Operand, Operand] = {}
        self._seen: dict[Any, Instruction] = {}
        self._uses: Counter[Operand] = Counter()
        #: The constants of more than one element, each only once.
        self._known_constants: set[Operand] = set()

    def run(self) -> None:
        """Rewrite the program, in place."""
        program = self.program
        steps, program.instructions = program.instructions, []
        uses = self._uses
        for step in steps:
            uses.update([x.root for x in step.inputs if x is not None])
        uses.update([x.root for x in program.results])
        for step in steps:
            self.operation = step.operation
            self._process(step)
        program.fetches = [self.now(x) for x in program.fetches]
        program.writes = {key: self.now(x) for key, x in program.writes.items()}

    # -- what rules ask --------------------------------------------------------------------

    def now(self, x: Operand) -> Operand:
        """What stands for an operand, after what has been rewritten."""
        if x.constant is not None:
            return self._constant(x)
        view = x.view
        if view is None:
            return self._instead.get(x, x)
        source = self._instead.get(view.base)
        if source is None:
            return x
        made = seen_in(x, source)
        if made is None:
            made = seen_in(x, self.copy(source))
            assert made is not None  # A copy is contiguous.
        return made

    def copy(self, x: Operand) -> Operand:
        """The elements of `x` laid out in C order, perhaps by a copy that is there already."""
        return self.now(super().copy(x))

    def _constant(self, x: Operand) -> Operand:
        """The same constant: one for all that are equal, and as small as it can be stored."""
        constant = x.constant
        assert constant is not None
        if constant.size <= 1 or constant.dtype.kind == "O" or x in self._known_constants:
            return x
        once = constant[tuple([slice(None, None if s else 1) for s in constant.strides])]
        if once.size > FOLDED_ELEMENTS:
            return x
        whole = once.tobytes()
        first = whole[: constant.itemsize]
        if whole == first * once.size:
            once, whole = once[(slice(0, 1),) * once.ndim], first
        key = (x.dtype, x.shape, once.shape, whole)
        found = self._constants.get(key)
        if found is None:
            value = np.broadcast_to(np.array(once, order="C"), x.shape)
            found = Operand(x.shape, x.dtype, constant=value, label=x.label)
            self._constants[key] = found
            self._known_constants.add(found)
        return found

    def is_read_once(self, x: Operand) -> bool:
        """Whether one instruction at most reads what `x` is a view of, and no result is it."""
        return self._uses[x.root] <= 1

    def make(
        self,
        kind: Kind,
        name: str,
        inputs: Sequence[Operand | None],
        shape: Sizes,
        dtype: np.dtype[Any],
        like: Instruction | None = None,
    ) -> Operand:
        """The output of a new step, which has the primitive and attributes of another, if any."""
        out = Operand(shape, dtype, label=name)
        attrs, primitive = ({}, None) if like is None else (like.attrs, like.primitive)
        self._add(kind, name, inputs, [out], attrs, primitive)
        return self.now(out)

    def like(self, step: Instruction, inputs: Sequence[Operand | None]) -> Operand:
        """The output of a step that is the same but for its inputs."""
        old = step.outputs[0]
        out = Operand(old.shape, old.dtype, label=old.label)
        self._add(step.kind, step.name, inputs, [out], step.attrs, step.primitive)
        return self.now(out)

    # -- the walk --------------------------------------------------------------------------

    def _add(
        self,
        kind: Kind,
        name: str,
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand],
        attrs: dict[str, Any],
        primitive: Primitive[..., Any] | None = None,
    ) -> None:
        step = Instruction(kind, name, inputs, outputs, attrs, primitive, self.operation)
        self._uses.update([x.root for x in inputs if x is not None])
        self._process(step)

    def _process(self, step: Instruction) -> None:
        """Put a step, or something better, at the end of the program."""
        for x in step.inputs:
            if x is not None and (x.root in self._instead or x.constant is not None):
                step.inputs = tuple([y if y is None else self.now(y) for y in step.inputs])
                if step.kind == "special" and step.name not in STRIDED:
                    self._lay_out(step)
                break
        if not step.pure:
            self.program.instructions.append(step)
            return
        if step.kind == "check" and self._is_met(step.inputs[0]):
            self.fired["checks that are always met"] += 1
            return
        if len(step.outputs) == 1:
            for r in self._rules.get(step.name, ()):
                if self._applied(r, step):
                    return
            for r in self._general:
                if self._applied(r, step):
                    return
        key = key_of_step(step, [key_of(x) for x in step.inputs])
        before = self._seen.setdefault(key, step)
        if before is step:
            self.program.instructions.append(step)
            return
        self._forget(step)
        self.fired["common subexpressions"] += 1
        for x, y in zip(step.outputs, before.outputs, strict=True):
            self._put(x, y)

    def _lay_out(self, step: Instruction) -> None:
        """Copy the inputs of a step that now are views without C order."""
        unread = () if step.primitive is None else step.primitive.shape_only
        given = list(step.inputs)
        for i, x in enumerate(given):
            if x is not None and x.constant is None and i not in unread:
                made = given[i] = self.copy(x)
                self._uses[x.root] -= 1
                self._uses[made.root] += 1
        step.inputs = tuple(given)

    def _is_met(self, condition: Operand | None) -> bool:
        if condition is None or condition.constant is None:
            return False
        if not condition.constant.all():
            raise NotPlanned("a check fails whatever is fed")
        return True

    def _applied(self, r: Rule, step: Instruction) -> bool:
        made = r.function(self, step)
        if made is None:
            return False
        out = step.outputs[0]
        made = views.broadcast(self.now(made), out.shape)
        assert made.dtype == out.dtype, (r.name, step)
        self.fired[r.name] += 1
        self._forget(step)
        self._put(out, made)
        return True

    def _forget(self, step: Instruction) -> None:
        """A step reads its inputs no longer."""
        self._uses.subtract([x.root for x in step.inputs if x is not None])

    def _put(self, x: Operand, instead: Operand) -> None:
        self._instead[x] = instead
        self._uses[instead.root] += self._uses[x]

    # -- constants -------------------------------------------------------------------------

    def computed(self, step: Instruction) -> Operand | None:
        """The output of a step of constants, if it is small or uniform, else None."""
        out = step.outputs[0]
        given = [None if x is None else x.constant for x in step.inputs]
        uniform = False
        if out.size > FOLDED_ELEMENTS:
            uniform = step.kind == "map" and all(
                x is None or x.uniform is not None for x in step.inputs
            )
            if not uniform:
                return None
            given = [None if x is None else x[(slice(0, 1),) * x.ndim] for x in given]
        value = _value(step, given)
        if value is None:
            return None
        if uniform:
            return self.full(out.shape, value.reshape(-1)[0], out.dtype)
        return self.constant(value.reshape(out.shape))


def _value(step: Instruction, given: Sequence[Array | None]) -> Array | None:
    """What a step makes of constants; None if it fails, so that the run says why."""
    with np.errstate(all="ignore"):
        try:
            return np.asarray(pure_kernel(step, Way())(*given), step.outputs[0].dtype)
        except Exception:  # noqa: BLE001 - a kernel may raise anything; it will again in the run
            return None
