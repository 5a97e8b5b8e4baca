"""Variables: what can be assigned, how they act as numbers, and that they leave nothing behind."""

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.core.state import EAGER


def test_assigned_integers_must_fit() -> None:
    v = mg.Variable([1, 2])
    v.assign(np.array([3, 4]))
    assert v.numpy().tolist() == [3, 4]
    with pytest.raises(errors.DTypeError, match="do not fit int32"):
        v.assign(np.array([2**40, 1]))
    with pytest.raises(errors.DTypeError, match=r"float 1\.5"):
        v.assign(1.5)
    assert v.numpy().tolist() == [3, 4]


def test_a_list_of_symbolic_tensors_can_be_assigned() -> None:
    v = mg.Variable(np.zeros(2))
    x = mg.placeholder("float32", ())
    mg.Session(graph=x.graph).run(v.assign([x, 2.0 * x]), {x: 3.0})
    assert v.numpy().tolist() == [3.0, 6.0]


def test_assignments_join_the_graph_of_their_variable() -> None:
    with mg.Graph().as_default():
        v = mg.Variable(1.0, name="v")
    with mg.Graph().as_default():
        assert v.assign(2.0).graph is v.graph
        x = mg.placeholder("float32", ())
        with pytest.raises(errors.GraphError, match="'v' belongs to"):
            v.assign(x)


def test_a_variable_acts_as_a_number() -> None:
    v = mg.Variable(2.5)
    assert (float(v), int(v), complex(v), bool(v)) == (2.5, 2, 2.5, True)
    assert f"{v:.2f}" == "2.50"
    assert list(range(3))[mg.Variable(1)] == 1


def test_a_variable_takes_its_own_copy_and_gives_copies() -> None:
    array = np.ones(2)
    v = mg.Variable(array)
    before = v.read()
    array[:] = 5.0
    v.numpy()[:] = 6.0
    np.asarray(v)[:] = 7.0
    assert v.numpy().tolist() == [1.0, 1.0]
    v.assign_add([1.0, 1.0])
    assert before.tolist() == [1.0, 1.0]


def test_copies_of_a_structure_share_what_the_structure_shares() -> None:
    v = mg.Variable(1.0)
    a, b = copy.deepcopy([v, v])
    a.assign(5.0)
    assert (float(b), float(v)) == (5.0, 1.0)


def test_dropped_variables_and_generators_leave_no_state_behind() -> None:
    variable, generator = mg.Variable(1.0), mg.random.Generator(seed=1)
    variable.assign(2.0)
    mg.random.normal((2,), generator=generator)
    keys = {variable.cell.key, generator.cell.key}
    assert keys <= EAGER.values.keys() & EAGER.holders.keys()
    del variable, generator
    assert keys.isdisjoint(EAGER.values.keys() | EAGER.holders.keys())


def test_an_initial_value_of_none_is_refused() -> None:
    with pytest.raises(errors.ArgumentTypeError, match="got None"):
        mg.Variable(None)  # type: ignore[arg-type]
