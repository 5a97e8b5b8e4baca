"""`gradcheck`: one door for functions, tapes and losses in a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, overload

import numpy as np

from minigrad.core.operation import SymbolicTensor
from minigrad.core.scratch import scratch
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable
from minigrad.errors import ArgumentError, ArgumentTypeError, GradientError
from minigrad.gradcheck.engine import Function, Options, Subject
from minigrad.gradcheck.functions import BY_TAPE, eager_function
from minigrad.gradcheck.numeric import FIRST_STEP
from minigrad.gradcheck.report import RIGHT, GradcheckReport
from minigrad.gradcheck.sessions import LossReplay, session_of
from minigrad.gradcheck.tapes import tape_program
from minigrad.session import Session
from minigrad.tape import GradientTape

__all__ = ["gradcheck"]


@overload
def gradcheck(
    subject: Callable[..., Any],
    /,
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    order: int = 1,
    rtol: float | None = None,
    eps: float | None = None,
    components: int | None = None,
    seed: int = 0,
    raise_on_bug: bool = False,
) -> GradcheckReport: ...
@overload
def gradcheck(
    subject: GradientTape,
    target: Any,
    sources: Any,
    /,
    *,
    order: int = 1,
    rtol: float | None = None,
    eps: float | None = None,
    components: int | None = None,
    seed: int = 0,
    raise_on_bug: bool = False,
) -> GradcheckReport: ...
@overload
def gradcheck(
    subject: SymbolicTensor,
    /,
    *,
    feed_dict: Mapping[Any, Any] | None = None,
    session: Session | None = None,
    variables: Iterable[Any] | Variable | SymbolicTensor | None = None,
    order: int = 1,
    rtol: float | None = None,
    eps: float | None = None,
    components: int | None = None,
    seed: int = 0,
    raise_on_bug: bool = False,
) -> GradcheckReport: ...
def gradcheck(
    subject: Any,
    /,
    *args: Any,
    argnums: int | Sequence[int] | None = None,
    feed_dict: Mapping[Any, Any] | None = None,
    session: Session | None = None,
    variables: Iterable[Any] | Variable | SymbolicTensor | None = None,
    order: int = 1,
    rtol: float | None = None,
    eps: float | None = None,
    components: int | None = None,
    seed: int = 0,
    raise_on_bug: bool = False,
) -> GradcheckReport:
    """Compare gradients with central differences, in float64.

    The measure is ‖numeric − analytic‖ / (‖numeric‖ + ‖analytic‖), for each argument: below 1e-7
    it is right, above 1e-3 a bug, between them worth a closer look. Two zero gradients are right.
    Where the slopes from the left and from the right differ, a component is called a kink, and it
    does not count. A result of more than one number is checked through a fixed random projection.

    Everything is computed in float64, whatever the dtypes were: in float32 a correct gradient
    scores 1e-4 to 1e-2. Gradients do not flow through `minigrad.stop_gradient`; a tape's or a
    loss's is held fixed for the differences too, a Python function's is not.

    Args:
        subject: what to check:

            * a function, which is called on `args`: arrays, tensors, variables or nests of them
              (variables that it reads by itself are constants here; a tape checks them);
            * a `GradientTape` (persistent), followed by a target and the sources, as for
              `GradientTape.gradient`; what it recorded is computed again;
            * a symbolic loss, for its variables in a session. No variable changes, nothing is
              committed, no effect that was added to a tensor happens.
        args: the function's arguments; or the tape's target and sources.
        argnums: which of a function's arguments to differentiate for; by default all.
        feed_dict: for a loss, as for `Session.run`.
        session: for a loss, the session that holds the variables' values; by default the default
            session, or a new one where all variables are eager.
        variables: for a loss, the variables (or tensors) to differentiate for, or one of them; by
            default every trainable variable that it reads.
        order: 2 checks, besides the gradient, the product of the Hessian with a random vector.
        rtol: the relative error below which a gradient is right; by default 1e-7 at order one and
            1e-5 at order two.
        eps: the first relative step of the differences, by default 2**-13 (they are extrapolated
            to step 0, and other steps are tried where need be).
        components: how many components of each argument to check, drawn at random; by default all.
        seed: of the random projection, direction and components.
        raise_on_bug: raise unless everything is right.

    Returns:
        A `GradcheckReport`: true if all is right; printed it is a table, with the worst components.

    Raises:
        ArgumentError: there is nothing to differentiate for, or an option is out of range.
        GradientError: the loss or function draws random numbers, or with `raise_on_bug` a gradient
            is not right; the tape was not persistent.
        NotDifferentiableError: the way leads through an op without a gradient.

    Source: the course "Improving Deep Neural Networks" (A. Ng), week 1, for measure and verdicts.

    >>> import minigrad as mg
    >>> report = mg.gradcheck(lambda w: w * w * w, mg.asarray([1.0, -2.0]), order=2)
    >>> report.ok, report.verdict, report.relative_error < 1e-9
    (True, 'right', True)
    >>> with mg.Graph().as_default():
    ...     x = mg.placeholder("float32", (None,))
    ...     w = mg.Variable(3.0, name="w")
    ...     loss = mg.sum((w * x - 1.0) ** 2)
    ...     sess = mg.Session()
    ...     sess.run(mg.global_variables_initializer())
    >>> mg.gradcheck(loss, feed_dict={x: [1.0, 2.0]}, session=sess).verdict
    'right'
    """
    if order not in (1, 2):
        raise ArgumentError(f"order must be 1 or 2, got {order!r}")
    _check_positive("rtol", rtol)
    _check_positive("eps", eps)
    _check_positive("components", components)
    limits = RIGHT if rtol is None else (rtol, rtol)
    options = Options(limits, FIRST_STEP if eps is None else eps, components, seed)
    for_losses = {"feed_dict": feed_dict, "session": session, "variables": variables}
    if not isinstance(subject, SymbolicTensor):
        _refuse("a symbolic loss", for_losses)
    if isinstance(subject, GradientTape | SymbolicTensor):
        _refuse("a function", {"argnums": argnums})
    if isinstance(subject, SymbolicTensor):
        if args:
            raise ArgumentTypeError(
                "a symbolic loss takes no further positional arguments; pass feed_dict=, session="
            )
        report = _check_loss(subject, feed_dict, session, variables, order, options)
    elif isinstance(subject, GradientTape):
        if len(args) != 2:
            raise ArgumentTypeError(
                f"a tape is checked with mg.gradcheck(tape, target, sources), got {len(args)} "
                "further arguments"
            )
        program, sources = tape_program(subject, *args)
        report = _check(
            program, [s.point for s in sources], [s.name for s in sources], order, options
        )
    elif callable(subject):
        report = _check(*eager_function(subject, args, argnums), order, options)
    else:
        raise ArgumentTypeError(
            f"gradcheck takes a function, a GradientTape or a symbolic loss, got {subject!r}"
        )
    if raise_on_bug and not report.ok:
        raise GradientError(str(report))
    return report


def _check_positive(name: str, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ArgumentError(f"{name} must be greater than 0, got {value!r}")


def _refuse(what: str, given: Mapping[str, Any]) -> None:
    """Refuse arguments that belong to another kind of subject."""
    for name, value in given.items():
        if value is not None:
            more = f"; {BY_TAPE}" if name == "variables" else ""
            raise ArgumentTypeError(f"{name}= goes with {what} only{more}")


def _check(
    function: Function, points: Sequence[Array], names: Sequence[str], order: int, options: Options
) -> GradcheckReport:
    subject = Subject(function, points, names, options)
    probe = subject.projection()
    checks = subject.first_order([probe])
    if order == 2:
        checks += subject.second_order(probe)
    return GradcheckReport(tuple(checks), options.limits, projected=subject.size != 1)


def _check_loss(
    loss: SymbolicTensor,
    feed_dict: Mapping[Any, Any] | None,
    session: Session | None,
    variables: Iterable[Any] | Variable | SymbolicTensor | None,
    order: int,
    options: Options,
) -> GradcheckReport:
    if not np.issubdtype(loss.dtype.dtype, np.floating):
        raise GradientError(f"the loss must be of a floating dtype, got {loss!r}")
    replay = LossReplay(loss, session_of(loss, session), feed_dict, variables)
    points = [s.point for s in replay.sources]
    names = [s.name for s in replay.sources]
    with scratch(loss.graph) if replay.has_custom_rules else nullcontext():
        return _check(replay.program, points, names, order, options)
