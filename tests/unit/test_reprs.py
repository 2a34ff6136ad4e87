"""No `repr` prints what a request, an answer of the OP or the store was made of: a debugger, an
error report or a careless line of log would show it.
"""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import bff

# What holds other people's text, by its type or by its name.
TYPES = re.compile(r"bytes|Field\b")
NAMES = re.compile(
    r"token|secret|code|verifier|password|cookie|nonce|state|hint|query|header|body|form|raw|seal|"
    r"text|jwt|claims"
)
SHOWN = {
    "FoundSession.state": "found, expired and the like",
    "Answer.clear_cookie": "a switch",
    "_Attempt.exit_code": "of a process",
    "AnswerHead.has_body": "a switch",
    "AnswerHead.reason": "of the API, for itself",
    "RegisteredClient.secret_expires_at": "a time",
    "BrowserState.cookies": "how cookies are written",
    "BrowserState.session_cookie": "an object that shows nothing",
    "Core.claims": "names of claims",
    "Core.client_tokens": "an object that shows nothing",
    "Core.exchanged_tokens": "an object that shows nothing",
    "CsrfGuard.header_name": "configured",
    "CsrfGuard.header_value": "configured, and public",
    "CsrfGuard.origin": "configured",
    "Forward.websocket_key": "no key: a number that is sent back (RFC 6455 section 4.2.2)",
    "FrontendRules.binder_cookie": "a name",
    "FrontendRules.base_path": "configured",
    "FrontendRules.hosts": "configured",
    "FrontendRules.session_cookie": "a name",
    "Identity.tokens": "they hide themselves",
    "Known.token": "hides itself",
    "Limits.failed_logout_tokens": "a limiter",
    "Local.by_form": "a switch",
    "Local.clear_cookie": "a switch",
    "Locations.authority": "configured",
    "Locations.base": "configured",
    "Locations.prefix": "configured",
    "Problem.headers": "of our own answer",
    "ProviderMetadata.token_auth_algs": "public",
    "ProviderMetadata.token_auth_methods": "public",
    "ProviderMetadata.token_endpoint": "public",
    "ProxyLimits.body_seconds": "a number",
    "PublicSide.context": "the parts of the proxy",
    "ProxyLimits.max_body_bytes": "a number",
    "Refreshed.tokens": "they hide themselves",
    "RelyingPartySettings.allow_logout_tokens_without_exp": "a switch",
    "RelyingPartySettings.id_token_algs": "names",
    "RelyingPartySettings.send_id_token_hint": "a switch",
    "RelyingPartySettings.token_exchange": "a kind",
    "Route.carries_user_token": "a switch",
    "Route.forward_cookies": "names",
    "Route.strip_headers": "names",
    "Challenge.scheme": "a name",
    "Route.told_prefix": "configured",
    "Route.token": "a kind",
    "ServerLimits.body_seconds": "a number",
    "Session.tokens": "they hide themselves",
    "ShownClaims.of_access_token": "names and paths of claims",
    "ProxyContext.date": "the time",
    "FrontendContext.own_fields": "of our own answers",
    "Target.authority": "a host",
    "Target.path": "the gateway puts no secret into a path",
    "Wait.may_clear_cookie": "a switch",
    "Wait.token": "it hides itself",
    "Answer.code": "of an error",
    "Core.introspected_tokens": "an object, which shows none of them",
}


def classes_of_the_gateway() -> Iterator[type]:
    for module in pkgutil.walk_packages(bff.__path__, "bff."):
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, type) and one.__module__ == module.name:
                yield one


KINDS = sorted(
    filter(dataclasses.is_dataclass, classes_of_the_gateway()),
    key=lambda kind: (kind.__module__, kind.__name__),
)


@pytest.mark.rule("OP-08")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_field_that_may_hold_a_secret_is_not_shown(kind: type) -> None:
    """Or it is known not to hold one, and why."""
    for field in dataclasses.fields(kind):
        is_suspect = NAMES.search(field.name) or TYPES.search(str(field.type))
        if field.repr and is_suspect and kind.__dataclass_params__.repr:  # type: ignore[attr-defined]
            assert f"{kind.__name__}.{field.name}" in SHOWN


def test_the_exceptions_exist() -> None:
    """One that was renamed must not shield a newcomer."""
    known = {
        f"{kind.__name__}.{field.name}" for kind in KINDS for field in dataclasses.fields(kind)
    }
    assert not set(SHOWN) - known
