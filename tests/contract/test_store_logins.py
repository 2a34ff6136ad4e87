"""What every session store must do with login transactions: single use, short life, a cap."""

import asyncio
import uuid

import pytest

from bff.sessions.store import SessionStore
from tests.polling import until


@pytest.fixture
def browser() -> str:
    return uuid.uuid4().hex


async def put(
    store: SessionStore, state: str, browser: str, *, ttl_seconds: float = 60, cap: int = 3
) -> None:
    await store.put_login(
        state, b"sealed:" + state.encode(), browser_key=browser, ttl_seconds=ttl_seconds, cap=cap
    )


@pytest.mark.rule("AZ-06")
async def test_a_login_is_taken_once(store: SessionStore, browser: str) -> None:
    """A callback that is repeated finds nothing."""
    await put(store, browser, browser)
    assert await store.take_login(browser) == b"sealed:" + browser.encode()
    assert await store.take_login(browser) is None


@pytest.mark.rule("AZ-06")
async def test_one_of_many_callbacks_takes_the_login(store: SessionStore, browser: str) -> None:
    """20 callbacks in parallel: the code is redeemed once."""
    await put(store, browser, browser)
    taken = await asyncio.gather(*(store.take_login(browser) for _ in range(20)))
    assert sum(sealed is not None for sealed in taken) == 1


@pytest.mark.rule("SE-02")
async def test_what_is_kept_anew_returns_what_was_there_once(
    store: SessionStore, browser: str
) -> None:
    """Of 20 that are kept under one key at once each but the last is returned to one of them."""

    async def keep(number: int) -> bytes | None:
        sealed = str(number).encode()
        return await store.put_login(browser, sealed, browser_key=browser, ttl_seconds=60, cap=1)

    assert await keep(0) is None
    returned = await asyncio.gather(*(keep(number) for number in range(1, 20)))
    last = await store.take_login(browser)
    assert sorted([*returned, last], key=lambda one: int(one or -1)) == [
        str(number).encode() for number in range(20)
    ]
    assert await keep(20) is None


@pytest.mark.rule("DL-02")
async def test_a_login_that_is_looked_at_stays(store: SessionStore, browser: str) -> None:
    """A login by device code is asked about many times, and taken once."""
    assert await store.load_login(browser) is None
    await put(store, browser, browser)
    for _ in range(2):
        assert await store.load_login(browser) == b"sealed:" + browser.encode()
    assert await store.take_login(browser) == b"sealed:" + browser.encode()
    assert await store.load_login(browser) is None


async def test_an_unknown_login_is_none(store: SessionStore, browser: str) -> None:
    """A forged state costs one look and finds nothing."""
    assert await store.take_login(browser) is None


@pytest.mark.rule("AZ-16")
async def test_an_unfinished_login_expires(store: SessionStore, browser: str) -> None:
    """Unfinished logins can't pile up."""
    await put(store, browser + "1", browser, ttl_seconds=0.1)
    await put(store, browser + "2", browser, ttl_seconds=60)

    async def is_gone() -> bool:
        # Put and not taken: looking must not be what removes it.
        await asyncio.sleep(0.15)
        return await store.take_login(browser + "1") is None

    await until(is_gone)
    assert await store.load_login(browser + "1") is None
    assert await store.take_login(browser + "2") is not None


@pytest.mark.rule("AZ-16")
async def test_past_the_cap_the_oldest_login_goes(store: SessionStore, browser: str) -> None:
    """One browser keeps its newest logins; another browser loses none."""
    other = uuid.uuid4().hex
    await put(store, other, other)
    states = [f"{browser}{n}" for n in range(5)]
    for state in states:
        await put(store, state, browser, cap=3)
    left = [state for state in states if await store.take_login(state) is not None]
    assert left == states[2:]
    assert await store.take_login(other) is not None


async def test_a_finished_login_makes_room(store: SessionStore, browser: str) -> None:
    """The cap counts open logins: many logins in a row leave an old open tab alone."""
    await put(store, browser, browser, cap=2)
    for n in range(5):
        await put(store, f"{browser}{n}", browser, cap=2)
        assert await store.take_login(f"{browser}{n}") is not None
    assert await store.take_login(browser) is not None
