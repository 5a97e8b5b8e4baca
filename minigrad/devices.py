"""Devices, of which there is one."""

from __future__ import annotations

from minigrad.errors import ArgumentError


def check_device(device: str | None) -> None:
    """Raise `ArgumentError` for a device that is not there.

    >>> check_device("cpu")
    """
    if device not in (None, "cpu"):
        raise ArgumentError(f"the only device is 'cpu', got {device!r}")
