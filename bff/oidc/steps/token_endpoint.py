"""The token endpoint (RFC 6749 sections 3.2, 5.1 and 5.2), and the pure judgement of its answers.
Always authenticated, never retried after a lost answer: it is not known then whether the code or
the refresh token was spent.

The one question that matters after an error is whether the grant is dead. `invalid_grant` and its
OpenID relatives say so, and a 400 with an empty body, which is what some OPs answer to a spent
refresh token. Others have words of their own for it: any further 4xx that the OP itself has written
is a refusal, for the caller to judge by its repetition. The rest is the operator's fault or passes.
Of a device code it is asked as well whether the user has decided yet (RFC 8628 section 3.5).
Where the token was wanted for one API, `invalid_grant` alone says so, and not even that where Entra
ID adds that the user has something to do first.

What only goes back to the OP is taken as RFC 6749 appendix A allows it, and what is wrong with one
member of an answer costs no other: a rotated refresh token exists nowhere else.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from bff.clock import Clock
from bff.errors import (
    AccessTokenUnusable,
    ApiTokenDenied,
    ApiTokenRefused,
    BffError,
    ClientRejected,
    CodeRejected,
    GrantRejected,
    LoginDenied,
    LoginExpired,
    LoginRefused,
    OpAnswerMalformed,
    OpUnavailable,
    RefreshRefused,
)
from bff.model import Tokens, TokenTarget
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.dpop import USE_NONCE, DpopKey
from bff.oidc.provider.metadata import Discovery
from bff.oidc.provider.op_text import error_code
from bff.oidc.steps.authorization_details import granted_details

DEFAULT_ACCESS_LIFETIME_SECONDS = 300.0
MAX_ACCESS_LIFETIME_SECONDS = 30 * 86400.0
MAX_REFRESH_LIFETIME_SECONDS = 400 * 86400.0

MAX_TOKEN_CHARS = 64 * 1024
BEARER, DPOP = "Bearer", "DPoP"

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_BEARER = re.compile(r"[\x21-\x7e]+")  # fits a header field (RFC 6750 section 2.1): no space
VSCHAR = re.compile(r"[\x20-\x7e]+")  # RFC 6749 appendix A.17
_DEAD_GRANT = frozenset(
    {"invalid_grant", "interaction_required", "login_required", "consent_required"}
)
_OPERATOR = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})
_PROOF = frozenset({"invalid_dpop_proof", USE_NONCE})  # a clock, or an OP that wants ever more
_OUTAGE = frozenset({"temporarily_unavailable", "server_error"})
# RFC 8707 section 2, RFC 9396 section 5.
_REFUSED_TARGET = frozenset({"invalid_target", "invalid_scope", "invalid_authorization_details"})
_DENIED_TARGET = frozenset(
    {"access_denied", "interaction_required", "login_required", "consent_required"}
)
# Members `suberror` of an `invalid_grant` of Entra ID, whose refresh token is still good.
_USER_ACTION = frozenset({"consent_required", "basic_action", "additional_action"})
_PASSING = frozenset({408, 425})  # RFC 9110 section 15.5.9, RFC 8470 section 5.2


class Grant(StrEnum):
    """What is presented at the token endpoint; the values are those of `grant_type`."""

    CODE = "authorization_code"
    REFRESH = "refresh_token"
    DEVICE = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628
    CLIENT = "client_credentials"
    EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693
    ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # as Entra ID has it


_REJECTED: Mapping[Grant, type[BffError]] = {
    Grant.CODE: CodeRejected,
    Grant.REFRESH: GrantRejected,
    Grant.DEVICE: LoginExpired,
    Grant.CLIENT: ClientRejected,
    Grant.EXCHANGE: ApiTokenRefused,
    Grant.ON_BEHALF_OF: ApiTokenRefused,
}
_OF_ONE_API = frozenset({Grant.EXCHANGE, Grant.ON_BEHALF_OF})
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 section 3


# RFC 8628 section 3.5.
_UNDECIDED = frozenset({"authorization_pending", "slow_down"})
_DECIDED: Mapping[str, type[BffError]] = {
    "access_denied": LoginDenied,
    "expired_token": LoginExpired,
}


class AuthorizationPending(Exception):
    """The user has not decided yet about a login by device code. `slow_down`: the OP wants to be
    asked less often."""

    def __init__(self, *, slow_down: bool) -> None:
        super().__init__()
        self.slow_down = slow_down


class TokenEndpoint:
    """Where grants become tokens. `keeps_details`: logins ask for authorization details, and what
    is granted of them is part of their tokens."""

    def __init__(
        self,
        requests: ClientRequests,
        discovery: Discovery,
        clock: Clock,
        *,
        refresh_timeout_seconds: float,
        keeps_details: bool = False,
    ) -> None:
        self._requests = requests
        self._discovery = discovery
        self._clock = clock
        self._refresh_timeout_seconds = refresh_timeout_seconds
        self._keeps_details = keeps_details

    async def request(
        self,
        grant: Grant,
        form: Mapping[str, str],
        *,
        scope: str,
        previous: Tokens | None = None,
        target: TokenTarget | None = None,
        key: DpopKey | None = None,
    ) -> Tokens:
        """Present `grant` with the fields of `form`, for a token for `target` and bound to `key`,
        where these are given. Raises as `process_token_response`."""
        metadata = await self._discovery.metadata()
        sent_at = self._clock.now()
        answer = await self._requests.post(
            "token",
            metadata.token_endpoint,
            {"grant_type": grant.value, **form, **(target.form() if target else {})},
            key=key,
            at_least_seconds=self._refresh_timeout_seconds if grant is Grant.REFRESH else 0.0,
        )
        return process_token_response(
            answer.status,
            answer.document,
            grant=grant,
            now=sent_at,
            scope=scope,
            previous=previous,
            for_api=target is not None,
            keeps_details=self._keeps_details and target is None,
            dpop_key=key.text if key is not None else None,
        )


def process_token_response(
    status: int,
    document: object,
    *,
    grant: Grant,
    now: float,
    scope: str,
    previous: Tokens | None = None,
    for_api: bool = False,
    keeps_details: bool = False,
    dpop_key: str | None = None,
) -> Tokens:
    """The tokens in an answer below 500. `document` is None when the body was empty, `NOT_JSON`
    when it was not JSON.

    `scope` is what was asked for; it holds when the OP names none. `previous` are the tokens being
    refreshed: their refresh and ID token stay where the OP sends no new one that can be used.
    `for_api`: the token was wanted for the API of one route, and a refusal is of that alone.
    `keeps_details`: the tokens have the authorization details that are granted. `dpop_key`: what
    the access token must be bound to, which no bearer token is. The
    returned ID token is not verified yet. `now` should be the time of the request, so that expiry
    errs on the early side.

    Raises:
        AuthorizationPending: nothing is decided about the device code.
        LoginDenied: the user, or the OP, has decided against it.
        CodeRejected, GrantRejected, LoginExpired: the code, the refresh token or the device code is
            dead.
        ClientRejected: the OP does not accept the gateway itself.
        AccessTokenUnusable: of a refresh only the new refresh token can be used.
        RefreshRefused: the OP refuses the refresh in words of its own.
        ApiTokenRefused, ApiTokenDenied: it gives no token for this API.
        OpUnavailable, OpAnswerMalformed: anything else; the grant may still be good.
    """
    try:
        if status != 200:
            if grant is Grant.DEVICE:
                _require_decided(status, document)
            raise token_error(status, document, grant, for_api=for_api)
        tokens = _tokens(
            document,
            grant=grant,
            now=now,
            scope=scope,
            previous=previous,
            token_type=BEARER if dpop_key is None else DPOP,
        )
        tokens = replace(tokens, dpop_key=dpop_key)
        return _with_details(tokens, document, previous) if keeps_details else tokens
    except OpAnswerMalformed as malformed:
        kept = _with_rotated(status, document, now, previous)
        if kept is None:
            raise
        raise AccessTokenUnusable(malformed.log_detail, kept) from None


def _tokens(
    document: object,
    *,
    grant: Grant,
    now: float,
    scope: str,
    previous: Tokens | None,
    token_type: str,
) -> Tokens:
    if not isinstance(document, dict):
        raise OpAnswerMalformed("token: no JSON object")
    if grant is Grant.EXCHANGE and document.get("issued_token_type") != ACCESS_TOKEN:
        raise OpAnswerMalformed("token: issued_token_type is not that of an access token")
    if grant is Grant.REFRESH and _is_error_answer(document) and "access_token" not in document:
        raise RefreshRefused(f"token: status 200, error {error_code(document)}")
    access_token = _token(document, "access_token", _BEARER)
    if access_token is None:
        raise OpAnswerMalformed("token: no access_token")
    given_type = document.get("token_type")  # RFC 6749 section 7.1, RFC 9449 section 5
    if not isinstance(given_type, str) or given_type.lower() != token_type.lower():
        raise OpAnswerMalformed(f"token: token_type is not {token_type}")
    granted_scope = document.get("scope")
    new_refresh_token = _replacement(document, "refresh_token", VSCHAR, previous)
    id_token = _replacement(document, "id_token", _BEARER, previous)
    return Tokens(
        access_token=access_token,
        obtained_at=now,
        # The `exp` of a JWT is in whole seconds: up to one earlier than `expires_in` says.
        expires_at=math.floor(now) + access_lifetime(document.get("expires_in")),
        # RFC 6749 section 6: without a new one the old one stays.
        refresh_token=new_refresh_token or (previous.refresh_token if previous else None),
        refresh_expires_at=_refresh_expires_at(document, now, new_refresh_token, previous),
        id_token=id_token or (previous.id_token if previous else None),
        scope=granted_scope if isinstance(granted_scope, str) and granted_scope else scope,
    )


def _with_details(tokens: Tokens, document: object, previous: Tokens | None) -> Tokens:
    """With the authorization details that are granted; those of before where a refresh says
    nothing of them (RFC 9396 section 6.1)."""
    stated = document.get("authorization_details") if isinstance(document, dict) else None
    before = previous.authorization_details if previous is not None else ""
    granted = granted_details(stated)
    return replace(tokens, authorization_details=before if granted is None else granted)


def _require_decided(status: int, document: object) -> None:
    """Raises: AuthorizationPending, LoginDenied, LoginExpired."""
    code = error_code(document)
    if 400 <= status < 500 and code in _UNDECIDED:
        raise AuthorizationPending(slow_down=code == "slow_down")
    if 400 <= status < 500 and code in _DECIDED:
        raise _DECIDED[code](f"token: status {status}, error {code}")


def token_error(status: int, document: object, grant: Grant, *, for_api: bool = False) -> BffError:
    """What an answer other than 200 means for `grant`."""
    code = error_code(document)
    detail = f"token: status {status}, error {code}"
    if not 400 <= status < 500:
        return OpAnswerMalformed(detail)
    if for_api and (code in _DENIED_TARGET or _wants_user(document)):
        return ApiTokenDenied(detail)
    if code in _PROOF:
        return ClientRejected(detail)
    if for_api and code in _REFUSED_TARGET:
        return ApiTokenRefused(detail)
    if grant in _OF_ONE_API and code != "invalid_client" and _is_lasting(status, document):
        return ApiTokenRefused(detail)
    is_empty = status == 400 and document is None and not (for_api and grant is Grant.REFRESH)
    if code in _DEAD_GRANT or is_empty:
        return _REJECTED[grant](detail)
    if code in _OPERATOR:
        return ClientRejected(detail)
    if code in _OUTAGE or status in _PASSING:
        return OpUnavailable(detail)
    if grant is Grant.DEVICE and _is_lasting(status, document):  # RFC 8628 section 3.5
        return LoginRefused(detail)
    if grant is Grant.REFRESH and (status == 400 or _is_error_answer(document)):
        return RefreshRefused(detail)
    return ClientRejected(detail) if status == 401 else OpAnswerMalformed(detail)


def _wants_user(document: object) -> bool:
    """Entra ID's word that the user has to consent or to sign in further for this API."""
    if not isinstance(document, dict) or document.get("error") != "invalid_grant":
        return False
    suberror = document.get("suberror")
    return isinstance(suberror, str) and suberror in _USER_ACTION


