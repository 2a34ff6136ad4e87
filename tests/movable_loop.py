"""Tests on an event loop whose clock they move on: a time limit of minutes passes at once, and a
machine that stands still for a while changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class MovableLoop(asyncio.SelectorEventLoop):
    """Its time is ahead of the machine's."""

    ahead_seconds = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_seconds


async def later(seconds: float) -> None:
    """So much later, when all that is due by then has been done."""
    loop: Any = asyncio.get_running_loop()
    loop.ahead_seconds += seconds
    for _ in range(10):  # turns, in which one thing leads to another
        await asyncio.sleep(0)


def on_a_movable_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that moves the clock."""

    def run() -> None:
        async def whole() -> None:
            await test()

        with asyncio.Runner(loop_factory=MovableLoop) as runner:
            runner.run(whole())

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return run
