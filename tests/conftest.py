"""Settings for all tests."""

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import minigrad as mg

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

# Tests leave the user's own cache of native code alone, yet need not compile everything each time.
os.environ.setdefault("MINIGRAD_CACHE_DIR", str(ROOT / "build" / "cache"))

# Shells let commands in the background ignore Ctrl-C, which tests send to themselves and children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test's verdict depends on a clock, so no deadlines. Locally, each run draws new examples and
# keeps those that failed; CI draws the same ones every time.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


@pytest.fixture(autouse=True)
def no_seed_stays() -> Iterator[None]:
    """What a test seeds, no other test sees."""
    yield
    mg.random.seed(None)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports an example as its own command would: the folder of the examples is on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == EXAMPLES:
            del sys.modules[name]