def _is_lasting(status: int, document: object) -> bool:
    """An error that the OP itself has written, and not that it has no time."""
    is_passing = error_code(document) in _OUTAGE or status in _PASSING
    return _is_error_answer(document) and not is_passing


def _is_error_answer(document: object) -> bool:
    """RFC 6749 section 5.2. Anything else with a 4xx may come from what stands before the OP: the
    404 of an ingress, the 403 of a firewall."""
    return isinstance(document, dict) and isinstance(document.get("error"), str)


def _token(document: Mapping[str, object], name: str, shape: re.Pattern[str]) -> str | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_TOKEN_CHARS or not shape.fullmatch(value):
        raise OpAnswerMalformed(f"token: {name} cannot be used")
    return value


def _replacement(
    document: Mapping[str, object], name: str, shape: re.Pattern[str], previous: Tokens | None
) -> str | None:
    """A token that a refresh may leave out: one that cannot be used is as good as none. A login
    has nothing to fall back upon."""
    try:
        return _token(document, name, shape)
    except OpAnswerMalformed:
        if previous is None:
            raise
        return None


def _with_rotated(
    status: int, document: object, now: float, previous: Tokens | None
) -> Tokens | None:
    """The old tokens with the new refresh token of an answer that is no error. They count as
    obtained now, so that a store which goes back in time is seen to hold older ones."""
    if previous is None or not 200 <= status < 300 or not isinstance(document, dict):
        return None
    rotated = _replacement(document, "refresh_token", VSCHAR, previous)
    if rotated is None:
        return None
    expires_at = _refresh_expires_at(document, now, rotated, previous)
    return replace(previous, refresh_token=rotated, refresh_expires_at=expires_at, obtained_at=now)


def _refresh_expires_at(
    document: Mapping[str, object],
    now: float,
    new_refresh_token: str | None,
    previous: Tokens | None,
) -> float | None:
    """Not standard: two names are in use, and Keycloak's 0 for offline tokens means "unknown"."""
    for name in ("refresh_expires_in", "refresh_token_expires_in"):
        seconds = stated_lifetime(document.get(name), MAX_REFRESH_LIFETIME_SECONDS)
        if seconds is not None:
            return now + seconds
    if new_refresh_token is not None or previous is None:
        return None
    return previous.refresh_expires_at


def access_lifetime(expires_in: object) -> float:
    """Seconds from 1 to 30 days; five minutes when the OP does not say (RFC 6749 section 5.1 leaves
    that to documentation) or says something that is not a positive number."""
    stated = stated_lifetime(expires_in, MAX_ACCESS_LIFETIME_SECONDS)
    return DEFAULT_ACCESS_LIFETIME_SECONDS if stated is None else stated


def stated_lifetime(value: object, most: float) -> float | None:
    """Seconds from 1 to `most`, or None when `value` is not a positive number."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return max(1.0, float(min(value, most)))
