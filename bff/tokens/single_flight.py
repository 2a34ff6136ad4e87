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
        self._began_at: dict[str, float] = {}

    def is_running(self, key: str) -> bool:
        return key in self._running

    def age_seconds(self, key: str) -> float:
        """Since when the task of `key` has been running; zero when there is none."""
        now = asyncio.get_running_loop().time()
        return now - self._began_at.get(key, now)

    def start(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """The running task of `key`, or a new one."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(work())
            self._running[key] = task
            self._began_at[key] = asyncio.get_running_loop().time()
            task.add_done_callback(lambda done: self._finished(key, done))
        return task

    async def drain(self, seconds: float) -> None:
        """Wait for what is running, at most `seconds`; used at shutdown."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=seconds)

    def _finished(self, key: str, task: asyncio.Task[T]) -> None:
        del self._running[key], self._began_at[key]
        if not task.cancelled():
            task.exception()  # seen: a background refresh may have nobody waiting for it
