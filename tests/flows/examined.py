"""An installation that `bff doctor` is asked about, alone or behind an nginx, and the report."""

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from bff.cli.checks.verdict import has_failed, lines
from bff.cli.diagnosis.gateway import ask_gateway
from bff.cli.doctor import all_verdicts
from bff.clock import SystemClock
from bff.config.load import load_with_origins
from bff.endpoints.arrival import TICKET
from tests.flows.test_check import led_to, scripted_op
from tests.parts.certificates import self_signed
from tests.parts.command import Result
from tests.parts.configuration import CLIENT_SECRET, SESSION_SECRET, Ports, free_ports, gateway_toml
from tests.parts.nginx_server import running_nginx
from tests.parts.redis_server import RedisServer
from tests.parts.scripted_op import ScriptedOp
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway

WELL, UNWELL = 0, 1
SET_HOST = "proxy_set_header Host $http_host;"
SET_FOR = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
SET_PROTO = "proxy_set_header X-Forwarded-Proto $scheme;"
TRUSTED = 'trusted_proxies = ["127.0.0.1/32"]'
NGINX = """
server {
    listen 127.0.0.1:PORT ssl;
    ssl_certificate CERTIFICATE;
    ssl_certificate_key KEY;
    location / { proxy_pass http://GATEWAY; FIELDS }
}
"""


@dataclass
class Installation:
    """The configuration of a gateway, and what the command says of it."""

    op: ScriptedOp
    config: Path
    ports: Ports
    public_url: str
    ca_file: Path | None = None

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.admin}"

    async def doctor(self) -> Result:
        """What the command says and how it ends, without a process of its own."""
        loaded = load_with_origins(self.config, {})
        tls = ssl.create_default_context(cafile=self.ca_file)
        found = [verdict async for verdict in all_verdicts(loaded, tls)]
        shown = [text for verdict in found for text in lines(verdict, "utf-8")]
        return judged(Result(UNWELL if has_failed(found) else WELL, "\n".join(shown), ""))

    async def ticket(self) -> str:
        """One from the admin listener."""
        loaded = load_with_origins(self.config, {})
        return (await ask_gateway(loaded.settings, SystemClock())).ticket

    async def arrival(self, *tickets: str, method: str = "GET") -> tuple[int, Any]:
        """A request to the public endpoint, past any proxy."""
        url = f"http://127.0.0.1:{self.ports.gateway}/bff/arrival"
        headers = [("Host", self.public_url.partition("://")[2])]
        headers += [(TICKET, ticket) for ticket in tickets]
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, url, headers=headers) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


def judged(result: Result) -> Result:
    """With what holds for every report."""
    for secret in (CLIENT_SECRET, SESSION_SECRET):
        assert secret not in result.out + result.err
    assert result.err == ""
    for shown in result.out.splitlines():
        assert shown[:2] in {"✓ ", "! ", "✗ "} or shown.lstrip().startswith("next: ")
    return result


def next_step(result: Result, start: str) -> str:
    """What it says to do about the first line that begins so."""
    shown = result.out.splitlines()
    at = shown.index(result.line(start))
    text = shown[at + 1].strip()
    assert text.startswith("next: "), shown[at]
    return text.removeprefix("next: ")


@asynccontextmanager
async def installation(
    folder: Path, *, serves: bool = True, public_url: str = "", **changes: Any
) -> AsyncIterator[Installation]:
    """A gateway with an OP with which all is well, and an API."""
    async with scripted_op(metadata={"authorization_response_iss_parameter_supported": True}) as op:
        ports = free_ports(api=int(op.issuer.rpartition(":")[2]))
        public_url = public_url or f"http://localhost:{ports.gateway}"
        op.answers["other"] = led_to(f"{public_url}/bff/callback?error=login_required")
        server = f'public_url = "{public_url}"\nmax_connections = 100\n{changes.pop("server", "")}'
        oidc = f'issuer = "{op.issuer}"\n{changes.pop("oidc", "")}'
        toml = gateway_toml(ports, server=server, oidc=oidc, **changes)
        config = folder / "bff.toml"
        config.write_text(toml)
        place = Installation(op, config, ports, public_url)
        if not serves:
            yield place
            return
        settings = load_with_origins(config, {}).settings
        async with running_gateway(settings):
            yield place


@asynccontextmanager
async def behind_nginx(
    folder: Path, fields: str, server: str = "", *, leads_to: str = "", **changes: Any
) -> AsyncIterator[Installation]:
    """The same behind an nginx that serves https and sends these fields to the gateway, or to
    another address."""
    port = free_port()
    certificate, key = self_signed(folder, "localhost")
    public_url = f"https://localhost:{port}"
    async with installation(folder, public_url=public_url, server=server, **changes) as place:
        leads_to = leads_to or f"127.0.0.1:{place.ports.gateway}"
        http = NGINX.replace("PORT", str(port)).replace("GATEWAY", leads_to)
        http = http.replace("CERTIFICATE", str(certificate)).replace("KEY", str(key))
        with running_nginx(folder, http.replace("FIELDS", fields), port):
            yield replace(place, ca_file=certificate)


@contextmanager
def redis(*options: str) -> Iterator[RedisServer]:
    server = RedisServer(*options)
    try:
        yield server
    finally:
        server.close()
