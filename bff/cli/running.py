"""Running a gateway in this process until it is told to stop."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Sequence

from bff import __version__
from bff.app import Gateway
from bff.cli.open_files import allow_open_files
from bff.config.settings import Settings

ADDRESS_UNAVAILABLE = 3
GC_THRESHOLDS = (20_000, 10, 10)  # objects, then collections of the younger generation


async def run_until_stopped(
    gateway: Gateway, on_serving: Callable[[], object], *, lifeline: socket.socket | None = None
) -> None:
    """Start, say so, and stop gracefully on SIGTERM or SIGINT, or when the other end of `lifeline`
    is closed.

    Raises:
        OSError: an address can't be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline is not None:
        loop.add_reader(lifeline, stop.set)
    try:
        await gateway.start()
        allow_open_files(gateway.settings.server.max_connections)
        _spare_the_collector()
        on_serving()
        warming_up = asyncio.create_task(gateway.warm_up())
        await stop.wait()
        warming_up.cancel()
    finally:
        if lifeline is not None:
            loop.remove_reader(lifeline)
        await gateway.stop()


def _spare_the_collector() -> None:
    """What is there at start stays, so it is never looked through again; and what requests leave
    behind is nearly all freed by its count of references, so that looking for cycles can wait."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def address_unavailable(error: OSError) -> str:
    """What to tell the operator."""
    return f"bff: can't listen: {error.strerror or error}"


def banner(
    settings: Settings, public: Sequence[str], admin: Sequence[str], auth: Sequence[str] = ()
) -> str:
    """What an operator wants to see at start: addresses, OP, store, routes. No secret."""
    store = settings.session.store.get_secret_value().partition("://")[0]
    workers = f" with {settings.server.workers} workers" if settings.server.workers > 1 else ""
    lines = [
        f"bff {__version__}",
        f"  serving   {settings.server.public_url} on {', '.join(public)}{workers}",
        f"  admin     {', '.join(admin)}",
        *([f"  auth      {', '.join(auth)}"] if auth else []),
        f"  OP        {settings.oidc.issuer} as {settings.oidc.client_id}",
        f"  store     {store}",
    ]
    for route in settings.routes:
        targets = ", ".join(str(upstream) for upstream in route.upstream)
        lines.append(f"  route     {route.path} -> {targets} ({route.token} token)")
    app = settings.spa.root or settings.spa.dev_server
    if app:
        lines.append(f"  SPA       {app}")
    return "\n".join(lines)
