"""`bff serve`: run the gateway until it is told to stop, in this process or in several workers.

It says of itself an event at its start and one at its end, in the log like any other; and for a
person at a terminal, or with logs in text, a banner on standard output.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

import click
import structlog
import uvloop

from bff import __version__
from bff.admin.health import NotReady
from bff.app import Gateway, open_files_wanted
from bff.app.held_addresses import HeldAddresses, held_addresses, passed_by_systemd
from bff.app.listening import Addresses
from bff.app.reloading import IN_MEMORY, Reloads
from bff.app.succession import Incompatible, Predecessor, Succession
from bff.app.supervisor import Supervisor
from bff.app.watched_files import WatchedFiles
from bff.cli.options import config_file_option, existing_file, settings_or_exit
from bff.cli.running import address_unavailable, run_until_stopped, warn_of_few_open_files
from bff.config.changes import files_named_in
from bff.config.load import load_with_origins
from bff.config.problems import dotted
from bff.config.rules.secrets import guessable_secrets
from bff.config.settings import Settings
from bff.exit_codes import ADDRESS_UNAVAILABLE, INCOMPATIBLE, NOT_READY
from bff.observability import logs

WORKERS_FAILED = 1


@click.command()
@config_file_option
def serve(file: Path | None) -> None:
    """Run the gateway in the foreground.

    SIGUSR2 restarts it without a gap: a new process of the same command takes over, and this one
    lets go when that is ready. SIGHUP does so for a new configuration, if that is valid and closes
    no listener: see `bff reload`.

    Exit code 0: it was told to stop. 1: its workers would not run, or not stop, or it did not get
    ready to take over. 2: the configuration is not valid. 3: an address can't be listened on.
    4: it was to take over from another version, and can't.
    """
    settings = settings_or_exit(existing_file(file))
    watched = _watched(settings, existing_file(file))
    if watched is not None:  # read after the first look, so that no change lies between both
        settings = settings_or_exit(existing_file(file))
    logs.configure(level=settings.log.level, log_format=settings.log.format)
    announcer = Announcer(settings)
    reloads = Reloads(
        settings,
        lambda: load_with_origins(existing_file(file), os.environ),
        watched,
    )
    succession: Succession | None = None
    try:
        predecessor = Predecessor.from_environment(os.environ)
        passed = passed_by_systemd(settings.listeners, os.environ)
        if predecessor is not None:
            passed = predecessor.passed
        is_alone = settings.server.workers == 1
        with held_addresses(settings.listeners, passed, listen=is_alone) as held:
            succession = Succession(held, predecessor, reloads, _why_no_restart(settings))
            _run(settings, announcer, held, succession, reloads, predecessor)
    except NotReady as error:
        click.echo(f"bff: not ready to take over: {error}", err=True)
        sys.exit(NOT_READY)
    except Incompatible as error:
        click.echo(f"bff: {error}", err=True)
        sys.exit(INCOMPATIBLE)
    except OSError as error:
        click.echo(address_unavailable(error), err=True)
        sys.exit(ADDRESS_UNAVAILABLE)
    finally:
        announcer.stopped()
    succession.accompany()


def _watched(settings: Settings, file: Path | None) -> WatchedFiles | None:
    """The configuration and the files it names, if changes of them are to be heeded."""
    if not settings.server.reload_on_change:
        return None
    files = files_named_in(settings) | ({file} if file is not None else set())
    return WatchedFiles(files, [settings.tenants.directory] if settings.tenants else [])


def _run(
    settings: Settings,
    announcer: "Announcer",
    held: HeldAddresses,
    succession: Succession,
    reloads: Reloads,
    predecessor: Predecessor | None,
) -> None:
    """In this process, or in several workers."""
    lifeline = predecessor.lifeline if predecessor is not None else None

    def on_serving(addresses: Addresses) -> None:
        announcer(addresses)
        if predecessor is not None:
            predecessor.ready()

    succeeds = predecessor is not None
    if settings.server.workers > 1:
        supervisor = Supervisor(
            settings,
            on_serving,
            held,
            succession=succession,
            reloads=reloads,
            succeeds=succeeds,
        )
        if not asyncio.run(supervisor.run(lifeline)) and not succession.is_done:
            sys.exit(WORKERS_FAILED)
        return
    gateway = Gateway(settings, setup=held.setup(None, succeeds=succeeds), reload=reloads)
    reloads.observe(gateway.report_reload)

    def on_alone_serving() -> None:
        warn_of_few_open_files(open_files_wanted(settings))
        on_serving(gateway.addresses)

    uvloop.run(
        run_until_stopped(
            gateway,
            on_alone_serving,
            lifeline=lifeline,
            until_over=succession.until_over,
            reload_asked=reloads.asked,
        )
    )


def _why_no_restart(settings: Settings) -> str:
    """Why another process could not take over."""
    if settings.session.is_in_memory:
        return IN_MEMORY
    return ""


log = structlog.get_logger("bff.cli")

MOST_FRONTENDS = 20  # in the banner


class Announcer:
    """One run of `bff serve`. Called with the addresses once it serves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began: float | None = None

    def __call__(self, addresses: Addresses) -> None:
        settings = self._settings
        self._began = time.monotonic()
        others = {
            "health_listen": addresses.health,
            "auth_listen": addresses.auth,
            "metrics_listen": addresses.metrics,
        }
        log.info(
            "started",
            version=__version__,
            **_served(settings),
            listen=list(addresses.public),
            admin_listen=list(addresses.admin),
            **{name: list(known) for name, known in others.items() if known},
            workers=settings.server.workers,
            **_providers(settings),
            store=_store_kind(settings),
        )
        for name, provider in settings.providers.items():
            if provider.allow_http_hosts:
                hosts = list(provider.allow_http_hosts)
                log.warning("plain_http_allowed", provider=name, hosts=hosts)
        for fault in guessable_secrets(settings):  # refused unless `public_url` is loopback
            log.warning("guessable_secret", setting=dotted(fault.path), detail=fault.message)
        if settings.log.format == "text" or sys.stdout.isatty():
            click.echo(banner(settings, addresses))

    def stopped(self) -> None:
        """It is over; one that never served leaves no event."""
        if self._began is not None:
            seconds = round(time.monotonic() - self._began)
            log.info("stopped", version=__version__, uptime_seconds=seconds)


