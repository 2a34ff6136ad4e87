"""`bff serve`: run the gateway until it is told to stop, in this process or in several workers."""

import asyncio
import sys

import click
import uvloop

from bff.app import Gateway
from bff.app.listening import Addresses
from bff.app.supervisor import Supervisor
from bff.cli.options import config_option
from bff.cli.running import ADDRESS_UNAVAILABLE, address_unavailable, banner, run_until_stopped
from bff.config.settings import Settings
from bff.observability import logs

WORKERS_FAILED = 1


@click.command()
@config_option
def serve(settings: Settings) -> None:
    """Run the gateway in the foreground.

    Exit code 0: it was told to stop. 1: its workers would not run, or not stop. 2: the
    configuration is not valid. 3: an address can't be listened on.
    """
    logs.configure(level=settings.log.level, log_format=settings.log.format)
    try:
        if settings.server.workers > 1:
            sys.exit(0 if _serve_with_workers(settings) else WORKERS_FAILED)
        gateway = Gateway(settings)
        uvloop.run(
            run_until_stopped(gateway, lambda: click.echo(banner(settings, gateway.addresses)))
        )
    except OSError as error:
        click.echo(address_unavailable(error), err=True)
        sys.exit(ADDRESS_UNAVAILABLE)


def _serve_with_workers(settings: Settings) -> bool:
    def announce(addresses: Addresses) -> None:
        click.echo(banner(settings, addresses))

    return asyncio.run(Supervisor(settings, announce).run())
