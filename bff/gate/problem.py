"""How an error becomes an answer: RFC 9457 problem details, and the headers of our own responses.

This is the only place that does it. Nothing of what a request, the OP or an upstream sent goes in.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from bff.errors import (
    BffError,
    MethodNotAllowed,
    NotAuthenticated,
    ReloadRefused,
    StepUpRequired,
    TokenBound,
    TokenInactive,
)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'"
)


@dataclass(frozen=True, slots=True)
class OwnResponses:
    """Headers that every response of the gateway's own carries.

    `hsts`: the browser is to use https only, for a year and a bit. It holds for all ports of a
    host, so that it is wrong for this machine's.
    """

    hsts: bool

    def headers(self) -> dict[str, str]:
        found = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return found | self.transport_headers()

    def transport_headers(self) -> dict[str, str]:
        """Those that an API's answers carry as well."""
        return {"Strict-Transport-Security": "max-age=34560000"} if self.hsts else {}


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem+json answer, ready to be written."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def problem_for(error: BffError, *, request_id: str, login_url: str) -> Problem:
    """The answer to an error. `login_url` is offered where a login would help."""
    document: dict[str, object] = {
        "type": f"urn:bff:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "request_id": request_id,
    }
    headers = {"Content-Type": "application/problem+json", "X-Request-ID": request_id}
    if isinstance(error, NotAuthenticated | TokenBound | TokenInactive):
        document["login_url"] = login_url
    if isinstance(error, StepUpRequired):
        document |= _asked(error)
        document["login_url"] = step_up_url(login_url, error)
    if error.retry_after is not None:
        document["retry_after"] = error.retry_after
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, ReloadRefused):
        document["problems"] = list(error.problems)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    return Problem(error.status, headers, json.dumps(document).encode())


def step_up_url(login_url: str, error: StepUpRequired) -> str:
    """Where the login begins that is needed."""
    return f"{login_url}?{urlencode(_asked(error))}"


def _asked(error: StepUpRequired) -> dict[str, str | int]:
    """By the names of RFC 9470 and of the login's parameters."""
    found: dict[str, str | int] = {}
    if error.acr_values:
        found["acr_values"] = " ".join(error.acr_values)
    if error.max_age is not None:
        found["max_age"] = error.max_age
    return found
