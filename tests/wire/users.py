"""A gateway with as many logged-in users as a test wants, and no OP: their sessions are opened by
the gateway's own session store, their tokens say whose they are, and none expires."""

import contextlib
import time
from collections.abc import AsyncIterator

from bff.app import Gateway
from bff.model import Tokens
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway

TOKEN_SECONDS = 86_400.0


class Users:
    """`port` is the public listener's, `host` what it is called."""

    def __init__(self, gateway: Gateway, ports: Ports) -> None:
        self.gateway = gateway
        self._core = gateway._core
        self._cookie = gateway._served[0].browser.session_cookie
        self.port = ports.gateway
        self.host = f"localhost:{ports.gateway}"

    async def log_in(self, name: str) -> str:
        """A user with a session; the head's lines that prove it. An upstream sees `token_of`."""
        issued = self._cookie.issue()
        now = time.time()
        tokens = Tokens(token_of(name), obtained_at=now, expires_at=now + TOKEN_SECONDS)
        await self._core.sessions.create(
            issued.key, issuer="https://op.example", sub=name, sid=None, tokens=tokens
        )
        return f"Cookie: bff={issued.value}\r\nX-CSRF: 1\r\n"

    async def log_out(self, lines: str) -> None:
        """End the session of these lines."""
        cookie = lines.partition("bff=")[2].partition("\r\n")[0]
        key = self._cookie.key_of(cookie)
        assert key is not None
        await self._core.sessions.end(key, "logout")


def token_of(name: str) -> str:
    """A user's access token."""
    return f"token-of-{name}"


@contextlib.asynccontextmanager
async def a_gateway_for_users(
    upstream_port: int, *, route: str = "", server: str = "", store: str = "memory://"
) -> AsyncIterator[Users]:
    """`/api/` goes to the upstream's `/v1/`. `route` and `server` are further lines."""
    ports = Ports(free_port(), free_port(), op=1, api=upstream_port)
    routes = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{upstream_port}/v1/"
methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
{route}
"""
    toml = gateway_toml(ports, routes=routes, server=server, store=store)
    async with running_gateway(toml) as gateway:
        yield Users(gateway, ports)
