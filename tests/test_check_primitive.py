"""Primitives with planted mistakes: `check_primitive` and the command line must find each."""

import contextlib
import io
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors
from minigrad.__main__ import main
from minigrad.core.registry import REGISTRY
from minigrad.gradcheck.registry_table import print_table
from minigrad.shapes import broadcast


@pytest.fixture
def plant():
    """Registers primitives for the length of a test."""
    made = []

    def define(op="Planted", **options):
        def put(function):
            made.append(mg.primitive(op, **options)(function))
            return made[-1]

        return put

    yield define
    for primitive in made:
        mg.registry.unregister(primitive)


def unary(plant, rule, *, kernel=None, saves=("x",), samples=None, **options):
    """An elementwise cube with some gradient rule."""

    @plant(
        elementwise=True,
        accepts="float",
        samples=samples or (lambda rng: [mg.Sample(rng.normal(size=(2, 3)))]),
        **options,
    )
    def planted(x, /):
        """x to the third power."""
        return mg.bind(planted, x)

    planted.kernel(kernel or (lambda xp, x: x * x * x))
    if rule is not None:
        planted.gradient(saves=saves)(rule)
    return planted


def right(c):
    return c.grads[0] * 3.0 * c.inputs[0] * c.inputs[0]


def wrong(primitive, match):
    """The report of a primitive that must be found wrong for a certain reason."""
    report = mg.check_primitive(primitive)
    assert not report.ok
    assert report.verdict == "wrong"
    assert any(match in p for p in report.problems), report.problems
    assert "wrong: " in str(report)
    return report


# -- gradients ----------------------------------------------------------------------------------


def test_a_right_primitive_is_right(plant):
    report = mg.check_primitive(unary(plant, right))
    assert report
    assert report.problems == ()
    assert report.first < 1e-9
    assert report.second < 1e-8


def test_wrong_sign(plant):
    report = wrong(unary(plant, lambda c: -right(c)), "order 1, argument 0: relative error 1.0e+00")
    assert report.first == pytest.approx(1.0)


def test_factor_1_001(plant):
    report = wrong(unary(plant, lambda c: 1.001 * right(c)), "relative error 5.0e-04")
    assert report.first == pytest.approx(0.001 / 2.001, rel=1e-3)


def bias_like(plant, rule):
    """A sum that broadcasts a row over the first axis, without the engine's help."""

    @plant(
        accepts="float",
        samples=lambda rng: [mg.Sample(rng.normal(size=(4, 3)), rng.normal(size=(1, 3)))],
    )
    def add_bias(x, b, /):
        """x + b."""
        return mg.bind(add_bias, x, b)

    add_bias.kernel(lambda xp, x, b: xp.add(x, b))
    add_bias.shape(lambda x, b: mg.Spec(broadcast(x.shape, b.shape), x.dtype))
    add_bias.gradient()(rule)
    return add_bias


def test_missing_sum_over_a_broadcast_axis(plant):
    wrong(bias_like(plant, lambda c: (c.grads[0], c.grads[0])), "returned shape (4, 3)")


def test_mean_for_a_sum_over_a_broadcast_axis(plant):
    def rule(c):
        return c.grads[0], mg.mean(c.grads[0], axis=0, keepdims=True)

    wrong(bias_like(plant, rule), "order 1, argument 1")


def test_one_row_for_the_sum_over_a_broadcast_axis(plant):
    wrong(bias_like(plant, lambda c: (c.grads[0], c.grads[0][:1])), "order 1, argument 1")


def test_the_sum_over_a_broadcast_axis(plant):
    def rule(c):
        return c.grads[0], mg.sum_to_like(c.grads[0], c.inputs[1])

    assert mg.check_primitive(bias_like(plant, rule)).ok


