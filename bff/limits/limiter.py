"""Rates, which addresses are one client, and the judgement of one kind of event: does it fit under
its rate, for this client or session?

The buckets are in the session store, shared by all processes. A client that was refused is
remembered here until its bucket has room again, so that a flood costs the store nothing.
"""

import ipaddress
import math
from dataclasses import dataclass
from typing import Protocol

import structlog

from bff.audit.audit import OFF, Audit
from bff.audit.event import NO_REQUEST, Actor, Event, EventName, Origin
from bff.bounded_map import BoundedMap
from bff.clock import Clock
from bff.errors import RateLimited, StoreUnavailable
from bff.model import public_id
from bff.observability.metrics import Metrics

log = structlog.get_logger("bff.limits")

REFUSED_ENTRIES = 10_000
HOST_BITS = 64  # of an IPv6 address: the network that one host is given


class Buckets(Protocol):
    """What a store does for it. Raises `StoreUnavailable`."""

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        """Add to a bucket, if all of it fits, or with `to_the_brim` as much as does.

        How full it was before, in seconds until it is empty.
        """


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` events in `period_seconds`, as a bucket that leaks: it holds as many events as the
    rate names and empties evenly over the period. So many may come at once, and after that one
    whenever there is room for one. How full it is, is told in seconds until it is empty."""

    count: int
    period_seconds: float

    @property
    def each_seconds(self) -> float:
        """What one event adds to a bucket."""
        return self.period_seconds / self.count

    def wait_seconds(self, fullness: float) -> float:
        """How long until one more event fits into a bucket this full; 0 when it does."""
        # What rounding leaves over must not refuse the last one; the stores allow for as much.
        wait = fullness + self.each_seconds - self.period_seconds
        return wait if wait > self.each_seconds / 100 else 0.0


class Limiter:
    """`rate` None: no limit. `strict`: refuse what can't be judged because the store is away.
    `by_session`: a client is the key of a session, else an address."""

    def __init__(
        self,
        kind: str,
        rate: Rate | None,
        buckets: Buckets,
        clock: Clock,
        metrics: Metrics,
        audit: Audit = OFF,
        *,
        strict: bool = False,
        by_session: bool = False,
    ) -> None:
        self._kind = kind
        self._rate = rate
        self._buckets = buckets
        self._clock = clock
        self._metrics = metrics
        self._strict = strict
        self._audit = audit
        self._by_session = by_session
        self._refused_until: BoundedMap[str, float] = BoundedMap(REFUSED_ENTRIES)

    async def take(self, client: str) -> None:
        """One event, counted if it may be.

        Raises:
            RateLimited: it may not.
            StoreUnavailable: it can't be judged, and this limiter is strict.
        """
        await self._judge(client, counted=True)

    async def require_room(self, client: str) -> None:
        """That one more event would fit, without counting any. Raises: as `take`."""
        await self._judge(client, counted=False)

    async def count(self, client: str) -> None:
        """One event that has happened, whether it fits or not. Never raises."""
        if self._rate is None:
            return
        each, size = self._rate.each_seconds, self._rate.period_seconds
        try:
            await self._buckets.fill(
                self._key(client), seconds=each, size_seconds=size, to_the_brim=True
            )
        except StoreUnavailable as error:
            log.warning("limit_not_counted", kind=self._kind, detail=error.log_detail)

    def require_not_refused(self, client: str) -> None:
        """That this process has not refused it just now; no store is asked. Raises: RateLimited."""
        wait = self.refused_seconds(client)
        if wait > 0:
            raise self._refused(client, wait)

    def refused_seconds(self, client: str) -> float:
        """How long this process knows that it would refuse; no store is asked."""
        until = self._refused_until.get(client)
        if until is None:
            return 0.0
        wait = until - self._clock.now()
        if wait <= 0:
            del self._refused_until[client]
        return max(0.0, wait)

    async def _judge(self, client: str, *, counted: bool) -> None:
        rate = self._rate
        if rate is None:
            return
        self.require_not_refused(client)
        each, size = rate.each_seconds if counted else 0.0, rate.period_seconds
        try:
            before = await self._buckets.fill(self._key(client), seconds=each, size_seconds=size)
        except StoreUnavailable as error:
            if self._strict:
                raise
            log.warning("limit_not_judged", kind=self._kind, detail=error.log_detail)
            return
        wait = rate.wait_seconds(before)
        if wait > 0:
            self._refused_until[client] = self._clock.now() + wait
            log.warning("rate_limited", kind=self._kind, seconds=round(wait, 3))
            raise self._refused(client, wait)

    def _refused(self, client: str, wait_seconds: float) -> RateLimited:
        self._metrics.rate_limited(self._kind)
        self._audit.report(limit_hit(self._kind, client, by_session=self._by_session))
        return RateLimited(self._kind, retry_after=retry_after(wait_seconds))

    def _key(self, client: str) -> str:
        return f"{self._kind}:{client}"


def limit_hit(kind: str, client: str, *, by_session: bool) -> Event:
    """What the audit log is told of a request that was refused because of a limit."""
    session = public_id(client) if by_session else ""
    origin = NO_REQUEST if by_session else Origin(address=client)
    return Event(EventName.LIMIT_HIT, Actor.LIMIT, kind, origin, frontend="", session=session)


def retry_after(wait_seconds: float) -> int:
    """Whole seconds for a Retry-After."""
    return max(1, math.ceil(wait_seconds))


def client_of(address: str) -> str:
    """The name that a client's address is counted under: an IPv4 address, or an IPv6 network of 64
    bits. A host is given a whole /64 and may take any address of it (RFC 4291 section 2.5.4, RFC
    8981), so that counting single ones would limit no host. What is no address, as of a Unix
    socket's peer, is itself a name."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:  # the same host, on a socket that takes both
        return str(parsed.ipv4_mapped)
    network = int(parsed) >> HOST_BITS << HOST_BITS
    return f"{ipaddress.IPv6Address(network)}/{HOST_BITS}"
