"""Redis that stops, hangs, restarts, fails over or refuses: bounded answers, unaided recovery."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from redis.asyncio.connection import DefaultParser

from bff.clock import ManualClock, SystemClock
from bff.errors import StoreUnavailable
from bff.sessions.redis.client import RedisLimits
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import Lease, NewRecord, SessionStore
from tests.contract.conftest import PATIENT, Heard
from tests.parts.redis_server import RedisServer, cluster_server, sentinel_server
from tests.polling import HANG_SECONDS, until

USUAL = RedisLimits()
LEASE = Lease("key", "holder")
OPERATIONS: dict[str, Callable[[SessionStore], Awaitable[object]]] = {
    "ping": lambda s: s.ping(),
    "create": lambda s: s.create(
        "key", NewRecord(b"", idle_seconds=9, expires_at=time.time() + 9, indexes=("index",))
    ),
    "load": lambda s: s.load("key"),
    "replace": lambda s: s.replace("key", b"", expected_version=1),
    "touch": lambda s: s.touch("key", idle_seconds=9),
    "touch_all": lambda s: s.touch_all({"key": 9, "other": 9}),
    "delete": lambda s: s.delete("key", reason="logout"),
    "members": lambda s: s.members("index"),
    "acquire_lease": lambda s: s.acquire_lease("key", ttl_seconds=9),
    "renew_lease": lambda s: s.renew_lease(LEASE, ttl_seconds=9),
    "release_lease": lambda s: s.release_lease(LEASE),
    "put_login": lambda s: s.put_login("state", b"", browser_key="b", ttl_seconds=9, cap=9),
    "take_login": lambda s: s.take_login("state"),
    "remember": lambda s: s.remember("key", ttl_seconds=9),
    "is_remembered": lambda s: s.is_remembered("key"),
}

OUR_WORDS = (  # for an operator: nothing that redis-py says, for that may repeat what was sent
    "connection refused: nothing listens there",
    "no answer in time",
    "the connection was c",
    "there is no such socket",
    "the cluster does not serve all of its slots",
)


@asynccontextmanager
async def opened(
    url: str, heard: Heard | None = None, limits: RedisLimits = PATIENT
) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, SystemClock(), namespace=uuid.uuid4().hex, limits=limits)
    store.watch(heard or Heard())
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def answers(store: SessionStore) -> bool:
    try:
        await store.ping()
    except StoreUnavailable:
        return False
    return True


async def failure(operation: Awaitable[object]) -> StoreUnavailable:
    with pytest.raises(StoreUnavailable) as caught:
        await operation
    return caught.value


async def connect_often(store: SessionStore) -> None:
    """So that there are connections which are open when the server fails."""
    await asyncio.gather(*(run(store) for run in OPERATIONS.values()), return_exceptions=True)


async def require_all_unavailable(store: SessionStore) -> None:
    """Within 3 s. A busy machine may take longer once or twice, the store itself would always."""
    took: list[float] = []
    while min(took, default=3) >= 3:
        assert len(took) < 3, took
        began = time.monotonic()
        failures = await asyncio.gather(*(failure(run(store)) for run in OPERATIONS.values()))
        took.append(time.monotonic() - began)
        for error in failures:
            assert error.log_detail.startswith(OUR_WORDS), error.log_detail
            assert error.__cause__ is None
            assert error.__suppress_context__


@pytest.mark.rule("SE-10")
async def test_a_stopped_server_is_reported_at_once(own_redis: RedisServer) -> None:
    """Every operation fails closed within 3 s, and works again when the server is back."""
    async with opened(own_redis.url, limits=USUAL) as store:
        await store.ping()
        own_redis.stop()
        await require_all_unavailable(store)
        own_redis.start()
        await until(lambda: answers(store))


@pytest.mark.rule("SE-10")
async def test_a_hanging_server_is_reported_in_time(own_redis: RedisServer) -> None:
    """A server that accepts and never answers is no different."""
    async with opened(own_redis.url, limits=USUAL) as store:
        await connect_often(store)
        own_redis.pause()
        await require_all_unavailable(store)
        own_redis.resume()
        await until(lambda: answers(store))


@pytest.mark.rule("SE-10")
async def test_a_hanging_cluster_is_reported_in_time() -> None:
    """The cluster client's own retries do not add up beyond the bound."""
    server = cluster_server()
    try:
        async with opened(f"redis+cluster://127.0.0.1:{server.port}", limits=USUAL) as store:
            await connect_often(store)
            server.pause()
            await require_all_unavailable(store)
            server.resume()
            await until(lambda: answers(store))
    finally:
        server.close()


async def test_starting_does_not_need_the_server(own_redis: RedisServer) -> None:
    """A gateway that starts before its Redis picks it up when it comes."""
    own_redis.stop()
    heard = Heard()
    async with opened(own_redis.url, heard) as store:
        assert not await answers(store)
        assert heard.watching == []
        own_redis.start()
        await until(lambda: heard.watching == [True])


