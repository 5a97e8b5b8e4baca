"""Who takes part: the sides that some interpreter can import, and their variants."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.remote import ROOT, Remote, RemoteError
from benchmarks.sides import SIDES
from benchmarks.sides.base import Options

#: Interpreters for the peers, in the form of the option --python.
PYTHONS_VARIABLE = "MINIGRAD_BENCH_PYTHONS"
OURS = "minigrad"


class Entry(NamedTuple):
    """A side in one of its variants.

    Attributes:
        side: its name.
        variant: how it is run.
        label: what it is called in results: the side's name if the variant is the usual one.
    """

    side: str
    variant: str
    label: str


@dataclass(frozen=True)
class Member:
    """A side that takes part.

    Attributes:
        name: the side's name.
        python: the interpreter that runs it.
        options: what it is told.
        about: what it says of itself, see `Worker.about`.
        entries: those of its variants that are measured.
    """

    name: str
    python: str
    options: Options
    about: Mapping[str, Any]
    entries: tuple[Entry, ...]

    def start(self, variables: Mapping[str, str] | None = None) -> Remote:
        """Run it in a process of its own."""
        return Remote(self.name, self.python, self.options, variables)

    @property
    def is_framework(self) -> bool:
        """Whether it differentiates by itself."""
        return SIDES[self.name].is_framework


@dataclass(frozen=True)
class Lineup:
    """Who takes part, minigrad first, and who does not and why."""

    members: tuple[Member, ...]
    left_out: Mapping[str, str]

    @property
    def entries(self) -> list[Entry]:
        """All that is measured."""
        return [entry for member in self.members for entry in member.entries]


def parse_pythons(text: str) -> dict[str, str]:
    """``"torch=/a/python,jax=/b/python"`` as a dictionary. A name without / is sought in PATH.

    Raises:
        ValueError: it has another form, or names a side that there is not.
    """
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, path = part.partition("=")
        if not equals or name not in SIDES:
            raise ValueError(
                f"expected SIDE=PATH with a side of {', '.join(SIDES)}, got {part!r} in {text!r}"
            )
        # Relative to where the user is, not to where workers run; not resolved: the link to an
        # interpreter is what tells it of its virtual environment.
        path = os.path.expanduser(path)
        found[name] = os.path.abspath(path) if os.path.dirname(path) else path
    return found


def gather(
    peers: Iterable[str],
    pythons: Mapping[str, str],
    options: Options,
    *,
    slow: bool,
    say: Callable[[str], None],
) -> Lineup:
    """minigrad and those of the peers that can be imported.

    Args:
        peers: names of sides.
        pythons: the interpreters of some; of the others it is this one.
        options: what the sides are told.
        slow: whether the variants count that take long.
        say: is told what is going on.

    Raises:
        RemoteError: minigrad itself cannot be run.
    """
    given = {**parse_pythons(os.environ.get(PYTHONS_VARIABLE, "")), **pythons}
    members, left_out = [], {}
    for name in (OURS, *[peer for peer in peers if peer != OURS]):
        python = given.get(name, sys.executable)
        package = SIDES[name].package
        try:
            if name != OURS:
                _look_for(package, python)
            with Remote(name, python, options) as remote:
                about = remote.ask("about")
        except RemoteError as error:
            if name == OURS:
                raise
            left_out[name] = str(error)
            say(f"{name} is left out: {error}")
            continue
        chosen = [v for v in about["variants"] if slow or v not in about["slow"]]
        usual = about["variants"][0]
        entries = tuple(Entry(name, v, name if v == usual else f"{name}.{v}") for v in chosen)
        members.append(Member(name, python, options, about, entries))
        say(f"{name} {about['version']}: {', '.join(chosen)}")
    return Lineup(tuple(members), left_out)


def _look_for(package: str, python: str) -> None:
    """See whether an interpreter finds a package, which is not imported for that.

    Raises:
        RemoteError: it does not, or is no interpreter.
    """
    code = (
        f"import importlib.util as u; print('it has' if u.find_spec({package!r}) else 'it has not')"
    )
    try:
        done = subprocess.run(
            [python, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
        )
    except OSError as error:
        raise RemoteError(f"{python} cannot be run: {error.strerror}") from None
    answer = done.stdout.strip()
    if answer not in ("it has", "it has not"):
        raise RemoteError(f"{python} does not answer as a Python interpreter does")
    if answer == "it has not":
        raise RemoteError(f"{python} has no module {package}")
