"""The authorization response (RFC 6749 section 4.1.2, RFC 9207): parsed strictly, and the question
which OP sent it. Pure; the order is the endpoint's: parse, take the transaction by `state`, check
the browser, then `require_issuer`, then `require_code`, and only then redeem.

Nothing the OP put into an error ever leaves this module but a code of plain letters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from bff.errors import (
    CallbackInvalid,
    IssuerMismatch,
    LoginDenied,
    LoginExpired,
    LoginRefused,
    OpUnavailable,
    StepUpNotMet,
)
from bff.oidc.provider.issuers import TrustedIssuers
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.provider.op_text import UNREADABLE, plain_code

MAX_RESPONSE_CHARS = 8 * 1024
MAX_PARAMETERS = 32

NAMES = ("state", "code", "iss", "error", "error_description")
# JARM section 2.3.1: of a signed answer the only one.
_SIGNED = "response"
_JUDGED = NAMES[:4]
_VSCHAR = re.compile(r"[\x20-\x7e]*")  # RFC 6749 appendix A
_DENIALS = frozenset(
    {
        "access_denied",
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)
_OUTAGES = frozenset({"temporarily_unavailable", "server_error"})
# Error and description that say that the user took too long: Keycloak, of a tab left open.
_EXPIRED = ("temporarily_unavailable", "authentication_expired")


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """Exactly one of `code` and `error` is set. `error` and `reason`, the OP's error_description,
    are plain codes and safe to log."""

    state: str = field(repr=False)
    code: str | None = field(default=None, repr=False)
    iss: str | None = None
    error: str | None = None
    reason: str | None = None


def process_callback(raw: str) -> AuthorizationResponse:
    """Read a query string, without its `?`, of an answer that is not signed.

    Raises:
        CallbackInvalid: oversized, not form-encoded, one of our parameters given twice, signed, no
            state, neither code nor error, or both.
    """
    pairs = _pairs(raw)
    if _single(pairs, _SIGNED) is not None:
        raise CallbackInvalid("signed, which was not asked for")
    described = dict(pairs).get("error_description")
    values = {name: _single(pairs, name) for name in _JUDGED}
    return response_of({**values, "error_description": described})


def signed_response_in(raw: str) -> str:
    """The JWT of a signed answer (JARM section 2.3.1), unverified, in a query string.

    Raises:
        CallbackInvalid: oversized, not form-encoded, not signed, or with more than the JWT.
    """
    pairs = _pairs(raw)
    signed = _single(pairs, _SIGNED)
    if signed is None:
        raise CallbackInvalid("not signed, as was asked for")
    beside = [name for name in NAMES if any(name == given for given, _ in pairs)]
    if beside:
        raise CallbackInvalid(f"{beside[0]} beside a signed response")
    return signed


def response_of(parameters: Mapping[str, str | None]) -> AuthorizationResponse:
    """The answer that these parameters, by `NAMES`, make; one without a value counts as omitted.

    Raises:
        CallbackInvalid: no state, neither code nor error, or both; characters that may not be.
    """
    for name in _JUDGED:
        if not _VSCHAR.fullmatch(parameters.get(name) or ""):
            raise CallbackInvalid(f"{name} holds characters that it must not")
    state, code, iss, error = (parameters.get(name) or None for name in _JUDGED)
    if state is None:
        raise CallbackInvalid("no state")
    if (code is None) == (error is None):
        raise CallbackInvalid("neither code nor error" if code is None else "both code and error")
    if error is None:
        return AuthorizationResponse(state, code, iss)
    described = plain_code(parameters.get("error_description"))
    return AuthorizationResponse(state, code, iss, plain_code(error), described)


def require_issuer(
    iss: str | None, metadata: ProviderMetadata, issuers: TrustedIssuers, *, always: bool = False
) -> None:
    """RFC 9207 section 2.4: simple string comparison; required when the OP says it sends it, or
    `always`.

    Raises:
        IssuerMismatch: the response, error responses included, is another OP's or may be.
    """
    if iss is None and (always or metadata.sends_response_issuer):
        raise IssuerMismatch("no iss in the response")
    other = issuers.why_not(iss) if iss is not None else None
    if other is not None:
        raise IssuerMismatch(f"iss of the response: {other}")


def require_code(response: AuthorizationResponse) -> str:
    """The code to redeem, or the OP's error as one of ours.

    Raises:
        LoginDenied: the user or the OP's policy said no, or a silent login was not possible.
        StepUpNotMet: the OP cannot authenticate as strongly as was asked.
        LoginExpired: the user took longer than the OP allows.
        OpUnavailable: the OP says that it is in trouble.
        LoginRefused: any other error.
    """
    if response.code is not None:
        return response.code
    error = response.error or UNREADABLE
    if error in _DENIALS:
        raise LoginDenied(error)
    if error == "unmet_authentication_requirements":
        raise StepUpNotMet(error)
    if (error, response.reason) == _EXPIRED:
        raise LoginExpired(error)
    if error in _OUTAGES:
        raise OpUnavailable(error)
    raise LoginRefused(error)


def _pairs(raw: str) -> list[tuple[str, str]]:
    if len(raw) > MAX_RESPONSE_CHARS:
        raise CallbackInvalid("too long")
    try:
        return parse_qsl(raw, True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise CallbackInvalid("not form-encoded") from None


def _single(pairs: list[tuple[str, str]], name: str) -> str | None:
    """RFC 6749 section 3.1: at most once."""
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise CallbackInvalid(f"{name} is given more than once")
    return values[0] if values and values[0] else None
