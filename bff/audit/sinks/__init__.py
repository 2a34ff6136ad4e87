"""Where records of the audit log go: what every sink does, and the work that may block."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from bff.audit.chain import Stamped


class SinkFailed(Exception):
    """A sink did not take records. `reason` is in words of ours."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Sink(Protocol):
    """`name` is its kind, for metrics and the log."""

    name: str

    async def open(self) -> None:
        """Raises: OSError: it can't be used, and the gateway should not start."""

    async def write(self, records: Sequence[Stamped]) -> None:
        """All of them, in order; after a failure the same ones are offered again.

        Raises:
            SinkFailed: some of them may have been taken.
        """

    async def close(self) -> None:
        """Let go of what `open` took."""


async def in_thread(work: Callable[[], None]) -> None:
    """Run what may block, as a full pipe or a stalled disk does, outside of the event loop. The
    thread does not keep the process from ending. Raises: what `work` does."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        try:
            work()
        except Exception as raised:  # noqa: BLE001 - raised again where it is waited for
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, error)

    threading.Thread(target=run, name="audit", daemon=True).start()
    await done
