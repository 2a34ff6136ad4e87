"""How many sessions there are, as one process of several counts them in a real Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bff.clock import SystemClock
from bff.sessions.counting import LEASE, SessionCount
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import NewRecord
from tests.contract.conftest import PATIENT
from tests.parts.redis_server import RedisServer
from tests.polling import until

NAMESPACE = "counted"


@asynccontextmanager
async def a_count(server: RedisServer, told: list[int]) -> AsyncIterator[RedisStore]:
    """One process that may count."""
    store = RedisStore(server.url, SystemClock(), namespace=NAMESPACE, limits=PATIENT)
    await store.start()
    count = SessionCount(store, told.append, every_seconds=0.02)
    count.start()
    try:
        yield store
    finally:
        await count.close()
        await store.close()


async def add_sessions(store: RedisStore, *keys: str) -> None:
    for key in keys:
        expires_at = SystemClock().now() + 600
        await store.create(key, NewRecord(b"sealed", 600, expires_at, indexes=["of-alice"]))


async def test_one_process_counts_and_another_one_when_it_has_gone(own_redis: RedisServer) -> None:
    """Sessions only: not the keys of indexes, leases and other programs."""
    first: list[int] = []
    second: list[int] = []
    own_redis.command("SET", "other:s:{x}", "y")
    async with a_count(own_redis, first) as store:
        await until(lambda: first[-1:] == [0])
        await add_sessions(store, "a", "b", "c")
        await until(lambda: first[-1:] == [3])
        async with a_count(own_redis, second):
            counted = len(first)
            await until(lambda: len(first) > counted + 2)
            assert second == []
            await store.delete("a", reason="logout")
            await until(lambda: first[-1:] == [2])
    async with a_count(own_redis, second):
        await until(lambda: second[-1:] == [2])


async def test_a_process_that_has_lost_its_lease_says_no_more(own_redis: RedisServer) -> None:
    """What it said last would stay in the sum for as long as it lives."""
    told: list[int] = []
    async with a_count(own_redis, told) as store:
        await add_sessions(store, "a")
        await until(lambda: told[-1:] == [1])
        own_redis.command("SET", f"{NAMESPACE}:l:{{{LEASE}}}", "another")
        await until(lambda: told[-1:] == [0], seconds=90)
        counted = len(told)
        own_redis.command("DEL", f"{NAMESPACE}:l:{{{LEASE}}}")
        await until(lambda: len(told) > counted)
        assert told[-1] == 1


async def test_an_outage_of_the_store_is_survived(own_redis: RedisServer) -> None:
    told: list[int] = []
    async with a_count(own_redis, told) as store:
        await add_sessions(store, "a")
        await until(lambda: told[-1:] == [1])
        own_redis.stop()
        counted = len(told)
        own_redis.start()
        await until(lambda: len(told) > counted + 1)
