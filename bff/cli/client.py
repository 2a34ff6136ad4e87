"""`bff client`: the browser client as files, for bundlers and for TypeScript."""

import shutil
from pathlib import Path

import click

from bff.endpoints.client import client_files


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
