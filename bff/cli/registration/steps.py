"""What `bff register` does at the OP and with its files: one coroutine for each of registering,
reading, updating and deleting. Each shows what came of it, and is true if all is well.
"""

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import click

from bff.cli.check import show
from bff.cli.checks.verdict import Verdict, bad, good, warning
from bff.cli.registration.files import (
    CREDENTIAL,
    KEYS,
    RECORD,
    FilesUnusable,
    Record,
    RegistrationFiles,
    record_text,
)
from bff.cli.registration.wanted import Wanted, keys_text
from bff.config.values.secrets import require_unguessed
from bff.oidc.registered_client import Difference, RegisteredClient, Weight, differences
from bff.oidc.registration import Permission, Registrar, RegistrationFailed


async def create(
    wanted: Wanted,
    permission: Permission,
    files: RegistrationFiles,
    config: Path | None,
    *,
    overwrite: bool,
) -> bool:
    if not overwrite:
        files.require_free()
    files.require_writable()
    async with wanted.registrar() as registrar:
        client = await registrar.register(wanted.metadata, permission)
        problem = _problem(wanted, client)
        if problem is None:
            try:
                texts = _texts(wanted, client, client.client_secret or "", files, config)
                files.write(texts, overwrite=overwrite)
            except FilesUnusable as error:
                problem = str(error)
        if problem is not None:
            show(bad("registration", f"{problem}; {await _undone(registrar, client)}"))
            return False
    show(good("registration", f"{wanted.settings.issuer} knows this gateway as {client.client_id}"))
    show(good(KEYS, f"{files.path(KEYS)}: put its keys into the configuration"))
    if wanted.has_secret:
        show(good(CREDENTIAL, f"{files.path(CREDENTIAL)}: for the user that runs the gateway"))
    _show_management(client, files)
    _show_expiry(client)
    return True


def _problem(wanted: Wanted, client: RegisteredClient) -> str | None:
    """Why the client can't be used; what can be lived with is shown."""
    found = differences(wanted.metadata, client.metadata)
    for verdict in _verdicts(found):
        show(verdict)
    if not wanted.is_usable(found):
        hint = ""
        if all(difference.weight is not Weight.UNUSABLE for difference in found):
            hint = " (--accept-changes agrees to it)"
        return f"the OP has registered something else than was asked for{hint}"
    if not wanted.has_secret:
        return None
    if client.client_secret is None:
        return "the OP gave no client_secret, and the gateway needs one"
    try:
        require_unguessed(client.client_secret)
    except ValueError as error:
        return f"the client_secret that the OP gave {error}"
    return None


async def _undone(registrar: Registrar, client: RegisteredClient) -> str:
    """Nothing is to stay at the OP of what can't be used here."""
    by_hand = f"it still has the client {client.client_id}: delete it there"
    if client.management is None:
        return by_hand
    try:
        await registrar.delete(client.management)
    except RegistrationFailed:
        return by_hand
    return "the client has been deleted there again"


async def read(
    wanted: Wanted, record: Record, files: RegistrationFiles, config: Path | None
) -> bool:
    files.require_writable()  # a read may replace token and secret
    async with wanted.registrar() as registrar:
        client = await registrar.read(record.management)
    _keep_new(wanted, client, record, files, config)
    shown = {k: v for k, v in client.metadata.items() if k != "software_statement"}
    click.echo(json.dumps(shown, indent=2).replace("\x7f", "\\u007f"))
    found = differences(wanted.metadata, client.metadata)
    for verdict in _verdicts(found):
        show(verdict)
    _show_expiry(client)
    if wanted.is_usable(found):
        return True
    show(bad("registration", "is not as the configuration says; see --update"))
    return False


async def update(
    wanted: Wanted, record: Record, files: RegistrationFiles, config: Path | None
) -> bool:
    files.require_writable()
    async with wanted.registrar() as registrar:
        client = await registrar.update(
            record.management, record.client_id, record.client_secret, wanted.metadata
        )
    secret = client.client_secret or record.client_secret
    # Before anything is judged: the OP may take neither the old token nor the old secret any more.
    files.write(_texts(wanted, client, secret, files, config), overwrite=True)
    found = differences(wanted.metadata, client.metadata)
    for verdict in _verdicts(found):
        show(verdict)
    _show_expiry(client)
    if not wanted.is_usable(found):
        show(bad("registration", "the OP has registered something else than was asked for"))
        return False
    show(good("registration", f"{client.client_id} is as the configuration says"))
    return True


async def delete(wanted: Wanted, record: Record, files: RegistrationFiles) -> bool:
    async with wanted.registrar() as registrar:
        await registrar.delete(record.management)
    files.remove()
    show(good("registration", f"{record.client_id} has been deleted at {record.issuer}"))
    return True


def _keep_new(
    wanted: Wanted,
    client: RegisteredClient,
    record: Record,
    files: RegistrationFiles,
    config: Path | None,
) -> None:
    secret = client.client_secret or record.client_secret
    if (client.management, secret) != (record.management, record.client_secret):
        texts = _texts(wanted, client, secret, files, config)
        del texts[KEYS]
        files.write(texts, overwrite=True)


def _texts(
    wanted: Wanted,
    client: RegisteredClient,
    secret: str,
    files: RegistrationFiles,
    config: Path | None,
) -> dict[str, str]:
    """The files by name."""
    issuer = wanted.settings.issuer
    texts = {
        KEYS: keys_text(wanted, client, files.path(CREDENTIAL), config),
    }
    if wanted.has_secret:
        texts[CREDENTIAL] = f"{secret}\n"
    if client.management is not None:
        texts[RECORD] = record_text(issuer, client.client_id, client.management)
    return texts


def _verdicts(found: list[Difference]) -> Iterator[Verdict]:
    for difference in found:
        as_shown = bad if difference.weight is Weight.UNUSABLE else warning
        yield as_shown("registration", difference.text)


def _show_management(client: RegisteredClient, files: RegistrationFiles) -> None:
    if client.management is None:
        show(warning(RECORD, "the OP lets no client manage itself: change and delete it there"))
    else:
        show(good(RECORD, f"{files.path(RECORD)}: keep it for --read, --update and --delete"))


def _show_expiry(client: RegisteredClient) -> None:
    if client.secret_expires_at:
        try:
            when = datetime.datetime.fromtimestamp(client.secret_expires_at, datetime.UTC)
        except (ValueError, OverflowError, OSError):
            return
        show(warning(CREDENTIAL, f"the client secret expires at {when:%Y-%m-%d %H:%M}Z"))
