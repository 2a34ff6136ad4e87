"""Processes that share a real Redis, in front of one OP.

The OP is real sockets, rotates, and ends a grant of which a token is used twice. Nothing in these
tests may make it do so.
"""

import asyncio
import dataclasses
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.model import Session
from bff.sessions.redis.client import RedisLimits
from bff.sessions.redis.store import RedisStore
from tests.parts.redis_server import RedisServer
from tests.parts.refreshing import Process, a_process
from tests.parts.rotating_op import RotatingOp

QUICK = RedisLimits(timeout_seconds=2, connect_seconds=2)


@dataclass
class Deployment:
    """Processes on one Redis, in front of one OP. Their clock stands still unless moved."""

    redis: RedisServer
    op: RotatingOp
    clock: ManualClock
    stack: AsyncExitStack
    namespace: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)

    async def process(self, user: str = "", **options: object) -> Process:
        url = self.redis.url.replace("unix://", f"unix://{user}:pw@") if user else self.redis.url
        store = RedisStore(url, self.clock, namespace=self.namespace, limits=QUICK)
        opened = a_process(store, self.op, self.clock, **options)  # type: ignore[arg-type]
        return await self.stack.enter_async_context(opened)

    def drop_lease(self, session: Session) -> None:
        """As it lapses for a process that stood still for too long."""
        assert self.redis.command("DEL", f"{self.namespace}:l:{{{session.key}}}") == 1


def revoked_at(op: RotatingOp) -> list[str]:
    return [received.form["token"] for received in op.received if received.endpoint == "revocation"]


async def stored(process: Process, session: Session) -> Session:
    found = await process.sessions.load_fresh(session.key)
    assert found is not None, "the session is gone"
    return found


async def until_refreshed(process: Process, session: Session) -> Session:
    """As a browser that comes again after each 503."""
    while True:
        try:
            return await process.coordinator.refreshed(session)
        except StoreUnavailable:
            await asyncio.sleep(0.01)
