"""What primitives come down to in programs gives what their kernels give."""

from __future__ import annotations

import numpy as np
import pytest
from plan_runs import FAST, Case, assert_same, interpreted

import minigrad as mg
import minigrad.nn
import minigrad.optim
from minigrad.compile.builder import NotPlanned
from minigrad.compile.interpret import Repeat
from minigrad.core.registry import REGISTRY
from minigrad.errors import MinigradError
from minigrad.gradcheck.contracts import Lazy, is_differentiated
from minigrad.gradcheck.samples import calls, describe

LOWERED = sorted((p for p in REGISTRY.values() if p.lowering_form is not None), key=lambda p: p.op)

every_lowered = pytest.mark.parametrize("primitive", LOWERED, ids=lambda p: p.name)


def agree(case):
    """Compare a program with the reference executor; the program, or None where none is made."""
    try:
        program = case.program()
    except NotPlanned:
        return None
    # With a stride, the generic kernel of transposed convolutions multiplies infinite weights by
    # the zeros that it puts between elements; those that plans stand beside do not.
    special = any(i.kind == "special" for i in program.instructions)
    try:
        expected, _ = case.reference(FAST) if special else case.reference()
    except MinigradError:
        with pytest.raises((Repeat, MinigradError)):
            case.run(program, interpreted(program), FAST)
        return program
    with np.errstate(all="ignore"):
        found, _ = case.run(program, interpreted(program), FAST)
    for a, b in zip(expected, found, strict=True):
        assert_same(a, b)
    return program


def drawn(array, rng):
    """An array like this one of values of all kinds."""
    if array.dtype.kind == "f":
        special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, 3.0, 3.0, -2e4]
        values = rng.normal(size=array.shape)
        chosen = rng.random(array.shape) < rng.choice([0.0, 0.15, 0.6])
        values = np.where(chosen, rng.choice(special, size=array.shape), values)
        return values.astype(array.dtype)
    if array.dtype.kind in "iu":
        low = -3 if array.dtype.kind == "i" else 0
        return rng.integers(low, 5, size=array.shape).astype(array.dtype)
    if array.dtype.kind == "b":
        return rng.random(array.shape) < 0.5
    return array


@every_lowered
@pytest.mark.parametrize("narrow", [False, True], ids=["float64", "float32"])
def test_values_of_all_kinds(primitive, narrow):
    rng = np.random.default_rng(len(primitive.op))
    for sample, call in calls(primitive):
        if call.graph_only:
            continue
        if narrow:
            call.arrays = call.narrowed()
        lazy = Lazy(call, lambda a: a.shape)
        session = mg.Session(graph=lazy.graph)
        session.run(lazy._initializers)
        for _ in range(6):
            print(describe(sample))
            feeds = {t: drawn(a, rng) for t, a in lazy.feeds.items()}
            agree(Case(lazy.graph, lazy.outputs, feeds, session))


@every_lowered
def test_gradients_of_first_and_second_order(primitive):
    for sample, call in calls(primitive):
        if not is_differentiated(primitive, sample, call) or call.graph_only:
            continue
        print(describe(sample))
        lazy = Lazy(call, lambda a: a.shape)
        sources = [lazy.inputs[i] for i in call.free]
        with lazy.graph.as_default():
            outputs = [t for t in lazy.outputs if t.dtype.is_floating]
            first = [
                mg.convert_to_tensor(g) for g in mg.gradients(outputs, sources) if g is not None
            ]
            second = []
            if sample.max_order > 1 and first:
                second = [g for g in mg.gradients(first, sources) if g is not None]
        session = mg.Session(graph=lazy.graph)
        session.run(lazy._initializers)
        agree(Case(lazy.graph, [*first, *second], lazy.feeds, session))


def kept_calls(build, *arrays):
    """The kernels that a program of `build` still calls, beside those of one element."""
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build(*inputs)
    fetches = list(made) if isinstance(made, list | tuple) else [made]
    program = agree(Case(graph, fetches, dict(zip(inputs, arrays, strict=True))))
    assert program is not None
    return {
        i.name
        for i in program.instructions
        if i.kind == "call" and not (i.primitive.elementwise or i.name == "Cast")
    }


