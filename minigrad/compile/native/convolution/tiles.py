"""How results are cut into tiles that stay in registers."""

from __future__ import annotations

from typing import NamedTuple

from minigrad.compile.native.types import Type
from minigrad.compile.native.writer import Module

#: A tile has at least this many sums under way, so that one need not wait for the one before.
_LATENCY = 8


class Blocks(NamedTuple):
    """Channels cut into blocks of vectors, the last one maybe smaller.

    Attributes:
        channels: how many there are.
        lanes: of each vector.
        vectors: of each block but the last.
    """

    channels: int
    lanes: int
    vectors: int

    @property
    def width(self) -> int:
        """Channels of a block."""
        return self.lanes * self.vectors

    @property
    def number(self) -> int:
        """How many blocks there are."""
        return -(-self.channels // self.width)

    @property
    def whole(self) -> int:
        """How many blocks have all their channels."""
        return self.channels // self.width

    @property
    def last(self) -> int:
        """Channels of the last block if it has not all of them, else 0."""
        return self.channels % self.width

    def vectors_of(self, channels: int) -> list[int]:
        """For each vector of a block of so many channels, how many lanes it has."""
        return [min(self.lanes, channels - i) for i in range(0, channels, self.lanes)]


def channel_blocks(module: Module, t: Type, channels: int) -> Blocks:
    """Blocks for results with so many channels: of two vectors, or one if that holds all."""
    lanes = module.lanes(t)
    while lanes > 1 and lanes // 2 >= channels:
        lanes //= 2
    return Blocks(channels, lanes, 2 if channels > lanes else 1)


def most_rows(module: Module, vectors: int) -> int:
    """How many rows of a tile leave registers for the factors: one row of them, one broadcast."""
    registers = 32 if module.vector_bytes == 64 else 16
    return (registers - vectors - 1) // vectors


def tile_cost(elements: int, vectors: int) -> float:
    """About how many cycles one step of a tile takes: its products, and loading the factors."""
    return max(elements * vectors, _LATENCY) + vectors + 1.0


def cut_line(length: int, most: int, vectors: int) -> int:
    """The tile that covers a line fastest, of at most `most` elements."""

    def cost(tile: int) -> float:
        rest = length % tile
        total = (length // tile) * tile_cost(tile, vectors)
        return total + (tile_cost(rest, vectors) if rest else 0.0)

    return min(range(1, max(min(length, most), 1) + 1), key=lambda tile: (cost(tile), -tile))


def cut_plane(height: int, width: int, most: int, vectors: int) -> tuple[int, int]:
    """The (rows, columns) of the tile that covers a plane fastest, of at most `most` elements."""
    best: tuple[float, int, int] | None = None
    for rows in range(1, max(min(height, most), 1) + 1):
        for columns in range(1, max(min(width, most // rows), 1) + 1):
            total = 0.0
            for tall, times in ((rows, height // rows), (height % rows, 1)):
                for wide, often in ((columns, width // columns), (width % columns, 1)):
                    if tall and wide:
                        total += times * often * tile_cost(tall * wide, vectors)
            if best is None or total < best[0]:
                best = (total, rows, columns)
    return (1, 1) if best is None else best[1:]
