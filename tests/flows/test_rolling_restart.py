"""Two replicas are restarted one after the other while calls are under way: none fails.

With real fronts, told what the shipped files tell them. A call fails when the front picks a replica
that is going, when it reuses a connection that the replica has closed, or when its connection waits
in the queue of a socket that is closed. A POST that has been sent is never repeated, so that each
of these shows.
"""

import ssl
from pathlib import Path

import pytest

from tests.caddy_server import running_caddy
from tests.certificates import self_signed
from tests.deployment import DEPLOY, ROOT
from tests.flows.asking_proxies import NGINX_AROUND, moved
from tests.flows.replicas import Load, a_site
from tests.polling import until
from tests.redis_server import RedisServer
from tests.stack import free_port
from tests.wire.nginx import nginx_with

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


@pytest.mark.parametrize("printed", NGINX_SITES.values(), ids=NGINX_SITES)
async def test_behind_nginx(own_redis: RedisServer, tmp_path: Path, printed: str) -> None:
    """It asks nothing: what it needs is that no connection is closed under a request."""
    port = free_port()
    load = Load()
    certificate, key = self_signed(tmp_path, "localhost")
    tls = ssl.create_default_context(cafile=str(certificate))
    async with a_site(own_redis, tmp_path, f"https://localhost:{port}") as site:
        places = {
            "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
            "/etc/ssl/app.example.com.crt": str(certificate),
            "/etc/ssl/app.example.com.key": str(key),
            "app.example.com": "localhost",
            "10.0.0.11:8080": site.gateways[0],
            "10.0.0.12:8080": site.gateways[1],
        }
        config = NGINX_AROUND.replace("PRINTED", moved(printed, places))
        with nginx_with(tmp_path, config.replace("FOLDER", str(tmp_path)), port):
            async with site.started(), site.under_load(load, tls):
                await site.restart_one_by_one(front_asks=False)
                await until(load.is_enough)
    assert load.failures == []
