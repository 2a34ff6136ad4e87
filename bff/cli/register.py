"""`bff register`: register the gateway at an OP that lets clients register themselves, and read,
change or delete that registration later.

What the client is to be comes from the configuration, in which the client itself may still be
missing. No token or secret is printed.
"""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from bff.cli.check import show
from bff.cli.checks.verdict import bad
from bff.cli.options import config_file_option, existing_file, settings_or_exit
from bff.cli.registration import steps
from bff.cli.registration.files import (
    CREDENTIAL,
    KEYS,
    RECORD,
    FilesUnusable,
    RegistrationFiles,
)
from bff.cli.registration.wanted import Wanted
from bff.config.problems import KeyPath
from bff.config.settings import Settings
from bff.config.sources.environment import variable_of
from bff.config.sources.toml_lines import read_toml
from bff.config.values.files import read_text
from bff.config.values.secrets import new_secret
from bff.model import DEFAULT_PROVIDER
from bff.oidc.client_auth.methods import BY_SECRET, METHODS
from bff.oidc.registration import Permission, RegistrationFailed

NOT_DONE = 1
TOKEN_VARIABLE = "BFF_INITIAL_ACCESS_TOKEN"  # noqa: S105 - a name


@click.command()
@config_file_option
@click.option("--provider", help="The NAME of [providers.NAME], if it is not [oidc].")
@click.option("--issuer", help="The OP; by default the issuer in the configuration.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where {KEYS}, {CREDENTIAL} and {RECORD} are; by default beside the configuration.",
)
@click.option("--name", help="What the OP calls the client; by default the host of public_url.")
@click.option(
    "--initial-access-token-file",
    type=click.Path(path_type=Path),
    help=f"A file that holds the OP's permission to register; or the variable {TOKEN_VARIABLE}.",
)
@click.option(
    "--software-statement-file",
    type=click.Path(path_type=Path),
    help="A file that holds a software statement (RFC 7591 section 2.3).",
)
@click.option(
    "--no-scope",
    is_flag=True,
    help="Ask for no scopes: the client gets those that the OP gives all of them (Keycloak).",
)
@click.option("--read", is_flag=True, help="Show what is registered, and what is different.")
@click.option("--update", is_flag=True, help="Register what the configuration says now.")
@click.option("--delete", is_flag=True, help="Delete the client at the OP, and the files here.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("--force", is_flag=True, help="Write over files of an earlier registration.")
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Go on where the OP registers something else that the gateway can live with.",
)
def register(
    file: Path | None,
    provider: str | None,
    issuer: str | None,
    folder: Path | None,
    name: str | None,
    initial_access_token_file: Path | None,
    software_statement_file: Path | None,
    *,
    no_scope: bool,
    read: bool,
    update: bool,
    delete: bool,
    dry_run: bool,
    force: bool,
    accept_changes: bool,
) -> None:
    """Register this gateway as a client at an OP (RFC 7591), or see to its registration (RFC 7592).

    The configuration says what the client is to be; oidc.client_id and its secret may be missing
    there. What comes of it is written to three files; the keys in oidc.toml belong into the
    configuration.

    Exit code 0: done, or with --read: all is as the configuration says. 1: it is not, or the OP
    refused, or a file could not be written. 2: the command or the configuration is not valid.
    """
    for_new = issuer or initial_access_token_file or software_statement_file or force
    _require_one_task(
        read=read, update=update, delete=delete, dry_run=dry_run, is_for_new=bool(for_new)
    )
    file = existing_file(file)
    if provider is None and file is not None and _has_named_providers(file):
        raise click.UsageError("The configuration has [providers]: name one with --provider.")
    files = RegistrationFiles(folder or (file.parent if file is not None else Path()))
    try:
        record = files.load() if read or update or delete else None
        settings = _settings(file, provider, record.issuer if record is not None else issuer)
        permission = _permission(initial_access_token_file, software_statement_file)
        wanted = Wanted.by(
            settings,
            provider or DEFAULT_PROVIDER,
            name,
            accepts_changes=accept_changes,
            names_scope=not no_scope,
        )
        if dry_run:
            click.echo(json.dumps(wanted.shown(permission), indent=2))
            return
        if record is None:
            _run(steps.create(wanted, permission, files, file, overwrite=force))
        elif read:
            _run(steps.read(wanted, record, files, file))
        elif update:
            _run(steps.update(wanted, record, files, file))
        else:
            _run(steps.delete(wanted, record, files))
    except (RegistrationFailed, FilesUnusable) as error:
        show(bad("registration", str(error)))
        sys.exit(NOT_DONE)


def _require_one_task(
    *, read: bool, update: bool, delete: bool, dry_run: bool, is_for_new: bool
) -> None:
    """Raises: click.UsageError, for options that do not go together."""
    if read + update + delete > 1:
        raise click.UsageError("--read, --update and --delete do not go together.")
    if dry_run and (read or delete):
        raise click.UsageError("--dry-run goes with a registration or --update.")
    if (read or update or delete) and is_for_new:
        raise click.UsageError(
            "--issuer, --initial-access-token-file, --software-statement-file and --force go with "
            "a new registration."
        )


def _run(work: Coroutine[Any, Any, bool]) -> None:
    if not asyncio.run(work):
        sys.exit(NOT_DONE)


def _settings(file: Path | None, provider: str | None, issuer: str | None) -> Settings:
    """With a client that is made up where there is none yet, or none any more."""
    table: KeyPath = ("oidc",) if provider is None else ("providers", provider)
    instead: dict[KeyPath, object | None] = {
        (*table, "client_id"): "not-registered-yet",
        (*table, "client_secret"): new_secret() if _needs_secret(file, table) else None,
        (*table, "client_secret_file"): None,
    }
    if issuer is not None:
        instead[*table, "issuer"] = issuer
    return settings_or_exit(file, instead)


def _needs_secret(file: Path | None, table: KeyPath) -> bool:
    """Whether the client authenticates by one, as far as that can be read."""
    found: Any = _tables(file) if file is not None else {}
    for name in (*table, "client_auth"):
        found = found.get(name, {}) if isinstance(found, dict) else {}
    method = os.environ.get(variable_of((*table, "client_auth")), found)
    return method not in set(METHODS) - BY_SECRET if isinstance(method, str) else True


def _has_named_providers(file: Path) -> bool:
    return "providers" in _tables(file)


def _tables(file: Path) -> dict[str, Any]:
    try:
        return read_toml(read_text(file))[0]
    except ValueError:  # the configuration is judged later
        return {}


def _permission(token_file: Path | None, statement_file: Path | None) -> Permission:
    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    if token_file is not None:
        token = _content(token_file)
    return Permission(token, _content(statement_file) if statement_file is not None else None)


def _content(path: Path) -> str:
    """The one word that a file holds. Raises: FilesUnusable."""
    try:
        content = read_text(path).strip()
    except ValueError as error:
        raise FilesUnusable(f"{path} {error}") from None
    if not content or not content.isascii() or not content.isprintable() or " " in content:
        raise FilesUnusable(f"{path} does not hold one token")
    return content
