"""Connections to one upstream of a route: plain or TLS, opened when needed, kept for a while.

The newest idle one is used first, so that the others can grow old and close.
"""

import asyncio
import ssl
from urllib.parse import urlsplit

from bff.errors import UpstreamTimeout, UpstreamUnreachable
from bff.gate.routes import Route, Upstream
from bff.observability.reasons import reason_of
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.connection import UpstreamConnection, UpstreamLimits


class IdleConnections:
    """At most `most` of them: a `ConnectionPool`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: dict[UpstreamConnection, None] = {}  # in the order in which they came back

    def take(self) -> UpstreamConnection | None:
        """The one that was used last, if any. One whose other end is closed is passed over; where
        that is still on its way to us, the next request finds out."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.is_usable:
                return connection
        return None

    def keep(self, connection: UpstreamConnection) -> bool:
        """Take one back; False when there are enough."""
        if len(self._idle) >= self._most:
            return False
        self._idle[connection] = None
        return True

    def forget(self, connection: UpstreamConnection) -> None:
        """It is closed."""
        self._idle.pop(connection, None)

    def close_idle(self) -> None:
        while self._idle:
            self._idle.popitem()[0].close()


CA_SETTING = "ca_file of the route"
MOST_IDLE = 512


class UpstreamPool(IdleConnections):
    """`tls` is used for https upstreams: it verifies the certificate against its host name."""

    def __init__(
        self, upstream: Upstream, route: Route, tls: ssl.SSLContext, writes: WriteCoalescer
    ) -> None:
        super().__init__(MOST_IDLE)
        address = urlsplit(f"{upstream.scheme}://{upstream.authority}")
        is_https = upstream.scheme == "https"
        self._host = address.hostname or ""
        self._port = address.port or (443 if is_https else 80)
        self._tls = tls if is_https else None
        self._writes = writes
        self._connect_seconds = route.connect_timeout_seconds
        self._limits = UpstreamLimits(route.timeout_seconds, route.idle_seconds)

    async def connect(self) -> UpstreamConnection:
        """A new one.

        Raises:
            UpstreamTimeout: not within the route's `connect_timeout`.
            UpstreamUnreachable: refused, no such host, its certificate is not valid, or the
                connection is over before anything was asked on it.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self, self._writes, self._limits),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
        except TimeoutError:
            raise UpstreamTimeout("connect") from None
        except (OSError, UnicodeError) as error:  # UnicodeError: no host name that could exist
            raise UpstreamUnreachable(reason_of(error, ca_setting=CA_SETTING)) from error
        if not connection.is_usable:  # uvloop may read from it before this task goes on
            raise UpstreamUnreachable("it hung up, or spoke, before it was asked")
        return connection
