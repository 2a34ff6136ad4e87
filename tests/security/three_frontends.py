"""A gateway of three applications, as behind a proxy that ends TLS: `shop` and `crm` have a host
each, `wiki` lives below a path of crm's. `shop` has two providers, `corp` and `evil`; crm and wiki
have `corp` alone. The OPs say whatever a test wants."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bff.app import Gateway
from bff.clock import ManualClock
from tests.parts.configuration import Ports
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.scripted_op import ScriptedOp
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway
from tests.security import scripted_installation
from tests.security.kept_connection import KeptConnection, Reply, kept_connection
from tests.security.scripted_installation import Administrator, corp_and_evil
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


@dataclass(kw_only=True)
class Visitor(scripted_installation.Visitor):
    """Of one application; it logs in at the OP of `provider`."""

    frontend: str
    ops: dict[str, ScriptedOp]
    provider: str = "corp"

    @property
    def cookie(self) -> str:
        """The value of the session cookie."""
        return self.cookies[COOKIES[self.frontend]]

    async def start(self, query: str = "", *lines: str) -> str:
        self.op = self.ops[self.provider]
        return await super().start(f"idp={self.provider}{query}", *lines)

    async def come_back(self, state: str, *, at: str = "", **answer: str) -> Reply:
        return await super().come_back(state, at=at or self.provider, **answer)

    async def log_in(self) -> Reply:
        reply = await super().log_in()
        assert reply.status == 302, reply
        return reply

    async def user(self) -> Any:
        """What `/bff/user` says; None where no user is logged in."""
        reply = await self.get(f"{self.base}/bff/user")
        assert reply.status in (200, 401), reply
        return json.loads(reply.body) if reply.status == 200 else None


def visitor_of(frontend: str, connection: KeptConnection, ops: dict[str, ScriptedOp]) -> Visitor:
    """One that has not logged in."""
    return Visitor(
        connection,
        ops["corp"],
        host=HOSTS[frontend],
        base=BASES[frontend],
        csrf_header="X-Shop" if frontend == "shop" else "X-CSRF",
        frontend=frontend,
        ops=ops,
    )


@dataclass(slots=True)
class ThreeFrontends:
    """`visitors` are one for each application, and have not logged in."""

    gateway: Gateway
    ops: dict[str, ScriptedOp]
    clock: ManualClock
    upstream: RawUpstream
    visitors: dict[str, Visitor]
    admin: Administrator
    ports: Ports

    @asynccontextmanager
    async def visitor(self, frontend: str) -> AsyncIterator[Visitor]:
        """Another one."""
        async with kept_connection(self.ports.gateway) as connection:
            yield visitor_of(frontend, connection, self.ops)

    async def tell(self, logout_token: str, frontend: str) -> Reply:
        """What an OP sends over the back channel, to the address it has of one application."""
        async with self.visitor(frontend) as op:
            return await op.tell(logout_token)


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
        ops = await stack.enter_async_context(corp_and_evil(clock))
        upstream = await stack.enter_async_context(raw_upstream())
        ports = Ports(free_port(), free_port(), 0, upstream.port)
        toml = three_frontends_toml(ports, ops, server=server, session=session, others=others)
        gateway = await stack.enter_async_context(running_gateway(toml, clock))
        admin = Administrator(await stack.enter_async_context(kept_connection(ports.admin)))
        visitors = {}
        for name in NAMES:
            connection = await stack.enter_async_context(kept_connection(ports.gateway))
            visitors[name] = visitor_of(name, connection, ops)
        yield ThreeFrontends(gateway, ops, clock, upstream, visitors, admin, ports)
