"""Connections to Redis: one server, a Unix socket, Sentinel or Cluster, all through redis-py.

Owns every timeout and the number of connections, and turns each failure into `StoreUnavailable`
with words of ours for it: texts of redis-py may repeat what was sent.
"""

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from bff.errors import StoreUnavailable
from bff.sessions.redis import scripts
from bff.sessions.redis.failover import FailoverWatch, NewestSentinel
from bff.sessions.redis.reasons import redis_reason
from bff.sessions.redis.url import RedisUrl

log = structlog.get_logger("bff.sessions")

# Told of each operation: its name, whether it was answered, and seconds.
Observe = Callable[[str, bool, float], None]

FAILURES = (RedisError, RedisClusterException, OSError, TimeoutError)
# What redis-py lets through when a connection is closed under a command, as in a failover.
CLOSED_UNDER_IT = (RuntimeError, AttributeError)

# One quick retry, and only when the connection broke: a server that restarted leaves broken ones in
# the pool. A timeout is not retried, that would double the wait.
ONE_RETRY = Retry(NoBackoff(), 1, (RedisConnectionError,))
# A subscriber must hear of every break, for it may have missed something.
NO_RETRY = Retry(NoBackoff(), 0, (RedisConnectionError,))

SCANNED_AT_ONCE = 500  # keys the server looks at in one step: well under a millisecond


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """`timeout_seconds` bounds a whole operation: waiting for a connection, connecting, answer."""

    timeout_seconds: float = 1.5
    connect_seconds: float = 0.5
    sentinel_seconds: float = 0.4
    max_connections: int = 32


