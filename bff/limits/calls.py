"""API calls of one session, judged in memory: a call never waits for the store.

Each process keeps a bucket of its own per session and, in the background, adds what it let through
to the one all processes share, and takes over how full that is. This happens at most once a second,
and only when a tenth of the rate has been used since the last time. So the limit is an approximate
one: a session that goes to several processes may get ahead, at each, by a tenth of the rate and by
what fits in there within that second. While the store is down every process counts by itself.
"""

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from bff.audit.audit import OFF, Audit
from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.limits.limiter import Buckets, Rate, limit_hit
from bff.observability.metrics import Metrics
from bff.tasks import PeriodicTask

log = structlog.get_logger("bff.limits")

KIND = "api_call"
EVERY_SECONDS = 1.0
SHARE = 10
AT_ONCE = 16


@dataclass(slots=True)
class _Bucket:
    """`untold`: calls that the shared bucket does not know of yet."""

    empty_at: float = 0.0
    untold: int = 0


class CallLimit:
    """Called with a session's key for each call; see the module's text for what is approximate."""

    def __init__(
        self, rate: Rate, buckets: Buckets, clock: Clock, metrics: Metrics, audit: Audit = OFF
    ) -> None:
        self._rate = rate
        self._each = rate.each_seconds
        self._shared = buckets
        self._clock = clock
        self._metrics = metrics
        self._audit = audit
        self._worth_telling = max(1, rate.count // SHARE)
        self._buckets: dict[str, _Bucket] = {}
        self._worker = PeriodicTask(
            self._share,
            every_seconds=EVERY_SECONDS,
            # Without this worker every process would count by itself.
            on_failure=partial(log.exception, "calls_not_shared"),
        )

    def __call__(self, key: str) -> float | None:
        """None: it may pass, and is counted. Else the seconds until one may."""
        now = self._clock.now()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket()
        fullness = max(0.0, bucket.empty_at - now)
        wait = self._rate.wait_seconds(fullness)
        if wait > 0:
            self._metrics.rate_limited(KIND)
            self._audit.report(limit_hit(KIND, key, by_session=True))
            return wait
        bucket.empty_at = now + fullness + self._each
        bucket.untold += 1
        return None

    def __len__(self) -> int:
        return len(self._buckets)

    def start(self) -> None:
        self._worker.start()

    async def close(self) -> None:
        await self._worker.close()

    async def share(self) -> None:
        """Tell the store what is worth telling, and forget the sessions whose buckets are empty."""
        now = self._clock.now()
        for key in [key for key, bucket in self._buckets.items() if bucket.empty_at <= now]:
            del self._buckets[key]
        due = [(k, b) for k, b in self._buckets.items() if b.untold >= self._worth_telling]
        for start in range(0, len(due), AT_ONCE):
            await asyncio.gather(*(self._tell(*item) for item in due[start : start + AT_ONCE]))

    async def _share(self) -> None:
        try:
            await self.share()
        except StoreUnavailable as error:
            log.warning("limit_not_counted", kind=KIND, detail=error.log_detail)

    async def _tell(self, key: str, bucket: _Bucket) -> None:
        told, size = bucket.untold, self._rate.period_seconds
        seconds = told * self._each
        before = await self._shared.fill(
            f"{KIND}:{key}", seconds=seconds, size_seconds=size, to_the_brim=True
        )
        bucket.untold -= told
        # Those that came meanwhile are in ours only.
        fullness = min(before + seconds + bucket.untold * self._each, size)
        bucket.empty_at = max(bucket.empty_at, self._clock.now() + fullness)
