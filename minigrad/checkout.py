"""Finds `minigrad.nn` and `minigrad.optim` where Python runs in a checkout's own folder.

There nn/ and optim/ lie beside this package, and come into it only when it is installed. Yet the
folder one stands in comes first on the path, before the installed copy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType


class Finder:
    """Looks for the two packages beside this one; asked only when all others have found nothing."""

    def __init__(self, root: Path) -> None:
        self._folders = {f"minigrad.{name}": root / name for name in ("nn", "optim")}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where to load a package from, or None."""
        folder = self._folders.get(name)
        if folder is None:
            return None
        return spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )


def install() -> None:
    """Let Python look there, if this is a checkout."""
    root = Path(__file__).resolve().parents[1]
    if (root / "pyproject.toml").is_file() and (root / "nn" / "__init__.py").is_file():
        sys.meta_path.append(Finder(root))