class RedisClient:
    """Commands and scripts, bounded; and connections of their own for subscribers."""

    def __init__(
        self,
        url: RedisUrl,
        limits: RedisLimits,
        observe: Observe = lambda *_: None,
    ) -> None:
        self._observe = observe
        self._url = url
        self._limits = limits
        self._slots = asyncio.Semaphore(limits.max_connections)
        self._sentinel = _sentinel(url, limits) if url.kind == "sentinel" else None
        self._watch = FailoverWatch(self._configuration, self._leave_connections)
        self._subscriber: Redis | None = None
        self._epoch = 0  # of a cluster's configuration; nodes that lag behind name an older one
        self._redis: Redis | RedisCluster
        if url.kind == "cluster":
            self._redis = RedisCluster(
                startup_nodes=[ClusterNode(host, port) for host, port in url.hosts],
                **_options(url, limits, ONE_RETRY),
            )
        else:
            self._redis = self._connect(ONE_RETRY)

    def start(self) -> None:
        """Look out for failovers, where there may be some."""
        if self._url.kind in {"sentinel", "cluster"}:
            self._watch.start()

    @property
    def has_slots(self) -> bool:
        """Keys of one step must belong together, as in a cluster."""
        return self._url.kind == "cluster"

    @property
    def configuration(self) -> str | None:
        """Which nodes hold the data, to compare with what others say; None: only one can."""
        return self._watch.known

    async def call(self, *command: str | bytes | int, **options: bool) -> Any:
        """One command; `options` are redis-py's, for its reading of the answer.

        Raises `StoreUnavailable`.
        """
        async with self._bounded(str(command[0]).lower()):
            return await self._redis.execute_command(*command, **options)

    async def run(self, script: str, keys: list[str], *args: str | bytes | int) -> Any:
        """One atomic step; `keys` share a slot. Raises `StoreUnavailable`."""
        sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
        async with self._bounded(scripts.NAMES[script]):
            try:
                return await self._redis.execute_command("EVALSHA", sha, len(keys), *keys, *args)
            except NoScriptError:
                return await self._redis.execute_command("EVAL", script, len(keys), *keys, *args)

    async def publish(self, channel: str, messages: Callable[[int], list[str]]) -> None:
        """One message at each of the nodes that take writes, of as many as there are of these.

        Raises `StoreUnavailable`.
        """
        nodes = await self._nodes_with_keys()
        for node, message in zip(nodes, messages(len(nodes)), strict=True):
            at_node = {} if node is None else {"target_nodes": node}
            async with self._bounded("publish"):
                await self._redis.execute_command("PUBLISH", channel, message, **at_node)

    async def scan(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """The names of all keys like `pattern`, some at a time; one that stays is found, perhaps
        twice. Raises `StoreUnavailable`."""
        for node in await self._nodes_with_keys():
            cursor = 0
            while True:
                async with self._bounded("scan"):
                    cursor, names = await self._scan_step(node, cursor, pattern)
                yield names
                if cursor == 0:
                    break

    async def subscriber(self) -> Redis:
        """A client for one subscription, to be closed by the caller. Raises one of `FAILURES`."""
        if isinstance(self._redis, RedisCluster):
            # Any node will do: the cluster passes what is published on to all of them.
            async with asyncio.timeout(self._limits.timeout_seconds):
                await self._redis.initialize()
            node = random.choice(self._redis.get_nodes())  # noqa: S311 - not for a secret
            options = _options(self._url, self._limits, NO_RETRY)
            self._subscriber = Redis(host=node.host, port=int(node.port), **options)
        else:
            self._subscriber = self._connect(NO_RETRY)
        return self._subscriber

    async def info(self) -> dict[str, dict[str, object]]:
        """`INFO` of the server, or of each of a cluster's primaries, by `host:port`; of a single
        server the name is empty. Raises `StoreUnavailable`."""
        found = {}
        for node in await self._nodes_with_keys():
            at_node = {} if node is None else {"target_nodes": node}
            async with self._bounded("info"):
                facts = await self._redis.execute_command("INFO", **at_node)
            found["" if node is None else node.name] = dict(facts)
        return found

    def reason(self, error: BaseException) -> str:
        """One of `FAILURES` in words for an operator."""
        return redis_reason(error, self._url)

    async def close(self) -> None:
        """Close all connections; one that can't be closed in time is left to the system."""
        await self._watch.close()
        with suppress(*FAILURES):
            await self._redis.aclose()
        if self._sentinel is not None:
            with suppress(*FAILURES):
                await self._sentinel.aclose()

    async def _configuration(self) -> str | None:
        if self._sentinel is not None:
            return await self._sentinel.configuration(self._url.service)
        with suppress(StoreUnavailable):
            async with self._bounded("cluster info"):
                about = await self._redis.execute_command("CLUSTER INFO", target_nodes="random")
            self._epoch = max(self._epoch, int(about["cluster_current_epoch"]))
            return str(self._epoch)
        return None

    async def _leave_connections(self) -> None:
        """The subscription is taken up anew, and new connections ask Sentinel for the master again;
        what is under way there may finish."""
        for redis in (self._redis, self._subscriber):
            if isinstance(redis, Redis):
                pool = redis.connection_pool
                await pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
                with suppress(*FAILURES):
                    await pool.disconnect(inuse_connections=redis is self._subscriber)

    def _connect(self, retry: Retry) -> Redis:
        options = _options(self._url, self._limits, retry)
        if self._url.kind == "unix":
            return Redis(unix_socket_path=self._url.path, db=self._url.db, **options)
        if self._sentinel is not None:
            master: Redis = self._sentinel.master_for(self._url.service, db=self._url.db, **options)
            return master
        [(host, port)] = self._url.hosts
        return Redis(host=host, port=port, db=self._url.db, **options)

    async def _nodes_with_keys(self) -> list[ClusterNode | None]:
        if not isinstance(self._redis, RedisCluster):
            return [None]
        async with self._bounded("connect"):
            await self._redis.initialize()
        return [*self._redis.get_primaries()]

    async def _scan_step(
        self, node: ClusterNode | None, cursor: int, pattern: str
    ) -> tuple[int, list[bytes]]:
        command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED_AT_ONCE)
        if node is None:
            answer = await self._redis.execute_command(*command)
            return int(answer[0]), answer[1]
        cursors, names = await self._redis.execute_command(*command, target_nodes=node)
        return int(cursors[node.name]), names

    @asynccontextmanager
    async def _bounded(self, operation: str) -> AsyncIterator[None]:
        cancels = _cancel_requests()
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.timeout_seconds), self._slots:
                yield
            self._observe(operation, True, time.monotonic() - began_at)
        except FAILURES as error:
            self._observe(operation, False, time.monotonic() - began_at)
            # No cause either: a server's error may repeat arguments, a log may print causes.
            raise StoreUnavailable(self.reason(error)) from None
        except CLOSED_UNDER_IT as error:
            self._observe(operation, False, time.monotonic() - began_at)
            log.warning("redis_client_confused", detail=type(error).__name__)
            raise StoreUnavailable("the connection was closed under a command") from None
        finally:
            # redis-py sends under `asyncio.wait_for`, which on Python 3.11 may swallow a
            # cancellation; what then fails must not hide it either.
            if _cancel_requests() > cancels:
                raise asyncio.CancelledError


def _cancel_requests() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _options(url: RedisUrl, limits: RedisLimits, retry: Retry) -> dict[str, Any]:
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": retry,
        "socket_timeout": limits.timeout_seconds,
        "socket_connect_timeout": limits.connect_seconds,
        "max_connections": limits.max_connections,
        "username": url.username,
        "password": url.password,
    }
    return options | _tls(url)


def _tls(url: RedisUrl) -> dict[str, Any]:
    """Certificates are always verified, against the system's authorities unless some are named."""
    if not url.tls:
        return {}
    named = {name: text for name, text in url.options.items() if name.startswith("ssl_")}
    return {"ssl": True, **named}


def _sentinel(url: RedisUrl, limits: RedisLimits) -> NewestSentinel:
    return NewestSentinel(  # type: ignore[no-untyped-call]  # redis-py left it so
        url.hosts,
        sentinel_kwargs={
            "protocol": 2,
            "retry": NO_RETRY,
            "socket_timeout": limits.sentinel_seconds,
            "socket_connect_timeout": limits.sentinel_seconds,
            "username": url.options.get("sentinel_username"),
            "password": url.options.get("sentinel_password"),
            **_tls(url),
        },
    )
