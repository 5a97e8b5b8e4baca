"""Computing a call at once: the kernel on concrete operands, and the record on the tapes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from minigrad.core import record as recording
from minigrad.core.context import State
from minigrad.core.floating import NUMPY_ERRSTATE, POLICY
from minigrad.core.state import Places, Transaction, eager_slots
from minigrad.core.tensor import Array, ConcreteTensor, Tensor
from minigrad.errors import (
    DTypeError,
    MinigradError,
    operation_error,
)
from minigrad.shapes import Spec, show

if TYPE_CHECKING:
    from minigrad.core.primitive import Primitive


def compute(
    primitive: Primitive[..., Any],
    state: State,
    operands: list[ConcreteTensor | None],
    attrs: dict[str, Any],
) -> Tensor | tuple[Tensor, ...]:
    """Run the kernel on concrete operands, and write the call down on the tapes."""
    if primitive.eager is not None:
        made: Tensor | tuple[Tensor, ...] = primitive.eager(*operands, **attrs)
        return made
    arrays = [None if t is None else t._value for t in operands]
    try:
        out = run_kernel(primitive, arrays, attrs)
    except MinigradError:
        raise
    except Exception as error:
        specs = [None if t is None else t.spec for t in operands]
        primitive.infer(specs, attrs)  # Says it better where the shapes are at fault.
        raise operation_error(error, explain(primitive.op, specs, error)) from error
    outputs: tuple[ConcreteTensor, ...]
    if primitive.single:
        outputs = (ConcreteTensor(out if type(out) is np.ndarray else np.asarray(out)),)
    else:
        outputs = tuple(
            [ConcreteTensor(o if type(o) is np.ndarray else np.asarray(o)) for o in out]
        )
    if state.tapes:
        recording.record(state.tapes, primitive, attrs, tuple(operands), outputs)
    return outputs[0] if primitive.single else outputs


def run_kernel(
    primitive: Primitive[..., Any], arrays: list[Array | None], attrs: dict[str, Any]
) -> Any:
    """What the kernel gives, computed under the floating-point policy in force."""
    kernel = primitive.compute
    if kernel is None:
        raise DTypeError(f"{primitive.name} is a composite and cannot be bound")
    token = NUMPY_ERRSTATE.set(POLICY.get())
    try:
        if primitive.stateful:
            return run_eager_effect(primitive, arrays, attrs)
        if primitive.numpy is not None:
            return primitive.numpy(*arrays, **attrs)
        return kernel(np, *arrays, **attrs)
    finally:
        NUMPY_ERRSTATE.reset(token)


def run_eager_effect(
    primitive: Primitive[..., Any], arrays: list[Array | None], attrs: dict[str, Any]
) -> Any:
    """Run a stateful kernel on the eager store, as a transaction of its own."""
    places = Places(eager_slots(attrs, primitive.name))
    kernel = cast(Any, primitive.compute)
    if primitive.effect == "read":
        return kernel(np, Transaction(places), *arrays, **attrs)
    guard = threading.Lock()
    with guard:
        places.hold(guard)
        transaction = Transaction(places)
        out = kernel(np, transaction, *arrays, **attrs)
        transaction.commit()
    return out


def explain(op: str, specs: Sequence[Spec | None], error: Exception) -> str:
    """The message for a kernel that failed."""
    inputs = [f"shape={show(s.shape)} dtype={s.dtype}" for s in specs if s is not None]
    return f"{op} failed: {error}\n  inputs: {'; '.join(inputs) or 'none'}"
