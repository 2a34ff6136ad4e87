"""`bff check` takes every kind of step at the store, says which goes wrong, and leaves nothing."""

from collections.abc import AsyncIterator, Callable

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.sessions.memory import MemoryStore
from bff.sessions.store import CHECK_SECONDS, StoreCheckFailed, check_store


def a_store(clock: ManualClock, **methods: Callable[..., object]) -> MemoryStore:
    """One in which some methods do otherwise."""
    return type("OtherStore", (MemoryStore,), methods)(clock)  # type: ignore[no-any-return]


async def nothing(*_arguments: object, **_named: object) -> None:
    return None


async def no_members(*_arguments: object) -> tuple[str, ...]:
    return ()


def refuse(*_arguments: object, **_named: object) -> None:
    raise StoreUnavailable("refused")


async def left_behind(store: MemoryStore) -> list[str]:
    return [key async for keys in MemoryStore.scan(store) for key in keys]


async def test_a_store_that_does_all_is_left_as_it_was() -> None:
    store = MemoryStore(ManualClock())
    await check_store(store, ManualClock())
    assert await left_behind(store) == []


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("load", nothing, "read what was written"),
        ("acquire_lease", nothing, "give a lease"),
        ("replace", nothing, "replace a record"),
        ("members", no_members, "keep an index"),
        ("take_login", nothing, "keep a login"),
    ],
)
async def test_a_step_that_does_nothing_is_named(
    method: str, answer: Callable[..., object], words: str
) -> None:
    """As where another program deletes keys."""
    clock = ManualClock()
    store = a_store(clock, **{method: answer})
    with pytest.raises(StoreCheckFailed, match=words):
        await check_store(store, clock)
    assert await left_behind(store) == []


RECORD = ["create", "load", "acquire_lease", "replace", "release_lease", "touch", "members"]
REST = ["put_login", "take_login", "remember", "is_remembered", "fill", "scan"]


@pytest.mark.parametrize("method", [*RECORD, *REST, "delete"])
async def test_a_step_that_is_refused_is_a_failure(method: str) -> None:
    """As by the ACL of a user that may not take it."""
    clock = ManualClock()
    store = a_store(clock, **{method: refuse})
    with pytest.raises(StoreUnavailable):
        await check_store(store, clock)
    clock.advance(CHECK_SECONDS)
    assert await left_behind(store) == [], "it stays for longer than that"


async def test_the_first_names_of_a_scan_are_enough() -> None:
    """A store may hold millions."""
    clock = ManualClock()

    async def endless(_store: MemoryStore) -> AsyncIterator[tuple[str, ...]]:
        yield ()
        raise AssertionError("more than the first were asked for")

    await check_store(a_store(clock, scan=endless), clock)


async def test_one_record_is_not_another() -> None:
    """A store that answers with what was not written is no store."""
    clock = ManualClock()

    async def another(store: MemoryStore, key: str) -> object:
        found = await MemoryStore.load(store, key)
        assert found is not None
        return type(found)(found.version, b"another", found.idle_expires_at)

    with pytest.raises(StoreCheckFailed, match="read what was written"):
        await check_store(a_store(clock, load=another), clock)
