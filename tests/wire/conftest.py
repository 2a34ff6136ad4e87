"""Each test of the wire runs once on each event loop, unless a mark names one."""

from collections.abc import Mapping
from typing import Any

from tests.wire.loops import FACTORIES


def pytest_asyncio_loop_factories() -> Mapping[str, Any]:
    return FACTORIES
