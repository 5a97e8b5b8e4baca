"""Softmax, its relatives and gates as modules."""

from __future__ import annotations

from typing import Any

from minigrad.nn.functional.activations.gates import glu, maxout
from minigrad.nn.functional.activations.softmax import hardmax, log_softmax, softmin
from minigrad.nn.modules.activations.simple import Activation
from minigrad.nn.modules.base.arguments import size_argument
from minigrad.ops.statistics import softmax

__all__ = [
    "GLU",
    "Hardmax",
    "LogSoftmax",
    "Maxout",
    "Softmax",
    "Softmin",
]


class Softmax(Activation):
    """`softmax` as a module: exp(x) / sum(exp(x)) along an axis.

    Args:
        axis: the axis, or several.
        name: see `Module`.

    Raises:
        ShapeError: (from a call) an axis is out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Softmax()(mg.constant([1000.0, 1000.0])).tolist()
    [0.5, 0.5]
    """

    function = staticmethod(softmax)

    def __init__(self, axis: Any = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"axis": axis}


class LogSoftmax(Activation):
    """`log_softmax` as a module: the logarithm of `softmax`.

    Args:
        axis: the axis, or several.
        name: see `Module`.

    Raises:
        ShapeError: (from a call) an axis is out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.LogSoftmax()(mg.constant([-1000.0, 1000.0])).tolist()
    [-2000.0, 0.0]
    """

    function = staticmethod(log_softmax)

    def __init__(self, axis: Any = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"axis": axis}


class Softmin(Activation):
    """`softmin` as a module: softmax(-x).

    Args:
        axis: the axis, or several.
        name: see `Module`.

    Raises:
        ShapeError: (from a call) an axis is out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Softmin()(mg.constant([-1000.0, 1000.0])).tolist()
    [1.0, 0.0]
    """

    function = staticmethod(softmin)

    def __init__(self, axis: Any = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"axis": axis}


class Hardmax(Activation):
    """`hardmax` as a module: 1 where the largest element is, 0 elsewhere.

    Args:
        axis: the axis.
        name: see `Module`.

    Raises:
        ShapeError: (from a call) the axis is out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Hardmax()(mg.constant([-1.0, 3.0])).tolist()
    [0.0, 1.0]
    """

    function = staticmethod(hardmax)

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"axis": axis}


class GLU(Activation):
    """`glu` as a module: the first half of the features times the sigmoid of the second.

    Args:
        axis: the axis of features.
        name: see `Module`.

    Raises:
        ShapeError: (from a call) the number of features is odd, or the axis out of range.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.GLU()(mg.constant([4.0, 0.0])).tolist()
    [2.0]
    """

    function = staticmethod(glu)

    def __init__(self, axis: int = -1, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"axis": axis}


class Maxout(Activation):
    """`maxout` as a module: the largest of each group of neighbouring features.

    Args:
        pieces: how many features make a group.
        axis: the axis of features.
        name: see `Module`.

    Raises:
        ArgumentError: `pieces` is less than 1.
        ShapeError: (from a call) the number of features is no multiple of it.

    >>> import minigrad as mg, minigrad.nn as nn
    >>> nn.Maxout(2)(mg.constant([1.0, 3.0, -2.0, -4.0])).tolist()
    [3.0, -2.0]
    """

    function = staticmethod(maxout)

    def __init__(self, pieces: int, *, axis: int = -1, name: str | None = None) -> None:
        super().__init__(name=name)
        self.options = {"pieces": size_argument("Maxout", "pieces", pieces), "axis": axis}
