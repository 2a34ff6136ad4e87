"""`bff jwks`: the public keys by which OPs know the gateway, for OPs that get them by hand."""

import json
import sys
from pathlib import Path

import click

from bff.cli.options import config_option
from bff.config.settings import Settings
from bff.oidc.settings import jwk_set

NOT_DONE = 1


@click.command()
@config_option
@click.option("--provider", help="The NAME of one [providers.NAME]; by default all.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write instead of standard output.",
)
def jwks(settings: Settings, *, provider: str | None, output: Path | None) -> None:
    """Print the JWK Set that GET /bff/jwks serves: public keys only.

    An OP that can't fetch the set is given this text. The keys are those of client_keys; with
    self_signed_tls_client_auth the certificate as well.

    Exit code 0: done. 1: there are no keys, or the file can't be written.
    """
    clients = [
        one
        for one in settings.relying_parties()
        if one.is_known_by_keys and provider in (None, one.name)
    ]
    if not clients:
        click.echo(
            "bff: no OP knows this gateway by a key; see client_auth and request_object", err=True
        )
        sys.exit(NOT_DONE)
    try:
        text = json.dumps(jwk_set(clients), indent=2) + "\n"
        if output is None:
            click.echo(text, nl=False)
        else:
            output.write_text(text, "ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        click.echo(f"bff: {output or 'client_cert_file'}: {why}", err=True)
        sys.exit(NOT_DONE)
