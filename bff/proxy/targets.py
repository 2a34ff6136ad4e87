"""The upstreams of a route, each with its connections."""

import ssl
import time
from collections.abc import Collection, Mapping, Sequence

from bff.errors import UpstreamBusy
from bff.gate.routes import Route, Upstream
from bff.proxy.balance import Balancer, Member
from bff.proxy.locations import Locations
from bff.proxy.outbox import Outbox
from bff.proxy.pool import UpstreamPool


class UpstreamTarget(Member):
    """One upstream: its Host, the path in front of every request, and the way to it. `locations`
    turn its addresses into ours."""

    __slots__ = ("base_path", "host", "locations", "pool")

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
        self.pool = pool

    def path(self, path_and_query: bytes) -> bytes:
        """The target of a request whose path, after the route's, is this."""
        if path_and_query[:1] not in (b"/", b"") or not (self.base_path or path_and_query[:1]):
            return b"%b/%b" % (self.base_path, path_and_query)
        return self.base_path + path_and_query


class RouteTargets:
    """Hands out the upstreams of a route, as its balance, their health and its limit say."""

    def __init__(self, route: Route, tls: ssl.SSLContext, outbox: Outbox) -> None:
        self._targets = [
            UpstreamTarget(
                upstream,
                UpstreamPool(upstream, route, tls, outbox),
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


def route_targets(routes: Sequence[Route], outbox: Outbox) -> Mapping[str, RouteTargets]:
    """By the route's prefix. One set of trusted authorities is read once."""
    contexts = {
        file: ssl.create_default_context(cafile=file) for file in {r.ca_file for r in routes}
    }
    return {route.prefix: RouteTargets(route, contexts[route.ca_file], outbox) for route in routes}
