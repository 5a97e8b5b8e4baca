"""The other end of a worker: starts its process, asks it, and ends it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from benchmarks.sides.base import Options

#: Where this package lies: workers of any interpreter find it here.
ROOT = Path(__file__).resolve().parents[1]
#: What tells libraries how many threads to use.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
#: Seconds that the slowest answer, something compiled at length, may take.
PATIENCE = 900.0


class RemoteError(RuntimeError):
    """A worker could not do what it was asked, or has died."""


class Remote:
    """One side in a process of its own.

    Args:
        side: its name.
        python: the interpreter.
        options: what the side is told.
        variables: of the environment, beside those that are there.

    Raises:
        RemoteError: the interpreter cannot be run.
    """

    def __init__(
        self, side: str, python: str, options: Options, variables: Mapping[str, str] | None = None
    ) -> None:
        self.side = side
        threads = dict.fromkeys(THREAD_VARIABLES, str(options.threads))
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 - see close
        setup = json.dumps({"side": side, **options._asdict()})
        try:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", setup],
                cwd=ROOT,
                env={**os.environ, **threads, **(variables or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
        except OSError as error:
            self._errors.close()
            raise RemoteError(f"{python} cannot be run: {error.strerror}") from None
        # Both are pipes; the type does not know it.
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        self._pending = b""

    def __enter__(self) -> Remote:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, do: str, *, patience: float = PATIENCE, **arguments: Any) -> dict[str, Any]:
        """Let it call the method of `Worker` of this name; the answer.

        Raises:
            RemoteError: it failed, died, or took longer than `patience` seconds.
        """
        request = json.dumps({"do": do, **arguments}) + "\n"
        try:
            self._input.write(request.encode())
            self._input.flush()
        except BrokenPipeError:
            raise RemoteError(self._obituary()) from None
        found: dict[str, Any] = json.loads(self._line(patience))
        if "failed" in found:
            raise RemoteError(found["failed"])
        return found

    def _line(self, patience: float) -> bytes:
        """One line of its output."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                if not selector.select(patience):
                    self._process.kill()
                    self._process.wait()
                    raise RemoteError(f"no answer within {patience:.0f} s")
                read = os.read(self._output.fileno(), 65536)
                if not read:
                    raise RemoteError(self._obituary())
                self._pending += read
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _obituary(self) -> str:
        """Why the process ended, as far as it said."""
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip().splitlines()
        return f"its process ended with status {status}: {said[-1] if said else 'it said nothing'}"

    def has_ended(self) -> bool:
        """Whether the process is there no more."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process."""
        # What could not be sent to a process that has died need not be sent any more.
        with suppress(BrokenPipeError):
            self._input.close()
        self._output.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()
