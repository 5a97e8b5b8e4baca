"""Writing files."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from minigrad.errors import ArgumentError


def write_file(path: Path, content: bytes) -> None:
    """Write a file all at once: it is never seen half written, and an error leaves the old one.

    A file that is replaced keeps its permissions.

    Raises:
        ArgumentError: its folder does not exist, or it is itself a folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_file(Path(folder, "a"), b"text")
    ...     Path(folder, "a").read_bytes()
    b'text'
    """
    if not path.parent.is_dir():
        raise ArgumentError(f"the folder {str(path.parent)!r} does not exist; make it first")
    if path.is_dir():
        raise ArgumentError(f"{str(path)!r} is a folder; name a file in it")
    path = Path(os.path.realpath(path))  # A link stays one.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
