"""`bff check`: would this configuration work? First the configuration itself, then the OP, the
store and the APIs are asked the same things that a running gateway asks.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import click
from click.core import ParameterSource

from bff import app
from bff.cli.checks.login import LoginCheck, LoginTimes
from bff.cli.checks.provider import on_provider
from bff.cli.checks.reach import on_listeners, on_upstreams
from bff.cli.checks.store import on_store
from bff.cli.checks.verdict import Verdict, good, has_failed, line, warning
from bff.cli.options import config_option
from bff.clock import SystemClock
from bff.config.frontends import Frontend, frontends_of
from bff.config.problems import dotted
from bff.config.rules.secrets import guessable_secrets
from bff.config.settings import Settings
from bff.observability import logs
from bff.observability.metrics import Metrics
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings

CHECK_FAILED = 1
OPS_AT_ONCE = 16  # are asked side by side


@click.command()
@config_option
@click.option("--offline", is_flag=True, help="Ask neither the OP, the store nor the APIs.")
@click.option(
    "--login", is_flag=True, help="Log in once in a browser instead, and judge every step of it."
)
@click.option("--frontend", help="With --login: the name of one of several; by default the first.")
@click.option("--provider", help="With --login: the name of one of several; by default the first.")
@click.option("--no-browser", is_flag=True, help="With --login: only print the link.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 3600),
    default=300,
    show_default=True,
    help="With --login: how many seconds the person has to log in.",
)
def check(
    settings: Settings,
    *,
    offline: bool,
    login: bool,
    frontend: str | None,
    provider: str | None,
    no_browser: bool,
    timeout: int,
) -> None:
    """Validate the configuration, then ask the OP, the session store and the APIs.

    The OP is asked without a user. A session without a user is written to the store and deleted
    again. An API is connected to and sent no request. With --offline none of them is asked. With
    --login one user logs in at the OP and out again instead, and the other two are not asked.

    Exit code 0: it would work. 1: something does not answer as needed. 2: the configuration is not
    valid.
    """
    if login and offline:
        raise click.UsageError("--login asks the OP: it does not go with --offline.")
    if not login:
        _refuse_options_of_login()
    logs.configure(level="critical", log_format=settings.log.format)
    show(good("configuration", _summary(settings)))
    for verdict in on_settings(settings):
        show(verdict)
    if offline:
        return
    if login:
        at = _frontend(settings, frontend)
        oidc = _provider(settings, at, provider)
        work = _log_in(at, oidc, timeout, opens=not no_browser)
    else:
        work = _ask(settings)
    if not asyncio.run(work):
        sys.exit(CHECK_FAILED)


def _refuse_options_of_login() -> None:
    context = click.get_current_context()
    for name in ("frontend", "provider", "no_browser", "timeout"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --login.")


def _frontend(settings: Settings, name: str | None) -> Frontend:
    """The application that a login is tried at."""
    frontends = frontends_of(settings)
    for known in frontends:
        if name in (None, known.name):
            return known
    names = ", ".join(known.name for known in frontends)
    raise click.UsageError(f"--frontend must be one of {names}.")


def _provider(settings: Settings, at: Frontend, name: str | None) -> RelyingPartySettings:
    """A provider of this application's, with the addresses that the OP leads back to there."""
    by_name = {known.name: known for known in settings.relying_parties()}
    own = list(at.settings.providers)
    if name is not None and name not in own:
        of_which = f" at the frontend {at.name}" if settings.frontends else ""
        raise click.UsageError(f"--provider must be one of {', '.join(own)}{of_which}.")
    chosen = own[0] if name is None else name
    return replace(
        by_name[chosen],
        redirect_uri=at.redirect_uri_of(chosen),
        post_logout_redirect_uri=at.post_logout_uri_of(chosen),
    )


async def _log_in(at: Frontend, oidc: RelyingPartySettings, seconds: int, *, opens: bool) -> bool:
    """One real login; False when a step of it fails."""
    found: list[Verdict] = []

    def tell(verdict: Verdict) -> None:
        show(verdict)
        found.append(verdict)

    def invite(link: str) -> None:
        click.echo(f"Open this in a browser and log in, within {seconds} s:\n  {link}")
        if opens and sys.stdout.isatty():
            click.launch(link)

    times = LoginTimes(login_seconds=seconds)
    login = LoginCheck(at, oidc, SystemClock(), tell=tell, invite=invite, times=times)
    await login.run()
    return not has_failed(found)


