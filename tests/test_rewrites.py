"""Every rewrite: what it makes of a program, and that the results stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from built_programs import (
    BYTES,
    COMPLEX,
    HALF,
    INTEGERS,
    MATRICES,
    SINGLE,
    SMALL,
    SPECIALS,
    TRUTH,
    built,
    hot,
    log_softmax_of,
    names,
    run,
    same_bits,
    softmax_of,
)
from plan_runs import assert_same

import minigrad as mg
import minigrad.nn
from minigrad.compile.rewrite import RULES, rewrite
from minigrad.core.registry import REGISTRY

PRIMITIVES = sorted(REGISTRY.values(), key=lambda p: p.op)


class Example(NamedTuple):
    """What a rule does.

    Attributes:
        rule: its name.
        build: makes the program.
        arrays: what to feed.
        after: the names of the instructions that remain; None if the rule must do nothing.
        loosely: compare within roundings.
    """

    rule: str
    build: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    after: list[str] | None
    loosely: bool = False


def pairs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every element with every other."""
    return tuple(np.ascontiguousarray(a).reshape(-1) for a in np.meshgrid(x, x))


BOTH = pairs(SPECIALS)

EXAMPLES = [
    # arithmetic
    Example("nothing is done", lambda b, x: b.op("Positive", x), (SPECIALS,), []),
    Example("nothing is done", lambda b, x: b.op("Real", x), (SPECIALS,), []),
    Example("nothing is done", lambda b, x: b.op("Conj", x), (COMPLEX,), None),
    Example("times one", lambda b, x: b.map("Mul", x, 1), (SPECIALS,), []),
    Example("times one", lambda b, x: b.map("Mul", b.constant(-1.0), x), (SPECIALS,), ["Neg"]),
    Example("times one", lambda b, x: b.map("Mul", x, 1), (INTEGERS,), []),
    Example("times one", lambda b, x: b.map("Mul", x, 1), (COMPLEX,), None),
    Example(
        "times one",
        lambda b, x: b.map("Mul", x, b.full((2, 12), 1, "float64")),
        (SPECIALS,),
        [],
    ),
    Example("times zero of integers", lambda b, x: b.map("Mul", x, 0), (INTEGERS,), []),
    Example("times zero of integers", lambda b, x: b.map("Mul", x, 0), (SPECIALS,), None),
    Example("divided by one", lambda b, x: b.map("RealDiv", x, 1), (SPECIALS,), []),
    Example("divided by one", lambda b, x: b.map("RealDiv", x, -1), (SPECIALS,), ["Neg"]),
    *[
        Example(
            "divided by a power of two",
            lambda b, x, c=c: b.map("RealDiv", x, c),
            (SPECIALS,),
            after,
        )
        for c, after in [
            (4.0, ["Mul"]),
            (-0.125, ["Mul"]),
            (2.0**1022, ["Mul"]),
            (3.0, None),
            (2.0**-1030, None),
            (2.0**1023, None),
            (0.0, None),
            (np.inf, None),
            (np.nan, None),
        ]
    ],
    Example("integers divided by one", lambda b, x: b.map("FloorDiv", x, 1), (INTEGERS,), []),
    Example("integers divided by one", lambda b, x: b.map("FloorDiv", x, 1), (SPECIALS,), None),
    Example("plus zero", lambda b, x: b.map("Add", x, -0.0), (SPECIALS,), []),
    Example("plus zero", lambda b, x: b.map("Add", b.constant(-0.0), x), (SPECIALS,), []),
    Example("plus zero", lambda b, x: b.map("Add", x, 0.0), (SPECIALS,), None),
    Example("plus zero", lambda b, x: b.map("Add", x, 0), (INTEGERS,), []),
    Example("plus zero", lambda b, x: b.map("Add", b.map("Abs", x), 0.0), (SPECIALS,), ["Abs"]),
    Example("minus zero", lambda b, x: b.map("Sub", x, 0.0), (SPECIALS,), []),
    Example("minus zero", lambda b, x: b.map("Sub", x, -0.0), (SPECIALS,), None),
    Example("zero minus", lambda b, x: b.map("Sub", b.constant(-0.0), x), (SPECIALS,), ["Neg"]),
    Example("zero minus", lambda b, x: b.map("Sub", b.constant(0.0), x), (SPECIALS,), None),
    Example("zero minus", lambda b, x: b.map("Sub", b.constant(0, "uint8"), x), (BYTES,), ["Neg"]),
    Example("integers minus themselves", lambda b, x: b.map("Sub", x, x), (INTEGERS,), []),
    Example("integers minus themselves", lambda b, x: b.map("Sub", x, x), (SPECIALS,), None),
    Example("negated twice", lambda b, x: b.map("Neg", b.map("Neg", x)), (SPECIALS,), []),
    Example("negated twice", lambda b, x: b.map("Neg", b.map("Neg", x)), (INTEGERS,), []),
    Example(
        "plus what is negated",
        lambda b, x, y: (b.map("Add", x, b.map("Neg", y)), b.map("Add", b.map("Neg", x), y)),
        BOTH,
        ["Sub", "Sub"],
    ),
    Example(
        "minus what is negated", lambda b, x, y: b.map("Sub", x, b.map("Neg", y)), BOTH, ["Add"]
    ),
    Example(
        "both are negated",
        lambda b, x, y: b.map("Mul", b.map("Neg", x), b.map("Neg", y)),
        BOTH,
        ["Mul"],
    ),
    Example(
        "both are negated",
        lambda b, x, y: b.map("RealDiv", b.map("Neg", x), b.map("Neg", y)),
        BOTH,
        ["RealDiv"],
    ),
    Example(
        "negated and a constant",
        lambda b, x: (
            b.map("Mul", b.map("Neg", x), 3.0),
            b.map("RealDiv", b.constant(3.0), b.map("Neg", x)),
        ),
        (SPECIALS,),
        ["Mul", "RealDiv"],
    ),
    Example(
        "sign is lost",
        lambda b, x: (b.map("Square", b.map("Neg", x)), b.map("Abs", b.map("Abs", x))),
        (SPECIALS,),
        ["Square", "Abs"],
    ),
    Example(
        "sign is lost",
        lambda b, x: (b.map("Square", b.map("Abs", x)), b.map("Abs", b.map("Neg", x))),
        (INTEGERS,),
        ["Abs", "Square"],
    ),
    Example(
        "sign is lost",
        lambda b, x: b.map("Square", b.map("Abs", x)),
        (COMPLEX,),
        None,
        True,
    ),
    Example("times itself", lambda b, x: b.map("Mul", x, x), (SPECIALS,), ["Square"]),
    Example(
        "absolute of what is not negative",
        lambda b, x: b.map("Abs", b.map("Exp", x)),
        (SPECIALS,),
        ["Exp"],
    ),
    # powers
    Example("power of zero or one", lambda b, x: b.map("Pow", x, 0), (SPECIALS,), []),
    Example("power of zero or one", lambda b, x: b.map("Pow", x, 1), (SPECIALS,), []),
    Example("power of zero or one", lambda b, x: b.map("Pow", b.constant(1.0), x), (SPECIALS,), []),
    Example("power of zero or one", lambda b, x: b.map("Pow", x, 1), (INTEGERS,), []),
    Example("small whole power", lambda b, x: b.map("Pow", x, 2), (SPECIALS,), ["Square"], True),
    Example("small whole power", lambda b, x: b.map("Pow", x, 3), (INTEGERS,), ["Square", "Mul"]),
    Example(
        "small whole power", lambda b, x: b.map("Pow", x, 3), (SPECIALS,), ["Square", "Mul"], True
    ),
    Example(
        "small whole power", lambda b, x: b.map("Pow", x, -1), (SPECIALS,), ["Reciprocal"], True
    ),
    Example("small whole power", lambda b, x: b.map("Pow", x, 4), (SPECIALS,), None),
    Example("power of one half", lambda b, x: b.map("Pow", x, 0.5), (SPECIALS,), None),
    Example(
        "power of one half",
        lambda b, x: b.map("Pow", b.map("Square", x), 0.5),
        (SPECIALS,),
        ["Square", "Sqrt"],
        True,
    ),
    Example(
        "power of one half",
        lambda b, x: b.map("Pow", b.map("Add", b.map("Square", x), 1.0), -0.5),
        (SPECIALS,),
        ["Square", "Add", "Sqrt", "Reciprocal"],
        True,
    ),
    # casts
    Example(
        "cast to its own dtype", lambda b, x: b.op("Cast", x, dtype=mg.float64), (SPECIALS,), []
    ),
    *[
        Example(
            "cast of an exact cast",
            lambda b, x, between=between, to=to: b.op(
                "Cast", b.op("Cast", x, dtype=between), dtype=to
            ),
            (x,),
            after,
        )
        for x, between, to, after in [
            (SINGLE, mg.float64, mg.float32, []),
            (HALF, mg.float32, mg.float64, ["Cast"]),
            (BYTES, mg.float32, mg.uint8, []),
            (BYTES, mg.int64, mg.int8, ["Cast"]),
            (BYTES, mg.float32, mg.int8, None),
            (INTEGERS, mg.float64, mg.float32, ["Cast"]),
            (INTEGERS, mg.float32, mg.float64, None),
            (INTEGERS, mg.int8, mg.int64, None),
            (TRUTH, mg.int32, mg.float32, ["Cast"]),
            (TRUTH, mg.float64, mg.bool, []),
        ]
    ],
    # choices
    Example(
        "selection is known",
        lambda b, x, y: (
            b.map("Select", b.constant(True), x, y),
            b.map("Select", b.full(x.shape, False, bool), x, y),
            b.map("Select", b.map("Less", x, y), y, y),
        ),
        BOTH,
        [],
    ),
    Example(
        "selection by a negation",
        lambda b, c, x: b.map("Select", b.map("LogicalNot", c), x, b.map("Neg", x)),
        (TRUTH, SPECIALS[:3]),
        ["Neg", "Select"],
    ),
    Example("with itself", lambda b, x: b.map("Maximum", x, x), (SPECIALS,), []),
    Example("with itself", lambda b, x: b.map("LogicalOr", x, x), (TRUTH,), []),
    Example("beyond every number", lambda b, x: b.map("Maximum", x, -np.inf), (SPECIALS,), []),
    Example("beyond every number", lambda b, x: b.map("Minimum", x, np.inf), (SPECIALS,), []),
    Example("beyond every number", lambda b, x: b.map("Minimum", x, -np.inf), (SPECIALS,), None),
    Example(
        "limited twice",
        lambda b, x: b.map("Minimum", b.map("Minimum", x, 2.0), 2.0),
        (SPECIALS,),
        ["Minimum"],
    ),
    Example("rectified twice", lambda b, x: b.op("Relu", b.op("Relu", x)), (SPECIALS,), ["Relu"]),
    Example("not not", lambda b, x: b.map("LogicalNot", b.map("LogicalNot", x)), (TRUTH,), []),
    Example(
        "negated comparison",
        lambda b, x, y: b.map("LogicalNot", b.map("Equal", x, y)),
        BOTH,
        ["NotEqual"],
    ),
    Example(
        "negated comparison", lambda b, x, y: b.map("LogicalNot", b.map("Less", x, y)), BOTH, None
    ),
    Example(
        "negated comparison",
        lambda b, x, y: b.map("LogicalNot", b.map("LessEqual", x, y)),
        pairs(INTEGERS),
        ["Greater"],
    ),
    Example(
        "logic with a constant",
        lambda b, x: (
            b.map("LogicalAnd", x, b.constant(True)),
            b.map("LogicalAnd", b.constant(False), x),
            b.map("LogicalOr", x, b.constant(True)),
            b.map("LogicalOr", x, b.constant(False)),
        ),
        (TRUTH,),
        [],
    ),
    Example(
        "exclusive with a constant",
        lambda b, x: (
            b.map("LogicalXor", x, b.constant(False)),
            b.map("LogicalXor", x, b.constant(True)),
        ),
        (TRUTH,),
        ["LogicalNot"],
    ),
    # stable forms
    Example(
        "log of softmax",
        lambda b, x: b.map("Log", softmax_of(b, x, 1)),
        (MATRICES[0],),
        ["max", "Sub", "Exp", "sum", "Log", "Sub"],
        True,
    ),
    Example(
        "log of softmax",
        # Not what a softmax is: the sum is of something else.
        lambda b, x: b.map(
            "Log",
            b.map("RealDiv", b.map("Exp", x), b.reduce("sum", b.map("Exp", x), [1], True)),
        ),
        (MATRICES[0],),
        None,
    ),
    Example(
        "exp of log of softmax",
        lambda b, x: b.map("Exp", log_softmax_of(b, x, 1)),
        (MATRICES[0],),
        ["max", "Sub", "Exp", "sum", "RealDiv"],
        True,
    ),
    Example(
        "log of softmax in one step",
        lambda b, x: b.map("Log", b.op("Softmax", x, axis=-1)),
        (MATRICES[0].astype("float16"),),
        ["LogSoftmax"],
        True,
    ),
    Example(
        "log of sigmoid",
        lambda b, x: b.map("Log", b.map("Sigmoid", x)),
        (SMALL,),
        ["Neg", "Softplus", "Neg"],
        True,
    ),
    Example(
        "log of one plus exp",
        lambda b, x: (
            b.map("Log", b.map("Add", b.map("Exp", x), 1.0)),
            b.map("Log1p", b.map("Exp", x)),
        ),
        (SMALL,),
        ["Softplus"],
        True,
    ),
    Example(
        "log of one plus",
        lambda b, x: b.map("Log", b.map("Add", b.constant(1.0), x)),
        (SMALL,),
        ["Log1p"],
        True,
    ),
    Example(
        "exp minus one",
        lambda b, x: (
            b.map("Sub", b.map("Exp", x), 1.0),
            b.map("Add", b.constant(-1.0), b.map("Exp", x)),
        ),
        (SMALL,),
        ["Expm1"],
        True,
    ),
    Example(
        "exp minus one", lambda b, x: b.map("Sub", b.constant(1.0), b.map("Exp", x)), (SMALL,), None
    ),
    # reductions
    Example(
        "extreme of what is repeated",
        lambda b, x: b.reduce("max", b.broadcast(b.reshape(x, (12, 1)), (12, 7)), [1]),
        (SPECIALS,),
        [],
    ),
    Example(
        "extreme of what is repeated",
        lambda b, x: b.reduce("min", b.broadcast(x, (5, 12))),
        (SPECIALS,),
        ["min"],
    ),
    Example(
        "sum of what is repeated",
        lambda b, x: b.reduce("sum", b.broadcast(x, (5, 8)), [0]),
        (INTEGERS,),
        ["Mul"],
    ),
    Example(
        "sum of what is repeated",
        lambda b, x: b.reduce("sum", b.broadcast(x, (3, 12)), [0]),
        (SPECIALS,),
        ["Mul"],
        True,
    ),
    Example(
        "sum of what is repeated",
        lambda b, x: b.reduce("sum", b.broadcast(x, (2**24 + 1, 1)), [0]),
        (np.float32([2.0]),),
        None,
    ),
    Example(
        "sum of what is repeated",
        lambda b, x: b.reduce("sum", b.broadcast(x, (0, 12)), [0]),
        (SPECIALS,),
        None,
    ),
    Example(
        "reduced twice",
        lambda b, x: b.reduce("max", b.reduce("max", x, [1]), [1]),
        (MATRICES,),
        ["max"],
    ),
    Example(
        "reduced twice",
        lambda b, x: b.reduce("sum", b.reduce("sum", x, [2]), [0, 1]),
        (MATRICES,),
        ["sum"],
        True,
    ),
    Example(
        "reduced twice",
        lambda b, x: b.reduce("sum", b.reduce("sum", x, [0], keepdims=True), [1], keepdims=True),
        (MATRICES,),
        ["sum"],
        True,
    ),
    Example(
        "reduced twice",
        # The axes do not lie side by side.
        lambda b, x: b.reduce("sum", b.reduce("sum", x, [0]), [1]),
        (MATRICES,),
        None,
    ),
    # one-hot rows
    Example(
        "sum of a row with one number",
        lambda b, i, v: b.reduce("sum", hot(b, i, b.reshape(v, (12, 1)), 12), [1]),
        (np.arange(12) * 3 - 9, SPECIALS + 0.0),
        ["GreaterEqual", "Less", "LogicalAnd", "Select"],
    ),
    Example(
        "sum of a row with one number",
        # Not one number a row.
        lambda b, i, v: b.reduce("sum", hot(b, i, b.reshape(v, (1, 12)), 12), [1]),
        (np.arange(12), SPECIALS + 0.0),
        None,
    ),
    Example(
        "sum of a row with one number",
        # The sum is over the other axis.
        lambda b, i, v: b.reduce("sum", hot(b, i, b.reshape(v, (12, 1)), 12), [0]),
        (np.arange(12) // 2, np.arange(12.0)),
        None,
    ),
    # copies
    Example(
        "read without its copy",
        lambda b, x: b.map("Neg", b.slice(b.copy(b.swap_last(x)), (0, 1, 1), (1, 2, 1), (3, 2, 3))),
        (MATRICES,),
        ["Neg"],
    ),
    Example(
        "read without its copy",
        lambda b, x: b.copy(b.swap_last(b.copy(b.transpose(x, (2, 1, 0))))),
        (MATRICES,),
        ["copy"],
    ),
    Example(
        "read without its copy",
        # Twice read, a copy is kept.
        lambda b, x: (b.map("Neg", (y := b.copy(b.swap_last(x)))), b.map("Abs", y)),
        (MATRICES,),
        None,
    ),
    Example(
        "copy of what lies in order",
        lambda b, x: b.copy(b.transpose(b.copy(b.transpose(x, (1, 0, 2))), (1, 0, 2))),
        (MATRICES,),
        [],
    ),
    # matrices
    Example(
        "product without copies",
        lambda b, x: b.product(x, b.copy(b.swap_last(x))),
        (MATRICES,),
        ["product"],
        True,
    ),
    Example(
        "product without copies",
        # BLAS cannot read every other column.
        lambda b, x, y: b.product(b.copy(b.slice(x, (0, 0, 0), (1, 1, 2), (3, 4, 3))), y),
        (MATRICES, MATRICES[:, :3].copy()),
        None,
    ),
    Example(
        "outer product",
        lambda b, x, y: b.product(b.reshape(x, (12, 1)), b.reshape(y, (1, 12))),
        (SPECIALS, SPECIALS + 0.0),
        ["Mul"],
        True,
    ),
    Example(
        "one matrix for a whole batch",
        lambda b, x, y: b.product(x, b.broadcast(y, (3, 5, 2))),
        (MATRICES, MATRICES[0, :2].T.copy()),
        ["product"],
        True,
    ),
    Example(
        "sum of a batch of products",
        lambda b, x, y: b.reduce("sum", b.product(b.swap_last(x), y), [0]),
        (MATRICES, MATRICES[:, :, :2].copy()),
        ["product"],
        True,
    ),
    # folding
    Example(
        "constants are folded",
        lambda b, x: b.map("Add", x, b.map("Neg", b.map("Pow", x, 0))),
        (SPECIALS,),
        ["Add"],
    ),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.rule.replace(" ", "_"))
def test_what_a_rule_does(example):
    before = built(example.build, *example.arrays)
    expected = run(before, *example.arrays)
    after = rewrite(built(example.build, *example.arrays))
    found = run(after, *example.arrays)
    if example.after is None:
        assert example.rule not in after.notes
    else:
        assert after.notes[example.rule]
        assert names(after) == example.after
    for a, b in zip(expected, found, strict=True):
        if example.loosely:
            assert_same(a, b)
        else:
            same_bits(a, b)


def test_every_rule_has_an_example_and_says_what_it_does():
    assert {e.rule for e in EXAMPLES if e.after is not None} == {r.name for r in RULES}
    assert all(r.function.__doc__ for r in RULES)
    # Those that are said to be exact have been compared to the last bit.
    compared = {e.rule for e in EXAMPLES if e.after is not None and not e.loosely}
    assert compared >= {r.name for r in RULES if r.exact}
