"""What an OP says about a client that it has registered, and whether it is what was asked for
(RFC 7591 sections 3.2.1 and 5). Pure.

An OP may replace what was asked for, and leaves out what it does not know. Some of that is bearable
once an operator has agreed, some never is: a redirect URI that is not ours, or a way to
authenticate that the gateway does not have.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from bff.oidc.client_auth.methods import CLIENT_SECRET_BASIC, CLIENT_SECRET_POST
from bff.oidc.jwt.jwks import KEY_OF_ALG
from bff.oidc.provider.op_text import quoted

LONGEST_CHARS = 4096
# RFC 6749 appendices A.1 and A.2. Without the space, which no OP gives and no header would keep.
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_SECRETS = ("client_secret", "registration_access_token")


class UnusableAnswer(Exception):
    """It is not what RFC 7591 section 3.2.1 has. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class Management:
    """Where a client manages its registration, and the token that lets it (RFC 7592 section 3)."""

    uri: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """`client_secret` is None where the answer has none, `management` where the OP offers none.
    `secret_expires_at` is 0 for never. `metadata` is the rest of the answer, without secrets."""

    client_id: str
    client_secret: str | None = field(repr=False)
    secret_expires_at: int
    management: Management | None
    metadata: Mapping[str, object]


def process_registration(
    document: object, is_usable_url: Callable[[str], bool], known: Management | None = None
) -> RegisteredClient:
    """Judge the body of an answer. `known`: how the client has been managed up to now, where the
    answer has nothing new.

    Raises:
        UnusableAnswer: a member is missing or has no value that it may have.
    """
    if not isinstance(document, dict):
        raise UnusableAnswer("the OP's answer is no JSON object")
    client_id = _text(document, "client_id")
    if client_id is None:
        raise UnusableAnswer("the OP's answer has no client_id")
    expires_at = document.get("client_secret_expires_at", 0)
    if not isinstance(expires_at, int) or isinstance(expires_at, bool) or expires_at < 0:
        raise UnusableAnswer("the OP's answer has no usable client_secret_expires_at")
    return RegisteredClient(
        client_id=client_id,
        client_secret=_text(document, "client_secret"),
        secret_expires_at=expires_at,
        management=_management(document, is_usable_url, known),
        metadata={name: value for name, value in document.items() if name not in _SECRETS},
    )


def _management(
    document: Mapping[str, object],
    is_usable_url: Callable[[str], bool],
    known: Management | None,
) -> Management | None:
    uri = _text(document, "registration_client_uri") or (known.uri if known else None)
    token = _text(document, "registration_access_token") or (known.token if known else None)
    if uri is None or token is None:
        return None
    if not is_usable_url(uri):
        raise UnusableAnswer(f"registration_client_uri is no https URL: {quoted(uri)}")
    return Management(uri, token)


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > LONGEST_CHARS or not _VISIBLE.fullmatch(value):
        raise UnusableAnswer(f"the OP's answer has no usable {name}")
    return value


# --- is it what was asked for?


class Weight(Enum):
    """How much a difference matters."""

    IGNORED = auto()  # the OP does not do this at all
    CHANGED = auto()  # the gateway can live with it
    UNUSABLE = auto()  # it can't


@dataclass(frozen=True, slots=True)
class Difference:
    """Between what was asked for and what is registered; `text` is for the operator."""

    member: str
    weight: Weight
    text: str = field(repr=False)


def differences(asked: Mapping[str, object], registered: Mapping[str, object]) -> list[Difference]:
    """All of them, in the order in which the members were asked for."""
    return [
        difference
        for name, wanted in asked.items()
        if name in _JUDGES
        for difference in _JUDGES[name](name, wanted, registered.get(name))
    ]


Judge = Callable[[str, object, object], Iterator[Difference]]


