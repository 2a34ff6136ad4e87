"""What every test directory shares."""

import pytest
from hypothesis import HealthCheck, settings

from bff.clock import ManualClock

pytest_plugins = ["tests.rules.plugin", "tests.side_by_side"]

# The same examples on every machine, however busy it is. New ones: `--hypothesis-profile=default`.
settings.register_profile(
    "the same everywhere",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("the same everywhere")


@pytest.fixture
def clock() -> ManualClock:
    """Time stands still unless a test moves it."""
    return ManualClock()
