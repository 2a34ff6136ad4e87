"""A gateway with two providers, `corp` and `evil`, whose OPs say whatever a test wants. Neither
names itself in its answers (RFC 9207) unless a test makes it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from bff.clock import ManualClock
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, ScriptedOp
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway
from tests.security.kept_connection import Reply, kept_connection
from tests.security.scripted_installation import (
    LIMITS,
    ORIGIN,
    Administrator,
    Visitor,
    corp_and_evil,
    location_of,
)


@dataclass(slots=True)
class TwoProviders:
    """`visitor` has not logged in. `ops` are by the names of their providers."""

    ops: dict[str, ScriptedOp]
    clock: ManualClock
    upstream: RawUpstream
    visitor: Visitor
    admin: Administrator
    ports: Ports

    @asynccontextmanager
    async def another_visitor(self) -> AsyncIterator[Visitor]:
        async with kept_connection(self.ports.gateway) as connection:
            yield Visitor(connection, self.ops["corp"])

    async def start(self, provider: str, visitor: Visitor | None = None, query: str = "") -> str:
        """Begin a login; its `state`."""
        visitor = visitor or self.visitor
        visitor.op = self.ops[provider]
        return await visitor.start(f"idp={provider}{query}")

    async def come_back(
        self,
        at: str,
        state: str,
        /,
        visitor: Visitor | None = None,
        *,
        iss: str = "",
        **answer: str,
    ) -> Reply:
        """To the redirect URI of the provider `at`, with a code unless the answer is another."""
        named = {"iss": iss} if iss else {}
        answer = {**named, **(answer or {"code": "the-code"})}
        return await (visitor or self.visitor).come_back(state, at=at, **answer)

    async def log_in(self, provider: str, visitor: Visitor | None = None) -> Reply:
        state = await self.start(provider, visitor)
        reply = await self.come_back(provider, state, visitor)
        assert reply.status == 302, reply
        return reply

    async def call(self, visitor: Visitor | None = None) -> Reply:
        """An API call."""
        return await (visitor or self.visitor).get("/api/x")


def two_providers_toml(ports: Ports, ops: dict[str, ScriptedOp], *, extra: str = "") -> str:
    """Both are the same client at their OP, by name and by secret."""
    tables = "".join(
        f"""
[providers.{name}]
issuer = "{op.issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
timeout = "1s"
email_domains = ["{name}.example"]
{extra}"""
        for name, op in ops.items()
    )
    before, _, rest = gateway_toml(ports, extra=LIMITS).partition("[oidc]")
    return f"{before}{tables}[session]{rest.partition('[session]')[2]}"


@asynccontextmanager
async def two_providers(*, extra: str = "") -> AsyncIterator[TwoProviders]:
    """`extra` are keys of each of the providers."""
    clock = ManualClock()
    async with AsyncExitStack() as stack:
        ops = await stack.enter_async_context(corp_and_evil(clock))
        for name, op in ops.items():
            op.token_changes = {"access_token": f"at-of-{name}", "refresh_token": f"rt-of-{name}"}
        upstream = await stack.enter_async_context(raw_upstream())
        ports = Ports(free_port(), free_port(), 0, upstream.port)
        environ = {"BFF_SERVER__PUBLIC_URL": ORIGIN}
        toml = two_providers_toml(ports, ops, extra=extra)
        await stack.enter_async_context(running_gateway(toml, clock, environ))
        public = await stack.enter_async_context(kept_connection(ports.gateway))
        admin = Administrator(await stack.enter_async_context(kept_connection(ports.admin)))
        visitor = Visitor(public, ops["corp"])
        yield TwoProviders(ops, clock, upstream, visitor, admin, ports)


def sent_to_op(reply: Reply) -> tuple[str, dict[str, str]]:
    """Where a login leads, and the parameters on the way."""
    where = urlsplit(location_of(reply))
    parameters = {name: value for name, [value] in parse_qs(where.query).items()}
    return f"{where.scheme}://{where.netloc}", parameters