async def test_a_restart_is_told_as_a_gap(own_redis: RedisServer) -> None:
    """Listeners learn that they may have missed changes, then that they are told again."""
    heard = Heard()
    async with opened(own_redis.url, heard) as store:
        await until(lambda: heard.watching == [True])
        own_redis.restart()
        await until(lambda: heard.watching == [True, False, True])
        await store.put_login("s", b"", browser_key="b", ttl_seconds=9, cap=1)
        await store.create(
            "k", NewRecord(b"", idle_seconds=9, expires_at=time.time() + 9, indexes=())
        )
        await store.delete("k", reason="logout")
        await until(lambda: ("ended", "k", "logout") in heard.news)


async def test_a_silent_subscription_is_a_gap(own_redis: RedisServer) -> None:
    """A connection that is open but dead is found out, without any traffic on it."""
    heard = Heard()
    async with opened(own_redis.url, heard):
        await until(lambda: heard.watching == [True])
        own_redis.pause()
        await until(lambda: heard.watching == [True, False])
        own_redis.resume()
        await until(lambda: heard.watching == [True, False, True])


async def test_a_process_that_is_not_told_of_changes_vouches_for_nothing(
    own_redis: RedisServer,
) -> None:
    """It sends no heartbeat while it does not follow the stream, and goes on when it does again."""
    own_redis.command("ACL", "SETUSER", "deaf", "on", ">pw", "~*", "&*", "+@all")
    here, there, namespace = Heard(), Heard(), uuid.uuid4().hex
    deaf = own_redis.url.replace("unix://", "unix://deaf:pw@")
    one = RedisStore(own_redis.url, SystemClock(), namespace=namespace, limits=PATIENT)
    other = RedisStore(deaf, SystemClock(), namespace=namespace, limits=PATIENT)
    one.watch(here)
    other.watch(there)
    await one.start()
    await other.start()
    try:
        await until(lambda: len(here.heartbeats) > 1)
        own_redis.command("ACL", "SETUSER", "deaf", "-subscribe")
        own_redis.command("CLIENT", "KILL", "USER", "deaf")
        await until(lambda: there.watching == [True, False])
        await one_more(here)
        heard = len(here.heartbeats)
        await one_more(here)
        await one_more(here)
        assert len(here.heartbeats) == heard
        own_redis.command("ACL", "SETUSER", "deaf", "+subscribe")
        await until(lambda: len(here.heartbeats) > heard)
    finally:
        await one.close()
        await other.close()


async def one_more(heard: Heard) -> None:
    """Heartbeat of its own has come back, which a process sends once a second."""
    proven = len(heard.proven)
    await until(lambda: len(heard.proven) > proven)


async def test_a_quiet_subscription_is_kept(redis_server: RedisServer) -> None:
    """That nothing is written is no reason to drop the cache."""
    heard = Heard()
    async with opened(redis_server.url, heard):
        await until(lambda: heard.watching == [True])
        with pytest.raises(TimeoutError):
            await until(lambda: heard.watching != [True], seconds=2.5)


async def test_news_that_cannot_be_read_means_anything(redis_server: RedisServer) -> None:
    """A message of a later release makes listeners drop what they know, not ignore it."""
    heard = Heard()
    namespace = uuid.uuid4().hex
    store = RedisStore(redis_server.url, SystemClock(), namespace=namespace, limits=PATIENT)
    store.watch(heard)
    await store.start()
    try:
        await until(lambda: heard.watching == [True])
        redis_server.command("PUBLISH", f"{namespace}:changes", "2 x key")
        await until(lambda: heard.watching == [True, True])
        assert heard.news == []
    finally:
        await store.close()


class FaultyListener(Heard):
    def on_changed(self, key: str, *, version: int | None) -> None:
        super().on_changed(key, version=version)
        raise ZeroDivisionError


async def test_an_unforeseen_fault_is_a_gap_and_the_stream_is_taken_up_again(
    redis_server: RedisServer,
) -> None:
    heard = FaultyListener()
    async with opened(redis_server.url, heard) as store:
        await until(lambda: heard.watching == [True])
        await store.create(
            "k", NewRecord(b"", idle_seconds=9, expires_at=time.time() + 9, indexes=())
        )
        await store.replace("k", b"", expected_version=1)
        await until(lambda: heard.watching == [True, False, True])
        assert heard.news == [("changed", "k", 2)]


async def test_broken_pooled_connections_cost_no_request(redis_server: RedisServer) -> None:
    """After a restart or a proxy's idle timeout the pool is full of dead connections."""
    async with opened(redis_server.url) as store:
        await asyncio.gather(*(store.load(str(n)) for n in range(10)))
        redis_server.command("CLIENT", "KILL", "TYPE", "normal")
        assert await asyncio.gather(*(store.load(str(n)) for n in range(10))) == [None] * 10


