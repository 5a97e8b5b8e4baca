"""Writing files."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from minigrad.errors import ArgumentError


def write_file(path: Path, content: bytes) -> None:
    """Write a file all at once: it is never seen half written, and an error leaves the old one.

    Raises:
        ArgumentError: its folder does not exist.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_file(Path(folder, "a"), b"text")
    ...     Path(folder, "a").read_bytes()
    b'text'
    """
    if not path.parent.is_dir():
        raise ArgumentError(f"the folder {str(path.parent)!r} does not exist; make it first")
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(partial, "xb") as file:
            file.write(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