def _redirect_uris(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is None:
        yield Difference(name, Weight.IGNORED, f"{name}: the OP does not say which it has taken")
    elif _names(found) != _names(wanted):
        # RFC 9700 section 2.1: one too many is as bad as none, codes could be sent there.
        yield _differs(name, Weight.UNUSABLE, wanted, found)


def _auth_method(name: str, wanted: object, found: object) -> Iterator[Difference]:
    # RFC 7591 section 2: what it is when the member is left out.
    method = CLIENT_SECRET_BASIC if found is None else found
    if method != wanted:
        # The gateway has a key or a certificate only where the configuration names one.
        usable = {wanted, method} <= {CLIENT_SECRET_BASIC, CLIENT_SECRET_POST}
        yield _differs(name, Weight.CHANGED if usable else Weight.UNUSABLE, wanted, method)


def _grant_types(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is None:
        yield Difference(name, Weight.IGNORED, f"{name}: the OP does not say which it has taken")
    elif _names(found) != _names(wanted):
        usable = "authorization_code" in _names(found)
        yield _differs(name, Weight.CHANGED if usable else Weight.UNUSABLE, wanted, found)


def _response_types(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is not None and "code" not in _names(found):
        yield _differs(name, Weight.UNUSABLE, wanted, found)


def _scope(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is None:
        yield Difference(name, Weight.IGNORED, f"{name}: the OP does not say what may be asked for")
        return
    given = set(str(found).split())
    if missing := [token for token in str(wanted).split() if token not in given]:
        usable = "openid" in given
        text = f"{name}: the OP has left out {quoted(missing)}"
        yield Difference(name, Weight.CHANGED if usable else Weight.UNUSABLE, text)


def _signing_alg(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is not None and found != wanted:
        usable = found in KEY_OF_ALG
        yield _differs(name, Weight.CHANGED if usable else Weight.UNUSABLE, wanted, found)


def _logout_uris(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is None:
        yield Difference(name, Weight.IGNORED, f"{name}: the OP does not do this kind of logout")
    elif _names(found) != _names(wanted):
        yield _differs(name, Weight.CHANGED, wanted, found)


def _session_required(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if wanted is True and found is False:
        yield _differs(name, Weight.CHANGED, "true", "false")


def _signed_requests(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is not wanted:
        yield Difference(name, Weight.IGNORED, f"{name}: the OP still takes unsigned requests")


def _pushed_requests(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is not wanted:
        text = f"{name}: the OP still takes requests through the browser"
        yield Difference(name, Weight.IGNORED, text)


def _details_types(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is not None and (missing := _names(wanted) - _names(found)):
        text = f"{name}: the OP has left out {quoted(sorted(missing))}"
        yield Difference(name, Weight.UNUSABLE, text)


def _bound_tokens(name: str, wanted: object, found: object) -> Iterator[Difference]:
    if found is None:
        yield Difference(name, Weight.IGNORED, f"{name}: the OP does not say that it binds tokens")
    elif found is not wanted:
        yield _differs(name, Weight.CHANGED, "true", "false")


_JUDGES: Mapping[str, Judge] = {
    "redirect_uris": _redirect_uris,
    "token_endpoint_auth_method": _auth_method,
    "grant_types": _grant_types,
    "response_types": _response_types,
    "scope": _scope,
    "id_token_signed_response_alg": _signing_alg,
    "authorization_signed_response_alg": _signing_alg,
    "require_signed_request_object": _signed_requests,
    "require_pushed_authorization_requests": _pushed_requests,
    "authorization_details_types": _details_types,
    "post_logout_redirect_uris": _logout_uris,
    "backchannel_logout_uri": _logout_uris,
    "frontchannel_logout_uri": _logout_uris,
    "backchannel_logout_session_required": _session_required,
    "frontchannel_logout_session_required": _session_required,
    "dpop_bound_access_tokens": _bound_tokens,
}


def _names(value: object) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset({str(value)})


def _differs(name: str, weight: Weight, wanted: object, found: object) -> Difference:
    return Difference(
        name, weight, f"{name}: {quoted(wanted)} was asked for, {quoted(found)} is registered"
    )
