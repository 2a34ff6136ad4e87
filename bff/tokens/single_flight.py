"""At most one running task per key; whoever comes later joins it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """A joined task is never cancelled by one of its waiters: a browser that hangs up must not
    stop a refresh whose answer holds the only copy of a rotated token."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}

    def start(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The running task of `key`, or a new one."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._running[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return task

    async def drain(self, seconds: float) -> None:
        """Wait for what is running, at most `seconds`; used at shutdown."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=seconds)

    def _finished(self, key: str, task: asyncio.Task[T]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # seen: a background refresh may have nobody waiting for it
