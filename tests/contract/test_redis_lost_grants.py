"""Refresh leases whose grant or release is lost on its way: no process waits for one that does not
hold it."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from bff.clock import SystemClock
from bff.errors import StoreUnavailable
from bff.sessions.redis import scripts
from bff.sessions.redis.client import RedisClient, RedisLimits
from bff.sessions.redis.leases import FIRST_PAUSE_SECONDS, RedisLeases
from bff.sessions.redis.store import RedisStore
from bff.sessions.redis.url import parse_redis_url
from bff.sessions.store import Lease
from tests.contract.conftest import PATIENT, Heard
from tests.parts.redis_server import RedisServer
from tests.polling import until

LIMITS = RedisLimits(timeout_seconds=1, connect_seconds=1)
LONG = 600.0


@asynccontextmanager
async def opened(server: RedisServer, namespace: str, heard: Heard) -> AsyncIterator[RedisStore]:
    store = RedisStore(server.url, SystemClock(), namespace=namespace, limits=LIMITS)
    store.watch(heard)
    await store.start()
    try:
        await until(lambda: heard.watching == [True])
        await require_scripts(store)
        yield store
    finally:
        await store.close()


async def require_scripts(store: RedisStore) -> None:
    """Make the server know them: one that it does not know it would not carry out."""
    lease = await store.acquire_lease("other", ttl_seconds=1)
    if lease is not None:
        await store.release_lease(lease)


async def grant_lost(store: RedisStore, server: RedisServer) -> None:
    """The server stands still, the caller gives up, the server does what it was sent."""
    server.pause()
    with pytest.raises(StoreUnavailable):
        await store.acquire_lease("key", ttl_seconds=LONG)
    server.resume()


async def test_it_is_taken_back_and_others_are_told(own_redis: RedisServer) -> None:
    """Long before it would lapse, and without another try for it."""
    namespace = uuid.uuid4().hex
    heard = Heard()
    async with (
        opened(own_redis, namespace, Heard()) as first,
        opened(own_redis, namespace, heard) as second,
    ):
        await grant_lost(first, own_redis)
        await until(lambda: ("changed", "key", None) in heard.news)
        assert await second.acquire_lease("key", ttl_seconds=LONG) is not None


async def test_a_release_that_failed_is_made_up_for(own_redis: RedisServer) -> None:
    """Long before the lease would lapse: what its holder was doing is done."""
    namespace = uuid.uuid4().hex
    heard = Heard()
    async with (
        opened(own_redis, namespace, Heard()) as first,
        opened(own_redis, namespace, heard) as second,
    ):
        lease = await first.acquire_lease("key", ttl_seconds=LONG)
        assert lease is not None
        own_redis.command("CONFIG", "SET", "min-replicas-to-write", 1)  # it refuses writes
        with pytest.raises(StoreUnavailable):
            await first.release_lease(lease)
        own_redis.command("CONFIG", "SET", "min-replicas-to-write", 0)
        await until(lambda: ("changed", "key", None) in heard.news)
        assert await second.acquire_lease("key", ttl_seconds=LONG) is not None


async def test_a_process_that_asks_again_gets_the_grant_that_was_lost(
    own_redis: RedisServer,
) -> None:
    """And holds it as any other: it can be renewed and given back, and no other process gets it."""
    namespace = uuid.uuid4().hex
    async with (
        opened(own_redis, namespace, Heard()) as first,
        opened(own_redis, namespace, Heard()) as second,
    ):
        await grant_lost(first, own_redis)
        held = [await acquire(first)]
        assert held[0] is not None
        assert await first.renew_lease(held[0], ttl_seconds=LONG)
        await require_refused(second)
        assert await first.renew_lease(held[0], ttl_seconds=LONG), "taken back from its holder"
        await first.release_lease(held[0])
        assert await second.acquire_lease("key", ttl_seconds=LONG) is not None


async def acquire(store: RedisStore) -> Lease | None:
    found: list[Lease | None] = []

    async def is_answered() -> bool:
        try:
            found.append(await store.acquire_lease("key", ttl_seconds=LONG))
        except StoreUnavailable:
            return False
        return True

    await until(is_answered)
    return found[-1]


async def require_refused(store: RedisStore) -> None:
    """Asked for longer than a grant that is taken back would last."""
    ends_at = time.monotonic() + 5 * FIRST_PAUSE_SECONDS
    while time.monotonic() < ends_at:
        assert await store.acquire_lease("key", ttl_seconds=LONG) is None


class LossyProxy:
    """Between a store and its server; loses the next answers, with their connections, when told to,
    and holds back what contains `holds`, until told to `go_on`."""

    def __init__(self, server: RedisServer) -> None:
        self._path = server.url.removeprefix("unix://")
        self.lose = 0
        self.holds = b""
        self.held = asyncio.Event()
        self.go_on = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Yields the URL for the store."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        async with server:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, commands = await asyncio.open_unix_connection(self._path)
        pump = asyncio.create_task(self._pump(answers, writer))
        while data := await reader.read(65_536):
            if self.holds and self.holds in data:
                self.held.set()
                await self.go_on.wait()
            commands.write(data)
        commands.close()
        await pump

    async def _pump(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await answers.read(65_536):
            if self.lose:
                self.lose -= 1
                break
            writer.write(data)
        writer.close()


def sha(script: str) -> bytes:
    """How a script is called."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest().encode()


