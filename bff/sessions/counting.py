"""How many sessions there are: counted by one process of all, and slowly, so that neither many
sessions nor many processes cost the store more than some small steps a second.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from bff.errors import StoreUnavailable
from bff.sessions.store import Lease, SessionStore
from bff.tasks import BackgroundTask

LEASE = "session-count"  # no session's key is like it
LEASE_SECONDS = 30.0
EVERY_SECONDS = 10.0
PAUSE_SECONDS = 0.1  # between two steps: a million keys take three minutes

log = structlog.get_logger("bff.sessions")


class SessionCount:
    """From `start` to `close`. `tell` gets each count, and 0 once another process counts instead.
    A count is about right: sessions come and go meanwhile."""

    def __init__(
        self,
        store: SessionStore,
        tell: Callable[[int], None],
        *,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._every_seconds = every_seconds
        self._store = store
        self._tell = tell
        self._lease: Lease | None = None
        self._renew_at = 0.0
        self._task = BackgroundTask(self._run)

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        """Another process may count from now on."""
        await self._task.close()
        lease, self._lease = self._lease, None
        if lease is not None:
            self._tell(0)
            with suppress(StoreUnavailable):  # it lapses by itself
                await self._store.release_lease(lease)

    async def _run(self) -> None:
        while True:
            try:
                await self._count()
            except StoreUnavailable:
                pass  # which other parts tell of
            except Exception:  # one failure must not end all that would follow
                log.exception("sessions_not_counted")
            await asyncio.sleep(self._every_seconds)

    async def _count(self) -> None:
        count = 0
        if not await self._may_count():
            return
        async for keys in self._store.scan():
            count += len(keys)
            await asyncio.sleep(PAUSE_SECONDS)
            if not await self._may_count():
                return
        self._tell(count)

    async def _may_count(self) -> bool:
        """Whether the lease is this process's, now and for a while."""
        now = asyncio.get_running_loop().time()
        if self._lease is not None and now < self._renew_at:
            return True
        if self._lease is not None:
            if await self._store.renew_lease(self._lease, ttl_seconds=LEASE_SECONDS):
                self._renew_at = now + LEASE_SECONDS / 2
                return True
            self._lease = None
            self._tell(0)
        self._lease = await self._store.acquire_lease(LEASE, ttl_seconds=LEASE_SECONDS)
        self._renew_at = now + LEASE_SECONDS / 2
        return self._lease is not None
