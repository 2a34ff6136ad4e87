"""`bff schema`: what the configuration file may hold, for editors and for the documentation."""

import json

import click

from bff.config.reference import file_schema, reference


@click.command()
@click.option("--markdown", is_flag=True, help="Print docs/configuration.md instead.")
def schema(*, markdown: bool) -> None:
    """Print the JSON Schema of the configuration file."""
    click.echo(reference() if markdown else json.dumps(file_schema(), indent=2), nl=not markdown)
