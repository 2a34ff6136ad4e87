"""Tasks that outlive the call that began them. Each is kept until it has ended, so that it is not
collected while it runs, nor left behind when the process stops.

Standard library only; what a failure means is for the caller to log.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

CANCEL_AGAIN_SECONDS = 0.1


def growing_pauses(first_seconds: float, longest_seconds: float) -> Iterator[float]:
    """How long to wait before each next try, without an end: twice as long each time, up to the
    longest."""
    pause = first_seconds
    while True:
        yield pause
        pause = min(pause * 2, longest_seconds)


class BackgroundTask:
    """Runs `work` in a task of its own, from `start` until it returns or `close`. It may be started
    again when it has returned, not when it was closed."""

    def __init__(self, work: Work[None]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Unless it is running or closed."""
        if not self.is_running and not self._is_closed:
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Cancel it, and return when it has ended. More than once, for redis-py may swallow a
        cancellation."""
        self._is_closed = True
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CANCEL_AGAIN_SECONDS)


class PeriodicTask(BackgroundTask):
    """Runs `work` every `every_seconds`, whatever became of it before. `on_failure` is called while
    an exception of `work` is handled."""

    def __init__(
        self, work: Work[None], *, every_seconds: float, on_failure: Callable[[], object]
    ) -> None:
        super().__init__(self._repeat)
        self._once = work
        self._every_seconds = every_seconds
        self._on_failure = on_failure

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(self._every_seconds)
            try:
                await self._once()
            except Exception:  # noqa: BLE001 - one failure must not end all that would follow
                self._on_failure()


class TaskSet(Generic[T]):
    """Short tasks that are finished although their callers may have gone."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[T]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Wait for it with `asyncio.shield`, or not at all."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self, seconds: float) -> None:
        """Wait for what is running, at most `seconds`."""
        if self._running:
            await asyncio.wait(set(self._running), timeout=seconds)

    async def cancel(self) -> None:
        """End what is running; callers that wait for it are cancelled."""
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, for a task that no caller waits for any more


class KeyedLock:
    """One holder of each key at a time; the others get it in the order in which they asked."""

    def __init__(self) -> None:
        # A lock exists for as long as a task holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def held(self, key: str) -> AsyncIterator[None]:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        async with lock:
            yield


class SingleFlight(Generic[T]):
    """At most one task a key that callers may join; those that come while it runs do.

    A caller that is cancelled does not cancel the task: a browser that hangs up must not stop a
    refresh whose answer holds the only copy of a rotated token, nor the read of other callers.
    """

    def __init__(self) -> None:
        self._tasks: TaskSet[T] = TaskSet()
        self._joinable: dict[str, tuple[asyncio.Task[T], float]] = {}

    def is_running(self, key: str) -> bool:
        return self._running(key) is not None

    def age_seconds(self, key: str) -> float:
        """Since when the task of `key` has been running; zero when there is none."""
        now = asyncio.get_running_loop().time()
        _, began_at = self._joinable.get(key, (None, now))
        return now - began_at

    def start(self, key: str, work: Work[T]) -> asyncio.Task[T]:
        """The running task of `key`, or a new one."""
        task = self._running(key)
        if task is None:
            task = self._tasks.start(work())
            self._joinable[key] = task, asyncio.get_running_loop().time()
            task.add_done_callback(lambda ended: self._forget_ended(key, ended))
        return task

    async def join(self, key: str, work: Work[T]) -> T:
        """What the running task of `key` returns or raises, or a new one."""
        return await asyncio.shield(self.start(key, work))

    def forget(self, key: str) -> None:
        """What is running may bring a stale result: the next caller gets a task of its own."""
        self._joinable.pop(key, None)

    def forget_all(self) -> None:
        """As `forget`, of all keys."""
        self._joinable.clear()

    async def drain(self, seconds: float) -> None:
        """As that of `TaskSet`."""
        await self._tasks.drain(seconds)

    async def cancel(self) -> None:
        """As that of `TaskSet`."""
        await self._tasks.cancel()

    def _running(self, key: str) -> asyncio.Task[T] | None:
        task, _ = self._joinable.get(key, (None, 0.0))
        return None if task is None or task.done() else task

    def _forget_ended(self, key: str, task: asyncio.Task[T]) -> None:
        if self._joinable.get(key, (None, 0.0))[0] is task:
            del self._joinable[key]
