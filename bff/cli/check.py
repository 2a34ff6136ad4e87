"""`bff check`: would this configuration work? First the configuration itself, then the OP and the
store are asked the same things that a running gateway asks.
"""

import asyncio
import sys
from typing import Protocol

import click

from bff import app
from bff.cli import advice
from bff.cli.options import config_option
from bff.cli.verdict import Mark, Verdict, has_failed, line
from bff.clock import SystemClock
from bff.config import Settings
from bff.errors import BffError
from bff.observability import logs
from bff.oidc.metadata import ProviderMetadata

CHECK_FAILED = 1


class Provider(Protocol):
    """What is asked of the OP."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def metadata(self) -> ProviderMetadata: ...
    async def check(self) -> None: ...


class Store(Protocol):
    """What is asked of the session store."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...
    async def ping(self) -> None: ...


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Ask neither the OP nor the store.")
def check(settings: Settings, *, offline: bool) -> None:
    """Validate the configuration, then ask the OP and the session store.

    Exit code 0: it would work. 1: the OP or the store does not answer as needed. 2: the
    configuration is not valid.
    """
    logs.configure(level="error", log_format=settings.log.format)
    _show(Verdict(Mark.GOOD, "configuration", _summary(settings)))
    for verdict in advice.on_settings(settings):
        _show(verdict)
    if not offline and not asyncio.run(_ask(settings)):
        sys.exit(CHECK_FAILED)


async def _ask(settings: Settings) -> bool:
    """Ask both, tell what they say as it comes; False when one of them fails."""
    clock = SystemClock()
    of_op = await ask_provider(settings, app.relying_party(settings, clock))
    _show(*of_op)
    of_store = await ask_store(settings, app.session_store(settings, clock))
    _show(*of_store)
    return not has_failed((*of_op, *of_store))


async def ask_provider(settings: Settings, provider: Provider) -> tuple[Verdict, ...]:
    """Discovery and keys, judged as a login would judge them, and what the OP lacks."""
    try:
        await provider.start()
        metadata = await provider.metadata()
        await provider.check()
    except BffError as error:
        return (_refused("OP", error),)
    finally:
        await provider.close()
    good = Verdict(Mark.GOOD, "OP", f"{settings.oidc.issuer}: metadata and keys are good")
    return (good, *advice.on_provider(settings, metadata))


async def ask_store(settings: Settings, store: Store) -> tuple[Verdict, ...]:
    """One round trip."""
    scheme = settings.session.store.get_secret_value().partition("://")[0]
    try:
        await store.start()
        await store.ping()
    except BffError as error:
        return (_refused("store", error),)
    finally:
        await store.close()
    return (Verdict(Mark.GOOD, "store", f"{scheme}:// answers"),)


def _refused(item: str, error: BffError) -> Verdict:
    # The detail is for operators; it may quote nothing that could move a terminal's cursor.
    detail = "".join(letter if letter.isprintable() else "?" for letter in error.log_detail)
    return Verdict(Mark.BAD, item, f"{error.title} ({detail})" if detail else error.title)


def _summary(settings: Settings) -> str:
    count = len(settings.routes)
    return f"is valid: {settings.server.public_url}, {count} route{'s'[: count != 1]}"


def _show(*verdicts: Verdict) -> None:
    for verdict in verdicts:
        click.echo(line(verdict, sys.stdout.encoding or "ascii"))