def product_like(plant, rule):
    @plant(
        accepts="float",
        samples=lambda rng: [mg.Sample(rng.normal(size=(3, 3)), rng.normal(size=(3, 3)))],
    )
    def product(a, b, /):
        """The matrix product of square matrices."""
        return mg.bind(product, a, b)

    product.kernel(lambda xp, a, b: xp.matmul(a, b))
    product.shape(lambda a, b: a)
    product.gradient(saves=("a", "b"))(rule)
    return product


def test_missing_transpose(plant):
    def rule(c):
        (g,), (a, b) = c.grads, c.inputs
        return g @ b, mg.matrix_transpose(a) @ g

    report = wrong(product_like(plant, rule), "order 1, argument 0")
    assert not any("order 1, argument 1" in p for p in report.problems)


def test_the_transposes(plant):
    def rule(c):
        (g,), (a, b) = c.grads, c.inputs
        return g @ mg.matrix_transpose(b), mg.matrix_transpose(a) @ g

    assert mg.check_primitive(product_like(plant, rule)).ok


def test_a_gradient_that_is_wrong_at_order_two_only(plant):
    def rule(c):
        return c.grads[0] * 3.0 * c.inputs[0] * mg.stop_gradient(c.inputs[0])

    report = wrong(unary(plant, rule), "order 2, argument 0")
    assert report.first < 1e-9


def test_a_gradient_that_hides_the_upstream_gradient_from_the_second_order(plant):
    def rule(c):
        return mg.stop_gradient(c.grads[0]) * 3.0 * c.inputs[0] * c.inputs[0]

    wrong(unary(plant, rule), "order 2, upstream of output 0")


def test_a_zero_upstream_gradient_must_give_zero(plant):
    report = wrong(unary(plant, lambda c: right(c) + 1e-12), "a zero upstream gradient gives")
    assert report.first < 1e-7


def test_a_rule_that_reads_a_value_it_does_not_save(plant):
    wrong(unary(plant, right, saves=()), "name it in the rule's `saves`")


def test_a_rule_of_the_wrong_dtype(plant):
    wrong(unary(plant, lambda c: mg.astype(right(c), "float32")), "returned float32 for input 'x'")


def test_a_rule_of_the_wrong_shape(plant):
    rule = lambda c: mg.sum(right(c), axis=0)[:2]  # noqa: E731
    wrong(unary(plant, rule), "returned shape (2,)")


def test_a_rule_of_the_wrong_arity(plant):
    wrong(unary(plant, lambda c: (right(c), None)), "returned 2 gradients for 1 inputs")


def test_a_rule_in_numpy(plant):
    def rule(c):
        return mg.asarray((c.grads[0] * 3.0).numpy() * c.inputs[0].numpy() ** 2)

    wrong(unary(plant, rule), "order 2")


def test_a_kink_needs_an_expected_gradient(plant):
    def rule(c):
        return c.grads[0] * mg.astype(c.inputs[0] > 0, c.grads[0].dtype)

    def kernel(xp, x):
        return xp.maximum(x, 0)

    at_kink = mg.Sample(np.array([-1.0, 0.0, 1.0]))
    planted = unary(plant, rule, kernel=kernel, samples=[at_kink])
    wrong(planted, "a kink at index (1,): slope 0 from the left, 1 from the right")
    mg.registry.unregister(planted)
    stated = at_kink.expecting([0.0, 0.0, 1.0])
    assert mg.check_primitive(unary(plant, rule, kernel=kernel, samples=[stated])).ok


def test_an_expected_gradient_that_does_not_come(plant):
    sample = mg.Sample(np.array([1.0, 2.0])).expecting([3.0, 13.0])
    wrong(unary(plant, right, samples=[sample]), "states the gradient [3.0, 13.0]")


def test_a_gradient_that_no_sample_shows(plant):
    wrong(unary(plant, right, samples=[mg.Sample(2.0)]), "none of its samples is differentiated")


def test_a_looser_bound_needs_its_reason_and_is_listed(plant):
    sample = mg.Sample(np.array([1.0, 2.0])).within(1e-2, 1e-2, "the kernel is a rough table")
    report = mg.check_primitive(unary(plant, lambda c: 1.001 * right(c), samples=[sample]))
    assert report.ok
    assert report.exceptions[0].endswith("within 1e-02 and 1e-02: the kernel is a rough table")


