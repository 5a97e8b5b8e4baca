"""The convolution itself."""

from __future__ import annotations

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.convolution.channelwise import Channelwise, emit_channelwise
from minigrad.compile.native.convolution.gather import Operands, emit_gather
from minigrad.compile.native.convolution.packing import Packing, emit_packing
from minigrad.compile.native.convolution.padding import Padded, emit_padding
from minigrad.compile.native.convolution.spec import ConvolutionSpec
from minigrad.compile.native.convolution.tile import Gather
from minigrad.compile.native.convolution.tiles import channel_blocks
from minigrad.compile.native.kernel import Epilogue, Kernel
from minigrad.compile.native.memory import Scratch
from minigrad.compile.native.writer import Module


def emit_convolution(
    module: Module, spec: ConvolutionSpec, epilogue: Epilogue | None = None
) -> Kernel | None:
    """The convolution. Args: x, kernel; y; scratch; then what the epilogue needs, from the fifth.

    Args:
        module: where the functions go.
        spec: the convolution.
        epilogue: what is done to each vector of y before it is stored; its row counts the places
            of all examples, its column is the channel.
    """
    if spec.depthwise:
        return _depthwise(module, spec.raised, epilogue)
    s = spec.merged
    t = s.type
    padded = Padded(t, s.batch, s.sizes, s.padding, s.channels)
    blocks = channel_blocks(module, t, s.outer)
    packing = Packing(
        *(t, s.window, s.inner, s.outer, s.groups),
        *((0, 0, 0), (1, 1, 1), s.window, blocks, False),
    )
    scratch = Scratch()
    flags = scratch.take(packing.flag_bytes)
    weights = scratch.take(packing.bytes)
    image = scratch.take(padded.bytes)
    places = s.places
    rows = (places[1] * places[2], places[2], 1)
    axes = [
        Axis(m, k, stride, d, -before, size, unit, row)
        for m, k, stride, d, (before, _), size, unit, row in zip(
            places,
            s.window,
            s.stride,
            s.dilation,
            s.padding,
            s.sizes,
            padded.units,
            rows,
            strict=True,
        )
    ]
    gather = Gather(
        *(t, s.batch, (axes[0], axes[1], axes[2]), padded.image, 0, s.inner, s.groups, blocks),
        *(places[0] * rows[0], 0, True),
    )
    source, start = (3, image) if padded.any else (0, 0)
    at = Operands(source, start, 3, weights, flags, packing.units, 2)
    last = emit_gather(module, gather, at, epilogue)
    if last is None:
        return Kernel((), scratch.bytes)
    phases = []
    if padded.any:
        phases.append(emit_padding(module, padded, 0, 3, image))
    phases.append(emit_packing(module, packing, 1, 3, weights, flags))
    return Kernel((*phases, last), scratch.bytes)


def _depthwise(module: Module, s: ConvolutionSpec, epilogue: Epilogue | None) -> Kernel:
    """The same where every channel is convolved by itself."""
    places = s.places
    rows = (places[1] * places[2], places[2], 1)
    axes = [
        Axis(m, k, stride, d, -before, n, unit, row)
        for m, k, stride, d, (before, _), n, unit, row in zip(
            *(places, s.window, s.stride, s.dilation, s.padding, s.sizes, s.units, rows),
            strict=True,
        )
    ]
    channelwise = Channelwise(
        type=s.type,
        batch=s.batch,
        axes=(axes[0], axes[1], axes[2]),
        channels=s.channels,
        image=s.image,
        rows=places[0] * rows[0],
        row=0,
        window=s.window,
        first=(0, 0, 0),
        step=(1, 1, 1),
        zeros=True,
    )
    phase = emit_channelwise(module, channelwise, (0, 1, 2), epilogue)
    return Kernel((phase,), Scratch().bytes)
