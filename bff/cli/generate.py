"""`bff keygen`, `bff schema` and `bff client`: what is made from the package alone."""

import json
import shutil
from pathlib import Path

import click

from bff.config.reference import file_schema, reference
from bff.config.values.secrets import new_secret
from bff.endpoints.client import client_files


@click.command()
@click.option(
    "--count", type=click.IntRange(1, 100), default=1, show_default=True, help="How many."
)
def keygen(count: int) -> None:
    """Print fresh values for session.secrets, one a line."""
    for _ in range(count):
        click.echo(new_secret())


@click.command()
@click.option("--markdown", is_flag=True, help="Print docs/configuration.md instead.")
def schema(*, markdown: bool) -> None:
    """Print the JSON Schema of the configuration file."""
    click.echo(reference() if markdown else json.dumps(file_schema(), indent=2), nl=not markdown)


@click.command()
@click.option("--types", is_flag=True, help="Only the types, for pages that load /bff/client/.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def client(folder: Path, *, types: bool) -> None:
    """Copy the browser client, with its types for TypeScript, into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in sorted(client_files().items()):
        if name.endswith(".d.ts") or not types:
            shutil.copyfile(path, folder / name)
            click.echo(folder / name)
