"""The commands: the only code of the package that prints or exits.

The module of a command is imported when the command is used: a process pays for no other command.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec

import click

from bff import __version__

MODULES = {
    "serve": "bff.cli.serve",
    "check": "bff.cli.check",
    "doctor": "bff.cli.doctor",
    "explain": "bff.cli.explain",
    "config": "bff.cli.config",
    "audit": "bff.cli.audit",
    "reload": "bff.cli.reload",
    "register": "bff.cli.register",
    "sessions": "bff.cli.sessions",
    "keygen": "bff.cli.generate",
    "jwks": "bff.cli.jwks",
    "schema": "bff.cli.generate",
    "client": "bff.cli.generate",
    "demo": "bff.cli.demo",
}


class Commands(Mapping[str, click.Command]):
    """The commands by name; each is an object of that name in its module."""

    def __getitem__(self, name: str) -> click.Command:
        command: click.Command = getattr(import_module(MODULES[name]), name)
        return command

    def __contains__(self, name: object) -> bool:
        return name in MODULES

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


def _show_version(context: click.Context, _option: click.Parameter, is_asked: bool) -> None:
    """Also whether what every API call goes through is native code, as in the compiled wheel."""
    if not is_asked:
        return
    spec = find_spec("bff.gate.decision")
    is_source = spec is None or spec.origin is None or spec.origin.endswith(".py")
    click.echo(f"bff {__version__} ({'pure Python' if is_source else 'compiled'})")
    context.exit()


@click.group(commands=Commands(), context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """A token-handler gateway: OpenID Connect login for single-page apps."""


__all__ = ["main"]
