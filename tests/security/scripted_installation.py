"""A gateway whose OP says whatever a test wants, and the visitor and the administrator that talk to
it byte by byte, as to every gateway with scripted OPs.

The public URL is https://app.example, as behind a proxy that ends TLS. Time stands still unless a
test moves it.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from bff.clock import ManualClock
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, ScriptedOp, signing_key
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway
from tests.security.kept_connection import KeptConnection, Reply, kept_connection

HOST = "app.example"
ORIGIN = f"https://{HOST}"
SESSION = "__Host-Http-bff"
BINDER = "__Host-Http-bff-login"
LIMITS = """
[limits]
logins = "off"
failed_callbacks = "off"
"""


@dataclass(slots=True)
class Visitor:
    """A browser's cookies and nothing else of a browser, at an application's host and path.
    `csrf_header` is what its pages send with a call."""

    connection: KeptConnection
    op: ScriptedOp
    cookies: dict[str, str] = field(default_factory=dict)
    host: str = HOST
    base: str = ""
    csrf_header: str = "X-CSRF"

    async def ask(
        self, method: str, target: str, *lines: str, body: str = "", host: str | None = None
    ) -> Reply:
        """With the cookies there are; those of the answer are kept."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = [
            f"{method} {target} HTTP/1.1",
            f"Host: {host or self.host}",
            f"{self.csrf_header}: 1",
            *lines,
        ]
        head += [f"Cookie: {cookie}"] if cookie else []
        head += [f"Content-Length: {len(body)}"] if body else []
        request = "\r\n".join(head) + "\r\n\r\n" + body
        reply = await self.connection.ask(request.encode("latin-1"))
        for value in reply.values(b"set-cookie"):
            name, _, rest = value.decode().partition("=")
            self.cookies[name] = rest.partition(";")[0]
            if "Max-Age=0" in rest:
                del self.cookies[name]
        return reply

    async def get(self, target: str, *lines: str) -> Reply:
        return await self.ask("GET", target, *lines)

    async def tell(self, logout_token: str) -> Reply:
        """What an OP sends on its own, over the back channel, to this application's address."""
        return await self.ask(
            "POST",
            f"{self.base}/bff/backchannel-logout",
            "Content-Type: application/x-www-form-urlencoded",
            body=urlencode({"logout_token": logout_token}),
        )

    async def start(self, query: str = "", *lines: str) -> str:
        """Start a login; its `state`. The OP will put its nonce into the ID token."""
        reply = await self.get(f"{self.base}/bff/login{'?' if query else ''}{query}", *lines)
        assert reply.status == 302, (query, reply)
        sent = parse_qs(urlsplit(location_of(reply)).query)
        self.op.nonce = sent["nonce"][0]
        return sent["state"][0]

    async def come_back(self, state: str, *, at: str = "", **answer: str) -> Reply:
        """From the OP, with a code unless the answer is another; to the redirect URI of the
        provider `at`, if there are several."""
        query = urlencode({"state": state, **(answer or {"code": "the-code"})})
        return await self.get(f"{self.base}/bff/callback{'/' if at else ''}{at}?{query}")

    async def log_in(self) -> Reply:
        return await self.come_back(await self.start())


@dataclass(slots=True)
class Administrator:
    """What is asked at the admin listener."""

    connection: KeptConnection

    async def ask(self, method: str, target: str) -> Reply:
        head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        return await self.connection.ask(head.encode())

    async def sessions(self, query: str = "") -> list[dict[str, Any]]:
        """All of those that a query (`?sub=...`) names, or all there are."""
        reply = await self.ask("GET", f"/sessions{query}")
        assert reply.status == 200, reply
        found: list[dict[str, Any]] = json.loads(reply.body)["sessions"]
        return found

    async def end_sessions(self, query: str) -> None:
        assert (await self.ask("DELETE", f"/sessions{query}")).status == 200

    async def metrics(self) -> str:
        return (await self.ask("GET", "/metrics")).body.decode()


@dataclass(slots=True)
class ScriptedInstallation:
    op: ScriptedOp
    clock: ManualClock
    upstream: RawUpstream
    visitor: Visitor
    gateway_port: int
    admin: Administrator

    @asynccontextmanager
    async def another_visitor(self) -> AsyncIterator[Visitor]:
        async with kept_connection(self.gateway_port) as connection:
            yield Visitor(connection, self.op)

    async def sessions(self) -> list[dict[str, Any]]:
        """All of those the OP's user has, as an administrator sees them."""
        return await self.admin.sessions(f"?sub={self.op.sub}")

    async def end_all(self) -> None:
        """As an administrator can."""
        await self.admin.end_sessions(f"?sub={self.op.sub}")


@asynccontextmanager
async def scripted_installation(
    oidc: str = "",
    prepare: Callable[[ScriptedOp], object] = lambda _: None,
    *,
    limits: str = LIMITS,
    user: str = "",
    route: str = "",
) -> AsyncIterator[ScriptedInstallation]:
    """`prepare` is handed the OP before the gateway starts; `limits` is a table of its own,
    `user` are lines of [user], `route` of the route to the API."""
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        op = await ScriptedOp(clock).start()
        stack.push_async_callback(op.close)
        prepare(op)
        upstream = await stack.enter_async_context(raw_upstream())
        ports = Ports(free_port(), free_port(), urlsplit(op.issuer).port or 0, upstream.port)
        environ = {
            "BFF_SERVER__PUBLIC_URL": ORIGIN,
            "BFF_OIDC__CLIENT_ID": CLIENT_ID,
            "BFF_OIDC__CLIENT_SECRET": CLIENT_SECRET,
        }
        routes = f"""[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{upstream.port}/"
{route}"""
        toml = gateway_toml(ports, oidc=oidc, extra=user + limits, routes=routes)
        await stack.enter_async_context(running_gateway(toml, clock, environ))
        public = await stack.enter_async_context(kept_connection(ports.gateway))
        admin = Administrator(await stack.enter_async_context(kept_connection(ports.admin)))
        yield ScriptedInstallation(op, clock, upstream, Visitor(public, op), ports.gateway, admin)


@asynccontextmanager
async def corp_and_evil(clock: ManualClock) -> AsyncIterator[dict[str, ScriptedOp]]:
    """Two OPs by these names, each with a signing key of its own."""
    async with AsyncExitStack() as stack:
        ops = {}
        for number, name in enumerate(("corp", "evil"), 1):
            ops[name] = await ScriptedOp(clock).start()
            ops[name].keys = [signing_key(number=number)]
            stack.push_async_callback(ops[name].close)
        yield ops


def location_of(reply: Reply) -> str:
    (location,) = reply.values(b"location")
    return location.decode()


def code_of(reply: Reply) -> str:
    """The stable code of a refusal, empty for anything else."""
    is_problem = reply.values(b"content-type") == [b"application/problem+json"]
    return str(json.loads(reply.body)["code"]) if is_problem else ""
