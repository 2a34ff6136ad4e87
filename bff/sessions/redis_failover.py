"""Noticing a failover: by looking again and again at which configuration there is.

Connections do not tell. One to a former master may live on, in Sentinel's world for seconds, and
the one that brings the stream of changes may have nothing to do with the node that failed. What was
written last may be lost, so everybody must hear of it.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bff.sessions.redis_task import LastingTask

log = structlog.get_logger("bff.sessions")

LOOK_SECONDS = 0.5


class FailoverWatch:
    """`look` says which configuration there is, or None when it can't tell; `on_failover` is
    called when that has changed. Neither may raise. `known` is what was seen last."""

    def __init__(
        self, look: Callable[[], Awaitable[str | None]], on_failover: Callable[[], Awaitable[None]]
    ) -> None:
        self._look = look
        self._on_failover = on_failover
        self.known: str | None = None
        self._task = LastingTask(self._run)

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        await self._task.close()

    async def _run(self) -> None:
        while True:
            found = await self._look()
            if found is not None:
                before, self.known = self.known, found
                if before not in (None, found):
                    log.warning("store_failed_over")
                    await self._on_failover()
            await asyncio.sleep(LOOK_SECONDS)
