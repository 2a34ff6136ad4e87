"""`bff doctor`: how is the installation doing that runs? Asks what `bff check` asks of OPs, store
and APIs, and what only a running gateway, and the way to it, can answer.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click

from bff.cli.admin_client import AdminFailed
from bff.cli.check import on_providers
from bff.cli.checks.reach import on_upstreams
from bff.cli.checks.store import on_store
from bff.cli.checks.verdict import Mark, Verdict, has_failed, lines
from bff.cli.diagnosis.clocks import on_clocks
from bff.cli.diagnosis.gateway import RunningGateway, ask_gateway, on_gateway, on_no_gateway
from bff.cli.diagnosis.public_url import ITEM as PUBLIC_URL
from bff.cli.diagnosis.public_url import on_public_url
from bff.cli.diagnosis.secrets import on_cookies, on_secrets
from bff.cli.diagnosis.store import on_store_figures
from bff.cli.options import config_file_option, existing_file, loaded_or_exit
from bff.clock import SystemClock
from bff.config.frontends import frontends_of
from bff.config.load import Loaded
from bff.config.settings import Settings
from bff.observability import logs

UNWELL = 1
MOST_PUBLIC_URLS = 20  # are asked, of a gateway with many applications


@click.command()
@config_file_option
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The CA of the certificate at public_url, where the system does not trust it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def doctor(file: Path | None, *, ca_file: Path | None, as_json: bool) -> None:
    """Ask a running installation everything at once: what was found, and what to do next.

    The gateway is asked at server.admin_listen, and one request is sent to each public URL, for
    which the gateway tells how it has arrived. The OPs, the store and the APIs are asked as by
    `bff check`, and the OPs for the time. Run it where the gateway runs, with its configuration.

    Exit code 0: nothing is wrong. 1: something is. 2: the configuration is not valid.
    """
    try:
        tls = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise click.BadParameter("holds no certificate (PEM)", param_hint="--ca-file") from None
    loaded = loaded_or_exit(existing_file(file))
    logs.configure(level="critical", log_format=loaded.settings.log.format)
    found = asyncio.run(_ask(loaded, tls, is_shown=not as_json))
    if as_json:
        document = {"verdicts": [_json_of(one) for one in found], "well": not has_failed(found)}
        click.echo(json.dumps(document, indent=2))
    if has_failed(found):
        sys.exit(UNWELL)


def _json_of(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.mark.value[1].lower(),
        "item": verdict.item,
        "found": verdict.found,
        "next": verdict.next_step,
    }


async def _ask(loaded: Loaded, tls: ssl.SSLContext, *, is_shown: bool) -> list[Verdict]:
    found: list[Verdict] = []
    async for verdict in all_verdicts(loaded, tls):
        found.append(verdict)
        if is_shown:
            for line in lines(verdict, sys.stdout.encoding or "ascii"):
                click.echo(line)
    return found


async def all_verdicts(loaded: Loaded, tls: ssl.SSLContext) -> AsyncIterator[Verdict]:
    """What is found by asking, as it comes: from the gateway outwards. `tls` is for public URLs."""
    settings, clock = loaded.settings, SystemClock()
    running: RunningGateway | None = None
    try:
        running = await ask_gateway(settings, clock)
    except AdminFailed as error:
        yield on_no_gateway(error)
    if running is not None:
        for verdict in on_gateway(running, settings.server.admin_listen):
            yield verdict
        async for verdict in _on_public_urls(settings, running.ticket, tls):
            yield verdict
    for verdicts in (
        on_providers(settings),
        on_clocks(settings, None if running is None else running.clock),
        *([] if settings.session.is_in_memory else [on_store(settings)]),
        on_store_figures(settings),
        on_upstreams(settings),
    ):
        async for verdict in verdicts:
            yield verdict
    for verdict in (*on_cookies(settings), *on_secrets(loaded, clock)):
        yield verdict


async def _on_public_urls(
    settings: Settings, ticket: str, tls: ssl.SSLContext
) -> AsyncIterator[Verdict]:
    """A ticket is good for one request: for each after the first another one is asked for."""
    frontends = frontends_of(settings)
    for index, frontend in enumerate(frontends[:MOST_PUBLIC_URLS]):
        try:
            own = ticket if index == 0 else (await ask_gateway(settings, SystemClock())).ticket
        except AdminFailed as error:
            yield on_no_gateway(error)
            return
        for verdict in await on_public_url(frontend, own, tls):
            yield verdict
    left = len(frontends) - MOST_PUBLIC_URLS
    if left > 0:
        yield Verdict(Mark.GOOD, PUBLIC_URL, f"{left} more are not asked")
