"""A real proxy that carries the calls to an API and asks the gateway about each, configured as
docs/forward-auth.md prints it: only names, ports and places of files are moved to here.
"""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bff.app import Gateway
from bff.clock import ManualClock
from spa_demo import SPA_ROOT
from tests.parts.browser import Browser
from tests.parts.caddy_server import running_caddy
from tests.parts.certificates import self_signed
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.demo_servers import RunningOp, running_demo_op
from tests.parts.deployment import ROOT
from tests.parts.nginx_server import running_nginx
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway
from tests.polling import HANG_SECONDS

DOCUMENT = ROOT / "docs" / "forward-auth.md"
PROXIES = ("caddy", "nginx")

CADDY_OPTIONS = "{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n}\n"
MORE_ROUTES = """
[[routes]]
path = "/api/public/"
upstream = "http://127.0.0.1:9000/"
strip_prefix = false
token = "none"

[[routes]]
path = "/api/themed/"
upstream = "http://127.0.0.1:9000/"
strip_prefix = false
forward_cookies = ["theme"]
"""


def printed(language: str) -> str:
    """The first block of that language in the document."""
    found = re.search(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def moved(text: str, places: dict[str, str]) -> str:
    """Every one of the places must be there."""
    for there, here in places.items():
        assert there in text, there
        text = text.replace(there, here)
    return text


@dataclass(slots=True)
class Behind:
    """A browser in front of the proxy; `api` is what the proxy carries calls to."""

    origin: str
    browser: Browser
    api: RawUpstream
    gateway: Gateway
    op: RunningOp
    tls: ssl.SSLContext

    @property
    def host(self) -> str:
        return self.origin.partition("://")[2]

    async def log_in(self, user: str = "alice") -> None:
        page = await self.browser.navigate(f"{self.origin}/bff/login")
        page = await self.browser.log_in_at_op(page, user)
        assert (page.status, page.url) == (200, f"{self.origin}/")

    def head(self, start: str, *fields: str, session: bool = True) -> bytes:
        """A request head of the browser, closing the connection afterwards."""
        lines = [start, f"Host: {self.host}", "X-CSRF: 1", "Connection: close", *fields]
        if session:
            cookie = self.browser.cookies.get("__Host-Http-bff")
            lines.append(f"Cookie: theme=dark; __Host-Http-bff={cookie}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def raw(self, data: bytes, *, seconds: float = HANG_SECONDS) -> bytes:
        """Send bytes to the proxy on a connection of their own; everything it answers."""
        port = int(self.origin.rpartition(":")[2])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=self.tls, server_hostname="localhost"
        )
        writer.write(data)
        try:
            async with asyncio.timeout(seconds):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def behind(
    proxy: str, folder: Path, clock: ManualClock | None = None
) -> AsyncIterator[Behind]:
    """All of it: OP, API, gateway, and that proxy in front of them; no user is logged in."""
    port, auth = free_port(), free_port()
    origin = f"https://localhost:{port}"
    async with raw_upstream() as api:
        ports = Ports(free_port(), free_port(), free_port(), api.port)
        places = {
            "127.0.0.1:8080": f"127.0.0.1:{ports.gateway}",
            "127.0.0.1:8081": f"127.0.0.1:{auth}",
            "127.0.0.1:9000": f"127.0.0.1:{api.port}",
            "/srv/spa": str(SPA_ROOT),
        }
        run = {"caddy": _caddy, "nginx": _nginx}[proxy]
        async with (
            running_demo_op(ports.op, origin, clock=clock) as op,
            running_gateway(_gateway_toml(ports, auth, origin), clock) as gateway,
        ):
            with run(folder, port, places) as tls:
                async with Browser(ssl=tls) as browser:
                    yield Behind(origin, browser, api, gateway, op, tls)


def _gateway_toml(ports: Ports, auth: int, origin: str) -> str:
    """The usual configuration, with the document's keys in the place of its own."""
    places = {
        "https://app.example.com": origin,
        "127.0.0.1:8080": f"127.0.0.1:{ports.gateway}",
        "127.0.0.1:8081": f"127.0.0.1:{auth}",
        "127.0.0.1:9000": f"127.0.0.1:{ports.api}",
    }
    return gateway_toml(ports, routes=moved(printed("toml") + MORE_ROUTES, places))


@contextmanager
def _caddy(folder: Path, port: int, places: dict[str, str]) -> Iterator[ssl.SSLContext]:
    site = "app.example.com {"
    here = f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls internal\n"
    caddyfile = folder / "Caddyfile"
    caddyfile.write_text(CADDY_OPTIONS + moved(printed("caddyfile"), {site: here, **places}))
    with running_caddy(folder / "caddy", gateway="", port=port, caddyfile=caddyfile) as server:
        yield server.tls()


@contextmanager
def _nginx(folder: Path, port: int, places: dict[str, str]) -> Iterator[ssl.SSLContext]:
    certificate, key = self_signed(folder, "localhost")
    here = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/app.example.com.crt": str(certificate),
        "/etc/ssl/app.example.com.key": str(key),
        "server_name app.example.com": "server_name localhost",
        **places,
    }
    with running_nginx(folder, moved(printed("nginx"), here), port):
        yield ssl.create_default_context(cafile=str(certificate))
