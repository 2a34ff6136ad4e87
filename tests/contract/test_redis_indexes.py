"""The index of a user's sessions in Redis holds those that may exist, however long logins go on."""

import uuid

import pytest

from bff.clock import ManualClock
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import NewRecord
from tests.contract.conftest import PATIENT
from tests.parts.redis_server import RedisServer

LOGINS = 20


@pytest.mark.rule("AZ-16")
async def test_an_index_does_not_keep_what_has_run_out(redis_server: RedisServer) -> None:
    """A user who logs in again and again and never out: entries whose session has reached its
    absolute end fall out with the next login, not when the whole index expires."""
    clock, namespace = ManualClock(), uuid.uuid4().hex
    store = RedisStore(redis_server.url, clock, namespace=namespace, limits=PATIENT)
    try:
        for number in range(LOGINS):
            await store.create(
                str(number),
                NewRecord(
                    b"",
                    idle_seconds=1800,
                    expires_at=clock.now() + 3600,
                    indexes=("user",),
                ),
            )
            clock.advance(1800)
        assert redis_server.command("ZCARD", f"{namespace}:i:user") == 2
        assert set(await store.members("user")) == {str(LOGINS - 1)}
    finally:
        await store.close()
