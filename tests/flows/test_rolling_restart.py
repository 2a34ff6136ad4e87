"""Two replicas are restarted one after the other while calls are under way: none fails.

With real fronts, told what the shipped files tell them. A call fails when the front picks a replica
that is going, when it reuses a connection that the replica has closed, or when its connection waits
in the queue of a socket that is closed. A POST that has been sent is never repeated, so that each
of these shows.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.asking_proxies import moved
from tests.flows.replicas import Load, Site, a_site
from tests.parts.browser import Browser
from tests.parts.caddy_server import running_caddy
from tests.parts.certificates import self_signed
from tests.parts.deployment import DEPLOY, ROOT
from tests.parts.nginx_server import running_nginx
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.polling import HANG_SECONDS, until

pytestmark = pytest.mark.timeout(
    900
)  # programs are started eight times, on a machine that may be busy

READY = "/readyz?exclude=op&exclude=store"


async def test_behind_the_shipped_caddyfile(own_redis: RedisServer, tmp_path: Path) -> None:
    """It asks each replica whether it is ready, and turns to the other one in time."""
    port = free_port()
    load = Load()
    async with a_site(own_redis, tmp_path, f"https://localhost:{port}") as site:
        with running_caddy(
            tmp_path / "caddy",
            gateway=" ".join(site.gateways),
            port=port,
            environment={
                "GATEWAY_HEALTH": READY,
                "GATEWAY_HEALTH_PORT": str(site.replicas[0].health_port),
            },
        ) as caddy:
            async with site.started(), site.under_load(load, caddy.tls()):
                await site.restart_one_by_one(front_asks=True)
                await until(load.is_enough)
    assert load.failures == []


NGINX_PAGE = (ROOT / "docs" / "nginx.md").read_text()
NGINX_SITES = {
    "shipped": (DEPLOY / "nginx.conf").read_text(),
    "the least": NGINX_PAGE.partition("```nginx\n")[2].partition("```")[0],
}


@contextmanager
def nginx_in_front(site: Site, folder: Path, printed: str, port: int) -> Iterator[ssl.SSLContext]:
    """As it is printed, but for places; what a browser must trust."""
    certificate, key = self_signed(folder, "localhost")
    places = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/app.example.com.crt": str(certificate),
        "/etc/ssl/app.example.com.key": str(key),
        "app.example.com": "localhost",
        "10.0.0.11:8080": site.gateways[0],
        "10.0.0.12:8080": site.gateways[1],
    }
    with running_nginx(folder, moved(printed, places), port):
        yield ssl.create_default_context(cafile=str(certificate))


@pytest.mark.parametrize("printed", NGINX_SITES.values(), ids=NGINX_SITES)
async def test_behind_nginx(own_redis: RedisServer, tmp_path: Path, printed: str) -> None:
    """It asks nothing: what it needs is that no connection is closed under a request."""
    port = free_port()
    load = Load()
    async with a_site(own_redis, tmp_path, f"https://localhost:{port}") as site:
        with nginx_in_front(site, tmp_path, printed, port) as tls:
            async with site.started(), site.under_load(load, tls):
                await site.restart_one_by_one(front_asks=False)
                await until(load.is_enough)
    assert load.failures == []


@pytest.mark.parametrize("printed", NGINX_SITES.values(), ids=NGINX_SITES)
async def test_events_come_through_nginx(
    own_redis: RedisServer, tmp_path: Path, printed: str
) -> None:
    """At once, although nginx buffers answers: it would wait for some KiB of events."""
    port = free_port()
    async with a_site(own_redis, tmp_path, f"https://localhost:{port}") as site:
        with nginx_in_front(site, tmp_path, printed, port) as tls:
            async with site.started(), Browser(ssl=tls) as browser:
                page = await browser.navigate(f"{site.public_url}/bff/login")
                await browser.log_in_at_op(page, "alice")
                async with browser.stream("/bff/events", csrf=False) as stream:
                    assert stream.status == 200
                    async with asyncio.timeout(HANG_SECONDS):
                        await stream.content.readuntil(b"event: session\n")
