"""What every session store must do with what it is to remember: known at once everywhere, for its
time only."""

from bff.sessions.store import SessionStore
from tests.contract.conftest import Engine
from tests.polling import until


async def test_what_was_seen_is_known_and_nothing_else(store: SessionStore, key: str) -> None:
    assert not await store.is_remembered(key)
    await store.remember(key, ttl_seconds=60)
    assert await store.is_remembered(key)
    assert not await store.is_remembered(key + "x")


async def test_what_one_process_has_seen_all_know(engine: Engine, key: str) -> None:
    """A logout token is not worth a second use at the next replica."""
    await (await engine.open()).remember(key, ttl_seconds=60)
    assert await (await engine.open()).is_remembered(key)


async def test_it_is_forgotten_after_its_time(store: SessionStore, key: str) -> None:
    """The memory of used tokens does not grow for ever."""
    await store.remember(key, ttl_seconds=0.05)
    await store.remember(key + "x", ttl_seconds=60)

    async def is_forgotten() -> bool:
        return not await store.is_remembered(key)

    await until(is_forgotten)
    assert await store.is_remembered(key + "x")


async def test_remembering_once_more_starts_the_time_anew(store: SessionStore, key: str) -> None:
    await store.remember(key, ttl_seconds=0.2)
    await store.remember(key, ttl_seconds=60)
    await store.remember(key + "x", ttl_seconds=0.2)

    async def is_forgotten() -> bool:
        return not await store.is_remembered(key + "x")

    await until(is_forgotten)
    assert await store.is_remembered(key)
