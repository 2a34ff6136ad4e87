"""`bff demo`: gateway, demo OP, demo API and SPA in one process, on loopback and in memory."""

import contextlib
import secrets
import sys

import click
import uvloop
from aiohttp import web

from bff.app import Gateway
from bff.cli.running import address_unavailable, run_until_stopped
from bff.cli.serve import banner
from bff.config import Settings
from bff.config.load import validate
from bff.config.problems import dotted
from bff.exit_codes import ADDRESS_UNAVAILABLE, CONFIG_UNUSABLE
from bff.observability import logs
from spa_demo import SPA_ROOT
from spa_demo.api.server import build_api
from spa_demo.api.settings import ApiSettings
from spa_demo.op import DEMO_USERS, Client, OpSettings, build_op

CLIENT_ID = "spa-demo"
PORT = click.IntRange(1, 65535)


@click.command()
@click.option("--port", type=PORT, default=8080, show_default=True, help="Where to open the demo.")
@click.option(
    "--op-port", type=PORT, default=9400, show_default=True, help="The demo OpenID provider."
)
@click.option("--api-port", type=PORT, default=9000, show_default=True, help="The demo API.")
@click.option(
    "--admin-port", type=PORT, default=9090, show_default=True, help="Health and metrics."
)
@click.option(
    "--access-token-seconds",
    default=30,
    show_default=True,
    help="Short, so that a refresh can be watched.",
)
def demo(
    port: int, op_port: int, api_port: int, admin_port: int, access_token_seconds: int
) -> None:
    """Run the whole thing on this machine and print where to open it."""
    logs.configure(level="warning", log_format="text")
    client_secret = secrets.token_urlsafe(32)
    public_url = f"http://localhost:{port}"
    issuer = f"http://127.0.0.1:{op_port}"
    op = build_op(
        OpSettings(
            issuer=issuer,
            clients=(
                Client(
                    CLIENT_ID,
                    client_secret,
                    redirect_uris=(f"{public_url}/bff/callback",),
                    post_logout_redirect_uris=(f"{public_url}/",),
                    backchannel_logout_uri=f"{public_url}/bff/backchannel-logout",
                ),
            ),
            access_token_seconds=access_token_seconds,
        )
    )
    api = build_api(ApiSettings(issuer=issuer))
    gateway = Gateway(_settings(public_url, issuer, client_secret, port, api_port, admin_port))
    try:
        uvloop.run(_run(gateway, {op_port: op, api_port: api}))
    except OSError as error:
        click.echo(f"{address_unavailable(error)}; see bff demo --help", err=True)
        sys.exit(ADDRESS_UNAVAILABLE)


def _settings(
    public_url: str, issuer: str, client_secret: str, port: int, api_port: int, admin_port: int
) -> Settings:
    tables: dict[str, object] = {
        "server": {
            "public_url": public_url,
            "listen": f"127.0.0.1:{port}",
            "admin_listen": f"127.0.0.1:{admin_port}",
            "shutdown_timeout": "3s",
        },
        "oidc": {
            "issuer": issuer,
            "client_id": CLIENT_ID,
            "client_secret": client_secret,
            "scope": "openid profile email api:read api:write",
            "device_login": True,
        },
        "session": {"store": "memory://", "secrets": [secrets.token_urlsafe(32)]},
        "user": {"claims": ["name", "email"]},
        "routes": [{"path": "/api/", "upstream": f"http://127.0.0.1:{api_port}/"}],
        "spa": {"root": str(SPA_ROOT)},
    }
    result = validate(tables, None)
    if isinstance(result, Settings):
        return result
    for fault in result:
        click.echo(f"bff: {dotted(fault.path)}: {fault.message}; see bff demo --help", err=True)
    sys.exit(CONFIG_UNUSABLE)


async def _run(gateway: Gateway, beside: dict[int, web.Application]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for port, application in beside.items():
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", port).start()
        await run_until_stopped(gateway, lambda: click.echo(_invitation(gateway)))


def _invitation(gateway: Gateway) -> str:
    """The banner, and what a person needs to try it."""
    users = "\n".join(
        f"  {user.sub:<8}{user.password:<12}{' '.join(sorted(user.api_scope)) or 'no API scopes'}"
        for user in DEMO_USERS
    )
    url = gateway.settings.server.public_url
    shown = banner(gateway.settings, gateway.addresses)
    return f"{shown}\n\nOpen {url} and log in as\n{users}\n\nCtrl-C stops it."
