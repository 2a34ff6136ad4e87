"""The judgement of one kind of event: does it fit under its rate, for this client or session?

The buckets are in the session store, shared by all processes; see `rate`. Whoever was refused is
remembered here until the bucket has room again, so that a flood costs the store nothing.
"""

from typing import Protocol

import structlog

from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import RateLimited, StoreUnavailable
from bff.limits.rate import Rate, retry_after
from bff.observability.metrics import Metrics

log = structlog.get_logger("bff.limits")

REFUSED_ENTRIES = 10_000


class Buckets(Protocol):
    """What a store does for it. Raises `StoreUnavailable`."""

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        """Add to a bucket, if all of it fits, or with `to_the_brim` as much as does.

        How full it was before, in seconds until it is empty.
        """


class Limiter:
    """`rate` None: no limit. `strict`: refuse what can't be judged because the store is away."""

    def __init__(
        self,
        kind: str,
        rate: Rate | None,
        buckets: Buckets,
        clock: Clock,
        metrics: Metrics,
        *,
        strict: bool = False,
    ) -> None:
        self._kind = kind
        self._rate = rate
        self._buckets = buckets
        self._clock = clock
        self._metrics = metrics
        self._strict = strict
        self._refused_until: BoundedMap[str, float] = BoundedMap(REFUSED_ENTRIES)

    async def take(self, who: str) -> None:
        """One event, counted if it may be.

        Raises:
            RateLimited: it may not.
            StoreUnavailable: nobody can tell, and this limiter is strict.
        """
        await self._judge(who, counted=True)

    async def require_room(self, who: str) -> None:
        """That one more event would fit, without counting any. Raises: as `take`."""
        await self._judge(who, counted=False)

    async def count(self, who: str) -> None:
        """One event that has happened, whether it fits or not. Never raises."""
        if self._rate is None:
            return
        each, size = self._rate.each_seconds, self._rate.period_seconds
        try:
            await self._buckets.fill(
                self._key(who), seconds=each, size_seconds=size, to_the_brim=True
            )
        except StoreUnavailable as error:
            log.warning("limit_not_counted", kind=self._kind, detail=error.log_detail)

    def require_not_refused(self, who: str) -> None:
        """That this process has not refused it just now; asks nobody. Raises: RateLimited."""
        wait = self.refused_seconds(who)
        if wait > 0:
            self._metrics.rate_limited(self._kind)
            raise RateLimited(self._kind, retry_after=retry_after(wait))

    def refused_seconds(self, who: str) -> float:
        """How long this process knows that it would refuse; asks nobody."""
        until = self._refused_until.get(who)
        if until is None:
            return 0.0
        wait = until - self._clock.now()
        if wait <= 0:
            del self._refused_until[who]
        return max(0.0, wait)

    async def _judge(self, who: str, *, counted: bool) -> None:
        rate = self._rate
        if rate is None:
            return
        self.require_not_refused(who)
        each, size = rate.each_seconds if counted else 0.0, rate.period_seconds
        try:
            before = await self._buckets.fill(self._key(who), seconds=each, size_seconds=size)
        except StoreUnavailable as error:
            if self._strict:
                raise
            log.warning("limit_not_judged", kind=self._kind, detail=error.log_detail)
            return
        wait = rate.wait_seconds(before)
        if wait > 0:
            self._refused_until[who] = self._clock.now() + wait
            log.warning("rate_limited", kind=self._kind, seconds=round(wait, 3))
            self._metrics.rate_limited(self._kind)
            raise RateLimited(self._kind, retry_after=retry_after(wait))

    def _key(self, who: str) -> str:
        return f"{self._kind}:{who}"
