"""The upstreams of a route, each with its connections, and which of them gets the next request.

An upstream that failed several times in a row is left alone for a while, longer each time. When the
while is over, one request tries it; its outcome decides for all. If every upstream is being left
alone, the one whose turn comes first is tried all the same, so that a route always has an upstream
to try. A lone upstream is never left alone.
"""

import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Generic, TypeVar

from bff.errors import UpstreamBusy
from bff.gate.routes import Balance, Route, Upstream
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.locations import Locations
from bff.proxy.upstream.pool import UpstreamPool

FAILURES_IN_A_ROW = 3
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0


class Member:
    """One upstream, as far as choosing goes. `active` requests are with it now."""

    __slots__ = ("_failures", "_pause_seconds", "_paused_until", "active", "is_probed")

    def __init__(self) -> None:
        self.active = 0
        self.is_probed = False
        self._failures = 0
        self._pause_seconds = 0.0  # the last one's length; zero while all is well
        self._paused_until = 0.0

    @property
    def paused_until(self) -> float:
        """Zero while all is well."""
        return self._paused_until

    def may_serve(self, now: float) -> bool:
        return not self.is_probed and self._paused_until <= now

    def succeeded(self) -> None:
        """It has answered, whatever the answer was."""
        self._failures = 0
        self._pause_seconds = self._paused_until = 0.0
        self.is_probed = False

    def failed(self, now: float) -> None:
        """It could not be reached, fell silent, or spoke no HTTP."""
        self.is_probed = False
        if now < self._paused_until:
            return  # of a failure that is known: a hundred calls at once are no hundred outages
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            # Doubled, not raised to a power: an outage may be as long as it likes.
            longer = self._pause_seconds * 2 or FIRST_PAUSE_SECONDS
            self._pause_seconds = min(longer, LONGEST_PAUSE_SECONDS)
            self._paused_until = now + self._pause_seconds


M = TypeVar("M", bound=Member)


class Balancer(Generic[M]):
    """`pick` and `release` come in pairs; what happened in between is told to the member."""

    def __init__(self, members: Sequence[M], policy: Balance, now: Callable[[], float]) -> None:
        self._members = tuple(members)
        self._lone = members[0] if len(members) == 1 else None
        self._policy = policy
        self._now = now
        self._next = 0
        self.active = 0

    def pick(self, tried: Collection[M] = ()) -> M | None:
        """The member for the next request; None when all of them have been tried."""
        member = self._lone if self._lone is not None and not tried else self._choose(tried)
        if member is not None:
            member.active += 1
            self.active += 1
        return member

    def release(self, member: M) -> None:
        """The request is over, or goes to another member."""
        member.active -= 1
        self.active -= 1
        member.is_probed = False  # nothing came of it: the next request may try

    def _choose(self, tried: Collection[M]) -> M | None:
        turn, count = self._next, len(self._members)
        in_turn = [self._members[(turn + step) % count] for step in range(count)]
        left = [member for member in in_turn if member not in tried]
        if not left:
            return None
        now = self._now()
        able = [member for member in left if member.may_serve(now)]
        if not able:
            return min(left, key=lambda member: member.paused_until)
        chosen = able[0]
        if self._policy is Balance.LEAST_CONNECTIONS:
            chosen = min(able, key=lambda member: member.active)  # the first of equals
        chosen.is_probed = chosen.paused_until > 0
        self._next = (self._members.index(chosen) + 1) % count
        return chosen


class UpstreamTarget(Member):
    """One upstream: its Host, the path in front of every request, and the way to it. `locations`
    turn its addresses into ours; `server` is scheme and authority of its URL."""

    __slots__ = ("base_path", "host", "locations", "pool", "server")

    def __init__(
        self,
        upstream: Upstream,
        pool: UpstreamPool,
        locations: Locations | None = None,
        host: str | None = None,
    ) -> None:
        super().__init__()
        self.locations = locations
        self.host = (host or upstream.authority).encode()
        self.base_path = upstream.base_path.encode()
        self.server = f"{upstream.scheme}://{upstream.authority}"
        self.pool = pool

    def path(self, path_and_query: bytes) -> bytes:
        """The target of a request whose path, after the route's, is this."""
        if path_and_query[:1] not in (b"/", b"") or not (self.base_path or path_and_query[:1]):
            return b"%b/%b" % (self.base_path, path_and_query)
        return self.base_path + path_and_query


class RouteTargets:
    """Hands out the upstreams of a route, as its balance, their health and its limit say."""

    def __init__(self, route: Route, tls: ssl.SSLContext, writes: WriteCoalescer) -> None:
        self._targets = [
            UpstreamTarget(
                upstream,
                UpstreamPool(upstream, route, tls, writes),
                Locations.of(route, upstream),
                route.dev_host,
            )
            for upstream in route.upstreams
        ]
        self._most = route.max_concurrent
        self._balancer = Balancer(self._targets, route.balance, time.monotonic)

    def pick(self, tried: Collection[UpstreamTarget] = ()) -> UpstreamTarget | None:
        """The next one, to be given back; None when all were tried. Raises: UpstreamBusy."""
        if self._most and self._balancer.active >= self._most:
            raise UpstreamBusy
        return self._balancer.pick(tried)

    def release(self, target: UpstreamTarget) -> None:
        self._balancer.release(target)

    def close(self) -> None:
        for target in self._targets:
            target.pool.close_idle()


def route_targets(
    frontends: Mapping[str, Sequence[Route]], writes: WriteCoalescer
) -> Mapping[str, Mapping[str, RouteTargets]]:
    """Those of each frontend, by the route's prefix. Equal routes of several frontends are one: so
    are their connections, their limit, and what is known of their upstreams. One set of trusted
    authorities is read once."""
    routes = {route for own in frontends.values() for route in own}
    contexts = {
        file: ssl.create_default_context(cafile=file) for file in {r.ca_file for r in routes}
    }
    targets = {route: RouteTargets(route, contexts[route.ca_file], writes) for route in routes}
    return {
        name: {route.prefix: targets[route] for route in own} for name, own in frontends.items()
    }
