"""Proof that every target can say no: broken subjects, each with a mistake known from the field."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest

from bff.errors import AmbiguousPath, CallbackInvalid, GrantRejected
from bff.gate.paths import Target as RequestTarget
from bff.gate.paths import parse_target
from bff.model import Tokens
from bff.oidc.callback import AuthorizationResponse
from bff.oidc.id_token import EndUser, verify_login_id_token
from bff.oidc.logout_token import LogoutNotice, verify_logout_claims
from bff.oidc.signed_jwt import VerifiedJwt, parse_jwt, verified_claims
from bff.oidc.token_response import Grant, process_token_response
from tests.fuzz.jwts import ALGS, KEYS
from tests.fuzz.running import fuzz
from tests.fuzz.target import Target
from tests.fuzz.targets import id_token, logout_token
from tests.fuzz.targets.callback import CallbackTarget
from tests.fuzz.targets.cookie import NAME, CookieTarget, key_of, values_of
from tests.fuzz.targets.id_token import IdTokenTarget
from tests.fuzz.targets.logout_token import LogoutTokenTarget
from tests.fuzz.targets.path import PathTarget
from tests.fuzz.targets.retry_after import RetryAfterTarget
from tests.fuzz.targets.return_url import ReturnUrlTarget
from tests.fuzz.targets.token_answer import TokenAnswerTarget

CASES = 4000
ANY_TYPE = frozenset({None, "jwt", "logout+jwt"})


# --- what a browser sends


def decodes_first(raw: bytes) -> RequestTarget:
    return parse_target(unquote_to_bytes(raw))


def looks_for_dots_only(raw: bytes) -> RequestTarget:
    path, mark, query = raw.partition(b"?")
    if b"/../" in path or not path.startswith(b"/"):
        raise AmbiguousPath
    return RequestTarget(path, query if mark else None)


def is_lenient_with_escapes(raw: bytes) -> RequestTarget:
    """Judges without the overlong ones, and forwards what came."""
    parse_target(raw.replace(b"%c0%ae", b"x"))
    path, mark, query = raw.partition(b"?")
    return RequestTarget(path, query if mark else None)


def takes_the_first(lines: Sequence[bytes]) -> str | None:
    return next(filter(None, map(key_of, values_of(lines))), None)


def ignores_case(lines: Sequence[bytes]) -> str | None:
    values = values_of([line.replace(NAME.lower(), NAME) for line in lines])
    return key_of(values[0]) if len(values) == 1 else None


def strips_quotes(lines: Sequence[bytes]) -> str | None:
    values = values_of(lines)
    return key_of(values[0].strip(b'"\0 .')) if len(values) == 1 else None


def wants_a_slash(offered: str | None, *, public_origin: str, own_prefix: str) -> str:
    return offered if offered is not None and offered.startswith("/") else "/"


def asks_urllib(offered: str | None, *, public_origin: str, own_prefix: str) -> str:
    url = (offered or "/").removeprefix(public_origin)
    if not url.startswith("/") or url.startswith(own_prefix) or not url.isascii():
        return "/"
    return "/" if urlsplit(url).netloc else url


# --- what an OP sends


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
    return _login(verified_claims(text, KEYS, algs=ALGS, accept_typ=ANY_TYPE), leeway_seconds=90)


def trusts_everybody(text: str) -> EndUser:
    others = frozenset({"project", "other"})
    jwt = verified_claims(text, KEYS, algs=ALGS, accept_typ=ANY_TYPE)
    return _login(jwt, trusted_audiences=others)


def overlooks(claim: str, value: object) -> Callable[[str], EndUser]:
    """Takes a claim for right, whatever it is."""

    def login(text: str) -> EndUser:
        jwt = verified_claims(text, KEYS, algs=ALGS, accept_typ=ANY_TYPE)
        return _login(VerifiedJwt(jwt.alg, {**jwt.claims, claim: value}))

    return login


def takes_an_id_token(text: str) -> LogoutNotice:
    jwt = verified_claims(text, KEYS, algs=ALGS, accept_typ=ANY_TYPE)
    return verify_logout_claims(jwt.claims, logout_token.RULES, logout_token.NOW)


def believes_without_signature(text: str) -> LogoutNotice:
    jwt = parse_jwt(text, algs=ALGS, accept_typ=frozenset({"logout+jwt"}))
    return verify_logout_claims(jwt.claims, logout_token.RULES, logout_token.NOW)


def does_not_mind_a_nonce(text: str) -> LogoutNotice:
    jwt = verified_claims(text, KEYS, algs=ALGS, accept_typ=frozenset({"logout+jwt"}))
    claims = {name: value for name, value in jwt.claims.items() if name != "nonce"}
    return verify_logout_claims(claims, logout_token.RULES, logout_token.NOW)


def waits_as_told(value: str | None, now: float) -> int:
    return int(value) if value is not None and value.isdecimal() else 5


BROKEN: list[Target] = [
    PathTarget(decodes_first),
    PathTarget(looks_for_dots_only),
    PathTarget(is_lenient_with_escapes),
    CookieTarget(takes_the_first),
    CookieTarget(ignores_case),
    CookieTarget(strips_quotes),
    ReturnUrlTarget(wants_a_slash),
    ReturnUrlTarget(asks_urllib),
    CallbackTarget(lets_the_last_win),
    TokenAnswerTarget(gives_up_early),
    TokenAnswerTarget(forgets_the_old_token),
    TokenAnswerTarget(tells_what_it_read),
    IdTokenTarget(verifies_no_signature),
    IdTokenTarget(is_patient),
    IdTokenTarget(trusts_everybody),
    *(
        IdTokenTarget(overlooks(claim, id_token.CLAIMS[claim]))
        for claim in ("iss", "aud", "nonce", "exp", "iat", "sub")
    ),
    LogoutTokenTarget(takes_an_id_token),
    LogoutTokenTarget(believes_without_signature),
    LogoutTokenTarget(does_not_mind_a_nonce),
    RetryAfterTarget(waits_as_told),
]


@pytest.mark.parametrize(
    "target", BROKEN, ids=[f"{target.name}-{number}" for number, target in enumerate(BROKEN)]
)
def test_a_broken_subject_is_found(target: Target) -> None:
    """And by the rule that is broken, not by a crash."""
    row = fuzz(target, 0, CASES, enough=1)
    assert row.findings, "the judge is asleep"
    assert "escapes" not in row.kept[0].what
