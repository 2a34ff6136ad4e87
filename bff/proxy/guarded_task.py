"""A task for what an exchange has to wait for."""

import asyncio
from collections.abc import Callable, Coroutine

from bff.errors import BffError


class GuardedTask:
    """Begun at once. `fails` is told of an error that has an answer, `breaks` of any other, and of
    a cancellation that is not that of `cancel`."""

    __slots__ = ("_breaks", "_fails", "_is_cancelled", "_task")

    def __init__(
        self,
        work: Callable[[], Coroutine[None, None, None]],
        fails: Callable[[BffError], None],
        breaks: Callable[[BaseException], None],
    ) -> None:
        self._fails = fails
        self._breaks = breaks
        self._is_cancelled = False
        # Not a coroutine: one that is cancelled before its first step would be left behind.
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))

    def cancel(self) -> None:
        """Unless it is the task itself that does it: that one goes on to its end."""
        if self._task is not asyncio.current_task():
            self._is_cancelled = True
            self._task.cancel()

    async def _guarded(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            try:
                await work()
            except BffError as error:
                self._fails(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self._breaks(error)
        except asyncio.CancelledError as error:
            if not self._is_cancelled:  # what it waited for was
                self._breaks(error)
            raise
