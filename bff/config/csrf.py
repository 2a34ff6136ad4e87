"""[csrf]: the header that a page of another origin cannot send without a preflight."""

from typing import Annotated

from pydantic import AfterValidator, Field

from bff.config.section import Section
from bff.config.texts import FieldValue, Token
from bff.gate.head import is_ours

# Fetch standard: a page of any origin can send these (CORS-safelisted), ...
_SAFELISTED = frozenset(
    {"accept", "accept-language", "content-language", "content-type", "range", "last-event-id"}
)
# ... and a script of our own can't set these (forbidden request-headers), or must not.
_FORBIDDEN = frozenset(
    {
        "accept-charset",
        "accept-encoding",
        "access-control-request-headers",
        "access-control-request-method",
        "content-length",
        "date",
        "dnt",
        "origin",
        "referer",
        "set-cookie",
        "user-agent",
    }
)


def require_guarding(name: str) -> str:
    """A header that only a script of this origin can set."""
    lower = name.lower()
    if lower in _SAFELISTED:
        raise ValueError("would not guard: a page of another origin can send it")
    if lower in _FORBIDDEN or lower.startswith(("sec-", "proxy-")) or is_ours(lower.encode()):
        raise ValueError("can't be set by a script, or is set by the gateway")
    return name


class CsrfSettings(Section):
    header_name: Annotated[Token, AfterValidator(require_guarding)] = Field(
        default="X-CSRF",
        description="Header that every call of the app must carry.",
    )
    header_value: FieldValue = Field(default="1", description="Its value.")
