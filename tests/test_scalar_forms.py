"""Every scalar form computes what its primitive's kernel does: on its samples and at corners."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from native_loops import element_loop

import minigrad as mg
import minigrad.nn
from minigrad.compile.native.scalars import Scalars
from minigrad.compile.native.types import has_type
from minigrad.core.operation import Operation
from minigrad.core.registry import REGISTRY

OPS = sorted(op for op, primitive in REGISTRY.items() if primitive.scalar_form is not None)

#: Where terms of a sum cancel, or a rounded argument moves the result by more, errors are relative
#: to what these functions of the inputs and the result give.
TERMS: dict[str, Any] = {
    "LogAddExp": lambda y, a, b: np.maximum(np.abs(np.maximum(a, b)), np.abs(y - np.maximum(a, b))),
    "Mish": lambda y, x: np.abs(x) * np.finfo(x.dtype).tiny,
    "BinaryEntropy": lambda y, p, t: 100 * (np.abs(t) + np.abs(1 - t)),
    "SigmoidCrossEntropy": lambda y, x, t, w=None: (
        (np.abs(t) * (1 if w is None else np.abs(w)) + np.abs(1 - t)) * (np.abs(x) + 1)
    ),
}


def _not_negative(x: Any, y: Any) -> list[Any]:
    return [x, np.maximum(y, 0) if y.dtype.kind == "i" else y]


#: What inputs are turned into for functions that are not defined everywhere.
DOMAINS: dict[str, Any] = {
    "Pow": _not_negative,
    "BinaryEntropy": lambda p, t: [np.clip(p, 0, 1), t],
}

Case = tuple[Operation, list[Any]]


def _sample_cases(op: str) -> list[Case]:
    """For each sample, a node of the op and the arrays it reads; None for one left out."""
    cases = []
    for sample in REGISTRY[op].make_samples():
        graph = mg.Graph()
        with graph.as_default():
            REGISTRY[op](*sample.args, **sample.kwargs)
        nodes = [o for o in graph.get_operations() if o.type == op]
        with mg.Session(graph=graph) as sess:
            for node in nodes:
                given = [x for x in node.inputs if x is not None]
                values = iter(sess.run(given))
                cases.append((node, [x if x is None else next(values) for x in node.inputs]))
    return [case for case in cases if _is_native(case)]


def _is_native(case: Case) -> bool:
    node, arrays = case
    dtypes = [a.dtype for a in arrays if a is not None] + [node.outputs[0].dtype.dtype]
    return all(has_type(d) for d in dtypes)


def _form(node: Operation, arrays: list[Any]) -> Any:
    """What writes the node's scalar form, from the inputs that are there."""
    form = REGISTRY[node.type].scalar_form
    assert form is not None

    def write(w: Any, *values: Any) -> Any:
        rest = iter(values)
        full = [None if a is None else next(rest) for a in arrays]
        return form(Scalars(w), *full, **node.attrs)

    return write


_loops: dict[Any, Any] = {}


def _native(node: Operation, arrays: list[Any]) -> Any:
    """What native code makes of arrays of one shape."""
    there = [a for a in arrays if a is not None]
    key = (node.type, repr(node.attrs), *[a if a is None else a.dtype for a in arrays])
    if key not in _loops:
        _loops[key] = element_loop(_form(node, arrays), [a.dtype for a in there])
    return _loops[key](*there)


def _kernel(node: Operation, arrays: list[Any]) -> Any:
    compute = REGISTRY[node.type].compute
    assert compute is not None
    with np.errstate(all="ignore"):
        return np.asarray(compute(np, *arrays, **node.attrs))


def _widened(a: Any) -> Any:
    return a.astype(np.float64) if a is not None and a.dtype == np.float32 else a


