"""A gateway of three applications, as behind a proxy that ends TLS: `shop` and `crm` have a host
each, `wiki` lives below a path of crm's. `shop` has two providers, `corp` and `evil`; crm and wiki
have `corp` alone. The OPs say whatever a test wants."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from bff.app import Gateway
from bff.clock import ManualClock
from tests.parts.configuration import Ports
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.scripted_op import ScriptedOp, signing_key
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway
from tests.security.kept_connection import KeptConnection, Reply, kept_connection
from tests.security.scripted_installation import location_of
from tests.security.two_providers import two_providers_toml

HOSTS = {"shop": "shop.example", "crm": "crm.example", "wiki": "crm.example"}
BASES = {"shop": "", "crm": "", "wiki": "/wiki"}
COOKIES = {"shop": "__Host-Http-bff", "crm": "__Host-Http-bff", "wiki": "__Secure-bff-wiki"}
NAMES = tuple(HOSTS)

FRONTENDS = """
[[frontends]]
name = "shop"
public_url = "https://shop.example"
hosts = ["www.shop.example"]
session = { idle_timeout = "10m", max_per_user = 2, persistent = true }
user = { claims = ["email"] }
csrf = { header_name = "X-Shop" }
email_domains = { "shop.example" = "evil", "staff.example" = "corp" }

[[frontends]]
name = "crm"
public_url = "https://crm.example"
providers = ["corp"]

[[frontends]]
name = "wiki"
public_url = "https://crm.example/wiki"
providers = ["corp"]
[[frontends.routes]]
path = "/pages/"
upstream = "http://127.0.0.1:{api}/wiki-api/"
"""


@dataclass(slots=True)
class Visitor:
    """A browser's cookies, of one application's host and path, and nothing else of a browser."""

    frontend: str
    connection: KeptConnection
    ops: dict[str, ScriptedOp]
    cookies: dict[str, str] = field(default_factory=dict)
    provider: str = "corp"

    @property
    def base(self) -> str:
        return BASES[self.frontend]

    @property
    def cookie(self) -> str:
        """The value of the session cookie."""
        return self.cookies[COOKIES[self.frontend]]

    async def ask(
        self, method: str, target: str, *lines: str, body: str = "", host: str | None = None
    ) -> Reply:
        """With the cookies there are; those of the answer are kept."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        header = "X-Shop" if self.frontend == "shop" else "X-CSRF"
        host = host or HOSTS[self.frontend]
        head = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"{header}: 1", *lines]
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

    async def start(self, provider: str = "corp", query: str = "") -> str:
        """Begin a login; its `state`."""
        self.provider = provider
        reply = await self.get(f"{self.base}/bff/login?idp={provider}{query}")
        assert reply.status == 302, reply
        sent = parse_qs(urlsplit(location_of(reply)).query)
        self.ops[provider].nonce = sent["nonce"][0]
        return sent["state"][0]

    async def come_back(self, state: str, **answer: str) -> Reply:
        """From the OP, with a code unless the answer is another."""
        query = urlencode({"state": state, **(answer or {"code": "the-code"})})
        return await self.get(f"{self.base}/bff/callback/{self.provider}?{query}")

    async def log_in(self, provider: str = "corp") -> Reply:
        reply = await self.come_back(await self.start(provider))
        assert reply.status == 302, reply
        return reply

    async def user(self) -> Any:
        """What `/bff/user` says; None where no user is logged in."""
        reply = await self.get(f"{self.base}/bff/user")
        assert reply.status in (200, 401), reply
        return json.loads(reply.body) if reply.status == 200 else None


@dataclass(slots=True)
class ThreeFrontends:
    """`visitors` are one for each application, and have not logged in."""

    gateway: Gateway
    ops: dict[str, ScriptedOp]
    clock: ManualClock
    upstream: RawUpstream
    visitors: dict[str, Visitor]
    admin: KeptConnection
    ports: Ports

    @asynccontextmanager
    async def visitor(self, frontend: str) -> AsyncIterator[Visitor]:
        """Another one."""
        async with kept_connection(self.ports.gateway) as connection:
            yield Visitor(frontend, connection, self.ops)

    async def sessions(self) -> list[dict[str, Any]]:
        """All of the users' sessions, as an administrator sees them."""
        reply = await self.admin.ask(b"GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert reply.status == 200, reply
        found: list[dict[str, Any]] = json.loads(reply.body)["sessions"]
        return found

    async def metrics(self) -> str:
        reply = await self.admin.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return reply.body.decode()

    async def tell(self, logout_token: str, frontend: str) -> Reply:
        """What an OP sends over the back channel, to the address it has of one application."""
        body = urlencode({"logout_token": logout_token})
        async with self.visitor(frontend) as op:
            return await op.ask(
                "POST",
                f"{BASES[frontend]}/bff/backchannel-logout",
                "Content-Type: application/x-www-form-urlencoded",
                body=body,
            )


def three_frontends_toml(
    ports: Ports,
    ops: dict[str, ScriptedOp],
    *,
    server: str = "",
    session: str = "",
    others: str = "",
) -> str:
    """`server` and `session` are further keys of these tables, `others` are further frontends."""
    toml = two_providers_toml(ports, ops).replace("[session]\n", f"[session]\n{session}\n")
    toml = toml.replace("[server]\n", f"[server]\n{server}\n")
    toml = "\n".join(line for line in toml.split("\n") if not line.startswith("public_url"))
    return toml + (FRONTENDS + others).replace("{api}", str(ports.api))


@asynccontextmanager
async def three_frontends(
    *, server: str = "", session: str = "", others: str = ""
) -> AsyncIterator[ThreeFrontends]:
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        ops = {}
        for number, name in enumerate(("corp", "evil"), 1):
            ops[name] = await ScriptedOp(clock).start()
            ops[name].keys = [signing_key(number=number)]
            stack.push_async_callback(ops[name].close)
        upstream = await stack.enter_async_context(raw_upstream())
        ports = Ports(free_port(), free_port(), 0, upstream.port)
        toml = three_frontends_toml(ports, ops, server=server, session=session, others=others)
        gateway = await stack.enter_async_context(running_gateway(toml, clock))
        admin = await stack.enter_async_context(kept_connection(ports.admin))
        visitors = {}
        for name in NAMES:
            connection = await stack.enter_async_context(kept_connection(ports.gateway))
            visitors[name] = Visitor(name, connection, ops)
        yield ThreeFrontends(gateway, ops, clock, upstream, visitors, admin, ports)
