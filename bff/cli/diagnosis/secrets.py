"""How old the secrets are, by their files, and how the session cookie is protected."""

from collections.abc import Iterator
from pathlib import Path

from bff.cli.checks.verdict import Verdict, bad, good, printable, warning
from bff.clock import Clock
from bff.config.effective import HIDDEN, EffectiveValue, effective_values
from bff.config.frontends import frontends_of
from bff.config.load import Loaded
from bff.config.problems import dotted
from bff.config.settings import Settings

ITEM = "secret"
KEY_FILES = frozenset({"client_keys", "client_key_file"})  # of a provider
DAY_SECONDS = 86_400.0
OLD_DAYS = 365


def on_secrets(loaded: Loaded, clock: Clock) -> Iterator[Verdict]:
    """Each that is configured, once; the private keys of clients among them."""
    seen: set[str] = set()
    for value in effective_values(loaded):
        if value.is_inherited:
            continue
        for verdict in _on_value(value, clock):
            if verdict.found not in seen:
                seen.add(verdict.found)
                yield verdict


def _on_value(value: EffectiveValue, clock: Clock) -> Iterator[Verdict]:
    """Nothing of what is no secret."""
    key, origin = dotted(value.path), value.origins[0]
    if value.path[-1] in KEY_FILES and value.value:
        files = value.value if isinstance(value.value, list) else [value.value]
        for file in files:
            yield _on_file(key, f"key file {file}", str(file), clock)
    elif HIDDEN in str(value.value):
        if origin.kind == "secret file":
            yield _on_file(key, str(origin), origin.source, clock)
        else:
            yield good(ITEM, f"{key} is from {printable(str(origin))}: its age can't be told")


def _on_file(key: str, where: str, file: str, clock: Clock) -> Verdict:
    where = printable(where)
    try:
        written_at = Path(file).stat().st_mtime
    except OSError:
        return bad(ITEM, f"{key}: {where} is gone", "put it back: a restart needs it")
    days = max(0, int((clock.now() - written_at) / DAY_SECONDS))
    found = f"{key}: {where} was written {days} day{'s'[: days != 1]} ago"
    return warning(ITEM, found, _replace(key)) if days > OLD_DAYS else good(ITEM, found)


def _replace(key: str) -> str:
    if key == "session.secrets":
        return (
            "put a new one (`bff keygen`) first in it: docs/operations.md, Rotating the secrets; "
            "no user is logged out"
        )
    if key.rpartition(".")[2] in KEY_FILES:
        return "make a new one: docs/client-authentication.md says how it is changed"
    return "make a new one where it was given out, and put it into the file"


def on_cookies(settings: Settings) -> Iterator[Verdict]:
    """The prefix of each session cookie, which makes browsers insist on how it was set."""
    for frontend in frontends_of(settings):
        item, name = "cookie", frontend.session_cookie
        if not frontend.settings.server.is_https:
            yield warning(
                item,
                f"{name} has no prefix, for {frontend.url} is http: any program of this host name "
                "can set it",
                "for development only: serve users over https",
            )
        elif name.lower().startswith("__host-"):
            yield good(item, f"{name}: browsers take it from {frontend.url} over https only")
        else:
            yield warning(
                item,
                f"{name} has no `__Host-` prefix, which an application at a path can't have: "
                "others of the same domain can set it",
                "give the application a host of its own: docs/many-apps.md",
            )
