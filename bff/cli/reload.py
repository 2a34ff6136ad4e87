"""`bff reload`: have a running gateway take over its changed configuration."""

import sys

import click

from bff.cli.admin_client import AdminFailed, ask_admin_now
from bff.cli.options import config_option
from bff.cli.sessions import printable
from bff.config import Settings

NOT_RELOADED = 1


@click.command()
@config_option
def reload(settings: Settings) -> None:
    """Have the running gateway read its configuration anew, and print the keys that have changed.

    The gateway judges the whole of it with its own file and environment. Where anything is wrong it
    goes on with the old one, and every problem is printed with its file and line.

    Exit code 0: the new configuration is served. 1: the gateway refused it, or did not answer.
    2: the configuration is not valid, and the gateway was not asked.
    """
    try:
        answer = ask_admin_now(settings.server.admin_listen, "POST", "/reload", {})
    except AdminFailed as error:
        for problem in error.problems:
            click.echo(printable(problem), err=True)
        click.echo(f"bff: {printable(str(error))}", err=True)
        sys.exit(NOT_RELOADED)
    changed = [printable(str(key)) for key in answer.get("changed", ())]
    click.echo("Reloaded." if changed else "Reloaded; no key has changed.")
    for key in changed:
        click.echo(f"  {key}")
