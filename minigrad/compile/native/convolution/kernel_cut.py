"""How the sums of a kernel's gradient are cut: into chunks of places, and tiles of elements."""

from __future__ import annotations

from minigrad.compile.native.axes import Axis
from minigrad.compile.native.convolution.padding import Padded
from minigrad.compile.native.convolution.spec import ConvolutionSpec
from minigrad.compile.native.convolution.tiles import (
    channel_blocks,
    cut_line,
    most_rows,
    tile_cost,
)
from minigrad.compile.native.types import memory_bytes
from minigrad.compile.native.writer import Module

#: The most chunks, and the most bytes that all their sums may take.
_CHUNKS = 16
_SUM_BYTES = 1 << 25
#: What a chunk reads before it goes on to the next tile should stay in the cache.
_CACHED = 512 * 1024
#: So many places a chunk has at least, that adding up the chunks is little beside them.
_LEAST_PLACES = 512
#: Rows and columns of places that see padding are left out, if they are such a part of all.
_WORTHWHILE = 0.04


class Cut:
    """How the work is cut.

    Attributes:
        spec: the convolution, with three spatial axes.
        padded: its input.
        blocks: the output's channels of a group.
        joined: whether the taps along width lie beside each other, as channels do.
        line: how many (tap, channel) elements lie side by side in the input.
        lines: so many lines, one step apart: taps along height, or else along width.
        line_step: elements of the input from one line to the next.
        outer_taps: how many times there are so many lines.
        tall: lines of a tile.
        wide: elements of a tile's lines.
        height, width: the axes.
        trimmed: whether places that see padding are left out, while there is no Inf or NaN.
        rows: rows of places of all examples.
        chunks: how many chunks; `chunk` rows each, of which `part` stay in the cache.
    """

    def __init__(self, module: Module, spec: ConvolutionSpec, padded: Padded) -> None:
        self.spec = spec
        self.padded = padded
        self.blocks = channel_blocks(module, spec.type, spec.outer)
        vectors = self.blocks.vectors
        most = most_rows(module, vectors)
        self.joined = spec.dilation[2] == 1 and spec.inner == spec.channels
        self.line = spec.inner * (spec.window[2] if self.joined else 1)
        self.lines = spec.window[1] if self.joined else spec.window[2]
        self.line_step = (
            spec.dilation[1] * padded.units[1] if self.joined else spec.dilation[2] * spec.channels
        )
        self.outer_taps = spec.taps * spec.inner // (self.line * self.lines)
        self.wide = cut_line(self.line, most, vectors)
        self.tall = 1
        if self.wide == self.line:
            self.tall = cut_line(self.lines, max(most // self.line, 1), vectors * self.line)
        self.places = spec.places
        axes = [
            Axis(m, k, stride, d, -before, n, 0, 0)
            for m, k, stride, d, (before, _), n in zip(
                *(spec.places, spec.window, spec.stride, spec.dilation, spec.padding, spec.sizes),
                strict=True,
            )
        ]
        self.height, self.width = axes[1], axes[2]
        # Tiles with several taps leave out only what none of these sees: nearly nothing.
        rows = self.height.seen if self.tall == 1 or not self.joined else 1.0
        columns = self.width.seen if self.tall == 1 and self.wide <= spec.inner else 1.0
        self.seen = rows * columns
        self.trimmed = self.seen < 1 - _WORTHWHILE
        self.rows = spec.batch * self.places[0] * self.places[1]
        self.chunks, self.chunk, self.part = self._chunks()

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return memory_bytes(self.spec.type)

    @property
    def elements(self) -> int:
        """Elements of the kernel."""
        return self.spec.taps * self.spec.inner * self.spec.outputs

    @property
    def work(self) -> float:
        """About how many nanoseconds it takes."""
        tiles = (self.line / self.wide) * (self.lines / self.tall) * self.outer_taps
        cycles = tile_cost(self.tall * self.wide, self.blocks.vectors) * tiles
        cycles *= self.spec.groups * self.blocks.number * self.rows * self.places[2]
        return cycles * (self.seen if self.trimmed else 1.0) / 4.0

    def _chunks(self) -> tuple[int, int, int]:
        """How many chunks there are, rows of places of each, and rows that stay in the cache."""
        s = self.spec
        seen = s.stride[2] * s.stride[1] * s.channels
        row = self.places[2] * (self.blocks.width + seen) * self.size
        part = max(_CACHED // max(row, 1), 1)
        # Rows of one example stay together, if all of them fit.
        example = max(self.places[0] * self.places[1], 1)
        if part > example:
            part -= part % example
        most = min(_CHUNKS, max(_SUM_BYTES // (self.elements * self.size), 1))
        least = -(-_LEAST_PLACES // max(self.places[2], 1))
        chunk = max(-(-self.rows // most), least, 1)
        if chunk > example:
            chunk = -(-chunk // example) * example
        chunks = max(-(-self.rows // chunk), 1)
        return chunks, chunk, min(part, chunk)
