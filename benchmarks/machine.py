"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

from benchmarks.lineup import Lineup

#: The widest vectors of x86 processors, by the flag that tells of them.
VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse2": "SSE2"}


def describe(lineup: Lineup, threads: int) -> dict[str, Any]:
    """What is printed beside the figures."""
    usable = getattr(os, "sched_getaffinity", None)
    made: dict[str, Any] = {
        **_processor(),
        "cores": os.cpu_count() if usable is None else len(usable(0)),
        "threads": threads,
        "system": platform.platform(),
        "python": {m.name: m.about["python"] for m in lineup.members},
        "versions": {m.name: m.about["version"] for m in lineup.members},
    }
    if hasattr(os, "getloadavg"):
        made["load"] = [round(load, 2) for load in os.getloadavg()]
    if lineup.left_out:
        made["left_out"] = dict(lineup.left_out)
    return made


def _processor() -> dict[str, Any]:
    """Its name, and how wide its vectors are."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return {"processor": platform.processor() or platform.machine()}
    text = information.read_text()
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)
    made = {"processor": name[1] if name else platform.machine()}
    if flags:
        present = set(flags[1].split())
        widest = next((shown for flag, shown in VECTORS.items() if flag in present), None)
        made.update({"vectors": widest} if widest else {})
    return made