def test_composites_are_checked_too(plant):
    @plant(samples=lambda rng: [mg.Sample(rng.normal(size=3))])
    def forgetful(x, /):
        """x² of which the gradient forgets one factor."""
        return x * mg.stop_gradient(x)

    assert forgetful.is_composite
    wrong(forgetful, "order 1")


def test_an_incomplete_definition(plant):
    wrong(unary(plant, None), "neither a gradient nor a reason")


# -- everything else ----------------------------------------------------------------------------


def test_a_kernel_that_changes_its_input(plant):
    def kernel(xp, x):
        x *= 1.0 + 0.0 * x
        x += 1.0
        return x

    planted = unary(plant, lambda c: c.grads[0], kernel=kernel, saves=())
    wrong(planted, "the generic kernel changed its input")


def test_a_numpy_kernel_that_differs(plant):
    planted = unary(plant, right, numpy=lambda x: x**3 * (1.0 + 1e-9))
    wrong(planted, "the NumPy kernel: the result is")


def test_a_kernel_that_needs_contiguous_arrays(plant):
    def kernel(xp, x):
        if not x.flags.c_contiguous:
            return 2.0 * x
        return x * x * x

    wrong(unary(plant, right, kernel=kernel), "the generic kernel on strided arrays")


def test_a_kernel_that_widens_float32(plant):
    wrong(
        unary(plant, right, kernel=lambda xp, x: x.astype("float64") ** 3), "float32 gives float64"
    )


def shaped(plant, kernel, shape_rule, **options):
    @plant(
        samples=lambda rng: [mg.Sample(rng.normal(size=(2, 3)))],
        not_differentiable="it is a test",
        **options,
    )
    def planted(x, /):
        """Something with a shape rule."""
        return mg.bind(planted, x)

    planted.kernel(kernel)
    planted.shape(shape_rule)
    return planted


def test_a_shape_rule_that_is_wrong(plant):
    planted = shaped(plant, lambda xp, x: xp.sum(x, axis=0), lambda x: x)
    wrong(planted, "known shapes: the shape rule says (2, 3), the result has (3,)")


def test_a_dtype_rule_that_is_wrong(plant):
    planted = shaped(
        plant,
        lambda xp, x: xp.argmax(x, axis=0),
        lambda x: mg.Spec((x.shape or (0, 0))[1:], x.dtype),
    )
    wrong(planted, "the shape rule says float64, the result has int64")


def test_a_shape_rule_that_cannot_do_with_unknown_dimensions(plant):
    def rule(x):
        return mg.Spec((x.shape[0] * x.shape[1],), x.dtype)

    planted = shaped(plant, lambda xp, x: xp.reshape(x, (-1,)), rule)
    wrong(planted, "TypeError")


def test_a_shape_rule_may_refuse_what_it_cannot_know(plant):
    def rule(x):
        if x.shape is None or None in x.shape:
            raise mg.errors.ShapeError("the shape must be known")
        return mg.Spec((x.shape[0] * x.shape[1],), x.dtype)

    assert mg.check_primitive(shaped(plant, lambda xp, x: xp.reshape(x, (-1,)), rule)).ok


def test_error_samples_must_raise_what_they_say(plant):
    planted = unary(
        plant,
        right,
        errors=[
            mg.Fails(mg.errors.ShapeError, "no such thing", np.ones(2)),
            mg.Fails(mg.errors.DTypeError, "no such message", np.array(["a"], object)),
            mg.Fails(mg.errors.ShapeError, "", np.array(["a"], object)),
        ],
    )
    report = wrong(planted, "raised nothing")
    texts = "\n".join(report.problems)
    assert texts.count("raised nothing") == 2
    assert texts.count("does not match 'no such message'") == 2
    assert texts.count("raised DTypeError") == 2