def _check(node: Operation, arrays: list[Any], ulps: float) -> None:
    there = [a for a in arrays if a is not None]
    shape = np.broadcast_shapes(*[a.shape for a in there])
    full = [a if a is None else np.ascontiguousarray(np.broadcast_to(a, shape)) for a in arrays]
    made, expected = _native(node, full), _kernel(node, full)
    assert made.dtype == expected.dtype
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(made, expected)
        return
    np.testing.assert_array_equal(np.isnan(made), np.isnan(expected))
    np.testing.assert_array_equal(np.isposinf(made), np.isposinf(expected))
    np.testing.assert_array_equal(np.isneginf(made), np.isneginf(expected))
    exact = expected
    if expected.dtype == np.float32:
        exact = _kernel(node, [_widened(a) for a in full])
    finite = np.isfinite(made) & np.isfinite(exact)
    size = np.abs(expected)
    if node.type in TERMS:
        with np.errstate(all="ignore"):
            size = np.maximum(size, TERMS[node.type](expected, *full))
    size = np.nan_to_num(size, nan=1.0, posinf=float(np.finfo(size.dtype).max))
    with np.errstate(all="ignore"):
        errors = np.abs(made.astype(np.float64) - exact) / np.spacing(size).astype(np.float64)
    errors = np.where(finite, errors, 0)
    if errors.size:
        worst = np.unravel_index(np.argmax(errors), errors.shape)
        at = [a if a is None else a[worst] for a in full]
        assert errors[worst] <= ulps, (
            f"{node.type}{node.attrs} of {at} {expected.dtype}: {made[worst]!r} is "
            f"{errors[worst]:.1f} ulp from {exact[worst]!r}"
        )


def _corners(dtype: np.dtype[Any]) -> Any:
    """Numbers of a dtype at which something may happen."""
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        some = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7, 31, 33, 64, 100]
        return np.array([*some, *[-i for i in (1, 2, 3, 7) if info.min]], dtype)
    info = np.finfo(dtype)
    positive = [0.0, info.smallest_subnormal, info.tiny, info.eps, 1e-3, 0.25, 0.5, 1.0, 1.5, 2.0]
    positive += [1 - info.epsneg, 3.0, 4.5, 6.0, 20.0, 90.0, 710.0, 1e5, 2.0**40, info.max, np.inf]
    return np.array([np.nan, *positive, *[-p for p in positive]], dtype)


def _corner_cases(node: Operation, arrays: list[Any]) -> list[list[Any]]:
    there = [a for a in arrays if a is not None]
    corners = [_corners(a.dtype) for a in there]
    rng = np.random.default_rng(1)
    made = [np.array(column) for column in zip(*itertools.product(*corners), strict=True)]
    made = [a.astype(b.dtype) for a, b in zip(made, there, strict=True)]
    if any(a.dtype.kind != "f" for a in there):
        sets = [made]
    else:
        drawn = [(rng.normal(size=4099) * 3).astype(a.dtype) for a in there]
        with np.errstate(all="ignore"):
            wide = [(2.0 ** rng.uniform(-40, 40, 4099)).astype(a.dtype) for a in there]
        wide = [a * rng.choice(np.array([-1, 1], a.dtype), 4099) for a in wide]
        sets = [made, drawn, wide]
    if node.type in DOMAINS:
        sets = [DOMAINS[node.type](*given) for given in sets]
    rests = [iter(given) for given in sets]
    return [[a if a is None else next(rest) for a in arrays] for rest in rests]


@pytest.mark.parametrize("op", OPS)
def test_samples(op: str) -> None:
    cases = _sample_cases(op)
    assert cases
    for node, arrays in cases:
        assert _kernel(node, arrays).dtype == node.outputs[0].dtype.dtype
        _check(node, arrays, 4)


@pytest.mark.parametrize("op", OPS)
def test_corners(op: str) -> None:
    seen = set()
    for node, arrays in _sample_cases(op):
        for dtype in (None, np.dtype(np.float32), np.dtype(np.float64)):
            given = [
                a if a is None or dtype is None or a.dtype.kind != "f" else a.astype(dtype)
                for a in arrays
            ]
            key = (repr(node.attrs), *[a if a is None else a.dtype for a in given])
            if key in seen or not (dtype is None or node.type != "Cast"):
                continue
            seen.add(key)
            for case in _corner_cases(node, given):
                _check(node, case, 8)
