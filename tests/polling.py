"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def until(
    condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 20.0, every: float = 0.005
) -> None:
    """Return as soon as `condition()` is true; raise TimeoutError after `seconds`.

    A deadline only tells a failure from a wait without end, so that of a busy machine is ample.
    """
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if await result if inspect.isawaitable(result) else result:
                return
            await asyncio.sleep(every)