async def test_forgotten_scripts_are_sent_again(redis_server: RedisServer) -> None:
    """A server that was restarted or failed over knows no script."""
    async with opened(redis_server.url) as store:
        await store.load("key")
        redis_server.command("SCRIPT", "FLUSH")
        assert await store.load("key") is None


async def test_callers_wait_for_a_connection(own_redis: RedisServer) -> None:
    """A burst queues for the pool's few connections; it neither fails nor opens more."""
    async with opened(own_redis.url, limits=replace(PATIENT, max_connections=2)) as store:
        await asyncio.gather(*(store.load(str(n)) for n in range(200)))
        clients = own_redis.command("CLIENT", "LIST", "TYPE", "normal")
        assert clients.count(b"cmd=evalsha") <= 2


async def test_holders_differ_over_a_loss_of_memory(own_redis: RedisServer) -> None:
    """A lease from before a restart without persistence can't be mistaken for a later one."""
    async with opened(own_redis.url) as store:
        before = await store.acquire_lease("key", ttl_seconds=9)
        own_redis.restart()
        await until(lambda: answers(store))
        after = await store.acquire_lease("key", ttl_seconds=9)
    assert before is not None
    assert after is not None
    assert after.holder != before.holder


async def test_logins_of_one_moment_keep_their_order(redis_server: RedisServer) -> None:
    """A burst of tabs within a millisecond: still the oldest one goes."""
    namespace = uuid.uuid4().hex
    store = RedisStore(redis_server.url, ManualClock(), namespace=namespace, limits=PATIENT)
    for state in "edcba":
        await store.put_login(state, b"", browser_key="b", ttl_seconds=60, cap=3)
    left = [state for state in "edcba" if await store.take_login(state) is not None]
    await store.close()
    assert left == ["c", "b", "a"]


def test_answers_are_read_by_hiredis() -> None:
    """redis-py falls back silently to its own parser, which costs several times as much."""
    assert DefaultParser.__name__ == "_AsyncHiredisParser"


async def test_a_refused_password_is_not_repeated(own_redis: RedisServer) -> None:
    """No part of the URL gets into the error (promise 1)."""
    own_redis.command("CONFIG", "SET", "requirepass", "right-password")
    url = own_redis.url.replace("unix://", "unix://someone:wrong-password@")
    async with opened(url) as store:
        error = await failure(store.ping())
    assert "wrong-password" not in f"{error!r} {error} {error.log_detail} {store!r}"
    assert error.log_detail.startswith("the user name or password in session.store is wrong")


async def test_a_cancelled_caller_ends(redis_server: RedisServer) -> None:
    """A cancellation is never swallowed on the way: a task that was told to stop stops."""
    async with opened(redis_server.url) as store:

        async def work() -> None:
            while True:
                await store.load("key")

        for _ in range(100):
            task = asyncio.create_task(work())
            for _ in range(random.randrange(12)):  # noqa: S311 - any moment will do
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=HANG_SECONDS)
            assert task.cancelled()


async def test_a_cancelled_caller_ends_although_its_command_fails(
    redis_server: RedisServer,
) -> None:
    """A failure does not take the place of the cancellation: a task that tries again stops."""
    namespace = uuid.uuid4().hex
    redis_server.command("SET", f"{namespace}:s:{{key}}", "no session")
    store = RedisStore(redis_server.url, SystemClock(), namespace=namespace, limits=PATIENT)

    async def work() -> None:
        while True:
            with suppress(StoreUnavailable):
                await store.load("key")

    for _ in range(100):
        task = asyncio.create_task(work())
        for _ in range(random.randrange(12)):  # noqa: S311 - any moment will do
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=HANG_SECONDS)
        assert task.cancelled()
    await store.close()


async def test_sentinel_fails_over() -> None:
    """The store follows the master that Sentinel names, and takes up the stream there."""
    master = RedisServer(tcp=True)
    replica = RedisServer("--replicaof", f"127.0.0.1 {master.port}", tcp=True)
    sentinel = sentinel_server(master)
    heard = Heard()
    try:

        async def is_replicating() -> bool:
            known = [
                dict(zip(found[::2], found[1::2], strict=True))
                for found in sentinel.command("SENTINEL", "REPLICAS", "main")
            ]
            # Before Sentinel has heard the replica itself it would find none to promote.
            is_heard = any(
                one[b"flags"] == b"slave" and one[b"info-refresh"] > b"0" for one in known
            )
            return b"master_link_status:up" in replica.command("INFO") and is_heard

        await until(is_replicating)
        async with opened(f"redis+sentinel://127.0.0.1:{sentinel.port}/main", heard) as store:
            await until(lambda: heard.watching == [True])
            master.stop()
            await until(lambda: heard.watching[-1] is False)
            sentinel.command("SENTINEL", "FAILOVER", "main")
            await until(lambda: answers(store))
            await until(lambda: heard.watching[-1])
    finally:
        for server in (sentinel, replica, master):
            server.close()
