"""Waiting for a condition, with a deadline, instead of sleeping for a guess."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

POLL_SECONDS = 0.005


async def eventually(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within: float = 5.0
) -> None:
    """Poll until the condition holds; fails after `within` seconds."""
    async with asyncio.timeout(within):
        while True:
            answer = condition()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return
            await asyncio.sleep(POLL_SECONDS)
