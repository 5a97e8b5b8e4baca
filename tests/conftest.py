"""Settings for all tests."""

import os

from hypothesis import HealthCheck, settings

# No test's verdict depends on a clock, so no deadlines. Locally, each run draws new examples and
# keeps those that failed; CI draws the same ones every time.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)
