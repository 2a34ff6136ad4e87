"""`bff doctor` finds what real proxies in front do wrong, by a request through the public URL."""

from dataclasses import replace
from pathlib import Path

import pytest

from bff.config.load import load_with_origins
from tests.flows.examined import (
    SET_FOR,
    SET_HOST,
    SET_PROTO,
    TRUSTED,
    WELL,
    behind_nginx,
    installation,
    next_step,
)
from tests.parts.caddy_server import running_caddy
from tests.parts.command import bff
from tests.parts.gateway_program import GatewayProgram
from tests.parts.redis_server import RedisServer, own_redis
from tests.parts.servers import free_port
from tests.parts.stack import running_gateway

__all__ = ["own_redis"]


async def test_a_proxy_that_does_all_that_is_needed(tmp_path: Path) -> None:
    fields = SET_HOST + SET_FOR + SET_PROTO
    async with behind_nginx(tmp_path, fields, TRUSTED) as place:
        result = await place.doctor()
    assert result.line(f"✓ public URL    {place.public_url} leads to this gateway")
    assert "127.0.0.1, by X-Forwarded-For of the proxy" in result.line("✓ forwarded for")
    assert result.line("✓ scheme        X-Forwarded-Proto is https")
    assert result.line("✓ cookie        __Host-Http-bff")


async def test_a_proxy_on_a_unix_socket(tmp_path: Path) -> None:
    """It has no address, and is trusted without being named."""
    server = f'listen = "unix:{tmp_path}/gateway.sock"'
    leads_to = f"unix:{tmp_path}/gateway.sock"
    fields = SET_HOST + SET_FOR + SET_PROTO
    async with behind_nginx(tmp_path, fields, server, leads_to=leads_to) as place:
        result = await place.doctor()
    told = result.line("✓ forwarded for")
    assert "127.0.0.1, by X-Forwarded-For of the proxy on the Unix socket" in told


async def test_several_workers_and_an_admin_socket(tmp_path: Path, own_redis: RedisServer) -> None:
    """Whichever worker gives the ticket, and whichever gets the request."""
    server = f'workers = 2\nadmin_listen = "unix:{tmp_path}/admin.sock"\nhealth_listen = '
    health = f"127.0.0.1:{free_port()}"
    async with installation(
        tmp_path, serves=False, server=f'{server}"{health}"', store=own_redis.url
    ) as place:
        program = GatewayProgram(place.config, health)
        try:
            await program.start()
            results = [await place.doctor() for _ in range(3)]
        finally:
            await program.end()
    for result in results:
        assert result.code == WELL, result.out
        assert result.line(f"✓ public URL    {place.public_url} leads to this gateway")


async def test_the_caddyfile_of_the_project(tmp_path: Path) -> None:
    port = free_port()
    async with installation(
        tmp_path, public_url=f"https://localhost:{port}", server=TRUSTED
    ) as place:
        gateway = f"127.0.0.1:{place.ports.gateway}"
        with running_caddy(tmp_path / "caddy", gateway=gateway, port=port) as caddy:
            result = await replace(place, ca_file=caddy.ca_root).doctor()
    for item in ("public URL", "forwarded for", "scheme"):
        assert result.line(f"✓ {item}")


@pytest.mark.parametrize(
    ("fields", "server", "found", "todo"),
    [
        (
            SET_HOST + SET_FOR,
            TRUSTED,
            "! scheme        the proxy 127.0.0.1 sends no X-Forwarded-Proto",
            "$scheme",
        ),
        (
            SET_HOST + SET_FOR + "proxy_set_header X-Forwarded-Proto http;",
            TRUSTED,
            "! scheme        the proxy 127.0.0.1 says X-Forwarded-Proto: http, and public_url is h",
            "the outermost proxy",
        ),
        (
            SET_HOST + SET_PROTO,
            TRUSTED,
            "✗ forwarded for the proxy 127.0.0.1 sends no X-Forwarded-For: all users have one",
            "$proxy_add_x_forwarded_for",
        ),
        (
            SET_HOST + 'proxy_set_header Forwarded "for=203.0.113.9";',
            "",
            "✗ forwarded for the proxy 127.0.0.1 sends no X-Forwarded-For, but Forwarded",
            'add "127.0.0.1/32" to server.trusted_proxies',
        ),
        (
            SET_HOST + SET_FOR + SET_PROTO,
            "",
            "✗ forwarded for the proxy 127.0.0.1 is not in server.trusted_proxies",
            'add "127.0.0.1/32" to server.trusted_proxies',
        ),
        (
            SET_HOST + 'proxy_set_header X-Forwarded-For "203.0.113.9, 10.9.8.7";',
            TRUSTED,
            "✗ forwarded for 10.9.8.7 counts as the client, and is a proxy: 203.0.113.9",
            'add "10.9.8.7/32" to server.trusted_proxies',
        ),
        (
            SET_FOR + SET_PROTO,
            TRUSTED,
            "✗ public URL    the gateway gets another Host than localhost:",
            "proxy_set_header Host",
        ),
        (
            "return 301 https://www.example.org/login?secret=canary;",
            TRUSTED,
            "✗ public URL    https://localhost:",
            "without a login or redirect",
        ),
        (
            'default_type application/json; return 403 \'{"code": "access_denied"}\';',
            TRUSTED,
            "✗ public URL    what answers at https://localhost:",
            "have it pass /bff/ on to server.listen",
        ),
        (
            "return 200 welcome;",
            TRUSTED,
            "✗ public URL    what answers at https://localhost:",
            "have it pass /bff/ on to server.listen",
        ),
    ],
)
async def test_what_a_proxy_does_wrong(
    tmp_path: Path, fields: str, server: str, found: str, todo: str
) -> None:
    async with behind_nginx(tmp_path, fields, server) as place:
        result = await place.doctor()
    assert result.line(found), result.out
    assert todo in next_step(result, found)
    assert "canary" not in result.out


