"""Running a gateway in this process until it is told to stop, with as many files open as the system
allows.

Many systems suggest 1024 (the soft limit), which a few hundred idle connections use up; nothing is
left then for the store and the APIs, whatever `server.max_connections` says.
"""

import asyncio
import contextlib
import gc
import resource
import socket
from collections.abc import Awaitable, Callable

import structlog

from bff.app import Gateway
from bff.app.stopping import HANDED_OVER_SECONDS, StopRequest, first_of, stopped_by, work_until

GC_THRESHOLDS = (20_000, 10, 10)  # objects, then collections of the younger generation


UntilOver = Callable[[StopRequest], Awaitable[bool]]


async def until_stopped(request: StopRequest) -> bool:
    """For a process that nothing can take over from."""
    await request.stop.wait()
    return False


async def until_succeeded(request: StopRequest) -> bool:
    """For a worker: the signal says that another process serves already."""
    return await first_of(request.stop, request.restart) is request.restart


async def run_until_stopped(
    gateway: Gateway,
    on_serving: Callable[[], object],
    *,
    lifeline: socket.socket | None = None,
    received: Callable[[bytes], object] = bool,
    until_over: UntilOver = until_stopped,
    reload_asked: asyncio.Event | None = None,
) -> None:
    """Start, say so, and stop gracefully on a signal, or when the other end of `lifeline` is
    closed. `until_over` waits for either, or for another process that has taken over. `received`
    gets what comes from `lifeline`, and `reload_asked` is set by the signal for a reload.

    Raises:
        OSError: an address can't be listened on.
        NotReady: it is to take over, and what it depends on does not answer.
    """
    request = StopRequest(reload_asked)
    with request.by_signals(), stopped_by(lifeline, request, received):
        try:
            await gateway.start()
            allow_open_files()
            _tune_garbage_collection()
            on_serving()
            warming_up = asyncio.create_task(gateway.warm_up())
            delay = gateway.settings.server.shutdown_delay
            is_handed_over = await until_over(request)
            warming_up.cancel()
            if is_handed_over:
                await gateway.hand_over()
                delay = max(delay, HANDED_OVER_SECONDS)
            gateway.drain()
            await request.wait_at_most(delay)
            if is_handed_over:
                await work_until(gateway.finish(), request.stop, request.hurry)
        finally:
            await gateway.stop()


def _tune_garbage_collection() -> None:
    """Objects that exist at start stay, so the collector skips them from now on. Nearly all that
    requests leave behind is freed by reference counts, so cycles are looked for less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def address_unavailable(error: OSError) -> str:
    """What to tell the operator."""
    if error.filename is not None:  # of a listener's address there is none
        return f"bff: can't open {error.filename}: {error.strerror}"
    return f"bff: can't listen: {error.strerror or error}"


log = structlog.get_logger("bff.cli")


def allow_open_files() -> None:
    """Raise the limit to what the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def warn_of_few_open_files(wanted: int) -> None:
    """Log it when fewer files than that may be open."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        log.warning("few_open_files", allowed=allowed, wanted=wanted)
