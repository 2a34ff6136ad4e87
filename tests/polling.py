"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

# A deadline only tells a failure from a wait without end, so a machine that is busy with other
# things as well must never reach it. A test that passes does not wait for it.
HANG_SECONDS = 90.0


async def until(
    condition: Callable[[], bool | Awaitable[bool]],
    *,
    seconds: float = HANG_SECONDS,
    every: float = 0.005,
) -> None:
    """Return as soon as `condition()` is true; raise TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if await result if inspect.isawaitable(result) else result:
                return
            await asyncio.sleep(every)