async def test_a_proxy_that_does_not_reach_the_gateway(tmp_path: Path) -> None:
    async with behind_nginx(
        tmp_path, SET_HOST, TRUSTED, leads_to=f"127.0.0.1:{free_port()}"
    ) as place:
        result = await place.doctor()
    assert "does not reach it (status 502)" in result.line("✗ public URL")
    assert f"127.0.0.1:{place.ports.gateway}" in next_step(result, "✗ public URL")


async def test_the_caddyfile_when_it_does_not_reach_the_gateway(tmp_path: Path) -> None:
    """It answers a problem in the gateway's place, and is not taken for the gateway."""
    port = free_port()
    async with installation(
        tmp_path, public_url=f"https://localhost:{port}", server=TRUSTED
    ) as place:
        gateway = f"127.0.0.1:{free_port()}"
        with running_caddy(tmp_path / "caddy", gateway=gateway, port=port) as caddy:
            result = await replace(place, ca_file=caddy.ca_root).doctor()
    assert "does not reach it (status 503)" in result.line("✗ public URL")


async def test_a_public_url_that_can_not_be_reached(tmp_path: Path) -> None:
    async with installation(tmp_path, public_url=f"http://localhost:{free_port()}") as place:
        result = await place.doctor()
    assert "connection refused" in result.line("✗ public URL")
    assert "DNS" in next_step(result, "✗ public URL")


async def test_a_certificate_that_this_machine_does_not_trust(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, SET_HOST) as place:
        result = await replace(place, ca_file=None).doctor()
    assert "--ca-file" in result.line("✗ public URL")


async def test_a_file_that_holds_no_certificate(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no PEM")
    result = await bff("doctor", "--ca-file", "ca.crt", cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert "--ca-file" in result.err


async def test_another_gateway_at_the_public_url(tmp_path: Path) -> None:
    """One with other secrets does not know the ticket, and says no more than to other callers."""
    other = tmp_path / "other"
    other.mkdir()
    async with (
        installation(other, secret="uC4rT8yW2eX6nB9kV3mZ7qL5sJ1hD0fG") as there,
        installation(tmp_path, public_url=there.public_url) as place,
    ):
        result = await place.doctor()
    assert "a gateway answers" in result.line("✗ public URL")
    assert "session.secrets" in next_step(result, "✗ public URL")


SEVERAL = """
[[frontends]]
name = "shop"
public_url = "{url}"

[[frontends]]
name = "wiki"
public_url = "{url}/wiki"

[[frontends]]
name = "away"
public_url = "http://127.0.0.1:{away}"
"""


async def test_each_application_is_asked_for_at_its_own_address(tmp_path: Path) -> None:
    """With a ticket of its own."""
    async with installation(tmp_path, serves=False) as place:
        given = place.config.read_text().splitlines()
        own = "\n".join(one for one in given if not one.startswith(("public_url", "root")))
        place.config.write_text(own + SEVERAL.format(url=place.public_url, away=free_port()))
        async with running_gateway(load_with_origins(place.config, {}).settings):
            result = await place.doctor()
    assert result.line(f"✓ public URL    {place.public_url} leads to this gateway")
    assert result.line(f"✓ public URL    {place.public_url}/wiki leads to this gateway")
    assert "connection refused" in result.line("✗ public URL    http://127.0.0.1:")
