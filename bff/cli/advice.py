"""What is allowed but deserves a second look: in the settings, and in what the OP offers. Pure."""

from collections.abc import Iterator

from bff.cli.verdict import Mark, Verdict
from bff.config.guessable import guessable_secrets, is_for_this_machine
from bff.config.problems import dotted
from bff.config.settings import Settings
from bff.config.urls import is_loopback
from bff.oidc.metadata import ProviderMetadata
from bff.sessions.redis_url import parse_redis_url


def on_settings(settings: Settings) -> Iterator[Verdict]:
    """Warnings that need no question to anybody."""
    server, session = settings.server, settings.session
    is_local = is_for_this_machine(settings)
    if is_local:
        yield _warning("server", "public_url is loopback: only this machine can log in")
        for fault in guessable_secrets(settings):
            section, key = dotted(fault.path).split(".", 1)
            yield _warning(section, f"{key} {fault.message}; refused unless public_url is loopback")
    if any(network.prefixlen == 0 for network in server.trusted_proxies):
        yield _warning("server", "trusted_proxies holds every address: anyone may forge theirs")
    if server.is_https and not server.trusted_proxies and not server.listen.startswith("unix:"):
        # The gateway itself speaks no TLS, so somebody in front does.
        yield _warning(
            "server",
            "trusted_proxies does not name what serves https in front: by its one address "
            "everybody shares the limits of [limits]",
        )
    if server.admin_listen.startswith(("0.0.0.0:", "[::]:")):
        yield _warning("server", "admin_listen is open to every network: it has no authentication")
    if session.is_in_memory:
        yield _warning("session", "memory:// forgets all sessions at a restart")
    elif _crosses_a_network_in_the_clear(session.store.get_secret_value()):
        yield _warning(
            "session", "the store is reached without TLS; records are sealed all the same"
        )
    if not settings.routes:
        yield _warning("routes", "there are none: nothing is forwarded")
    if settings.spa.dev_server is not None and not is_local:
        yield _warning("spa", "dev_server behind a public_url that is not loopback")


def on_provider(settings: Settings, metadata: ProviderMetadata) -> Iterator[Verdict]:
    """What the OP lacks of what the settings ask for."""
    if settings.oidc.userinfo and metadata.userinfo_endpoint is None:
        yield Verdict(Mark.BAD, "OP", "oidc.userinfo is true, but there is no userinfo_endpoint")
    if settings.oidc.revoke_on_logout and metadata.revocation_endpoint is None:
        yield _warning("OP", "no revocation_endpoint: a logout can't revoke the refresh token")
    if metadata.end_session_endpoint is None:
        yield _warning("OP", "no end_session_endpoint: a logout ends the session here only")
    # Of no other scope: an OP need not list all that it knows (Discovery section 3).
    listed, asked = metadata.scopes_supported, settings.oidc.scope.split()
    if listed is not None and "offline_access" in asked:
        if "offline_access" in listed:
            yield _warning(
                "OP",
                "oidc.scope asks for offline_access: leave it out unless the OP gives no refresh "
                "token without it, or sessions outlive the user's logout at the OP",
            )
        else:
            yield _warning("OP", "does not list the scope offline_access that oidc.scope asks for")
    if not metadata.sends_response_issuer:
        yield _warning("OP", "does not name itself in its answers (RFC 9207)")


def _crosses_a_network_in_the_clear(store: str) -> bool:
    redis = parse_redis_url(store)
    return not redis.tls and any(not is_loopback(host) for host, _ in redis.hosts)


def _warning(item: str, detail: str) -> Verdict:
    return Verdict(Mark.WARNING, item, detail)
