"""A task that uses redis-py for as long as the process lives, and can be ended all the same."""

import asyncio
from collections.abc import Awaitable, Callable

CANCEL_AGAIN_SECONDS = 0.1


class LastingTask:
    """Runs `work`, which never returns by itself, from `start` to `close`."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Future[None] | None = None

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._work())

    async def close(self) -> None:
        """Cancel it more than once: redis-py may swallow a cancellation (see `RedisClient`)."""
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_AGAIN_SECONDS)
