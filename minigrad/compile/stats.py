"""What compiling has cost and brought, as `Session.stats` shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Stats:
    """What compiling has cost and brought.

    Attributes:
        compiled: programs compiled.
        evicted: plans and programs that were dropped for others.
        hits: runs of a program that was there already.
        unplanned: runs of plans that were computed node by node.
        seconds: spent on compiling.
    """

    compiled: int = 0
    evicted: int = 0
    hits: int = 0
    unplanned: int = 0
    seconds: float = 0.0
