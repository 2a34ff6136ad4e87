"""The demo OP with a client of its own, and a browser."""

from collections.abc import AsyncIterator

import pytest

from bff.clock import ManualClock
from tests.parts.browser import Browser
from tests.parts.demo_rp import DemoRp, running_rp


@pytest.fixture
async def rp(clock: ManualClock) -> AsyncIterator[DemoRp]:
    async with running_rp(clock=clock) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with Browser() as opened:
        yield opened
