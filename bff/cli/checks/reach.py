"""What has to be reached, the APIs, and what has to be free, the addresses to listen on. An API is
connected to and asked nothing.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bff.app.listening import UNIX, bound
from bff.cli.admin_client import AdminFailed, ask_admin
from bff.cli.checks.verdict import Verdict, bad, good, warning
from bff.config.frontends import frontends_of
from bff.config.problems import dotted
from bff.config.settings import LISTENERS, Settings
from bff.gate.routes import Upstream
from bff.observability.reasons import reason_of

DEV_SERVER_SECONDS = 3.0
RUNNING_SECONDS = 3.0  # another program may listen there and say nothing


async def on_upstreams(settings: Settings) -> AsyncIterator[Verdict]:
    """Each address of each route, once."""
    wanted = {
        (upstream.scheme, upstream.authority, route.ca_file): (upstream, route)
        for frontend in frontends_of(settings)
        for route in frontend.settings.routes
        for upstream in route.upstream
    }
    routes = list(wanted.values())
    failures = await asyncio.gather(
        *(_failure(one, route.connect_timeout, route.ca_file) for one, route in routes)
    )
    for (upstream, route), failure in zip(routes, failures, strict=True):
        where = f"{upstream.scheme}://{upstream.authority}"
        if failure:
            yield bad("upstream", f"{where} (route {route.path}): {failure}")
        else:
            yield good("upstream", f"{where} can be reached")
    server = settings.spa.dev_server
    if server is not None:
        failure = await _failure(server, DEV_SERVER_SECONDS, None)
        if failure:
            yield warning("spa", f"dev_server {server}: {failure}")


async def _failure(upstream: Upstream, seconds: float, ca_file: Path | None) -> str:
    """Why it can't be reached; empty when it can."""
    address = urlsplit(f"{upstream.scheme}://{upstream.authority}")
    is_https = upstream.scheme == "https"
    host = address.hostname or ""
    port = address.port or (443 if is_https else 80)
    tls = ssl.create_default_context(cafile=ca_file) if is_https else None
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(
                host, port, ssl=tls, server_hostname=host if tls is not None else None
            )
    except (OSError, UnicodeError) as error:  # UnicodeError: no host name that could exist
        return reason_of(error, ca_setting="ca_file of the route")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return ""


async def on_listeners(settings: Settings) -> AsyncIterator[Verdict]:
    """Whether each address can be listened on; or is, by the gateway itself."""
    taken = [*_not_free(settings)]
    if not taken:
        return
    is_running = await is_gateway_running(settings)
    for key, address, error in taken:
        section = key.partition(".")[0]
        if error.errno == errno.EADDRINUSE and is_running:
            yield good(section, f"{key} {address} is in use, and the gateway is running")
        else:
            reason = f"{key} {address} can't be listened on: {why_not_listened(error)}"
            yield bad(section, reason)


async def is_gateway_running(settings: Settings) -> bool:
    """Whether a gateway answers at this configuration's admin listener."""
    try:
        async with asyncio.timeout(RUNNING_SECONDS):
            answer = await ask_admin(settings.server.admin_listen, "GET", "/healthz", {})
    except (AdminFailed, TimeoutError):
        return False
    return answer.get("status") == "ok"


def _not_free(settings: Settings) -> Iterator[tuple[str, str, OSError]]:
    for name, address in settings.listeners.items():
        try:
            if address.startswith(UNIX):
                _require_place(Path(address.removeprefix(UNIX)))
            else:
                for sock in bound(address, listens=False)[0]:
                    sock.close()
        except OSError as error:
            yield dotted(LISTENERS[name]), address, error


def _require_place(path: Path) -> None:
    """Raises: OSError when no socket can be made there. A deserted one is no hindrance."""
    if not path.parent.is_dir():
        raise OSError(errno.ENOENT, "")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, "")
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ConnectionRefusedError):
            probe.settimeout(1.0)
            probe.connect(str(path))
            raise OSError(errno.EADDRINUSE, "")


def why_not_listened(error: OSError) -> str:
    """In words, with what to do."""
    if isinstance(error, socket.gaierror):
        return "the host name is not known (DNS)"
    known = {
        errno.EADDRINUSE: "another program listens there: stop it, or choose another port",
        errno.EACCES: "this user may not: choose a port above 1023, or give the right to it",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.ENOENT: "the directory of the socket does not exist: create it",
    }
    return known.get(error.errno or 0) or os.strerror(error.errno or 0).lower()
