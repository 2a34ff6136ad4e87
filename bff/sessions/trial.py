"""Does a store do all that is asked of it? Every kind of step is taken once, with a session
without a user, which is deleted at the end and would be gone in seconds by itself.
"""

import secrets
from collections.abc import Callable

from bff.clock import Clock
from bff.sessions.store import SessionStore

LIFE_SECONDS = 10.0


class TrialFailed(Exception):
    """The store answers, but not as it must. The text is for the operator."""


async def try_store(store: SessionStore, clock: Clock) -> None:
    """Take every kind of step.

    Raises:
        StoreUnavailable: a step was refused, or not answered.
        TrialFailed: it was answered with something else than what it must be.
    """
    key, index, state, browser = (secrets.token_hex(32) for _ in range(4))
    await store.create(
        key,
        b"trial",
        idle_seconds=LIFE_SECONDS,
        expires_at=clock.now() + LIFE_SECONDS,
        indexes=[index],
    )
    try:
        record = await store.load(key)
        _require(lambda: record is not None and record.sealed == b"trial", "read what was written")
        lease = await store.acquire_lease(key, ttl_seconds=LIFE_SECONDS)
        _require(lambda: lease is not None, "give a lease")
        replaced = await store.replace(key, b"tried", expected_version=1)
        _require(lambda: replaced, "replace a record")
        if lease is not None:
            await store.release_lease(lease)
        await store.touch(key, idle_seconds=LIFE_SECONDS)
        members = await store.members(index)
        _require(lambda: members == (key,), "keep an index")
        await store.put_login(state, b"trial", browser_key=browser, ttl_seconds=LIFE_SECONDS, cap=1)
        login = await store.take_login(state)
        _require(lambda: login == b"trial", "keep a login")
        await store.remember(state, ttl_seconds=1)
        await store.is_remembered(state)
        await store.fill(state, seconds=1, size_seconds=1)
        async for _names in store.scan():
            break
    finally:
        await store.delete(key, reason="trial", indexes=[index])


def _require(holds: Callable[[], bool], what: str) -> None:
    if not holds():
        raise TrialFailed(f"it does not {what}: is it shared with something that deletes keys?")
