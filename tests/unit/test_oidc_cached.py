"""A document of the OP in memory: one fetch for all that need it, kept for an hour, and asked for
again after a pause."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from bff.clock import ManualClock
from bff.errors import OpAnswerMalformed, OpError, OpUnavailable
from bff.oidc.provider.cached import KEEP_SECONDS, RETRY_SECONDS, Cached
from tests.polling import until


class Document:
    """Numbers its fetches, and holds each back until it is released. `failure` is raised by them
    while it is set."""

    def __init__(self) -> None:
        self.fetches = 0
        self.released = asyncio.Event()
        self.failure: OpError | None = None

    async def fetch(self) -> int:
        self.fetches += 1
        await self.released.wait()
        if self.failure is not None:
            raise self.failure
        return self.fetches


ASKED: dict[str, Callable[[Cached[int]], Awaitable[int]]] = {
    "the first value": lambda cached: cached.get(),
    "a newer value": lambda cached: cached.renew(),
}


@pytest.mark.parametrize("name", ASKED)
async def test_a_caller_that_gives_up_takes_nothing_from_the_others(name: str) -> None:
    """A logout waits half a second for the metadata, and a browser hangs up when it likes."""
    document = Document()
    cached = Cached("document", document.fetch, ManualClock(), provider="corp")
    impatient, patient = (asyncio.ensure_future(ASKED[name](cached)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    assert impatient.cancelled()
    document.released.set()
    assert await patient == 1
    assert await cached.get() == 1
    assert document.fetches == 1


async def test_an_unforeseen_fault_in_the_background_is_logged() -> None:
    """No request waits for that fetch. The old value stays, and the next try is made in time."""
    clock = ManualClock()
    faults: list[Exception] = []
    fetches = 0

    async def fetch() -> int:
        nonlocal fetches
        fetches += 1
        if faults:
            raise faults.pop()
        return fetches

    cached = Cached("document", fetch, clock, provider="corp")
    assert await cached.get() == 1
    faults.append(ZeroDivisionError())
    clock.advance(KEEP_SECONDS)
    with capture_logs() as logs:
        assert await cached.get() == 1
        await until(lambda: not cached.in_flight)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("op_fetch_aborted", "error")
    ]
    assert (logs[0]["document"], logs[0]["provider"]) == ("document", "corp")
    assert logs[0]["exc_info"]
    assert await cached.get() == 1
    assert fetches == 2
    clock.advance(RETRY_SECONDS)
    assert await cached.get() == 1
    await until(lambda: not cached.in_flight)
    assert await cached.get() == 3


async def test_an_unforeseen_fault_in_the_first_fetch_is_a_failure_as_any_other() -> None:
    """Of the caller that waits for it, and of those that come until the next try."""

    async def fetch() -> int:
        raise ZeroDivisionError

    cached = Cached("document", fetch, ManualClock(), provider="corp")
    with capture_logs() as logs:
        for ask in (cached.get, cached.get, cached.renew):
            with pytest.raises(OpAnswerMalformed):
                await ask()
    assert [entry["event"] for entry in logs] == ["op_fetch_aborted"] * 2


@pytest.fixture
def document() -> Document:
    """One that comes at once."""
    found = Document()
    found.released.set()
    return found


async def settled(cached: Cached[int]) -> None:
    """What is due has begun, and has ended."""
    await asyncio.sleep(0)
    await until(lambda: not cached.in_flight)


async def test_a_value_is_kept_for_an_hour_and_serves_while_the_next_one_comes(
    document: Document, clock: ManualClock
) -> None:
    cached = Cached("document", document.fetch, clock, provider="corp")
    assert await cached.get() == 1
    clock.advance(KEEP_SECONDS - 1)
    assert await cached.get() == 1
    await settled(cached)
    assert document.fetches == 1
    clock.advance(1)
    document.released.clear()
    assert await cached.get() == 1
    await until(lambda: document.fetches == 2)
    assert await cached.get() == 1
    document.released.set()
    await settled(cached)
    assert await cached.get() == document.fetches == 2


async def test_after_a_failure_nothing_is_fetched_for_a_while(
    document: Document, clock: ManualClock
) -> None:
    """Its callers get the same failure again: what the OP asked for is part of it."""
    document.failure = OpUnavailable("why", retry_after=9)
    cached = Cached("document", document.fetch, clock, provider="corp")
    for _ in range(3):
        with pytest.raises(OpUnavailable) as caught:
            await cached.get()
        assert (caught.value.log_detail, caught.value.retry_after) == ("why", 9)
        clock.advance(RETRY_SECONDS / 4)
    assert document.fetches == 1
    clock.advance(RETRY_SECONDS / 4)
    document.failure = None
    assert await cached.get() == 2


async def test_an_old_value_outlives_failures_and_is_not_asked_for_in_their_pause(
    document: Document, clock: ManualClock
) -> None:
    cached = Cached("document", document.fetch, clock, provider="corp")
    await cached.get()
    document.failure = OpUnavailable("why")
    clock.advance(KEEP_SECONDS)
    for fetches in (2, 2, 3):
        assert await cached.get() == 1
        await settled(cached)
        assert document.fetches == fetches
        clock.advance(RETRY_SECONDS / 2)
    with pytest.raises(OpUnavailable):
        await cached.renew()
    assert await cached.get() == 1
    document.failure = None
    assert await cached.renew() == cached.settled() == await cached.get() == 5
