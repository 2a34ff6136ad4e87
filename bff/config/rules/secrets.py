"""The rules of secrets: each has one purpose, and none can be guessed.

The OP and the operator of the store know one each: with it they must not be able to open and sign
sessions.
"""

from collections.abc import Iterator

from bff.config.problems import Fault
from bff.config.rules.rulebook import Providers, Rule, only_keys, provider_rule, refused, rule
from bff.config.settings import Settings
from bff.config.values.secrets import is_placeholder, require_strong, require_unguessed

SECRET_RULES: list[Rule] = []  # see `guessable_secrets`


@provider_rule("client_secret", beside=("session.secrets",))
def client_secret_has_one_purpose(settings: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if provider.secret_text in _sealing_secrets(settings):
            yield Fault((*path, "client_secret"), "must not be one of session.secrets as well")


@rule("session.secrets", "session.store")
def store_password_has_one_purpose(settings: Settings) -> Iterator[Fault]:
    if _sealing_secrets(settings) & settings.session.store_passwords:
        yield Fault(("session", "store"), "has one of session.secrets as its password")


def _sealing_secrets(settings: Settings) -> set[str]:
    return {secret.get_secret_value() for secret in settings.session.secrets}


def is_for_this_machine(settings: Settings) -> bool:
    """Whether no other machine's browser can use the gateway: `public_url` is valid and loopback.
    There a secret may be guessable: `bff check` and each start warn of it."""
    server = only_keys(vars(settings).get("server"), {"public_url"})
    return server is not None and server.is_loopback


def guessable_secrets(settings: Settings) -> Iterator[Fault]:
    """A fault for each secret that looks typed by a person or copied from an example. No text
    repeats a secret."""
    for one in SECRET_RULES:
        yield from one.faults(settings)


@provider_rule("client_secret", among=SECRET_RULES)
def client_secret_is_not_guessable(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if secret := provider.secret_text:
            yield from refused((*path, "client_secret"), require_unguessed, secret)


@rule("session.secrets", among=SECRET_RULES)
def session_secrets_are_not_guessable(settings: Settings) -> Iterator[Fault]:
    for index, secret in enumerate(settings.session.secrets):
        yield from refused(("session", "secrets", index), require_strong, secret.get_secret_value())


@rule("session.store", among=SECRET_RULES)
def store_password_is_no_placeholder(settings: Settings) -> Iterator[Fault]:
    if any(map(is_placeholder, settings.session.store_passwords)):
        yield Fault(
            ("session", "store"),
            "has a placeholder for its password: put the password in its place",
        )
