"""Which of the configured secrets look typed by a person or copied from an example: refused, but
for a gateway that only its own machine can reach."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

from bff.config.placeholders import is_placeholder
from bff.config.problems import Fault, KeyPath
from bff.config.settings import Settings
from bff.config.signing_secrets import require_strong, require_unguessed
from bff.config.urls import is_loopback
from bff.sessions.redis_url import parse_redis_url


def is_for_this_machine(settings: Settings) -> bool:
    """Whether no other machine's browser can use the gateway: `public_url` is loopback."""
    return is_loopback(urlsplit(settings.server.public_url).hostname or "")


def guessable_secrets(settings: Settings) -> Iterator[Fault]:
    """A fault for each secret that could be guessed. None repeats a secret."""
    with suppress(AttributeError):
        given = settings.oidc.client_secret.get_secret_value()
        yield from _judged(("oidc", "client_secret"), require_unguessed, given)
    with suppress(AttributeError):
        for index, secret in enumerate(settings.session.secrets):
            path = ("session", "secrets", index)
            yield from _judged(path, require_strong, secret.get_secret_value())
    with suppress(AttributeError):
        yield from _judged(
            ("session", "store"),
            _require_real_passwords,
            "" if settings.session.is_in_memory else settings.session.store.get_secret_value(),
        )


def _judged(path: KeyPath, require: Callable[[str], None], secret: str) -> Iterator[Fault]:
    try:
        require(secret)
    except ValueError as error:
        yield Fault(path, str(error))


def _require_real_passwords(store: str) -> None:
    if store and any(map(is_placeholder, parse_redis_url(store).passwords)):
        raise ValueError("has a placeholder for its password: put the password in its place")
