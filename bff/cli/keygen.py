"""`bff keygen`: secrets for `session.secrets`, 32 random bytes each in base64url."""

import click

from bff.config.values.secrets import new_secret


@click.command()
@click.option(
    "--count", type=click.IntRange(1, 100), default=1, show_default=True, help="How many."
)
def keygen(count: int) -> None:
    """Print fresh values for session.secrets, one a line."""
    for _ in range(count):
        click.echo(new_secret())
