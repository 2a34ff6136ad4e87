"""What is allowed but deserves a second look in the settings. Pure."""

from collections.abc import Iterator

from bff.cli.checks.verdict import Verdict, warning
from bff.config.problems import dotted
from bff.config.rules import guessable_secrets
from bff.config.settings import Settings
from bff.oidc.endpoint_url import is_loopback
from bff.sessions.redis.url import parse_redis_url


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
            "everybody shares the limits of [limits]",
        )
    if server.admin_listen.startswith(("0.0.0.0:", "[::]:")):
        yield warning("server", "admin_listen is open to every network: it has no authentication")
    if session.is_in_memory:
        yield warning("session", "memory:// forgets all sessions at a restart")
    elif _crosses_a_network_in_the_clear(session.store.get_secret_value()):
        yield warning(
            "session", "the store is reached without TLS; records are sealed all the same"
        )
    if not settings.routes:
        yield warning("routes", "there are none: nothing is forwarded")
    if settings.spa.dev_server is not None and not server.is_loopback:
        yield warning("spa", "dev_server behind a public_url that is not loopback")


def _crosses_a_network_in_the_clear(store: str) -> bool:
    redis = parse_redis_url(store)
    return not redis.tls and any(not is_loopback(host) for host, _ in redis.hosts)
