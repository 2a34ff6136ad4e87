"""What `bff serve` says of itself: an event at its start and at its end, in the log like any other;
and for a person at a terminal, or with logs in text, a banner on standard output.
"""

import sys
import time

import click
import structlog

from bff import __version__
from bff.app.listening import Addresses
from bff.config.problems import dotted
from bff.config.rules import guessable_secrets
from bff.config.settings import Settings

log = structlog.get_logger("bff.cli")


class Announcer:
    """One run of `bff serve`. Called with the addresses once it serves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began: float | None = None

    def __call__(self, addresses: Addresses) -> None:
        settings = self._settings
        self._began = time.monotonic()
        others = {"health_listen": addresses.health, "auth_listen": addresses.auth}
        log.info(
            "started",
            version=__version__,
            public_url=settings.server.public_url,
            listen=list(addresses.public),
            admin_listen=list(addresses.admin),
            **{name: list(known) for name, known in others.items() if known},
            workers=settings.server.workers,
            issuer=settings.oidc.issuer,
            client_id=settings.oidc.client_id,
            store=_store_kind(settings),
            routes=[route.path for route in settings.routes],
        )
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
        f"  serving   {settings.server.public_url} on {', '.join(addresses.public)}{workers}",
        f"  admin     {', '.join(addresses.admin)}",
        *([f"  health    {', '.join(addresses.health)}"] if addresses.health else []),
        *([f"  auth      {', '.join(addresses.auth)}"] if addresses.auth else []),
        f"  OP        {settings.oidc.issuer} as {settings.oidc.client_id}",
        f"  store     {_store_kind(settings)}",
    ]
    for route in settings.routes:
        targets = ", ".join(str(upstream) for upstream in route.upstream)
        lines.append(f"  route     {route.path} -> {targets} ({route.token} token)")
    app = settings.spa.root or settings.spa.dev_server
    if app:
        lines.append(f"  SPA       {app}")
    return "\n".join(lines)


def _store_kind(settings: Settings) -> str:
    return settings.session.store.get_secret_value().partition("://")[0]