def floats(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def losses_gradient(x, labels):
    loss = mg.nn.cross_entropy(x, labels)
    return [loss, *mg.gradients(loss, [x])]


def gradients_of(function):
    def build(*inputs):
        made = function(*inputs)
        return [made, *mg.gradients(made, list(inputs))]

    return build


@pytest.mark.parametrize(
    ("build", "arrays"),
    [
        (gradients_of(lambda x, w: mg.nn.relu(x @ w)), (floats(4, 3), floats(3, 2))),
        (gradients_of(lambda x, w: mg.matmul(x, w)), (floats(2, 4, 3), floats(3, 2))),
        (gradients_of(lambda x, w: mg.matmul(x, w)), (floats(2, 4, 3), floats(3))),
        (gradients_of(lambda x, w: mg.matmul(x, w)), (floats(3), floats(5, 3, 2))),
        (gradients_of(lambda x, w: mg.matmul(x, w)), (floats(2, 1, 4, 3), floats(5, 3, 2))),
        (gradients_of(lambda x: mg.nn.softmax(x, axis=-1) * x), (floats(4, 3),)),
        (gradients_of(lambda x: mg.nn.log_softmax(x, axis=0) * x), (floats(4, 3),)),
        (gradients_of(lambda x: mg.logsumexp(x, axis=(0, 2))), (floats(4, 3, 2),)),
        (losses_gradient, (floats(4, 3), np.array([0, 2, 1, 1]))),
        (gradients_of(lambda x: mg.nn.layer_norm(x)), (floats(4, 3),)),
        (gradients_of(lambda x: mg.nn.rms_norm(x)), (floats(4, 3),)),
        (gradients_of(lambda x: mg.nn.batch_norm_training(x)[0]), (floats(4, 3),)),
        (gradients_of(lambda x: mg.var(x, axis=0) + mg.std(x, axis=0)), (floats(4, 3),)),
        (gradients_of(lambda x: mg.mean(x, axis=1) * mg.max(x, axis=1)), (floats(4, 3),)),
        (gradients_of(lambda x: mg.permute_dims(mg.reshape(x, (2, 6)), (1, 0))), (floats(4, 3),)),
        (
            gradients_of(lambda x, y: mg.einsum("bthd,bshd->bhts", x, y)),
            (floats(2, 3, 2, 4), floats(2, 5, 2, 4)),
        ),
        (
            gradients_of(lambda x, y: mg.einsum("...ij,jk->...ki", x, y)),
            (floats(2, 3, 4), floats(4, 2)),
        ),
        (gradients_of(lambda x, y: mg.einsum("i,j->ji", x, y)), (floats(3), floats(4))),
        (gradients_of(lambda x, y: mg.einsum("ij,ij->", x, y)), (floats(3, 4), floats(3, 4))),
        (gradients_of(lambda x: mg.einsum("iij->j", x)), (floats(3, 3, 2),)),
        (
            gradients_of(lambda x, y, z: mg.einsum("ij,jk,ki->", x, y, z)),
            (floats(3, 4), floats(4, 5), floats(5, 3)),
        ),
        (
            gradients_of(lambda x, y, z: mg.einsum("ij,jk,kl->il", x, y, z)),
            (floats(20, 4), floats(4, 30), floats(30, 8)),
        ),
        (
            gradients_of(lambda x, y: mg.tensordot(x, y, axes=([0, 2], [1, 0]))),
            (floats(3, 2, 4), floats(4, 3, 2)),
        ),
        (lambda x: mg.split(x, 2, axis=1), (floats(4, 6),)),
        (lambda x: mg.unstack(x[:, ::-2], axis=1), (floats(4, 6),)),
        (lambda x: x[1, ..., None, 2:0:-1], (floats(3, 2, 4),)),
        (lambda x: mg.one_hot(x, 3), (np.array([0, 2, 5, -1]),)),
        (lambda x: mg.tril(x) + mg.triu(x, k=1) + mg.linalg.diagonal(x), (floats(3, 3),)),
    ],
)
def test_what_matters_calls_no_kernel(build, arrays):
    assert kept_calls(build, *arrays) == set()


def refused(build, *arrays):
    """Whether a check of the program fails, where the reference executor raises."""
    with mg.Graph().as_default() as graph:
        inputs = [mg.placeholder(a.dtype, a.shape) for a in arrays]
        made = build(*inputs)
    case = Case(graph, [made], dict(zip(inputs, arrays, strict=True)))
    with pytest.raises(MinigradError):
        case.reference()
    program = case.program()
    with pytest.raises(Repeat):
        case.run(program, interpreted(program))
    return True


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_class_out_of_range_fails_a_check(wrong):
    labels = np.array([0, wrong])
    assert refused(lambda x, y: mg.nn.cross_entropy(x, y), floats(2, 3), labels)


@pytest.mark.parametrize("wrong", [-4, 3])
@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_an_index_out_of_range_fails_a_check(wrong, dtype):
    indices = np.array([[0], [wrong]], dtype)
    assert refused(lambda x, i: mg.take_along_axis(x, i, axis=1), floats(2, 3), indices)


@pytest.mark.parametrize("rate", [-0.5, 1.5, np.nan])
def test_a_bad_rate_fails_a_check(rate):
    assert refused(lambda x, p: mg.nn.dropout(x, p, seed=1), floats(3), np.array(rate, "float32"))