def banner(settings: Settings, addresses: Addresses) -> str:
    """What an operator wants to see at start: addresses, OP, store, routes. No secret."""
    workers = f" with {settings.server.workers} workers" if settings.server.workers > 1 else ""
    lines = [
        f"bff {__version__}",
        f"  serving   {_what(settings)} on {', '.join(addresses.public)}{workers}",
        f"  admin     {', '.join(addresses.admin)}",
        *([f"  health    {', '.join(addresses.health)}"] if addresses.health else []),
        *([f"  auth      {', '.join(addresses.auth)}"] if addresses.auth else []),
        *([f"  metrics   {', '.join(addresses.metrics)}"] if addresses.metrics else []),
        *(
            f"  OP        {one.issuer} as {one.client_id}{_named(name, settings)}"
            for name, one in settings.providers.items()
        ),
        f"  store     {_store_kind(settings)}",
    ]
    if settings.frontends:
        shown = settings.frontends[:MOST_FRONTENDS]
        lines += [f"  frontend  {one.name}: {one.public_url}" for one in shown]
        return "\n".join(lines)
    for route in settings.routes:
        targets = ", ".join(str(upstream) for upstream in route.upstream)
        lines.append(f"  route     {route.path} -> {targets} ({route.token} token)")
    app = settings.spa.root or settings.spa.dev_server
    if app:
        lines.append(f"  SPA       {app}")
    return "\n".join(lines)


def _what(settings: Settings) -> str:
    if settings.frontends:
        return f"{len(settings.frontends)} frontends"
    return settings.server.public_url


def _served(settings: Settings) -> dict[str, object]:
    """The only application, or how many there are."""
    if settings.frontends:
        return {"frontends": len(settings.frontends)}
    routes = [route.path for route in settings.routes]
    return {"public_url": settings.server.public_url, "routes": routes}


def _providers(settings: Settings) -> dict[str, object]:
    """Of one its issuer and client, of several those of each by its name."""
    about = {
        name: {"issuer": one.issuer, "client_id": one.client_id}
        for name, one in settings.providers.items()
    }
    return {"providers": about} if len(about) > 1 else dict(*about.values())


def _named(name: str, settings: Settings) -> str:
    return f" ({name})" if len(settings.providers) > 1 else ""


def _store_kind(settings: Settings) -> str:
    return settings.session.store.get_secret_value().partition("://")[0]
