"""The convolution's gradient for its input: the transposed convolution.

With a stride, the places of the input fall into classes, by their position modulo the stride. The
windows that see a place of one class see it with the same taps; so each class is a convolution of
its own, without a stride, of the upstream gradient with some of the kernel's taps turned around.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.convolution.channelwise import Channelwise, emit_channelwise
from minigrad.compile.native.convolution.gather import Operands, emit_gather
from minigrad.compile.native.convolution.packing import Packing, emit_packing
from minigrad.compile.native.convolution.padding import Padded, emit_padding
from minigrad.compile.native.convolution.spec import ConvolutionSpec
from minigrad.compile.native.convolution.tile import Gather
from minigrad.compile.native.convolution.tiles import channel_blocks
from minigrad.compile.native.kernel import Epilogue, Kernel, Phase
from minigrad.compile.native.memory import Scratch
from minigrad.compile.native.writer import Module

#: More classes than this would be more code than they are worth.
_MOST_CLASSES = 64


class _Class(NamedTuple):
    """The places of one axis that lie alike to the windows, and the taps that see them.

    Attributes:
        start: the first such place.
        places: how many.
        tap: the first tap, that which belongs to the first of the windows.
        step: from one tap to the next, below 0.
        taps: how many.
        first: the window that sees the first place with the first tap; it may not exist.
        dilation: windows from one tap to the next.
    """

    start: int
    places: int
    tap: int
    step: int
    taps: int
    first: int
    dilation: int


def emit_convolution_input_gradient(
    module: Module, spec: ConvolutionSpec, epilogue: Epilogue | None = None
) -> Kernel | None:
    """The gradient for the input. Args: g, kernel; dx; scratch; then what the epilogue needs.

    Args:
        module: where the functions go.
        spec: the convolution whose gradient this is.
        epilogue: what is done to each vector of dx before it is stored; its row counts the places
            of all examples, its column is the channel.

    Returns:
        None if the strides are so large that it would be too much code.
    """
    s = spec.raised if spec.depthwise else spec.merged
    if math.prod(s.stride) > _MOST_CLASSES:
        return None
    t = s.type
    places = s.places
    blocks = channel_blocks(module, t, s.inner)
    classes = [
        [c for c in _classes(n, k, stride, d, before) if c.places]
        for n, k, stride, d, (before, _) in zip(
            s.sizes, s.window, s.stride, s.dilation, s.padding, strict=True
        )
    ]
    if spec.depthwise:
        return _depthwise(module, s, classes, epilogue)
    padding = [_padding(found, m) for found, m in zip(classes, places, strict=True)]
    padded = Padded(t, s.batch, places, tuple(padding), s.outputs)
    scratch = Scratch()
    image = scratch.take(padded.bytes)
    source, start = (3, image) if padded.any else (0, 0)
    rows = (s.sizes[1] * s.sizes[2], s.sizes[2], 1)
    phases: list[Phase] = []
    last: list[Phase] = []
    for chosen in itertools.product(*classes):
        packing = Packing(
            *(t, s.window, s.inner, s.outer, s.groups),
            first=tuple([c.tap for c in chosen]),
            step=tuple([c.step for c in chosen]),
            taps=tuple([c.taps for c in chosen]),
            blocks=blocks,
            transposed=True,
        )
        axes = [
            Axis(c.places, c.taps, 1, c.dilation, c.first, m, unit, row * stride)
            for c, m, unit, row, stride in zip(
                chosen, places, padded.units, rows, s.stride, strict=True
            )
        ]
        begin = sum(
            (c.first + before) * unit
            for c, (before, _), unit in zip(chosen, padding, padded.units, strict=True)
            if c.taps
        )
        gather = Gather(
            *(t, s.batch, (axes[0], axes[1], axes[2]), padded.image, begin, s.outer, s.groups),
            *(blocks, s.sizes[0] * rows[0]),
            row=sum(c.start * row for c, row in zip(chosen, rows, strict=True)),
            zeros=False,
        )
        flags = scratch.take(packing.flag_bytes)
        weights = scratch.take(packing.bytes)
        at = Operands(source, start, 3, weights, flags, packing.units, 2)
        made = emit_gather(module, gather, at, epilogue)
        if made is not None:
            if packing.units:
                phases.append(emit_packing(module, packing, 1, 3, weights, flags))
            last.append(made)
    if not last:
        return Kernel((), scratch.bytes)
    if padded.any:
        phases.insert(0, emit_padding(module, padded, 0, 3, image))
    return Kernel((*phases, *last), scratch.bytes)


def _depthwise(
    module: Module, s: ConvolutionSpec, classes: list[list[_Class]], epilogue: Epilogue | None
) -> Kernel:
    """The same where every channel is convolved by itself."""
    places = s.places
    units = (places[1] * places[2] * s.channels, places[2] * s.channels, s.channels)
    rows = (s.sizes[1] * s.sizes[2], s.sizes[2], 1)
    phases = []
    for chosen in itertools.product(*classes):
        axes = [
            Axis(c.places, c.taps, 1, c.dilation, c.first, m, unit, row * stride)
            for c, m, unit, row, stride in zip(chosen, places, units, rows, s.stride, strict=True)
        ]
        channelwise = Channelwise(
            type=s.type,
            batch=s.batch,
            axes=(axes[0], axes[1], axes[2]),
            channels=s.channels,
            image=math.prod(places) * s.channels,
            rows=s.sizes[0] * rows[0],
            row=sum(c.start * row for c, row in zip(chosen, rows, strict=True)),
            window=s.window,
            first=tuple([c.tap for c in chosen]),
            step=tuple([c.step for c in chosen]),
            zeros=False,
        )
        phases.append(emit_channelwise(module, channelwise, (0, 1, 2), epilogue))
    return Kernel(tuple(phases), Scratch().bytes)


def _classes(size: int, window: int, stride: int, dilation: int, before: int) -> list[_Class]:
    """The classes of an axis, by the rest of a place's position when divided by the stride."""
    made = []
    for rest in range(stride):
        start = (rest - before) % stride
        places = max(-(-(size - start) // stride), 0)
        seen = [j for j in range(window) if j * dilation % stride == rest]
        if not seen:
            made.append(_Class(start, places, 0, 0, 0, 0, 1))
            continue
        # Window o sees with tap j the position o * stride + j * dilation.
        tap = seen[-1]
        first = (start + before - tap * dilation) // stride
        step = stride // math.gcd(stride, dilation)
        made.append(_Class(start, places, tap, -step, len(seen), first, step * dilation // stride))
    return made


def _padding(classes: list[_Class], places: int) -> tuple[int, int]:
    """How many windows that do not exist lie before and after those that do."""
    before = after = 0
    for c in classes:
        if c.taps:
            before = max(before, -c.first)
            last = c.first + (c.places - 1) + (c.taps - 1) * c.dilation
            after = max(after, last - (places - 1))
    return before, after
