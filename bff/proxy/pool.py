"""Connections to one upstream of a route: plain or TLS, opened when needed, kept for a while."""

import asyncio
import ssl
from urllib.parse import urlsplit

from bff.errors import UpstreamTimeout, UpstreamUnreachable
from bff.gate.routes import Route, Upstream
from bff.observability.reasons import reason_of
from bff.proxy.idle import IdleConnections
from bff.proxy.outbox import Outbox
from bff.proxy.upstream.connection import UpstreamConnection, UpstreamLimits

CA_SETTING = "ca_file of the route"
MOST_IDLE = 512


class UpstreamPool(IdleConnections):
    """`tls` is used for https upstreams: it verifies the certificate against its host name."""

    def __init__(
        self, upstream: Upstream, route: Route, tls: ssl.SSLContext, outbox: Outbox
    ) -> None:
        super().__init__(MOST_IDLE)
        address = urlsplit(f"{upstream.scheme}://{upstream.authority}")
        is_https = upstream.scheme == "https"
        self._host = address.hostname or ""
        self._port = address.port or (443 if is_https else 80)
        self._tls = tls if is_https else None
        self._outbox = outbox
        self._connect_seconds = route.connect_timeout_seconds
        self._limits = UpstreamLimits(route.timeout_seconds, route.idle_seconds)

    async def connect(self) -> UpstreamConnection:
        """A new one.

        Raises:
            UpstreamTimeout: not within the route's `connect_timeout`.
            UpstreamUnreachable: refused, no such host, or its certificate is not valid.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(self, self._outbox, self._limits),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
        except TimeoutError:
            raise UpstreamTimeout("connect") from None
        except (OSError, UnicodeError) as error:  # UnicodeError: no host name that could exist
            raise UpstreamUnreachable(reason_of(error, ca_setting=CA_SETTING)) from error
        return connection
