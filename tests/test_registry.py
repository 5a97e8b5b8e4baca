"""Every registered primitive and composite, on its own samples.

Adding an op to the registry adds its tests here.
"""

import pytest

import minigrad as mg
import minigrad.nn
import minigrad.optim
from minigrad.core.registry import REGISTRY
from minigrad.gradcheck import contracts
from minigrad.gradcheck.derivatives import check_derivatives

PRIMITIVES = sorted(REGISTRY.values(), key=lambda p: p.op)

every_primitive = pytest.mark.parametrize("primitive", PRIMITIVES, ids=lambda p: p.name)


def nothing(problems):
    assert not problems, "\n".join(problems)


def test_the_packages_are_complete():
    assert len(PRIMITIVES) >= 150
    assert {p.__module__.split(".")[1] for p in PRIMITIVES} >= {"ops", "nn"}
    mg.registry.verify()


@every_primitive
def test_the_gradient_is_right_at_orders_one_and_two(primitive):
    found = check_derivatives(primitive)
    nothing(found.problems)
    if found.first is not None and not found.exceptions:
        assert found.first < 1e-7
        assert (found.second or 0.0) < 1e-5


@every_primitive
def test_the_shape_rule_agrees_with_real_results(primitive):
    nothing(contracts.check_shapes(primitive))


@every_primitive
def test_float32_stays_float32(primitive):
    nothing(contracts.check_narrow(primitive))


@every_primitive
def test_a_session_gives_what_eager_code_gives(primitive):
    nothing(contracts.check_modes(primitive))


@every_primitive
def test_kernels_agree_and_leave_their_inputs_alone(primitive):
    nothing(contracts.check_kernels(primitive))


@every_primitive
def test_bad_calls_raise_what_the_error_samples_say(primitive):
    nothing(contracts.check_errors(primitive))
