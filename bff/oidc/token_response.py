"""The answer of the token endpoint (RFC 6749 sections 5.1 and 5.2), judged without I/O.

The one question that matters after an error is whether the grant is dead: only `invalid_grant` and
its OpenID relatives say so, and a bare 400, because some OPs answer a spent refresh token with an
empty body. Everything else is the operator's fault or passes.
"""

import math
import re
from collections.abc import Mapping
from enum import StrEnum

from bff.errors import (
    BffError,
    ClientRejected,
    CodeRejected,
    GrantRejected,
    OpAnswerMalformed,
    OpUnavailable,
)
from bff.model import Tokens
from bff.oidc.error_code import error_code
from bff.oidc.lifetime import MAX_REFRESH_LIFETIME_SECONDS, access_lifetime, stated_lifetime

MAX_TOKEN_CHARS = 64 * 1024

_TOKEN = re.compile(r"[\x21-\x7e]+")  # fits a header field and a form field: no space, no control
_DEAD_GRANT = frozenset(
    {"invalid_grant", "interaction_required", "login_required", "consent_required"}
)
_OPERATOR = frozenset({"invalid_client", "unauthorized_client"})
_OUTAGE = frozenset({"temporarily_unavailable", "server_error"})


class Grant(StrEnum):
    """What is presented at the token endpoint; the values are those of `grant_type`."""

    CODE = "authorization_code"
    REFRESH = "refresh_token"
    CLIENT = "client_credentials"


_REJECTED: Mapping[Grant, type[BffError]] = {
    Grant.CODE: CodeRejected,
    Grant.REFRESH: GrantRejected,
    Grant.CLIENT: ClientRejected,
}


def process_token_response(
    status: int,
    document: object,
    *,
    grant: Grant,
    now: float,
    scope: str,
    previous: Tokens | None = None,
) -> Tokens:
    """The tokens in an answer below 500. `document` is None when the body was empty or not JSON.

    `scope` is what was asked for; it holds when the OP names none. `previous` are the tokens being
    refreshed: their refresh and ID token stay where the OP sends no new one. The returned ID token
    is not verified yet. `now` should be the time of the request, so that expiry errs on the early
    side.

    Raises:
        CodeRejected, GrantRejected: the code or the refresh token is dead.
        ClientRejected: the OP does not accept the gateway itself.
        OpUnavailable, OpAnswerMalformed: anything else; the grant may still be good.
    """
    if status != 200:
        raise token_error(status, document, grant)
    if not isinstance(document, dict):
        raise OpAnswerMalformed("token: no JSON object")
    access_token = _token(document, "access_token")
    if access_token is None:
        raise OpAnswerMalformed("token: no access_token")
    token_type = document.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":  # RFC 6749 section 7.1
        raise OpAnswerMalformed("token: token_type is not Bearer")
    granted_scope = document.get("scope")
    new_refresh_token = _token(document, "refresh_token")
    return Tokens(
        access_token=access_token,
        obtained_at=now,
        # The `exp` of a JWT is in whole seconds: up to one earlier than `expires_in` says.
        expires_at=math.floor(now) + access_lifetime(document.get("expires_in")),
        # RFC 6749 section 6: without a new one the old one stays.
        refresh_token=new_refresh_token or (previous.refresh_token if previous else None),
        refresh_expires_at=_refresh_expires_at(document, now, new_refresh_token, previous),
        id_token=_token(document, "id_token") or (previous.id_token if previous else None),
        scope=granted_scope if isinstance(granted_scope, str) and granted_scope else scope,
    )


def token_error(status: int, document: object, grant: Grant) -> BffError:
    """What an answer other than 200 means for `grant`."""
    code = error_code(document)
    detail = f"token: status {status}, error {code}"
    if not 400 <= status < 500:
        return OpAnswerMalformed(detail)
    if code in _DEAD_GRANT or (status == 400 and document is None):
        return _REJECTED[grant](detail)
    if code in _OPERATOR or status == 401:
        return ClientRejected(detail)
    if code in _OUTAGE or status == 408:
        return OpUnavailable(detail)
    return OpAnswerMalformed(detail)


def _token(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_TOKEN_CHARS or not _TOKEN.fullmatch(value):
        raise OpAnswerMalformed(f"token: {name} cannot be used")
    return value


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
