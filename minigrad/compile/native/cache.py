"""Machine code kept on disk between processes.

A file is trusted only as far as its folder can be: that is private to the user, and so is each
file. What a file holds is checked against its own digest before anyone sees it, and a file that is
truncated, altered, misnamed, a link, or somebody else's counts as missing. Not being able to write
is no error: the code is only compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

_MAGIC = b"minigrad native code 1\n"
_DIGEST = hashlib.sha256().digest_size
_HEADER = len(_MAGIC) + 2 * _DIGEST
_LIMIT = 256 << 20
# A file's time says when it was last needed, to this many seconds: reading need not always write.
_FRESH = 3600.0
# Without owners and folders opened by handle there is no telling whose a file is.
_CAN = hasattr(os, "geteuid") and os.open in os.supports_dir_fd


def key(parts: Iterable[str]) -> bytes:
    """The SHA-256 of some texts, each with its length.

    >>> key(["ab", "c"]) == key(["a", "bc"])
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


def default_folder() -> Path | None:
    """Where the cache lies: in ``MINIGRAD_CACHE_DIR``, else in the user's folder for caches.

    None if there is to be no cache: the variable is empty or ``0``, the user has no home, or the
    system (Windows) does not tell whom a file belongs to.
    """
    named = os.environ.get("MINIGRAD_CACHE_DIR")
    if not _CAN or named in ("", "0"):
        return None
    if named is not None:
        return Path(named).absolute() / "native"
    shared = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(shared, "minigrad", "native") if os.path.isabs(shared) else None


class Cache:
    """A folder of code by key, for one user; it holds at most `limit` bytes, the newest ones.

    Any number of threads and processes may use one folder at the same time.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = Cache(Path(folder, "native"))
    ...     cache.put(key(["k"]), b"code")
    ...     cache.get(key(["k"])), cache.get(key(["other"]))
    (b'code', None)
    """

    def __init__(self, folder: Path, limit: int = _LIMIT) -> None:
        self.folder = folder
        self._limit = limit
        self._held: int | None = None  # Bytes in the folder, as far as this process knows.

    def get(self, name: bytes) -> bytes | None:
        """What was put under a key, if it is there and whole."""
        try:
            with self._opened() as folder:
                content = _read(name.hex(), folder, self._limit + _HEADER)
        except OSError:
            return None
        return _unpacked(name, content)

    def put(self, name: bytes, code: bytes) -> None:
        """Keep code under a key; without a word if that cannot be done."""
        try:
            self._create()
            with self._opened() as folder:
                _write(name.hex(), _packed(name, code), folder)
                self._evict(folder, _HEADER + len(code))
        except OSError:
            return

    def _create(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder's descriptor; `OSError` unless it is one, the user's own, and private."""
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            status = os.fstat(folder)
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise PermissionError(f"{self.folder} is not private to this user")
            yield folder
        finally:
            os.close(folder)

    def _evict(self, folder: int, added: int) -> None:
        """Once there is too much, delete what has long not been needed, down to three quarters."""
        if self._held is not None:
            self._held += added
            if self._held <= self._limit:
                return
        entries = []
        with os.scandir(folder) as found:
            for entry in found:
                status = entry.stat(follow_symlinks=False)
                entries.append((status.st_mtime, status.st_size, entry.name))
        self._held = sum(size for _, size, _ in entries)
        if self._held <= self._limit:
            return
        for _, size, entry_name in sorted(entries):
            with contextlib.suppress(FileNotFoundError):  # Another process was at it, too.
                os.unlink(entry_name, dir_fd=folder)
            self._held -= size
            if self._held <= self._limit * 3 // 4:
                return


def _packed(name: bytes, code: bytes) -> bytes:
    return _MAGIC + name + hashlib.sha256(name + code).digest() + code


def _unpacked(name: bytes, content: bytes) -> bytes | None:
    code = content[_HEADER:]
    return code if content == _packed(name, code) else None


def _read(entry: str, folder: int, most: int) -> bytes:
    # Not blocking: opening a pipe that somebody left there would wait for its writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(entry, flags, dir_fd=folder), "rb") as file:
        status = os.fstat(file.fileno())
        if (
            not stat.S_ISREG(status.st_mode)
            or status.st_uid != os.geteuid()
            or stat.S_IMODE(status.st_mode) & 0o022
            or status.st_size > most
        ):
            raise PermissionError(f"{entry} is not a file of this user's alone")
        if abs(time.time() - status.st_mtime) > _FRESH:
            with contextlib.suppress(OSError):  # A folder that can only be read.
                os.utime(file.fileno())
        return file.read(most)


def _write(entry: str, content: bytes, folder: int) -> None:
    """Write a file at once: under another name first, which then becomes its own."""
    partial = f".{uuid.uuid4().hex}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(partial, flags, 0o600, dir_fd=folder), "wb") as file:
            file.write(content)
        os.replace(partial, entry, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial, dir_fd=folder)
        raise
