"""Running a gateway in this process until it is told to stop."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator

from bff.app import Gateway
from bff.app.stopping import StopRequest
from bff.cli.open_files import allow_open_files

ADDRESS_UNAVAILABLE = 3
GC_THRESHOLDS = (20_000, 10, 10)  # objects, then collections of the younger generation


async def run_until_stopped(
    gateway: Gateway, on_serving: Callable[[], object], *, lifeline: socket.socket | None = None
) -> None:
    """Start, say so, and stop gracefully on a signal, or when the other end of `lifeline` is
    closed.

    Raises:
        OSError: an address can't be listened on.
    """
    request = StopRequest()
    with request.by_signals(), _told_by(lifeline, request):
        try:
            await gateway.start()
            allow_open_files()
            _spare_the_collector()
            on_serving()
            warming_up = asyncio.create_task(gateway.warm_up())
            await request.stop.wait()
            warming_up.cancel()
            gateway.drain()
            await request.wait_at_most(gateway.settings.server.shutdown_delay)
        finally:
            await gateway.stop()


@contextlib.contextmanager
def _told_by(lifeline: socket.socket | None, request: StopRequest) -> Iterator[None]:
    if lifeline is None:
        yield
        return
    loop = asyncio.get_running_loop()

    def lost() -> None:
        loop.remove_reader(lifeline)
        request()

    loop.add_reader(lifeline, lost)
    try:
        yield
    finally:
        loop.remove_reader(lifeline)


def _spare_the_collector() -> None:
    """What is there at start stays, so it is never looked through again; and what requests leave
    behind is nearly all freed by its count of references, so that looking for cycles can wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def address_unavailable(error: OSError) -> str:
    """What to tell the operator."""
    if error.filename is not None:  # of a listener's address there is none
        return f"bff: can't open {error.filename}: {error.strerror}"
    return f"bff: can't listen: {error.strerror or error}"
