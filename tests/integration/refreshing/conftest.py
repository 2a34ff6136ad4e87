"""An OP that rotates, and one process or several that refresh at it. Time stands still unless a
test moves it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bff.clock import ManualClock
from tests.integration.refreshing.deployment import Deployment
from tests.parts.redis_server import RedisServer
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_store import ScriptedStore, store

__all__ = ["store"]


@pytest.fixture
async def op(clock: ManualClock) -> AsyncIterator[RotatingOp]:
    provider = RotatingOp(clock)
    await provider.start()
    yield provider
    provider.deliver.set()
    await provider.close()


@pytest.fixture
async def process(
    store: ScriptedStore, op: RotatingOp, clock: ManualClock
) -> AsyncIterator[Process]:
    async with a_process(store, op, clock) as opened:
        yield opened


@pytest.fixture
async def deployment(
    own_redis: RedisServer, op: RotatingOp, clock: ManualClock
) -> AsyncIterator[Deployment]:
    async with AsyncExitStack() as stack:
        yield Deployment(own_redis, op, clock, stack)
