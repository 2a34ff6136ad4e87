"""The way of records to one sink: a bounded queue, and a task that empties it.

Records that the sink does not take are offered again until it does, the same bytes in the same
order. An event that finds the queue full is lost: it is counted and logged, and an `events_lost`
record stands in the place where records are missing.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from bff.audit.chain import Chain, Stamped
from bff.audit.event import Actor, Event, EventName
from bff.audit.sinks import Sink, SinkFailed
from bff.observability.metrics import Metrics

log = structlog.get_logger("bff.audit")


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """`queued` events wait at most, and `at_once` are offered together. After a failure the pause
    doubles from `first_pause_seconds` to `longest_pause_seconds`. Failures of a sink are
    logged at most once in `complaint_seconds`."""

    queued: int = 10_000
    at_once: int = 100
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    complaint_seconds: float = 60.0


class Delivery:
    """To one sink, in a chain of its own."""

    def __init__(self, sink: Sink, metrics: Metrics, limits: DeliveryLimits) -> None:
        self._sink = sink
        self._metrics = metrics
        self._limits = limits
        self._chain = Chain()
        self._queue: deque[tuple[Event, str]] = deque()
        self._batch: list[Stamped] = []  # offered, and not taken yet
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._unrecorded_losses = 0
        self._losses = 0
        self._failures = 0
        self._complained_at: dict[str, float] = {}

    async def open(self, at: str) -> None:
        """From here on records are delivered. Raises: SinkFailed, OSError: it can't be opened."""
        await self._sink.open()
        self._queue.appendleft((Event(EventName.CHAIN_BEGUN, Actor.GATEWAY, frontend=""), at))
        self._wake.set()
        self._task = asyncio.create_task(self._run())

    def add(self, event: Event, at: str) -> None:
        """Take an event to deliver. Does not wait."""
        if self._ending.is_set() or len(self._queue) >= self._limits.queued:
            self._lose(1)
            return
        self._record_losses(at)
        self._queue.append((event, at))
        self._wake.set()

    async def close(self, seconds: float, at: str) -> None:
        """Deliver what is left, for at most `seconds`; the rest is lost, counted and logged."""
        if self._task is None or self._ending.is_set():
            return
        self._record_losses(at)
        self._queue.append((Event(EventName.CHAIN_ENDED, Actor.GATEWAY, frontend=""), at))
        self._ending.set()
        self._wake.set()
        await asyncio.wait([self._task], timeout=max(0.0, seconds))
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)
        left = [*(one.event for one in self._batch), *(event for event, _ in self._queue)]
        if lost := sum(1 for event in left if event.name is not EventName.CHAIN_ENDED):
            self._lose(lost)
        await self._sink.close()

    def _record_losses(self, at: str) -> None:
        if self._unrecorded_losses:
            lost, self._unrecorded_losses = self._unrecorded_losses, 0
            event = Event(EventName.EVENTS_LOST, Actor.GATEWAY, frontend="", omitted=lost)
            self._queue.append((event, at))

    def _lose(self, count: int) -> None:
        self._unrecorded_losses += count
        self._losses += count
        self._metrics.audit_lost(self._sink.name, count)
        self._complain("audit_events_lost", sink=self._sink.name, lost=self._losses)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._batch or self._queue:
                if not self._batch:
                    self._batch = list(self._next_batch())
                if await self._is_taken():
                    self._batch = []
                    self._failures = 0
                else:
                    await self._pause()
            if self._ending.is_set():
                return

    def _next_batch(self) -> Iterable[Stamped]:
        for _ in range(min(self._limits.at_once, len(self._queue))):
            yield self._chain.stamp(*self._queue.popleft())

    async def _is_taken(self) -> bool:
        try:
            await self._sink.write(self._batch)
        except SinkFailed as error:
            self._failures += 1
            self._complain("audit_sink_failed", sink=self._sink.name, reason=error.reason)
            return False
        except Exception:  # what no rule foresees must not end the delivery for good
            self._failures += 1
            log.exception("audit_sink_broken", sink=self._sink.name)
            return False
        return True

    async def _pause(self) -> None:
        """Short ones at the end, which also cuts the one under way: the sink may be back."""
        if self._ending.is_set():
            await asyncio.sleep(self._limits.first_pause_seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause_seconds()):
                await self._ending.wait()

    def _pause_seconds(self) -> float:
        doublings = min(self._failures - 1, 16)
        pause = self._limits.first_pause_seconds * 2.0**doublings
        return min(pause, self._limits.longest_pause_seconds) * random.uniform(0.8, 1.0)  # noqa: S311 - no secret

    def _complain(self, what: str, **about: object) -> None:
        now = asyncio.get_running_loop().time()
        last = self._complained_at.get(what)
        if last is None or now - last >= self._limits.complaint_seconds:
            self._complained_at[what] = now
            log.error(what, **about)
