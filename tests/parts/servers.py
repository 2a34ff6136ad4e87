"""Applications on loopback ports, and ports that are free."""

import contextlib
import itertools
import os
import socket
import ssl
import zlib
from collections.abc import AsyncIterator

from aiohttp import web

_GIVEN = itertools.count()
# Runs side by side begin at different ports, and of the n processes of one run (pytest-xdist) each
# takes every n-th port, so that within a run none comes twice.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_FIRST = zlib.crc32(_RUN.encode()) + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])


def free_port() -> int:
    """A port that is free now, below those the system gives to outgoing connections."""
    while True:
        port = 12_000 + (_FIRST + next(_GIVEN) * _PROCESSES) % (20_000 // _PROCESSES * _PROCESSES)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """An application on a loopback port that can go away and come back."""

    def __init__(
        self, application: web.Application, port: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self.application = application
        self._port = port
        self._tls = tls
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        self._site: web.TCPSite | None = None

    async def start(self) -> None:
        if self._runner.server is None:
            await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls)
        await self._site.start()

    async def stop(self) -> None:
        """Refuse connections from now on and cut those that are open."""
        if self._site is not None and self._runner.server is not None:
            await self._site.stop()
            await self._runner.server.shutdown(timeout=0.01)  # 0 would mean for ever
            self._site = None

    async def close(self) -> None:
        await self._runner.cleanup()


@contextlib.asynccontextmanager
async def serving(
    application: web.Application, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(application, port, tls)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def answering(
    server: web.Server, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server without an application, on a loopback port, which is yielded."""
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        found: int = runner.addresses[0][1]
        yield found
    finally:
        await runner.cleanup()