async def _ask(settings: Settings) -> bool:
    """Ask them all, tell what they say as it comes; False when one of them fails."""
    found: list[Verdict] = []
    async for verdict in all_verdicts(settings):
        show(verdict)
        found.append(verdict)
    return not has_failed(found)


async def all_verdicts(settings: Settings) -> AsyncIterator[Verdict]:
    """What is found by asking, as it comes."""
    for verdicts in (
        on_providers(settings),
        on_store(settings),
        on_upstreams(settings),
        on_listeners(settings),
    ):
        async for verdict in verdicts:
            yield verdict


async def on_providers(settings: Settings) -> AsyncIterator[Verdict]:
    """What is found by asking the OPs, side by side; it is told in the order of the file."""
    parties = app.relying_parties(settings, SystemClock(), Metrics())
    frontends = frontends_of(settings)
    served = [app.relying_parties_at(one, parties) for one in frontends]
    step_up = [app.step_up_rules(one) for one in frontends]
    places = asyncio.Semaphore(OPS_AT_ONCE)

    async def ask(party: RelyingParty, found: asyncio.Queue[Verdict | None]) -> None:
        registered = [own[party.name] for own in served if party.name in own]
        acr = {name for one in step_up if party.name in one for name in one[party.name].named}
        routes = (
            route
            for one, own in zip(frontends, served, strict=True)
            if party.name in own
            for route in one.settings.routes
        )
        introspects = any(route.introspect for route in routes)
        async with places:
            async for verdict in on_provider(
                party, registered, sorted(acr), introspects=introspects
            ):
                # Where there are several, each line says of which.
                item = f"{party.name}: {verdict.item}" if len(parties) > 1 else verdict.item
                found.put_nowait(replace(verdict, item=item))
        found.put_nowait(None)

    async with asyncio.TaskGroup() as asking:
        queues: list[asyncio.Queue[Verdict | None]] = []
        for party in parties:
            queues.append(asyncio.Queue())
            asking.create_task(ask(party, queues[-1]))
        for found in queues:
            while (verdict := await found.get()) is not None:
                yield verdict


def _summary(settings: Settings) -> str:
    if settings.frontends:
        frontends = len(settings.frontends)
        return f"is valid: {frontends} frontend{'s'[: frontends != 1]}"
    count = len(settings.routes)
    return f"is valid: {settings.server.public_url}, {count} route{'s'[: count != 1]}"


def show(verdict: Verdict) -> None:
    """Print it."""
    click.echo(line(verdict, sys.stdout.encoding or "ascii"))


def on_settings(settings: Settings) -> Iterator[Verdict]:
    """Warnings that need no question to another program."""
    server, session = settings.server, settings.session
    if server.is_loopback:
        yield warning("server", "public_url is loopback: only this machine can log in")
        for fault in guessable_secrets(settings):
            section, key = dotted(fault.path).split(".", 1)
            yield warning(section, f"{key} {fault.message}; refused unless public_url is loopback")
    if any(network.prefixlen == 0 for network in server.trusted_proxies):
        yield warning("server", "trusted_proxies holds every address: anyone may forge theirs")
    if server.is_https and not server.trusted_proxies and not server.listen.startswith("unix:"):
        # The gateway itself speaks no TLS, so a proxy in front does.
        yield warning(
            "server",
            "trusted_proxies does not name what serves https in front: by its one address "
            "all users share the limits of [limits]",
        )
    if server.admin_listen.startswith(("0.0.0.0:", "[::]:")):
        yield warning("server", "admin_listen is open to every network: it has no authentication")
    if session.is_in_memory:
        yield warning("session", "memory:// forgets all sessions at a restart")
    elif session.is_store_in_the_clear:
        yield warning(
            "session", "the store is reached without TLS; records are sealed all the same"
        )
    for name, provider in settings.providers.items():
        if provider.allow_http_hosts:
            hosts = ", ".join(provider.allow_http_hosts)
            yield warning("OP", f"{name}: {hosts} may be reached without TLS (allow_http_hosts)")
    if not any(one.settings.routes for one in frontends_of(settings)):
        yield warning("routes", "there are none: nothing is forwarded")
    if settings.spa.dev_server is not None and not server.is_loopback:
        yield warning("spa", "dev_server behind a public_url that is not loopback")
