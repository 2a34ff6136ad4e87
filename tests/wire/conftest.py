"""Each test of the wire runs once on each event loop, unless a mark names one; and the gateway that
most of them ask, in front of an upstream that does as it is told."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from tests.wire.fronts import Front, the_gateway
from tests.wire.loops import FACTORIES


def pytest_asyncio_loop_factories() -> Mapping[str, Any]:
    return FACTORIES


@pytest.fixture
async def gateway() -> AsyncIterator[Front]:
    async with the_gateway('timeout = "5s"', "") as front:
        yield front