# -- the command line ---------------------------------------------------------------------------


def table(*names):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(["gradcheck", *names])
    return status, out.getvalue().splitlines()


def test_the_table_has_a_row_for_each_name():
    status, lines = table("exp", "MatMul", "argmax")
    assert status == 0
    assert lines[0].split() == ["op", "node", "samples", "order", "1", "order", "2", "verdict"]
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["exp", "Exp"],
        ["matmul", "MatMul"],
        ["argmax", "ArgMax"],
    ]
    assert lines[1].endswith("right")
    assert lines[3].endswith("no gradient: an index is an integer")
    assert lines[-1] == "3 primitives: 3 right, 0 wrong"


def test_a_bad_one_gives_exit_status_1(plant):
    unary(plant, lambda c: 1.001 * right(c))
    status, lines = table("planted", "exp")
    assert status == 1
    assert lines[1].endswith("wrong")
    assert any("relative error 5.0e-04" in line for line in lines)
    assert lines[-1] == "2 primitives: 1 right, 1 wrong"


def test_an_unknown_name_gives_exit_status_1():
    status, lines = table("exp", "multipy")
    assert status == 1
    assert lines == ["no primitive is called 'multipy'; did you mean 'multiply'?"]


def test_exceptions_are_listed_with_their_reasons():
    status, lines = table("astype")
    assert status == 0
    assert "Exceptions, checked less strictly for the reasons given:" in lines
    assert any(line.endswith("float32 has too few digits to check") for line in lines)


def test_the_command_runs():
    run = subprocess.run(
        [sys.executable, "-m", "minigrad", "gradcheck", "add"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "1 primitives: 1 right, 0 wrong"


def test_no_names_mean_all(monkeypatch):
    kept = {"Exp": REGISTRY["Exp"], "Add": REGISTRY["Add"]}
    # By its module: mg.gradcheck is the function, not the package of the same name.
    monkeypatch.setattr(sys.modules[print_table.__module__], "REGISTRY", kept)
    out = io.StringIO()
    assert print_table(out=out) == 0
    assert [line.split()[0] for line in out.getvalue().splitlines()[1:3]] == ["add", "exp"]


def define_again(scale, *, with_gradient=True):
    @mg.primitive("Again", elementwise=True, accepts="float", samples=[mg.Sample(np.ones(2))])
    def again(x, /):
        """A cell of a notebook that is run more than once."""
        return mg.bind(again, x)

    @again.kernel
    def _(xp, x):
        return scale * x

    if with_gradient:

        @again.gradient
        def _(c):
            return scale * c.grads[0]

    return again


def test_a_definition_that_is_run_again_replaces_the_one_before():
    lacking = define_again(2.0, with_gradient=False)
    with pytest.raises(errors.RegistryError, match="neither a gradient nor a reason"):
        mg.verify()
    with pytest.raises(errors.NotDifferentiableError, match=r"decorate a rule with @again\."):
        mg.grad(lambda x: mg.sum(lacking(x)))(np.ones(2))
    mended = define_again(3.0)
    mg.verify()
    assert mg.check_primitive("again").ok
    assert mg.grad(mended)(2.0) == 3.0
    mg.registry.unregister(mended)


def test_definitions_with_mistakes_are_refused_with_a_reason():
    with pytest.raises(errors.RegistryError, match="accepts must be one of"):
        mg.primitive("X", accepts="flt", samples=[])
    with pytest.raises(errors.RegistryError, match="CamelCase"):
        mg.primitive("bad name", samples=[])
    with pytest.raises(errors.RegistryError, match="is defined twice"):

        @mg.primitive("Tanh", samples=[mg.Sample(1.0)])
        def tanh_too(x, /):
            """Taken."""

    made = define_again(1.0)
    made.samples = [np.ones(2)]
    with pytest.raises(errors.RegistryError, match=r"samples must be mg\.Sample"):
        mg.check_primitive(made)
    mg.registry.unregister(made)
