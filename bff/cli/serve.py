"""`bff serve`: run the gateway until it is told to stop."""

import asyncio
import signal
import sys
from collections.abc import Callable

import click
import uvloop

from bff import __version__
from bff.app import Gateway
from bff.cli.options import config_option
from bff.config.settings import Settings
from bff.observability import logs

ADDRESS_UNAVAILABLE = 3


@click.command()
@config_option
def serve(settings: Settings) -> None:
    """Run the gateway in the foreground."""
    logs.configure(level=settings.log.level, log_format=settings.log.format)
    try:
        uvloop.run(run_until_stopped(Gateway(settings), banner))
    except OSError as error:
        click.echo(f"bff: can't listen: {error.strerror or error}", err=True)
        sys.exit(ADDRESS_UNAVAILABLE)


async def run_until_stopped(gateway: Gateway, announcement: Callable[[Gateway], str]) -> None:
    """Start, print the announcement, and stop gracefully on SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await gateway.start()
    try:
        click.echo(announcement(gateway))
        warming_up = asyncio.create_task(gateway.warm_up())
        await stop.wait()
        warming_up.cancel()
    finally:
        await gateway.stop()


def banner(gateway: Gateway) -> str:
    """What an operator wants to see at start: addresses, OP, store, routes. No secret."""
    settings = gateway.settings
    store = settings.session.store.get_secret_value().partition("://")[0]
    lines = [
        f"bff {__version__}",
        f"  serving   {settings.server.public_url} on {', '.join(gateway.public_addresses)}",
        f"  admin     {', '.join(gateway.admin_addresses)}",
        f"  OP        {settings.oidc.issuer} as {settings.oidc.client_id}",
        f"  store     {store}",
    ]
    for route in settings.routes:
        targets = ", ".join(str(upstream) for upstream in route.upstream)
        lines.append(f"  route     {route.path} -> {targets} ({route.token} token)")
    app = settings.spa.root or settings.spa.dev_server
    if app:
        lines.append(f"  SPA       {app}")
    return "\n".join(lines)
