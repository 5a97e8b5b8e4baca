"""Sample calls of the convolution's primitives: small, and among them every option."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad.core.samples import Fails, Sample
from minigrad.core.tensor import Array
from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError
from minigrad.nn.functional.windows import Ints

__all__: list[str] = []


def normal(rng: np.random.Generator, *shape: int) -> Array:
    """Normal numbers of a shape."""
    made: Array = rng.normal(size=shape)
    return made


def samples(rng: np.random.Generator) -> list[Sample]:
    numbers = functools.partial(normal, rng)
    wide = {"data_format": "NWC"}
    return [
        Sample(numbers(1, 3, 4, 2), numbers(2, 2, 2, 2)),
        Sample(numbers(2, 6, 1), numbers(2, 1, 2), stride=3, **wide).named("a remainder"),
        Sample(numbers(1, 5, 2), numbers(2, 2, 1), dilation=3, **wide).named("dilation"),
        Sample(numbers(1, 5, 1), numbers(3, 1, 2), stride=2, padding="SAME", **wide),
        Sample(numbers(1, 4, 4), numbers(2, 2, 2), groups=2, **wide).named("groups"),
        Sample(numbers(2, 3, 3), numbers(2, 3, 2), groups=None, **wide).named("depthwise"),
        Sample(numbers(1, 3, 2, 1), numbers(2, 3, 1, 1), padding=((0, 2), (1, 1)), stride=(1, 2)),
        Sample(numbers(1, 2, 3, 3), numbers(2, 2, 2, 1), data_format="NCHW"),
        Sample(numbers(1, 6, 4), numbers(1, 3, 4), groups=2, stride=2, data_format="NCW"),
        Sample(numbers(1, 2, 3, 2, 1), numbers(2, 2, 1, 1, 2), data_format="NDHWC"),
        Sample(numbers(0, 3, 2), numbers(2, 2, 1), **wide).named("no examples"),
        Sample(numbers(1, 3, 2).astype("float16"), numbers(2, 2, 1).astype("float16"), **wide),
        Sample(np.array([[[1], [2], [3]]]), np.array([[[1]], [[2]]]), **wide).named("integers"),
    ]


_WIDE = {"data_format": "NWC"}
ERRORS = [
    Fails(ShapeError, "must have rank 4", np.ones((1, 3, 2)), np.ones((2, 2, 2, 1))),
    Fails(ShapeError, "kernel must have rank 3", np.ones((1, 3, 2)), np.ones((2, 2)), **_WIDE),
    Fails(ShapeError, "3 channels.* takes 2", np.ones((1, 3, 3)), np.ones((2, 2, 1)), **_WIDE),
    Fails(ShapeError, "takes 4", np.ones((1, 3, 2)), np.ones((2, 2, 2)), groups=2, **_WIDE),
    Fails(ShapeError, "does not fit", np.ones((1, 3, 1)), np.ones((2, 1, 1)), dilation=3, **_WIDE),
    Fails(ShapeError, "at least one", np.ones((1, 3, 1)), np.ones((0, 1, 1)), **_WIDE),
    Fails(ArgumentError, "not divide", np.ones((1, 3, 4)), np.ones((1, 2, 3)), groups=2, **_WIDE),
    Fails(ArgumentError, "groups must be", np.ones((1, 3, 1)), np.ones((1, 1, 1)), groups=0),
    Fails(ArgumentTypeError, "groups must be", np.ones((1, 3, 1)), np.ones((1, 1, 1)), groups="a"),
]


def transposed_samples(rng: np.random.Generator) -> list[Sample]:
    numbers = functools.partial(normal, rng)
    wide = {"data_format": "NWC"}
    like = np.zeros((1, 6, 2))
    return [
        Sample(numbers(1, 2, 2, 2), numbers(2, 2, 1, 2), stride=(1, 2)),
        Sample(numbers(2, 2, 2), numbers(2, 1, 2), stride=3, output_padding=2, **wide),
        Sample(numbers(1, 2, 1), numbers(3, 2, 1), stride=2, padding="SAME", **wide),
        Sample(numbers(1, 2, 4), numbers(2, 1, 4), stride=2, groups=2, dilation=3, **wide),
        Sample(numbers(1, 4, 1), numbers(3, 6, 1), padding=(((1, 2),)), **wide).named("6 outputs"),
        Sample(numbers(1, 2, 1), numbers(2, 1, 1), stride=3, output_shape=[7], **wide),
        Sample(
            numbers(1, 2, 1), numbers(2, 1, 1), stride=3, output_shape=np.array([1, 6, 1]), **wide
        ),
        Sample(numbers(1, 2, 4), numbers(2, 1, 4), like, stride=3, groups=2, **wide).fixed(2),
        Sample(numbers(1, 3, 4), numbers(4, 2, 2), like, groups=None, **wide).fixed(2),
        Sample(numbers(1, 2, 2, 1), numbers(2, 1, 1, 2), stride=2, data_format="NCHW"),
        Sample(numbers(1, 1, 2, 1, 1), numbers(2, 1, 2, 1, 1), data_format="NDHWC"),
        Sample(numbers(0, 3, 2), numbers(2, 1, 2), **wide).named("no examples"),
    ]


TRANSPOSED_ERRORS = [
    Fails(ShapeError, "must have rank 4", np.ones((1, 3, 2)), np.ones((2, 2, 2, 2))),
    Fails(ShapeError, "kernel must have rank 3", np.ones((1, 3, 2)), np.ones((2, 2)), **_WIDE),
    Fails(ShapeError, "3 channels.* takes 2", np.ones((1, 3, 3)), np.ones((2, 3, 2)), **_WIDE),
    Fails(ShapeError, "leaves nothing", np.ones((1, 1, 1)), np.ones((2, 1, 1)), padding=1, **_WIDE),
    Fails(ShapeError, "no elements", np.ones((1, 0, 1)), np.ones((2, 1, 1)), **_WIDE),
    Fails(
        *(ShapeError, r"cannot have shape \(1, 9, 1\)"),
        *(np.ones((1, 2, 1)), np.ones((2, 1, 1))),
        output_shape=[9],
        **_WIDE,
    ),
    Fails(
        *(ShapeError, "1 spatial sizes"),
        *(np.ones((1, 2, 1)), np.ones((2, 1, 1))),
        output_shape=[9, 9],
        **_WIDE,
    ),
    Fails(
        *(ArgumentError, "not divide"),
        *(np.ones((1, 2, 3)), np.ones((2, 1, 3))),
        groups=2,
        **_WIDE,
    ),
    Fails(
        *(ArgumentError, "below the stride"),
        *(np.ones((1, 2, 1)), np.ones((2, 1, 1))),
        output_padding=1,
        **_WIDE,
    ),
    Fails(
        *(ArgumentError, "'SAME' .* output_shape"),
        *(np.ones((1, 2, 1)), np.ones((2, 1, 1))),
        output_padding=1,
        stride=2,
        padding="SAME",
        **_WIDE,
    ),
    Fails(
        *(ArgumentError, "not both"),
        *(np.ones((1, 2, 1)), np.ones((2, 1, 1))),
        output_padding=1,
        stride=2,
        output_shape=[4],
        **_WIDE,
    ),
]


def kernel_samples(rng: np.random.Generator) -> list[Sample]:
    def call(x: Ints, g: Ints, kernel: Ints, **attrs: Any) -> Sample:
        attrs = {"data_format": "NWC"} | attrs
        return Sample(rng.normal(size=x), rng.normal(size=g), np.zeros(kernel), **attrs).fixed(2)

    return [
        call((1, 3, 3, 2), (1, 2, 2, 2), (2, 2, 2, 2), data_format="NHWC"),
        call((2, 6, 1), (2, 2, 2), (2, 1, 2), stride=3),
        call((1, 5, 2), (1, 2, 1), (2, 2, 1), dilation=3),
        call((1, 5, 4), (1, 3, 2), (3, 2, 2), stride=2, padding="SAME", groups=2),
        call((2, 3, 2), (2, 2, 4), (2, 2, 2), groups=None),
        call((1, 3, 3), (1, 1, 4), (1, 3, 1), padding=[(0, 1)], data_format="NCW"),
        call((0, 3, 2), (0, 2, 1), (2, 2, 1)).named("no examples"),
    ]


KERNEL_ERRORS = [
    Fails(
        *(ShapeError, r"has shape \(1, 3, 1\), the convolution \(1, 2, 1\)"),
        *(np.ones((1, 3, 1)), np.ones((1, 3, 1)), np.ones((2, 1, 1))),
        **_WIDE,
    )
]
