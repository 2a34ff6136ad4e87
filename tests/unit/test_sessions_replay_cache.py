"""Used logout tokens are known for as long as any replica could take one for new."""

import pytest

from bff.clock import ManualClock
from bff.sessions.memory import MemoryStore
from bff.sessions.sealing.keyring import RecordOwner
from bff.sessions.single_use import MARGIN_SECONDS, ReplayCache
from tests.parts.record_owner import OWNER

ISSUER = "https://op.example.test"


@pytest.fixture
def seen(clock: ManualClock) -> ReplayCache:
    return ReplayCache(MemoryStore(clock), [OWNER], clock)


async def test_a_token_is_its_issuer_and_its_jti(seen: ReplayCache) -> None:
    """And no other pair that reads the same when put together."""
    await seen.add(ISSUER, "a", provider="default", expires_at=2e9)
    assert await seen.has(ISSUER, "a", provider="default")
    assert not await seen.has(ISSUER, "A", provider="default")
    assert not await seen.has(f"{ISSUER}a", "", provider="default")
    assert not await seen.has(ISSUER[:-1], "ta", provider="default")
    assert not await seen.has("https://other.example.test", "a", provider="default")


async def test_a_token_for_two_clients_does_its_work_at_each(clock: ManualClock) -> None:
    """One that names both in `aud` is no replay at the second; another frontend of a client is not
    another client."""
    store, owner = MemoryStore(clock), RecordOwner(ISSUER, "one")
    await ReplayCache(store, [owner], clock).add(ISSUER, "a", provider="default", expires_at=2e9)
    for other, is_seen in (
        (RecordOwner(ISSUER, "two"), False),
        (RecordOwner(ISSUER, "one", "shop"), True),
    ):
        assert (
            await ReplayCache(store, [other], clock).has(ISSUER, "a", provider="default") is is_seen
        )


async def test_it_is_known_until_the_slowest_clock_calls_it_too_old(
    seen: ReplayCache, clock: ManualClock
) -> None:
    await seen.add(ISSUER, "a", provider="default", expires_at=clock.now() + 10)
    clock.advance(10 + MARGIN_SECONDS - 1)
    assert await seen.has(ISSUER, "a", provider="default")
    clock.advance(1)
    assert not await seen.has(ISSUER, "a", provider="default")
