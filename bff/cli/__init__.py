"""The commands: the only code of the package that prints or exits."""

import click

from bff import __version__
from bff.cli.check import check
from bff.cli.demo import demo
from bff.cli.generate import client, keygen, schema
from bff.cli.serve import serve
from bff.cli.sessions import sessions


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bff", message="%(prog)s %(version)s")
def main() -> None:
    """A token-handler gateway: OpenID Connect login for single-page apps."""


for command in (serve, check, sessions, keygen, schema, client, demo):
    main.add_command(command)

__all__ = ["main"]
