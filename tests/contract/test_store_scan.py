"""What every session store must find when it is asked for all of its sessions."""

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest

from bff.clock import SystemClock
from bff.errors import StoreUnavailable
from bff.sessions.memory import SCANNED_AT_ONCE, MemoryStore
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import NewRecord, SessionStore
from tests.contract.conftest import PATIENT, Engine
from tests.parts.redis_server import RedisServer
from tests.polling import until


async def create(store: SessionStore, key: str, *, idle_seconds: float = 3600) -> None:
    await store.create(
        key,
        NewRecord(
            b"sealed",
            idle_seconds=idle_seconds,
            expires_at=time.time() + 3600,
            indexes=(f"index-{key}",),
        ),
    )


async def scanned(store: SessionStore) -> list[str]:
    return [key async for keys in store.scan() for key in keys]


@pytest.mark.rule("SE-08")
async def test_every_session_is_found_and_nothing_else(engine: Engine) -> None:
    """Neither indexes, nor leases, nor logins, nor what another installation keeps there."""
    store = await engine.open()
    assert await scanned(store) == []
    keys = {uuid.uuid4().hex for _ in range(40)}
    for key in keys:
        await create(store, key)
        assert await store.acquire_lease(key, ttl_seconds=60) is not None
    await store.put_login("state", b"sealed", browser_key="browser", ttl_seconds=60, cap=5)
    assert set(await scanned(store)) == keys


async def test_sessions_may_come_and_go_during_a_scan(engine: Engine) -> None:
    """Those that stay are found all the same."""
    store = await engine.open()
    stay = [uuid.uuid4().hex for _ in range(1200)]
    go = [uuid.uuid4().hex for _ in range(1200)]
    for pair in zip(stay, go, strict=True):
        await asyncio.gather(*(create(store, key) for key in pair))
    found: set[str] = set()
    steps = 0
    async for keys in store.scan():
        steps += 1
        found.update(keys)
        for key in go[:400]:
            await store.delete(key, reason="logout")
        del go[:400]
        await create(store, uuid.uuid4().hex)
    assert found >= set(stay)
    assert steps > 3, "the whole store was read in one step"


async def test_an_expired_session_is_not_found(engine: Engine) -> None:
    store = await engine.open()
    await create(store, "short", idle_seconds=0.05)
    await create(store, "long")

    async def is_gone() -> bool:
        return await scanned(store) == ["long"]

    await until(is_gone)


async def test_a_scan_of_memory_lets_others_run() -> None:
    """However many sessions there are, requests wait for a few hundred of them at most."""
    store = MemoryStore(SystemClock())
    for number in range(3 * SCANNED_AT_ONCE):
        await create(store, str(number))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    sizes = [len(keys) async for keys in store.scan()]
    counting.cancel()
    assert sizes == [SCANNED_AT_ONCE] * 3
    assert turns >= 3


async def test_a_store_that_is_down_is_told_in_the_middle_of_a_scan(
    own_redis: RedisServer,
) -> None:
    """Half of the sessions must not pass for all of them."""
    store = RedisStore(own_redis.url, SystemClock(), limits=PATIENT)
    await store.start()
    try:
        for number in range(1500):
            await create(store, str(number))
        steps = store.scan()
        await anext(steps)
        own_redis.stop()
        with pytest.raises(StoreUnavailable):
            async for _ in steps:
                pass
    finally:
        await store.close()


@pytest.fixture
def two_nodes() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A cluster of two, each with half of the slots."""
    # A cluster's bus takes the port above by 10000, which must be free as well.
    nodes = [RedisServer("--cluster-enabled", "yes", tcp=True) for _ in range(2)]
    try:
        nodes[0].command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        nodes[1].command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        nodes[0].command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)
        deadline = time.monotonic() + 20
        while not all(b"cluster_state:ok" in n.command("CLUSTER", "INFO") for n in nodes):
            assert time.monotonic() < deadline, "the cluster did not form"
            time.sleep(0.02)
        yield nodes[0], nodes[1]
    finally:
        for node in nodes:
            node.close()


async def test_every_node_of_a_cluster_is_asked(two_nodes: tuple[RedisServer, RedisServer]) -> None:
    """A session lies on one node only."""
    url = f"redis+cluster://127.0.0.1:{two_nodes[0].port}"
    store = RedisStore(url, SystemClock(), limits=PATIENT)
    await store.start()
    try:
        keys = {uuid.uuid4().hex for _ in range(60)}
        for key in keys:
            await create(store, key)
        for node in two_nodes:
            assert any(f"{{{key}}}".encode() in node.everything() for key in keys)
        assert set(await scanned(store)) == keys
    finally:
        await store.close()
