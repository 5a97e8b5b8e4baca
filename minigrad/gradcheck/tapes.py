"""What a tape recorded, as a function of its sources in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.core.record import Recorder, key_of
from minigrad.core.tensor import Array, ConcreteTensor
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError, GradientError
from minigrad.gradcheck.engine import eagerly
from minigrad.gradcheck.replay import (
    Program,
    Source,
    Step,
    widened,
    widened_attrs,
    widened_host_attrs,
)
from minigrad.nest import flatten
from minigrad.tape import GradientTape


def tape_program(tape: GradientTape, target: Any, sources: Any) -> tuple[Program, list[Source]]:
    """The part of a tape between some sources and a target.

    Raises:
        ArgumentError: there are no sources.
        GradientError: the tape is not persistent, or did not record the target or a source.
        StateError: the tape has been spent.
    """
    recorder = tape.recorder
    if recorder.kept is None:
        raise GradientError(
            "to check a tape its ops are computed again, so it must keep the constants that they "
            "read; make it with mg.GradientTape(persistent=True)"
        )
    targets = [_target_key(recorder, t) for t in flatten(target)]
    wanted = flatten(sources)
    if not wanted:
        raise ArgumentError("there are no sources; name what to differentiate for")
    for x in wanted:
        _check_source(recorder, x)
    steps, constants, leaves = _steps(recorder, recorder.kept, targets)
    for t, key in zip(flatten(target), targets, strict=True):
        if key not in recorder.made:
            # The target is a source itself.
            leaves.setdefault(key, []).append(key)
            constants[key] = _value(t)
    _refuse_rules(steps, constants)
    plain = Program(steps, constants, [], targets)
    with eagerly():
        values = plain.values([])
    frozen = [step for step in steps if step.primitive.op == "StopGradient"]
    steps = [step for step in steps if step not in frozen]
    constants.update({key: _value(values[key]) for step in frozen for key in step.outputs})
    made: list[Source] = []
    for i, x in enumerate(wanted):
        key = x._key
        keys = leaves.get(key, [])
        if key in recorder.made:
            keys = [key] if key in values else []
        point = _current(x) if not keys else _value(values[keys[0]])
        made.append(Source(_name(x, i), tuple(keys), widened(np.asarray(point))))
    return Program(steps, constants, made, targets), made


def _target_key(recorder: Recorder, target: Any) -> int:
    if not isinstance(target, ConcreteTensor):
        raise ArgumentTypeError(
            f"the target of a tape must be a concrete tensor that it recorded, got {target!r}; "
            "to check a symbolic loss use mg.gradcheck(loss, feed_dict=…, session=…)"
        )
    key = key_of(target)
    if key not in recorder.made and key not in recorder.tracked:
        raise GradientError(f"this tape did not record how {target!r} came about")
    return key


def _check_source(recorder: Recorder, x: Any) -> None:
    if not isinstance(x, ConcreteTensor | Variable):
        raise ArgumentTypeError(f"a source must be a tensor or variable, got {x!r}")
    if not x.dtype.is_floating:
        raise GradientError(f"a source must be of a floating dtype, got {x!r}")
    if isinstance(x, ConcreteTensor) and x._key not in recorder.tracked:
        raise GradientError(
            f"{x!r} was not watched by this tape; call tape.watch(x) before it is used"
        )


def _steps(
    recorder: Recorder, kept: Sequence[tuple[Array | None, ...]], targets: Sequence[int]
) -> tuple[list[Step], dict[Any, Array], dict[int, list[Any]]]:
    """The records that the targets need; the values they start from; keys of reads of each leaf.

    A variable may have been assigned between two reads, so each read of a leaf has its own key.
    """
    needed = set(targets)
    chosen: list[int] = []
    for number in range(len(recorder.records) - 1, -1, -1):
        record = recorder.records[number]
        if needed.isdisjoint(record.out_keys):
            continue
        chosen.append(number)
        needed.update(
            k for k, v in zip(record.in_keys, kept[number], strict=True) if k and v is None
        )
    steps: list[Step] = []
    constants: dict[Any, Array] = {}
    leaves: dict[int, list[Any]] = {}
    for number in reversed(chosen):
        record = recorder.records[number]
        inputs: list[Any] = []
        for position, (key, value) in enumerate(zip(record.in_keys, kept[number], strict=True)):
            if value is None:
                inputs.append(key or None)
                continue
            place = ("leaf", number, position)
            inputs.append(place)
            constants[place] = value
            leaves.setdefault(key, []).append(place)
        widen = widened_host_attrs if record.primitive.effect == "host" else widened_attrs
        where = f"in op {number} of the tape ({record.primitive.op})"
        attrs = widen(record.attrs)
        steps.append(Step(record.primitive, attrs, tuple(inputs), record.out_keys, where))
    return steps, constants, leaves


def _refuse_rules(steps: Sequence[Step], constants: dict[Any, Array]) -> None:
    """Refuse what no tape has the inside of, and custom rules recorded below float64."""
    narrow = next((v for v in constants.values() if v.dtype in (np.float16, np.float32)), None)
    for step in steps:
        if step.primitive.op == "FunctionCall":
            raise GradientError(
                "this tape holds a call of a mg.function, of which a tape records no inner ops; "
                "check the function itself: mg.gradcheck(f, x)"
            )
        if step.primitive.op != "CustomGradient":
            continue
        if any(key in constants for key in step.inputs[step.attrs["count"] :]):
            raise GradientError(
                "this tape holds a checkpoint, of which a tape records no inner ops, so it cannot "
                "be computed again; check the function itself: mg.gradcheck(f, x)"
            )
        if narrow is not None:
            raise GradientError(
                "this tape holds a custom gradient, whose rule works in the dtype that it was "
                f"recorded in, and it was recorded in {narrow.dtype}; record the tape in float64, "
                "or check the function itself: mg.gradcheck(f, x)"
            )


def _value(tensor: Any) -> Array:
    made: Array = tensor._value
    return made


def _current(x: ConcreteTensor | Variable) -> Array:
    return x._value if isinstance(x, ConcreteTensor) else x.numpy()


def _name(x: ConcreteTensor | Variable, position: int) -> str:
    return x.name if isinstance(x, Variable) else f"source {position}"
