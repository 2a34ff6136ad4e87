"""A gateway in front of an upstream that records bytes, and a way to send it bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.stack import Stack, running_stack
from tests.polling import HANG_SECONDS


@dataclass(slots=True)
class Api:
    """A browser, logged in unless a test wants it otherwise, in front of a recording upstream."""

    stack: Stack
    browser: Browser
    upstream: RawUpstream

    @property
    def host(self) -> str:
        return self.stack.public_url.partition("://")[2]

    async def raw(self, data: bytes, *, seconds: float = HANG_SECONDS) -> bytes:
        """Send bytes to the gateway on a connection of their own; everything it answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.stack.ports.gateway)
        writer.write(data)
        try:
            async with asyncio.timeout(seconds):
                return await reader.read()
        finally:
            writer.close()

    def head(self, start: str, *fields: str) -> bytes:
        """A request head of the logged-in browser, closing the connection afterwards."""
        lines = [
            start,
            f"Host: {self.host}",
            f"Cookie: theme=dark; bff={self.browser.cookies.get('bff')}",
            "X-CSRF: 1",
            "Connection: close",
            *fields,
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status_of(answer: bytes) -> int:
    """The status of a raw answer, whichever HTTP/1 version it is in."""
    version, _, rest = answer.partition(b" ")
    assert version in (b"HTTP/1.0", b"HTTP/1.1")
    return int(rest[:3])


@asynccontextmanager
async def an_api(
    route: str = "", server: str = "", *, more: str = "", user: str | None = "alice"
) -> AsyncIterator[Api]:
    """`route` and `more` are further lines of the route `/api/` and further routes, in which
    UPSTREAM is the upstream's origin. No user is logged in if `user` is None."""
    async with raw_upstream() as upstream:
        routes = f"""
[[routes]]
path = "/api/"
upstream = "UPSTREAM/v1/"
methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
{route}
{more}
""".replace("UPSTREAM", f"http://127.0.0.1:{upstream.port}")
        async with running_stack(routes=routes, server=server) as stack, Browser() as browser:
            if user is not None:
                await log_in(browser, stack, user)
            yield Api(stack, browser, upstream)
