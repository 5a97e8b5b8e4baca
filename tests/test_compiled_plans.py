"""Compiled plans: what a run may and may not do beside computing the right numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.compile.native.host import available
from minigrad.errors import ShapeError

EXECUTORS: list[Any] = ["reference", "numpy", *(["native"] if available() else [])]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("assign", [mg.assign, mg.assign_add, mg.assign_sub])
def test_a_value_of_an_open_shape_does_not_change_the_shape_of_a_variable(
    executor: Any, assign: Any
) -> None:
    with mg.Graph().as_default():
        v = mg.Variable(np.ones(3, np.float32), name="v")
        x = mg.placeholder("float32", (None,))
        wrong = np.ones(5, np.float32)
        changed = assign(v, x * 2.0)
        session = mg.Session(executor=executor)
        session.run(mg.global_variables_initializer())
        session.run(changed, {x: np.ones(3, np.float32)})
        before = session.run(v)
        for run in (
            lambda: session.run(changed, {x: wrong}),
            lambda: session.make_callable(changed, [x])(wrong),
        ):
            with pytest.raises(ShapeError, match="variable 'v' has shape"):
                run()
        np.testing.assert_array_equal(session.run(v), before)