async def test_a_try_that_is_repeated_is_one_try(own_redis: RedisServer) -> None:
    """redis-py sends a command again when the connection broke before its answer came; the first
    one has been granted by then."""
    proxy = LossyProxy(own_redis)
    async with proxy.listening() as url:
        store = RedisStore(url, SystemClock(), limits=PATIENT)
        await require_scripts(store)
        proxy.lose = 1
        assert await store.acquire_lease("key", ttl_seconds=LONG) is not None
        assert not proxy.lose
        await store.close()


@pytest.mark.rule("TK-06")
@pytest.mark.parametrize("command", ["EXISTS", "EVALSHA"])
async def test_what_is_held_again_is_not_taken_back(own_redis: RedisServer, command: str) -> None:
    """Asked for again just when the lost grant is being taken back, at either of two commands."""
    proxy = LossyProxy(own_redis)
    async with proxy.listening() as url, AsyncExitStack() as stack:
        store = RedisStore(url, SystemClock(), limits=PATIENT)
        stack.push_async_callback(store.close)
        await require_scripts(store)
        proxy.holds = {"EXISTS": b"EXISTS", "EVALSHA": sha(scripts.TAKE_BACK)}[command]
        proxy.lose = 2  # redis-py tries twice
        with pytest.raises(StoreUnavailable):
            await store.acquire_lease("key", ttl_seconds=LONG)
        await proxy.held.wait()
        lease = await store.acquire_lease("key", ttl_seconds=LONG)
        assert lease is not None
        proxy.go_on.set()
        ends_at = time.monotonic() + 5 * FIRST_PAUSE_SECONDS
        while time.monotonic() < ends_at:
            assert await store.renew_lease(lease, ttl_seconds=LONG)


async def test_a_try_that_ends_late_leaves_no_task(own_redis: RedisServer) -> None:
    """Its caller is cancelled when the process has let go of its leases already: a task that begins
    to take back the grant then would be left behind."""
    proxy = LossyProxy(own_redis)
    async with proxy.listening() as url:
        client = RedisClient(parse_redis_url(url), PATIENT)
        leases = RedisLeases(client, prefix="bff:", channel="bff:changes")
        assert await leases.acquire("other", ttl_seconds=LONG) is not None
        proxy.holds = sha(scripts.ACQUIRE)
        trying = asyncio.create_task(leases.acquire("key", ttl_seconds=LONG))
        await proxy.held.wait()
        await leases.close()
        others = asyncio.all_tasks() - {trying}
        trying.cancel()
        await asyncio.wait([trying])
        assert asyncio.all_tasks() <= others
        proxy.go_on.set()
        await client.close()


async def test_a_store_that_is_closed_leaves_no_task(own_redis: RedisServer) -> None:
    """A grant may still have to be taken back: it lapses by itself."""
    before = asyncio.all_tasks()
    async with opened(own_redis, uuid.uuid4().hex, Heard()) as store:
        own_redis.pause()
        with pytest.raises(StoreUnavailable):
            await store.acquire_lease("key", ttl_seconds=LONG)
        await store.close()
        assert asyncio.all_tasks() == before
        own_redis.resume()


class FaultyClient(RedisClient):
    """Gets no answer to a try for a lease, and raises what no rule foresees when one of them is to
    be taken back."""

    def __init__(self) -> None:
        super().__init__(parse_redis_url("redis://127.0.0.1:1"), LIMITS)
        self.taken_back: list[str] = []

    async def call(self, *command: str | bytes | int, **options: bool) -> object:
        if command == ("EXISTS", "bff:l:{faulty}"):
            raise ZeroDivisionError
        return 1

    async def run(self, script: str, keys: list[str], *args: str | bytes | int) -> object:
        if script == scripts.ACQUIRE:
            raise StoreUnavailable("no answer")
        self.taken_back += keys
        return 1


async def test_an_unforeseen_fault_keeps_no_other_grant_from_being_taken_back() -> None:
    """The lease with the fault lapses by itself, and is not tried without end."""
    client = FaultyClient()
    leases = RedisLeases(client, prefix="bff:", channel="bff:changes")
    with capture_logs() as logs:
        for name in ("faulty", "key"):
            with pytest.raises(StoreUnavailable):
                await leases.acquire(name, ttl_seconds=LONG)
        await until(lambda: client.taken_back == ["bff:l:{key}"])
    assert [entry["event"] for entry in logs] == ["lease_not_taken_back"]
    await leases.close()
    await client.close()


class AwayClient(RedisClient):
    """Of a server that answers the fifth try to take a lease back."""

    def __init__(self) -> None:
        super().__init__(parse_redis_url("redis://127.0.0.1:1"), LIMITS)
        self.tried_at: list[float] = []
        self.taken_back: list[str] = []

    async def call(self, *_command: str | bytes | int, **_options: bool) -> object:
        self.tried_at.append(asyncio.get_running_loop().time())
        if len(self.tried_at) < 5:
            raise StoreUnavailable("away")
        return 1

    async def run(self, script: str, keys: list[str], *args: str | bytes | int) -> object:
        if script == scripts.ACQUIRE:
            raise StoreUnavailable("no answer")
        self.taken_back += keys
        return 1


async def test_a_server_that_is_away_is_asked_less_and_less_often() -> None:
    client = AwayClient()
    leases = RedisLeases(client, prefix="bff:", channel="bff:changes")
    with pytest.raises(StoreUnavailable):
        await leases.acquire("key", ttl_seconds=LONG)
    await until(lambda: client.taken_back == ["bff:l:{key}"])
    for pause, (before, after) in zip((0.2, 0.4, 0.5, 0.5), pairwise(client.tried_at), strict=True):
        assert after - before >= pause
    await leases.close()
    await client.close()
