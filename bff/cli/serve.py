"""`bff serve`: run the gateway until it is told to stop."""

import asyncio
import signal
import sys
from pathlib import Path

import click
import uvloop

from bff import __version__
from bff.app.gateway import Gateway, run
from bff.config.settings import Settings
from bff.observability import logs


@click.command()
@click.option("--config", type=click.Path(path_type=Path), envvar="BFF_CONFIG", default=None)
def serve(config: Path | None) -> None:
    """Run the gateway."""
    raise NotImplementedError


def banner(gateway: Gateway) -> str:
    """What an operator wants to see at start: addresses, OP, store, routes. No secret."""
    settings = gateway.settings
    store = settings.session.store.get_secret_value().partition("://")[0]
    lines = [
        f"bff {__version__}",
        f"  serving   {settings.server.public_url}  on {', '.join(gateway.public_addresses)}",
        f"  admin     {', '.join(gateway.admin_addresses)}",
        f"  OP        {settings.oidc.issuer}  as {settings.oidc.client_id}",
        f"  store     {store}",
    ]
    for route in settings.routes:
        targets = ", ".join(str(upstream) for upstream in route.upstream)
        lines.append(f"  route     {route.path}  ->  {targets}  ({route.token} token)")
    if settings.spa.root or settings.spa.dev_server:
        lines.append(f"  SPA       {settings.spa.root or settings.spa.dev_server}")
    return "\n".join(lines)
