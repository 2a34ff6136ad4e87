"""The public socket: accepts browsers' connections, knows them all, and lets them finish."""

import asyncio
import contextlib
from dataclasses import dataclass
from enum import Enum, auto

from bff.proxy.context import ProxyContext
from bff.proxy.downstream.connection import DownstreamConnection
from bff.proxy.exchange.phases import ANSWERING, TUNNEL

MOST_REFUSED = 256  # connections that are told there are too many; further ones are cut


class Phase(Enum):
    """Of a listener. They follow each other, by `drain` and `stop`."""

    SERVING = auto()
    DRAINING = auto()  # each answer says that it is its connection's last
    STOPPING = auto()  # and connections that wait for a request are closed


@dataclass(frozen=True, slots=True)
class UnderWay:
    """How many there are at one time. `streams` are answers that have begun and not ended, but for
    WebSockets."""

    connections: int
    requests: int
    streams: int
    websockets: int


class Listener:
    """Makes connections; call it for each one that is accepted."""

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._open: set[DownstreamConnection] = set()
        self._refused: set[DownstreamConnection] = set()
        self._all_closed = asyncio.Event()
        self.phase = Phase.SERVING

    def __call__(self) -> DownstreamConnection:
        return DownstreamConnection(self._context, self)

    @property
    def is_draining(self) -> bool:
        """Whether each answer is to be the last on its connection."""
        return self.phase is not Phase.SERVING

    @property
    def is_stopping(self) -> bool:
        """Whether connections are closed as soon as nothing is asked on them."""
        return self.phase is Phase.STOPPING

    def opened(self, connection: DownstreamConnection) -> bool:
        """False when there are as many as there may be. It is cut then, if many others are being
        told so: an answer takes as long as a browser cares to read it."""
        if len(self._open) < self._context.limits.max_connections:
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
            self._all_closed.set()

    def under_way(self) -> UnderWay:
        """What there is now."""
        phases = [one.exchange.phase for one in self._open if one.exchange is not None]
        return UnderWay(
            connections=len(self._open) + len(self._refused),
            requests=len(phases),
            streams=phases.count(ANSWERING),
            websockets=phases.count(TUNNEL),
        )

    def drain(self) -> None:
        """Serve on, but let each connection end with its next answer. A proxy in front reuses its
        connections, and one that is closed under a request costs that request: so it is told."""
        self.phase = Phase.DRAINING

    async def finish(self, seconds: float) -> None:
        """Close what is idle, and let what is being served finish, for at most `seconds`."""
        self.phase = Phase.STOPPING
        for connection in list(self._open):
            connection.close_when_idle()
        if self._open:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._all_closed.wait()

    async def stop(self, seconds: float) -> None:
        """Tell what would not end by itself to do so, and let what is being served finish, for at
        most `seconds`; then cut the rest."""
        for connection in list(self._open):
            if connection.exchange is not None:
                connection.exchange.stop()
        await self.finish(seconds)
        for connection in list(self._open):
            connection.abort()
