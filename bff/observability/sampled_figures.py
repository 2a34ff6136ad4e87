"""Figures that are read off about once a second: what is under way, what this process takes of the
machine, and what has been counted in plain numbers elsewhere.

With several workers a gauge is their sum, but where it says otherwise.
"""

import os
import platform
import resource
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bff import __version__

LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# The file has sizes in pages, and a directory with a file for each descriptor is long to list.
PROCESS_EVERY_SECONDS = 5.0
_STATM, _DESCRIPTORS = Path("/proc/self/statm"), "/proc/self/fd"


class Total:
    """A counter of what is summed up elsewhere, by a plain number that only grows."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._told = 0.0

    def reach(self, total: float) -> None:
        if total > self._told:
            self._counter.inc(total - self._told)
            self._told = total


class SampledFigures:
    """Told what there is now, and how much there has been in all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._process = ProcessFigures(registry)
        self._connections = _sum("bff_connections_open", "Browsers' connections", registry)
        self._in_flight = _sum("bff_requests_in_flight", "Requests being served", registry)
        self._streams = _sum(
            "bff_streams_open", "Answers that have begun and not ended, but WebSockets", registry
        )
        self._websockets = _sum("bff_websockets_open", "WebSockets", registry)
        self._received = Total(
            Counter("bff_received_bytes_total", "Bytes from browsers", registry=registry)
        )
        self._sent = Total(Counter("bff_sent_bytes_total", "Bytes to browsers", registry=registry))
        lookups = Counter(
            "bff_session_lookups_total",
            "Sessions of calls by where they were found (cache), or looked for (store)",
            ["place"],
            registry=registry,
        )
        self._in_cache = Total(lookups.labels("cache"))
        self._in_store = Total(lookups.labels("store"))
        self._lag = Histogram(
            "bff_event_loop_lag_seconds",
            "How much later than it was due a step of the event loop came, looked at once a second",
            buckets=LAG_BUCKETS,
            registry=registry,
        )
        self._keys_fetched = Gauge(
            "bff_op_jwks_fetched_timestamp_seconds",
            "When the keys in use were fetched from the OP, the oldest of all workers",
            ["provider"],
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._keys_fetched_at: dict[str, float] = {}
        self._alive = Gauge(
            "bff_sessions_alive",
            "Sessions in the store as last counted, 0 but where they are counted",
            multiprocess_mode="livemax",
            registry=registry,
        )

    def lag(self, seconds: float) -> None:
        """Of one step of the event loop."""
        self._lag.observe(max(0.0, seconds))

    def under_way(self, *, connections: int, requests: int, streams: int, websockets: int) -> None:
        """At the public listener, now."""
        self._connections.set(connections)
        self._in_flight.set(requests)
        self._streams.set(streams)
        self._websockets.set(websockets)

    def carried(self, *, received_bytes: int, sent_bytes: int) -> None:
        """By browsers' connections, in all."""
        self._received.reach(received_bytes)
        self._sent.reach(sent_bytes)

    def looked_up(self, *, in_cache: int, in_store: int) -> None:
        """Sessions, in all."""
        self._in_cache.reach(in_cache)
        self._in_store.reach(in_store)

    def keys_fetched(self, provider: str, at: float) -> None:
        """The OP's keys, at that time."""
        if self._keys_fetched_at.get(provider) != at:
            self._keys_fetched_at[provider] = at
            self._keys_fetched.labels(provider).set(at)

    def sessions_alive(self, count: int) -> None:
        """As this process has counted them."""
        self._alive.set(count)

    def read_process(self) -> None:
        """What this process takes of the machine."""
        self._process.read()


class ProcessFigures:
    """Named and meant as other programs' are. The library's own collector is one of a process that
    is alone: it is not merged between workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._read_at = float("-inf")
        self._cpu = Total(
            Counter(
                "process_cpu_seconds_total",
                "User and system CPU time of all workers",
                registry=registry,
            )
        )
        self._resident = _sum("process_resident_memory_bytes", "Resident memory", registry)
        self._virtual = _sum("process_virtual_memory_bytes", "Virtual memory", registry)
        self._open = _sum("process_open_fds", "Open file descriptors", registry)
        self._most = _sum("process_max_fds", "How many there may be", registry)
        self._workers = _sum("bff_workers", "Processes that serve", registry)
        self._workers.set(1)
        self._started = Gauge(
            "process_start_time_seconds",
            "When the oldest worker was started",
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._started.set(time.time())
        self._build = Gauge(
            "bff_build_info",
            "1, with the version of the gateway and of Python",
            ["version", "python"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._build.labels(__version__, platform.python_version()).set(1)

    def read(self) -> None:
        """Of this process, unless it was only just now."""
        now = time.monotonic()
        if now - self._read_at < PROCESS_EVERY_SECONDS:
            return
        self._read_at = now
        self._cpu.reach(time.process_time())
        self._most.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if not _STATM.exists():
            return  # no Linux
        virtual, resident = _STATM.read_text().split()[:2]
        page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._virtual.set(int(virtual) * page_bytes)
        self._resident.set(int(resident) * page_bytes)
        self._open.set(len(os.listdir(_DESCRIPTORS)))  # noqa: PTH208 - five times as quick


def _sum(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, multiprocess_mode="livesum", registry=registry)
