"""What every session store must do with buckets: the same for all processes, filled to their size
and never further, and emptier with every second."""

import asyncio
import time
import uuid

import pytest

from bff.sessions.store import SessionStore
from tests.contract.conftest import Engine
from tests.polling import until

HOUR = 3600.0


@pytest.fixture
def key() -> str:
    return f"login:{uuid.uuid4().hex}"


async def test_a_bucket_takes_what_fits_and_no_more(store: SessionStore, key: str) -> None:
    """Exactly as many as the rate names, whatever the remainder of a division by seven is."""
    for count in range(7):
        before = await store.fill(key, seconds=HOUR / 7, size_seconds=HOUR)
        assert before == pytest.approx(count * HOUR / 7, abs=5)
    full = await store.fill(key, seconds=HOUR / 7, size_seconds=HOUR)
    assert full == pytest.approx(HOUR, abs=5)
    assert await store.fill(key, seconds=0, size_seconds=HOUR) == pytest.approx(HOUR, abs=5)
    assert await store.fill(key + "x", seconds=HOUR, size_seconds=HOUR) == 0


async def test_what_does_not_fit_adds_nothing(store: SessionStore, key: str) -> None:
    """A client that goes on asking while refused waits no longer for it."""
    await store.fill(key, seconds=HOUR * 0.75, size_seconds=HOUR)
    for _ in range(2):
        before = await store.fill(key, seconds=HOUR / 2, size_seconds=HOUR)
        assert before == pytest.approx(HOUR * 0.75, abs=5)


async def test_looking_adds_nothing(store: SessionStore, key: str) -> None:
    assert await store.fill(key, seconds=0, size_seconds=HOUR) == 0
    assert await store.fill(key, seconds=0, size_seconds=HOUR) == 0


async def test_to_the_brim_is_as_much_as_fits(store: SessionStore, key: str) -> None:
    """A client that was counted without being asked has no debts afterwards."""
    await store.fill(key, seconds=2 * HOUR, size_seconds=HOUR, to_the_brim=True)
    before = await store.fill(key, seconds=HOUR, size_seconds=HOUR, to_the_brim=True)
    assert before == pytest.approx(HOUR, abs=5)
    assert await store.fill(key, seconds=0, size_seconds=HOUR) == pytest.approx(HOUR, abs=5)


@pytest.mark.rule("AZ-16")
async def test_all_processes_fill_the_same(engine: Engine, key: str) -> None:
    """However they come together: thirty at once at two processes are ten that fit."""
    one, other = await engine.open(), await engine.open()
    found = await asyncio.gather(
        *(store.fill(key, seconds=HOUR / 10, size_seconds=HOUR) for store in (one, other, one) * 10)
    )
    assert sum(before < HOUR * 0.95 for before in found) == 10


@pytest.mark.rule("AZ-16")
async def test_a_bucket_empties_with_time(store: SessionStore, key: str) -> None:
    began = time.monotonic()
    assert await store.fill(key, seconds=0.2, size_seconds=0.2) == 0

    async def is_empty() -> bool:
        return await store.fill(key, seconds=0, size_seconds=0.2) == 0

    assert not await is_empty() or time.monotonic() - began > 0.2
    await until(is_empty)
