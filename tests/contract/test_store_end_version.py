"""Ending only the version that was looked at: a refusal by the OP speaks of one refresh token, and
must not end a session that has got another one meanwhile."""

import time

import pytest

from bff.sessions.store import NewRecord, SessionStore


async def create(store: SessionStore, key: str) -> None:
    await store.create(
        key,
        NewRecord(b"one", idle_seconds=60, expires_at=time.time() + 3600, indexes=("index" + key,)),
    )


@pytest.mark.rule("TK-08")
async def test_a_record_that_was_written_meanwhile_stays(store: SessionStore, key: str) -> None:
    """It also stays where a logout by subject looks for it."""
    await create(store, key)
    await store.replace(key, b"two", expected_version=1)
    index = "index" + key
    assert await store.delete(key, reason="x", indexes=(index,), expected_version=1) is None
    found = await store.load(key)
    assert found is not None
    assert (found.version, found.sealed) == (2, b"two")
    assert await store.members(index) == (key,)


async def test_a_record_of_that_version_goes(store: SessionStore, key: str) -> None:
    await create(store, key)
    await store.replace(key, b"two", expected_version=1)
    deleted = await store.delete(key, reason="x", expected_version=2)
    assert deleted is not None
    assert deleted.sealed == b"two"
    assert await store.load(key) is None


async def test_a_record_that_is_gone_is_of_no_user(store: SessionStore, key: str) -> None:
    assert await store.delete(key, reason="x", expected_version=1) is None
