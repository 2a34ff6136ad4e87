"""`bff serve`: run the gateway until it is told to stop, in this process or in several workers."""

import asyncio
import sys

import click
import uvloop

from bff.app import Gateway
from bff.app.supervisor import Supervisor
from bff.cli.announce import Announcer
from bff.cli.open_files import warn_of_few_open_files
from bff.cli.options import config_option
from bff.cli.running import ADDRESS_UNAVAILABLE, address_unavailable, run_until_stopped
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
    announcer = Announcer(settings)
    try:
        if settings.server.workers > 1:
            in_order = asyncio.run(Supervisor(settings, announcer).run())
            sys.exit(0 if in_order else WORKERS_FAILED)
        gateway = Gateway(settings)

        def on_serving() -> None:
            warn_of_few_open_files(settings.server.max_connections)
            announcer(gateway.addresses)

        uvloop.run(run_until_stopped(gateway, on_serving))
    except OSError as error:
        click.echo(address_unavailable(error), err=True)
        sys.exit(ADDRESS_UNAVAILABLE)
    finally:
        announcer.stopped()
