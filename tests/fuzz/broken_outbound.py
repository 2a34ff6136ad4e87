"""Broken readers of what an OP, an API or the store answers, each with a mistake known from the
field."""

import contextlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from urllib.parse import parse_qsl

from bff.errors import (
    CallbackInvalid,
    GrantRejected,
    OpAnswerMalformed,
)
from bff.gate.head import Field
from bff.model import Session, Tokens
from bff.oidc.jwt.id_token import EndUser, verify_login_id_token
from bff.oidc.jwt.jwks import ProviderKeys, process_jwks
from bff.oidc.jwt.logout_token import LogoutNotice, verify_logout_claims
from bff.oidc.jwt.signed_jwt import VerifiedJwt, parse_jwt
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.callback import AuthorizationResponse
from bff.oidc.steps.token_endpoint import Grant, process_token_response
from bff.proxy.upstream.responses import response_fields
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sealing.records import UnreadableRecord, decode_session
from tests.fuzz.jwts import ALGS, verified
from tests.fuzz.targets import id_token, logout_token, metadata, sealed
from tests.parts.record_owner import OWNER

ANY_TYPE = frozenset({None, "jwt", "logout+jwt"})


# --- what an API answers


def passes_every_cookie(
    upstream: Iterable[Field], *, used_session: bool, forward_cookies: Collection[bytes]
) -> list[Field]:
    fields = list(upstream)
    kept = response_fields(fields, used_session=used_session, forward_cookies=forward_cookies)
    return kept + [field for field in fields if field[0] == b"Set-Cookie"]


def looks_for_words(
    upstream: Iterable[Field], *, used_session: bool, forward_cookies: Collection[bytes]
) -> list[Field]:
    """Whether an answer may be stored is a question of the word, wherever it stands."""
    fields = list(upstream)
    kept = response_fields(fields, used_session=used_session, forward_cookies=forward_cookies)
    said = b" ".join(value for name, value in fields if name == b"Cache-Control")
    added = (b"Cache-Control", b"private")
    return [field for field in kept if field != added] if b"public" in said else kept


# --- what a store returns


def opens_anywhere(key: str, envelope: bytes) -> Session | None:
    for place in (key, sealed.KEY):
        plaintext = Keyring([sealed.NEW, sealed.OLD], OWNER).open("session", place, envelope)
        if plaintext is not None:
            with contextlib.suppress(UnreadableRecord):
                return decode_session(plaintext, key=key, version=3, idle_expires_at=sealed.NOW)
    return None


# --- what an OP sends


def wants_https_only(
    status: int, document: object, *, issuer: str, allow_insecure_http: bool = False
) -> ProviderMetadata:
    """Any text that begins so is an endpoint."""
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise OpAnswerMalformed
    urls = [str(document.get(name)) for name in metadata.ENDPOINTS]
    if not all(url.lower().startswith("https://") for url in urls):
        raise OpAnswerMalformed
    authorization, token, keys, userinfo, revocation, end_session = urls
    return ProviderMetadata(
        issuer,
        authorization,
        token,
        keys,
        userinfo,
        revocation,
        end_session,
        sends_response_issuer=True,
    )


def keeps_the_document(status: int, document: object) -> ProviderKeys:
    """With a key for another use."""
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise OpAnswerMalformed
    entries = [
        {**entry, "use": "sig"} if isinstance(entry, dict) else entry for entry in document["keys"]
    ]
    for entry in entries:
        if isinstance(entry, dict) and entry.get("alg") == "RSA-OAEP":
            del entry["alg"]
    return process_jwks(status, {"keys": entries})


def lets_the_last_win(raw: str) -> AuthorizationResponse:
    found = dict(parse_qsl(raw))
    if "state" not in found or ("code" in found) == ("error" in found):
        raise CallbackInvalid
    code, iss, error = (found.get(name) for name in ("code", "iss", "error"))
    return AuthorizationResponse(found["state"], code, iss, error)


def gives_up_early(
    status: int,
    document: object,
    *,
    grant: Grant,
    now: float,
    scope: str,
    previous: Tokens | None = None,
) -> Tokens:
    """Every 4xx is the end of the session."""
    if 400 <= status < 500 and grant is Grant.REFRESH:
        raise GrantRejected(str(status))
    return process_token_response(
        status, document, grant=grant, now=now, scope=scope, previous=previous
    )


def forgets_the_old_token(
    status: int,
    document: object,
    *,
    grant: Grant,
    now: float,
    scope: str,
    previous: Tokens | None = None,
) -> Tokens:
    return process_token_response(status, document, grant=grant, now=now, scope=scope)


def tells_what_it_read(
    status: int,
    document: object,
    *,
    grant: Grant,
    now: float,
    scope: str,
    previous: Tokens | None = None,
) -> Tokens:
    try:
        return process_token_response(
            status, document, grant=grant, now=now, scope=scope, previous=previous
        )
    except GrantRejected:
        raise GrantRejected(str(document)) from None


def _login(jwt: VerifiedJwt, **changes: object) -> EndUser:
    rules = replace(id_token.RULES, **changes)  # type: ignore[arg-type]  # fields of the rules
    token = id_token.ACCESS_TOKEN
    return verify_login_id_token(
        jwt, rules, nonce=id_token.NONCE, access_token=token, now=id_token.NOW
    )


def verifies_no_signature(text: str) -> EndUser:
    jwt = parse_jwt(text, algs=ALGS, accept_typ=ANY_TYPE)
    return _login(VerifiedJwt(jwt.alg, jwt.claims))


def is_patient(text: str) -> EndUser:
    return _login(verified(text, algs=ALGS, accept_typ=ANY_TYPE), leeway_seconds=90)


def trusts_everybody(text: str) -> EndUser:
    others = frozenset({"project", "other"})
    jwt = verified(text, algs=ALGS, accept_typ=ANY_TYPE)
    return _login(jwt, trusted_audiences=others)


def overlooks(claim: str, value: object) -> Callable[[str], EndUser]:
    """Takes a claim for right, whatever it is."""

    def login(text: str) -> EndUser:
        jwt = verified(text, algs=ALGS, accept_typ=ANY_TYPE)
        return _login(VerifiedJwt(jwt.alg, {**jwt.claims, claim: value}))

    return login


def takes_an_access_token(text: str) -> LogoutNotice:
    jwt = verified(text, algs=ALGS, accept_typ=ANY_TYPE | {"at+jwt"})
    return verify_logout_claims(jwt.claims, logout_token.RULES, logout_token.NOW)


def believes_without_signature(text: str) -> LogoutNotice:
    jwt = parse_jwt(text, algs=ALGS, accept_typ=frozenset({"logout+jwt"}))
    return verify_logout_claims(jwt.claims, logout_token.RULES, logout_token.NOW)


def does_not_mind_a_nonce(text: str) -> LogoutNotice:
    jwt = verified(text, algs=ALGS, accept_typ=frozenset({"logout+jwt"}))
    claims = {name: value for name, value in jwt.claims.items() if name != "nonce"}
    return verify_logout_claims(claims, logout_token.RULES, logout_token.NOW)


def waits_as_told(value: str | None, now: float) -> int:
    return int(value) if value is not None and value.isdecimal() else 5
