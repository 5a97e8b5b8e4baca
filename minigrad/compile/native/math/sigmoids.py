"""Functions made of one exponential, and a logarithm of what is near 1."""

from __future__ import annotations

from minigrad.compile.native.math.common import INF, exact_sum
from minigrad.compile.native.math.exponential import exp_down
from minigrad.compile.native.math.logarithm import log1p_unit
from minigrad.compile.native.writer import Value, Writer


def sigmoid(w: Writer, x: Value) -> Value:
    """1/(1 + exp(-x)), to full relative accuracy on both sides."""
    e = exp_down(w, w.neg(w.abs(x)))
    one = w.like(1.0, x)
    over = w.select(w.compare("<", x, w.like(0.0, x)), e, one)
    return w.div(over, w.add(e, one))


def softplus(w: Writer, x: Value) -> Value:
    """log(1 + exp(x))."""
    rest = log1p_unit(w, exp_down(w, w.neg(w.abs(x))))
    zero = w.like(0.0, x)
    return w.add(w.select(w.compare("<", x, zero), zero, x), rest)


def log_sigmoid(w: Writer, x: Value) -> Value:
    """log(sigmoid(x))."""
    return w.neg(softplus(w, w.neg(x)))


def logaddexp(w: Writer, a: Value, b: Value) -> Value:
    """log(exp(a) + exp(b)). The error is that of a sum of the larger argument and a logarithm."""
    larger = w.maximum(a, b)
    smaller = w.select(w.compare("<", a, b), a, b)
    distance = exact_sum(w, smaller, w.neg(larger))
    # What an infinite difference lost would be NaN.
    finite = w.compare(">", distance.high, w.like(-1000.0, a))
    lost = w.select(finite, distance.low, w.like(0.0, a))
    made = w.add(larger, log1p_unit(w, exp_down(w, distance.high, low=lost)))
    infinite = w.compare("==", w.abs(larger), w.like(INF, a))
    return w.select(infinite, larger, made)
