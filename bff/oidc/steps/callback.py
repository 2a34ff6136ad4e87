"""The authorization response (RFC 6749 section 4.1.2, RFC 9207): parsed strictly, and the question
which OP sent it. Pure; the order is the endpoint's: parse, take the transaction by `state`, check
the browser, then `require_issuer`, then `require_code`, and only then redeem.

Nothing the OP put into an error ever leaves this module but a code of plain letters.
"""

import re
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

_NAMES = ("state", "code", "iss", "error")
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
    """Read a query string, or the form of `response_mode=form_post`, without its `?`.

    Raises:
        CallbackInvalid: oversized, not form-encoded, one of our parameters given twice, no state,
            neither code nor error, or both.
    """
    if len(raw) > MAX_RESPONSE_CHARS:
        raise CallbackInvalid("too long")
    try:
        pairs = parse_qsl(raw, True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise CallbackInvalid("not form-encoded") from None
    values = {name: _single(pairs, name) for name in _NAMES}
    state, code, iss, error = (values[name] for name in _NAMES)
    if state is None:
        raise CallbackInvalid("no state")
    if (code is None) == (error is None):
        raise CallbackInvalid("neither code nor error" if code is None else "both code and error")
    if error is None:
        return AuthorizationResponse(state, code, iss)
    described = plain_code(dict(pairs).get("error_description"))
    return AuthorizationResponse(state, code, iss, plain_code(error), described)


def require_issuer(iss: str | None, metadata: ProviderMetadata, issuers: TrustedIssuers) -> None:
    """RFC 9207 section 2.4: simple string comparison; required when the OP says it sends it.

    Raises:
        IssuerMismatch: the response, error responses included, is another OP's or may be.
    """
    if iss is None and metadata.sends_response_issuer:
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


def _single(pairs: list[tuple[str, str]], name: str) -> str | None:
    """RFC 6749 section 3.1: at most once; without a value it counts as omitted."""
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise CallbackInvalid(f"{name} is given more than once")
    if values and not _VSCHAR.fullmatch(values[0]):
        raise CallbackInvalid(f"{name} holds characters that it must not")
    return values[0] if values and values[0] else None
