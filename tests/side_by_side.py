"""A pytest plugin that lets a run take place in several processes (pytest-xdist, `-n`).

What one process runs in one go is a test module, or a package whose tests share started programs.
The units that take longest come first, so that at the end no process is left alone with one.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

ENGINES = "tests/e2e/engines"
SHARING = (ENGINES, "tests/e2e", "tests/chaos")
# In the order in which they begin; all others follow.
LONGEST = (
    *(ENGINES, "tests/chaos", "tests/e2e", "tests/abuse"),
    *(f"tests/flows/test_{name}.py" for name in ("check", "reload", "restart", "cli")),
)


def unit_of(nodeid: str) -> str:
    """The unit of a test: in `tests/e2e/engines` the tests in one engine."""
    module, _, name = nodeid.partition("::")
    package = next((one for one in SHARING if module.startswith(f"{one}/")), None)
    if package is None:
        return module
    if package == ENGINES:
        return f"{package}[{name.rpartition('[')[2].partition('-')[0].rstrip(']')}]"
    return package


def place_of(nodeid: str) -> int:
    """Where the test's unit stands in the order of a run in several processes."""
    found = (place for place, start in enumerate(LONGEST) if nodeid.startswith(start))
    return next(found, len(LONGEST))


class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process one unit after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> UnitScheduling:
    config.option.loadscopereorder = False  # it would put those with the most tests first
    return UnitScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: place_of(item.nodeid))
