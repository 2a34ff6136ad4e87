"""Figures of the requests at the public listener, by route.

A request is counted once, when it is over. What that costs is part of every API call: so it is
added to plain numbers, which `flush` hands over to Prometheus.

A route is named as in the access log, but without the base path of its application. All labels are
names of the configuration, or of a closed set.
"""

from bisect import bisect_left
from collections.abc import Collection, Mapping
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Histogram

SECONDS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SWITCHING_PROTOCOLS = 101
NONE = "none"
STATUS_CLASSES = (NONE, "1xx", "2xx", "3xx", "4xx", "5xx")

_Key = tuple[str, str, str, int]  # frontend, route, method, status


Observations = list[float]
"""How many fell into each bucket of a histogram, and behind these their sum. To observe an amount
is `found[bisect_left(bounds, amount)] += 1` and `found[-1] += amount`: written out where it is
done, for a call would cost more than both."""


class BatchHistogram(Histogram):
    """Takes many observations in one call. `prometheus_client` takes one at a time, and each costs
    as much as a hundredth of an API call."""

    def add(self, observations: Observations) -> None:
        """Count them all."""
        *counts, total = observations
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


class _Series:
    """Requests that are alike, since the last flush."""

    __slots__ = ("count", "gateway", "upstream", "whole")

    def __init__(self) -> None:
        nothing: Observations = [*[0] * (len(SECONDS_BUCKETS) + 1), 0.0]
        self.count = 0
        self.whole, self.gateway, self.upstream = nothing, nothing.copy(), nothing.copy()


class RequestFigures:
    """`base_paths` are by frontend; `safe_methods` are those of RFC 9110 section 9.2.1. Times are
    those of `time.monotonic`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.base_paths: Mapping[str, str] = {}
        self.safe_methods: Collection[str] = ()
        self._pending: dict[_Key, _Series] = {}
        self._requests = Counter(
            "bff_requests_total",
            "Requests by frontend, route, class of method (safe, unsafe) and class of status",
            ["frontend", "route", "method", "status"],
            registry=registry,
        )
        self._whole = BatchHistogram(
            "bff_request_duration_seconds",
            "From the head of a request to the last byte of its answer, but for WebSockets",
            ["route", "method", "status"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._gateway = BatchHistogram(
            "bff_gateway_duration_seconds",
            "The gateway's own part: until a request is sent on, refused, or answered by itself",
            ["route"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self._upstream = BatchHistogram(
            "bff_upstream_duration_seconds",
            "The upstream's part: until the head of its answer has come",
            ["route"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )

    def over(
        self,
        frontend: str,
        route: str,
        method: str,
        status: int,
        began_at: float,
        sent_at: float,
        answered_at: float,
    ) -> None:
        """A request is. `frontend` and `route` may be empty; `status` 0: it got no answer;
        `sent_at` 0: it was not sent to an upstream; `answered_at` 0: no head of an answer came."""
        now = monotonic()
        key = frontend, route, method, status
        series = self._pending.get(key)
        if series is None:
            series = self._pending[key] = _Series()
        series.count += 1
        if status != SWITCHING_PROTOCOLS:
            found, seconds = series.whole, now - began_at
            found[bisect_left(SECONDS_BUCKETS, seconds)] += 1
            found[-1] += seconds
        found, seconds = series.gateway, (sent_at or answered_at or now) - began_at
        found[bisect_left(SECONDS_BUCKETS, seconds)] += 1
        found[-1] += seconds
        if sent_at and answered_at:
            found, seconds = series.upstream, answered_at - sent_at
            found[bisect_left(SECONDS_BUCKETS, seconds)] += 1
            found[-1] += seconds

    def flush(self) -> None:
        """Hand over what has come together."""
        pending, self._pending = self._pending, {}
        for (frontend, route, method, status), series in pending.items():
            name = route.removeprefix(self.base_paths.get(frontend, "")) or NONE
            kind = "safe" if method in self.safe_methods else "unsafe"
            # A status that HTTP does not know the class of is none of those that are told apart.
            hundreds = status // 100
            status_class = STATUS_CLASSES[hundreds] if hundreds < len(STATUS_CLASSES) else NONE
            self._requests.labels(frontend or NONE, name, kind, status_class).inc(series.count)
            self._whole.labels(name, kind, status_class).add(series.whole)
            self._gateway.labels(name).add(series.gateway)
            if any(series.upstream):
                self._upstream.labels(name).add(series.upstream)
