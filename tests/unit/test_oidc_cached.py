"""A document of the OP in memory: one fetch for all who need it, whoever of them gives up."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bff.clock import ManualClock
from bff.oidc.cached import Cached


class Document:
    """Numbers its fetches, and holds each back until it is released."""

    def __init__(self) -> None:
        self.fetches = 0
        self.released = asyncio.Event()

    async def fetch(self) -> int:
        self.fetches += 1
        await self.released.wait()
        return self.fetches


ASKED: dict[str, Callable[[Cached[int]], Awaitable[int]]] = {
    "the first value": lambda cached: cached.get(),
    "a newer value": lambda cached: cached.renew(),
}


@pytest.mark.parametrize("name", ASKED)
async def test_who_gives_up_takes_nothing_from_the_others(name: str) -> None:
    """A logout waits half a second for the metadata, and a browser hangs up when it likes."""
    document = Document()
    cached = Cached("document", document.fetch, ManualClock())
    impatient, patient = (asyncio.ensure_future(ASKED[name](cached)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait({impatient})
    assert impatient.cancelled()
    document.released.set()
    assert await patient == 1
    assert await cached.get() == 1
    assert document.fetches == 1
