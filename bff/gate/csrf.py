"""The CSRF guard, in three layers: Sec-Fetch-Site, Origin, and a header that no form, image or
cross-origin script can set without a preflight, which is never granted.

A missing layer is not a pass: in `same-origin` mode one of the first two must be there and right,
and a state-changing request never goes without the header.

`Origin: null` says nothing by itself: a browser sends it for a page that may not tell where it is
(`Referrer-Policy: no-referrer`) as well as for a sandboxed frame of any site. Beside
`Sec-Fetch-Site: same-origin`, which no script can write, it is the former (Fetch standard, 3.2).
"""

from dataclasses import dataclass

from bff.errors import (
    CrossSiteRequest,
    CsrfHeaderMissing,
    CsrfRefused,
    ForeignOrigin,
    OriginUnknown,
)
from bff.gate.fetch_metadata import is_begun_here, is_typed
from bff.gate.head import ScannedFields, is_ours
from bff.gate.routes import SAFE_METHODS, CsrfMode

HEADER_NAME = "X-CSRF"
HEADER_VALUE = "1"

_UNTOLD = b"null"
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


@dataclass(frozen=True, slots=True)
class CsrfGuard:
    """`origin` is the application's own, as a browser serialises it; the name is lower case."""

    origin: bytes
    header_name: bytes = HEADER_NAME.lower().encode()
    header_value: bytes = HEADER_VALUE.encode()

    def refusal(self, fields: ScannedFields, method: str, mode: CsrfMode) -> CsrfRefused | None:
        """Why the request is refused, or None when it may pass."""
        is_reading = mode is CsrfMode.SAME_ORIGIN and method in SAFE_METHODS
        if not (is_reading and is_typed(fields)):  # what the user typed, no page has begun
            foreign = self._foreign_initiator(fields)
            if foreign is not None:
                return foreign
        if not is_reading:
            if fields.values(self.header_name) != [self.header_value]:
                return CsrfHeaderMissing()
        elif not _names_initiator(fields):
            return OriginUnknown()
        return None

    def form_refusal(self, fields: ScannedFields) -> CsrfRefused | None:
        """The same for a form of our own pages, which can carry no header. It is for endpoints that
        change nothing of a session, or ask the form for a proof."""
        return self._foreign_initiator(fields) if _names_initiator(fields) else OriginUnknown()

    def handshake_refusal(self, fields: ScannedFields) -> CsrfRefused | None:
        """The same for a WebSocket handshake, on which a script can set no header: Origin, which
        every browser sends, must be there and ours (RFC 6455 section 10.2). No referrer policy
        changes it there, so that `null` can only be another origin's."""
        origins = fields.values(b"origin")
        if not origins:
            return OriginUnknown()
        if _UNTOLD in origins:
            return ForeignOrigin()
        return self.refusal(fields, "GET", CsrfMode.SAME_ORIGIN)

    def tell_origin(self, fields: ScannedFields) -> None:
        """Put our own origin in the place of a `null` that the browser sends for a page of ours, as
        other browsers do: the API can't see why that was let pass."""
        if b"origin" not in fields.places:
            return
        if fields.values(b"origin") == [_UNTOLD] and is_begun_here(fields):
            fields.passed = [
                (name, self.origin if name.lower() == b"origin" else value)
                for name, value in fields.passed
            ]

    def _foreign_initiator(self, fields: ScannedFields) -> CsrfRefused | None:
        sites = fields.values(b"sec-fetch-site")
        for site in sites:
            if site != b"same-origin":
                return CrossSiteRequest()
        if b"origin" in fields.places:
            for origin in fields.values(b"origin"):
                if origin != self.origin and not (origin == _UNTOLD and sites):
                    return ForeignOrigin()
        return None


def _names_initiator(fields: ScannedFields) -> bool:
    return bool(fields.values(b"sec-fetch-site") or fields.values(b"origin"))


def require_guarding(name: str) -> str:
    """A header that only a script of this origin can set. Raises: ValueError."""
    lower = name.lower()
    if lower in _SAFELISTED:
        raise ValueError("would not guard: a page of another origin can send it")
    if lower in _FORBIDDEN or lower.startswith(("sec-", "proxy-")) or is_ours(lower.encode()):
        raise ValueError("can't be set by a script, or is set by the gateway")
    return name
