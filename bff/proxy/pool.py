"""Connections to one upstream of a route: plain or TLS, opened when needed, kept for a while."""

import asyncio
import ssl
from typing import Protocol
from urllib.parse import urlsplit

from bff.errors import UpstreamTimeout, UpstreamUnreachable
from bff.gate.routes import Route, Upstream
from bff.observability.reasons import reason_of
from bff.proxy.idle import IdleConnections
from bff.proxy.outbox import Outbox
from bff.proxy.upstream import UpstreamConnection

CA_SETTING = "ca_file of the route"
MOST_IDLE = 512


class Pool(Protocol):
    """Where connections for one kind of request come from."""

    def take(self) -> UpstreamConnection | None:
        """One that lies idle, if any."""

    async def connect(self) -> UpstreamConnection:
        """A new one.

        Raises:
            UpstreamError: there can be none now.
        """


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
        self._silence_seconds = route.timeout_seconds
        self._idle_seconds = route.idle_seconds

    async def connect(self) -> UpstreamConnection:
        """A new one.

        Raises:
            UpstreamTimeout: not within the route's `connect_timeout`.
            UpstreamUnreachable: refused, no such host, or its certificate is not valid.
        """
        loop = asyncio.get_running_loop()

        def new() -> UpstreamConnection:
            return UpstreamConnection(
                loop,
                self,
                self._outbox,
                silence_seconds=self._silence_seconds,
                idle_seconds=self._idle_seconds,
            )

        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(
                    new,
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
