"""Joining reads of one record that are under way, so that a burst of calls costs one round trip."""

import asyncio
from collections.abc import Awaitable, Callable

from bff.model import Session

Read = Callable[[str], Awaitable[Session | None]]


class JoinedReads:
    """At most one joinable read a key. A caller who hangs up does not cancel it for the others."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._joinable: dict[str, asyncio.Task[Session | None]] = {}
        self._running: set[asyncio.Task[Session | None]] = set()

    async def get(self, key: str) -> Session | None:
        """The answer of the read under way, or of a new one."""
        task = self._joinable.get(key)
        if task is None:
            task = asyncio.create_task(self._run(key))
            self._joinable[key] = task
            self._running.add(task)
            task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def close_to_joiners(self, key: str) -> None:
        """What is being read may be stale: from now on callers get a read of their own."""
        self._joinable.pop(key, None)

    def close_all_to_joiners(self) -> None:
        self._joinable.clear()

    async def cancel(self) -> None:
        """End all reads; those who wait for them are cancelled."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, key: str) -> Session | None:
        try:
            return await self._read(key)
        finally:
            if self._joinable.get(key) is asyncio.current_task():
                del self._joinable[key]

    def _done(self, task: asyncio.Task[Session | None]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, for the case that every caller has hung up
