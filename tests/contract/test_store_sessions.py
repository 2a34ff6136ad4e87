"""What every session store must do with records, versions, expiry and indexes."""

import asyncio
import time
import uuid

import pytest

from bff.errors import InternalError
from bff.sessions.store import NewRecord, SessionStore
from tests.polling import until

HOUR = 3600.0


async def create(
    store: SessionStore,
    key: str,
    sealed: bytes = b"sealed",
    *,
    idle_seconds: float = 60,
    absolute_seconds: float = HOUR,
    indexes: tuple[str, ...] = (),
) -> None:
    await store.create(
        key,
        NewRecord(
            sealed,
            idle_seconds=idle_seconds,
            expires_at=time.time() + absolute_seconds,
            indexes=indexes,
        ),
    )


async def content(store: SessionStore, key: str) -> tuple[int, bytes] | None:
    record = await store.load(key)
    return None if record is None else (record.version, record.sealed)


async def require_idle_end(store: SessionStore, key: str, seconds: float, *, since: float) -> None:
    """By our clock, so many seconds from a moment between `since` and now."""
    record = await store.load(key)
    assert record is not None
    assert since - 0.1 <= record.idle_expires_at - seconds <= time.time() + 0.1


async def test_a_created_record_is_loaded_as_it_was_stored(store: SessionStore, key: str) -> None:
    """Any bytes come back, at version 1, with the idle expiry by our clock."""
    sealed = bytes(range(256)) * 20
    began = time.time()
    await create(store, key, sealed, idle_seconds=60)
    assert await content(store, key) == (1, sealed)
    await require_idle_end(store, key, 60, since=began)


async def test_an_absent_record_is_none_everywhere(store: SessionStore, key: str) -> None:
    """No call invents a record, and none is an error."""
    assert await store.load(key) is None
    assert await store.touch(key, idle_seconds=60) is False
    assert await store.replace(key, b"new", expected_version=1) is False
    assert await store.delete(key, reason="logout") is None
    assert await store.members("nobody") == ()
    assert await store.load(key) is None


async def test_a_record_is_never_overwritten_by_create(store: SessionStore, key: str) -> None:
    """A session id names one session, ever (ASVS 7.2.4)."""
    await create(store, key, b"first")
    with pytest.raises(InternalError):
        await create(store, key, b"second")
    assert await content(store, key) == (1, b"first")


async def test_replace_compares_the_version(store: SessionStore, key: str) -> None:
    """A write based on what has changed meanwhile is refused and leaves no trace."""
    await create(store, key, b"one")
    assert await store.replace(key, b"two", expected_version=1) is True
    assert await content(store, key) == (2, b"two")
    assert await store.replace(key, b"late", expected_version=1) is False
    assert await store.replace(key, b"early", expected_version=3) is False
    assert await content(store, key) == (2, b"two")


async def test_one_of_many_concurrent_replaces_wins(store: SessionStore, key: str) -> None:
    """Compare-and-set is one atomic step."""
    await create(store, key)
    writes = [store.replace(key, b"%d" % n, expected_version=1) for n in range(20)]
    won = await asyncio.gather(*writes)
    assert won.count(True) == 1
    assert await content(store, key) == (2, b"%d" % won.index(True))


async def test_replace_never_recreates_a_deleted_record(store: SessionStore, key: str) -> None:
    """A refresh in flight can't bring back what a logout deleted (design: no resurrection)."""
    await create(store, key)
    await store.delete(key, reason="logout")
    assert await store.replace(key, b"risen", expected_version=1) is False
    assert await store.touch(key, idle_seconds=60) is False
    assert await store.load(key) is None


async def test_logout_against_replace_leaves_nothing(store: SessionStore) -> None:
    """Whatever the order, a deleted session stays deleted, and its last content is handed out."""
    for round_number in range(20):
        key = uuid.uuid4().hex
        await create(store, key, b"old")
        replaced, deleted = await asyncio.gather(
            store.replace(key, b"new", expected_version=1),
            store.delete(key, reason="logout"),
        )
        assert deleted is not None
        assert deleted.sealed == (b"new" if replaced else b"old"), round_number
        assert await store.load(key) is None


