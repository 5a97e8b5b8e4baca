"""Values of variables wherever they lie: eagerly, or in a session. Read and written all at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from minigrad.core.state import EAGER, Slot, Transaction, write_all
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable
from minigrad.errors import FailedPreconditionError, StateError
from minigrad.session import Session, get_default_session

__all__: list[str] = []


def _slots(variables: Iterable[Variable], session: Session | None) -> list[Slot]:
    """Where the values of variables lie."""
    session = session or get_default_session()
    slots = []
    for v in variables:
        if v.graph is None:
            slots.append(Slot(v.cell, EAGER))
        elif session is None:
            raise StateError(
                f"variable {v.name!r} belongs to a graph and has a value in each session; pass "
                "session=, or call this inside `with session:`"
            )
        else:
            session._check_open()
            slots.append(session.slot(v.cell))
    return slots


def read_values(named: Mapping[str, Variable], session: Session | None) -> dict[str, Array]:
    """Copies of the values of variables, all of one moment.

    Args:
        named: the variables by any names.
        session: holds the values of those that belong to a graph; by default the one whose
            ``with`` block this is.

    Raises:
        StateError: one belongs to a graph, and there is no session, or a closed one.
        FailedPreconditionError: one is not initialized.
    """
    transaction = Transaction(_slots(named.values(), session))
    values = {}
    for name, v in named.items():
        value = transaction.read(v.cell)
        if value is None:
            raise FailedPreconditionError(
                f"variable {v.name!r} is not initialized, so {name!r} has no value; run "
                "mg.global_variables_initializer() first"
            )
        values[name] = np.array(value)
    return values


def write_values(
    variables: Iterable[Variable], values: Iterable[Array], session: Session | None
) -> None:
    """Set variables to arrays of their shapes and dtypes, which they keep; all or none.

    Raises:
        StateError: one belongs to a graph, and there is no session, or a closed one.
    """
    write_all(_slots(variables, session), list(values))
