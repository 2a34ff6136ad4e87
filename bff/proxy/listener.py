"""The public socket: accepts browsers' connections, knows them all, and lets them finish."""

import asyncio
import contextlib

import structlog

from bff.proxy.downstream import DownstreamConnection
from bff.proxy.shared import Shared

log = structlog.get_logger("bff.front")

MOST_REFUSED = 256  # connections that are told there are too many; further ones are cut


class Listener:
    """Makes connections; call it for each one that is accepted."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._open: set[DownstreamConnection] = set()
        self._refused: set[DownstreamConnection] = set()
        self._nobody_left = asyncio.Event()
        self._is_stopping = False

    def __call__(self) -> DownstreamConnection:
        return DownstreamConnection(self._shared, self)

    def opened(self, connection: DownstreamConnection) -> bool:
        """False when there are as many as there may be. It is cut then, if many others are being
        told so: an answer takes as long as a browser cares to read it."""
        if len(self._open) < self._shared.limits.max_connections and not self._is_stopping:
            self._open.add(connection)
            return True
        if len(self._refused) < MOST_REFUSED:
            self._refused.add(connection)
        else:
            connection.abort()
        return False

    def closed(self, connection: DownstreamConnection) -> None:
        """It is gone."""
        self._open.discard(connection)
        self._refused.discard(connection)
        if not self._open:
            self._nobody_left.set()

    async def stop(self, seconds: float) -> None:
        """Let what is being served finish, for at most `seconds`; then cut the rest."""
        self._is_stopping = True
        for connection in list(self._open):
            connection.close_when_idle()
        if self._open:
            self._nobody_left.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._nobody_left.wait()
        for connection in list(self._open):
            connection.abort()