async def test_replace_leaves_the_expiry_alone(store: SessionStore, key: str) -> None:
    """A refresh is not activity (SE-04)."""
    await create(store, key, idle_seconds=30)
    before = await store.load(key)
    await store.replace(key, b"new", expected_version=1)
    after = await store.load(key)
    assert before is not None
    assert after is not None
    assert after.idle_expires_at == pytest.approx(before.idle_expires_at, abs=5)


async def test_touch_moves_the_idle_expiry_and_nothing_else(store: SessionStore, key: str) -> None:
    """Activity moves the expiry; version and content stay."""
    began = time.time()
    await create(store, key, b"content", idle_seconds=10)
    assert await store.touch(key, idle_seconds=60) is True
    assert await content(store, key) == (1, b"content")
    await require_idle_end(store, key, 60, since=began)


async def test_a_late_touch_does_not_shorten_the_life(store: SessionStore, key: str) -> None:
    """Activity noted before another process's may be written after it."""
    began = time.time()
    await create(store, key, idle_seconds=60)
    assert await store.touch(key, idle_seconds=5) is True
    await require_idle_end(store, key, 60, since=began)


async def test_touch_never_goes_past_the_absolute_expiry(store: SessionStore, key: str) -> None:
    """The absolute lifetime ends a session in constant use (SE-05)."""
    began = time.time()
    await create(store, key, idle_seconds=15, absolute_seconds=20)
    assert await store.touch(key, idle_seconds=60) is True
    await require_idle_end(store, key, 20, since=began)


async def test_a_touch_never_overwrites_a_replace(store: SessionStore, key: str) -> None:
    """A slow request's activity can't undo a token rotation (lost update)."""
    await create(store, key, b"0")
    version = 1
    while version <= 20:
        _, replaced, _ = await asyncio.gather(
            store.touch(key, idle_seconds=60),
            store.replace(key, b"%d" % version, expected_version=version),
            store.touch(key, idle_seconds=61),
        )
        assert replaced is True
        version += 1
        assert await content(store, key) == (version, b"%d" % (version - 1))


@pytest.mark.rule("SE-04")
async def test_an_idle_record_expires(store: SessionStore, key: str) -> None:
    """Inactivity ends the session: the record is gone."""
    await create(store, key, idle_seconds=0.1)

    async def is_gone() -> bool:
        return await store.load(key) is None

    await until(is_gone)
    assert await store.touch(key, idle_seconds=60) is False


@pytest.mark.rule("SE-05")
async def test_a_record_in_use_expires_at_its_absolute_end(store: SessionStore, key: str) -> None:
    """Constant use does not keep a session beyond its absolute lifetime."""
    began = time.monotonic()
    await create(store, key, idle_seconds=60, absolute_seconds=0.3)

    async def is_gone() -> bool:
        return not await store.touch(key, idle_seconds=60)

    await until(is_gone)
    assert time.monotonic() - began >= 0.25
    assert await store.load(key) is None


async def test_delete_hands_the_record_to_one_of_many(store: SessionStore, key: str) -> None:
    """Tokens are revoked once, however many logouts arrive together."""
    await create(store, key, b"one")
    await store.replace(key, b"two", expected_version=1)
    deleted = await asyncio.gather(*(store.delete(key, reason="logout") for _ in range(50)))
    [record] = [found for found in deleted if found is not None]
    assert (record.version, record.sealed) == (2, b"two")


async def test_indexes_are_sets(store: SessionStore) -> None:
    """Ending one device leaves the user's other devices findable."""
    phone, laptop, index, other = (uuid.uuid4().hex for _ in range(4))
    await create(store, phone, indexes=(index, other))
    await create(store, laptop, indexes=(index,))
    assert set(await store.members(index)) == {phone, laptop}
    assert await store.members(other) == (phone,)
    await store.delete(phone, reason="logout", indexes=(index, other))
    assert await store.members(index) == (laptop,)
    assert await store.members(other) == ()


async def test_an_index_forgets_sessions_past_their_absolute_end(store: SessionStore) -> None:
    """An index can't grow beyond the sessions that may exist."""
    short, long, index = (uuid.uuid4().hex for _ in range(3))
    await create(store, short, indexes=(index,), absolute_seconds=0.1)

    async def is_gone() -> bool:
        return await store.load(short) is None

    await until(is_gone)
    await create(store, long, indexes=(index,))
    assert await store.members(index) == (long,)
