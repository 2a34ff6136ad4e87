"""The database of a Redis server that the URL names."""

from contextlib import closing

import pytest

from bff.clock import SystemClock
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import NewRecord
from tests.contract.conftest import PATIENT
from tests.parts.redis_server import RedisServer


@pytest.mark.parametrize("number", [0, 3])
async def test_records_are_kept_in_the_database_of_the_url(number: int) -> None:
    """Others may belong to another application, which may empty its own."""
    clock = SystemClock()
    with closing(RedisServer(tcp=True)) as server:
        store = RedisStore(server.url.removesuffix("/0") + f"/{number}", clock, limits=PATIENT)
        await store.start()
        await store.create("k", NewRecord(b"", 600, clock.now() + 600, ()))
        await store.close()
        assert f"db{number}:".encode() in server.command("INFO", "keyspace")
