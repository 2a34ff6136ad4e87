"""One of several workers of `bff serve`, which starts it: `python -m bff.cli.worker DESCRIPTOR`.
Not for people.
"""

import pickle
import socket
import sys

import click
import structlog
import uvloop

from bff.admin.health import NotReady
from bff.app import Gateway, open_files_wanted
from bff.app.worker_process import READY, Assignment, ReloadsBySupervisor
from bff.cli.running import (
    address_unavailable,
    run_until_stopped,
    until_succeeded,
    warn_of_few_open_files,
)
from bff.exit_codes import ADDRESS_UNAVAILABLE, NOT_READY
from bff.observability import logs
from bff.observability.foreign import keep_crashes_quiet


def main() -> None:
    """Serve until told to stop, or until the supervisor is gone."""
    logs.configure(level="warning", log_format="json")  # until it has the settings
    keep_crashes_quiet()
    control = socket.socket(fileno=int(sys.argv[1]))
    assignment = _receive(control)
    settings = assignment.settings
    logs.configure(level=settings.log.level, log_format=settings.log.format)
    structlog.contextvars.bind_contextvars(worker=assignment.number)
    reloads = ReloadsBySupervisor(control)
    gateway = Gateway(settings, setup=assignment.setup, reload=reloads)

    def on_serving() -> None:
        warn_of_few_open_files(open_files_wanted(settings))
        control.send(READY)

    try:
        uvloop.run(
            run_until_stopped(
                gateway,
                on_serving,
                lifeline=control,
                received=reloads.received,
                until_over=until_succeeded,
            )
        )
    except NotReady as error:
        click.echo(f"bff: not ready to take over: {error}", err=True)
        sys.exit(NOT_READY)
    except OSError as error:
        click.echo(address_unavailable(error), err=True)
        sys.exit(ADDRESS_UNAVAILABLE)


def _receive(control: socket.socket) -> Assignment:
    try:
        with control.makefile("rb") as stream:
            assignment: Assignment = pickle.load(stream)  # noqa: S301 - our supervisor's word
    except (EOFError, ConnectionError):  # it is gone already
        sys.exit(0)
    return assignment


if __name__ == "__main__":
    main()
