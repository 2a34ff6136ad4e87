"""The token endpoint's answer: which tokens it brings, and when a grant counts as dead.

A case is a line with status and grant, and a body.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Protocol

from bff.errors import (
    ApiTokenRefused,
    BffError,
    ClientRejected,
    CodeRejected,
    GrantRejected,
    LoginError,
    OpAnswerMalformed,
    OpUnavailable,
)
from bff.model import Tokens
from bff.oidc.provider.strict_json import NOT_JSON, JsonRefused, parse_json
from bff.oidc.steps.token_endpoint import (
    MAX_TOKEN_CHARS,
    AuthorizationPending,
    Grant,
    process_token_response,
)
from tests.fuzz.json_mutation import changed, deep, digits, many_members, read_again, text_of
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

NOW = 1_700_000_000.25
MONTH_SECONDS = 30 * 86_400
OLD = Tokens("old-at", NOW - 60, NOW, "old-rt", NOW + 500, "old.id.token", "openid")
CANARY = "canary-7f"
GOOD: dict[str, object] = {
    "access_token": f"at-{CANARY}",
    "token_type": "Bearer",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "expires_in": 60,
    "refresh_token": f"rt-{CANARY}",
    "refresh_expires_in": 600,
    "id_token": f"h.{CANARY}.s",
    "scope": "openid x",
}
ERRORS = [
    "invalid_grant", "invalid_client", "unauthorized_client", "login_required", "server_error",
    "temporarily_unavailable", "consent_required", "interaction_required", "invalid_scope",
    "authorization_pending", "slow_down", "access_denied", "expired_token",
    f"invalid_grant {CANARY}", "INVALID_GRANT",
]  # fmt: skip
WORDS: tuple[object, ...] = (*ERRORS, "bearer", "BEARER", "DPoP", "3600", 3600.5, "x" * 70_000)
DEAD = {"invalid_grant", "login_required", "consent_required", "interaction_required"}
STATUSES = [b"200"] * 6 + [b"400"] * 3 + [b"401", b"403", b"408", b"429", b"404", b"302", b"204"]
REJECTED = {Grant.CODE: CodeRejected, Grant.REFRESH: GrantRejected}
OF_ONE_API = {Grant.EXCHANGE, Grant.ON_BEHALF_OF}


class Subject(Protocol):
    """As `process_token_response`."""

    def __call__(
        self,
        status: int,
        document: object,
        *,
        grant: Grant,
        now: float,
        scope: str,
        previous: Tokens | None = None,
    ) -> Tokens: ...


class TokenAnswerTarget:
    """The subject judges a status and a document."""

    name = "token-answer"

    def __init__(self, subject: Subject = process_token_response) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        first = random.choice(STATUSES) + b" " + random.choice(list(Grant)).encode() + b"\n"
        kind = random.random()
        if kind < 0.05:
            return first + garbage(random)
        value: object = GOOD
        if kind < 0.35:
            value = {"error": random.choice(ERRORS), "error_description": CANARY}
        if random.random() < 0.7:
            value = changed(random, value, WORDS)
        body = text_of(random, value)
        return first + (mutated(random, body) if random.random() < 0.1 else body)

    def judge(self, case: bytes) -> bool:
        first, _, body = case.partition(b"\n")
        status, _, name = first.partition(b" ")
        document = _parsed(body)
        try:
            tokens = self._subject(
                int(status),
                document,
                grant=Grant(name.decode()),
                now=NOW,
                scope="asked",
                previous=OLD if name == b"refresh_token" else None,
            )
        except AuthorizationPending:
            require(name.decode() == Grant.DEVICE, "nothing else is waited for")
            return False
        except BffError as error:
            _judge_refusal(error, int(status), document, Grant(name.decode()))
            return False
        require(status == b"200" and isinstance(document, dict), "accepted without an answer")
        if isinstance(document, dict):
            is_named = document.get("issued_token_type") == GOOD["issued_token_type"]
            require(is_named or name.decode() != Grant.EXCHANGE, "no access token by exchange")
            _judge_tokens(tokens, document, OLD if name == b"refresh_token" else None)
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        head = b"200 refresh_token\n"
        return {
            "depth": lambda size: head + deep(size),
            "members": lambda size: head + many_members(size),
            "digits": lambda size: head + digits(size),
            "token": lambda size: head + b'{"access_token":"' + b"a" * size + b'"}',
            "escapes": lambda size: head + b'"' + b"\\u0041" * (size // 6) + b'"',
        }


def _parsed(body: bytes) -> object:
    """As the client towards the OP reads a body: None is an empty one."""
    if not body:
        return None
    try:
        document = parse_json(body)
    except JsonRefused:
        return NOT_JSON
    require(document == read_again(body), "the strict parser reads something else")
    return document


def _judge_refusal(error: BffError, status: int, document: object, grant: Grant) -> None:
    documented = (CodeRejected, GrantRejected, ClientRejected, OpUnavailable, OpAnswerMalformed)
    is_of_api = isinstance(error, ApiTokenRefused) and grant in OF_ONE_API
    is_of_login = isinstance(error, LoginError) and grant is Grant.DEVICE
    is_documented = is_of_api or is_of_login or isinstance(error, documented)
    require(is_documented, f"{type(error).__name__}: not documented")
    require(CANARY not in f"{error} {error.log_detail}", "the OP's words are in the error")
    code = document.get("error") if isinstance(document, dict) else None
    says_so = isinstance(code, str) and code in DEAD
    is_dead = 400 <= status < 500 and (says_so or (status == 400 and document is None))
    if grant in REJECTED:
        require(isinstance(error, REJECTED[grant]) == is_dead, "dead or not is judged wrongly")
    if grant in OF_ONE_API and is_dead:
        require(isinstance(error, ApiTokenRefused), "a dead token of the user is no fault of ours")


def _is_token(value: object, *, may_hold_spaces: bool) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN_CHARS:
        return False
    return value.isascii() and value.isprintable() and (may_hold_spaces or " " not in value)


def _judge_tokens(tokens: Tokens, document: Mapping[str, object], previous: Tokens | None) -> None:
    require(tokens.access_token == document.get("access_token"), "another access token")
    require(str(document.get("token_type")).lower() == "bearer", "not a bearer token")
    for name, token, old in (
        ("access_token", tokens.access_token, None),
        ("refresh_token", tokens.refresh_token, previous and previous.refresh_token),
        ("id_token", tokens.id_token, previous and previous.id_token),
    ):
        given = document.get(name)
        if _is_token(given, may_hold_spaces=name == "refresh_token"):
            require(token == given, f"another {name}")
        else:
            may_be_left_out = given in (None, "") or previous is not None
            require(may_be_left_out and token == old, f"{name} can't be used")
    require(bool(tokens.access_token), "no access token")
    require(math.isfinite(tokens.expires_at), "never expires")
    require(0 < tokens.expires_at - NOW + 1 <= MONTH_SECONDS + 1, "expires at no sensible time")
    stated = document.get("expires_in")
    if isinstance(stated, int | float) and not isinstance(stated, bool) and 1 <= stated < 86_400:
        require(tokens.expires_at <= NOW + stated, "outlives what the OP says")
    require(bool(tokens.scope), "no scope")
    require(CANARY not in repr(replace(tokens, scope="")), "a token shows in repr")
