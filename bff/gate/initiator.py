"""Which page has begun a request for an own endpoint, and whether that may begin it."""

from collections.abc import Callable, Mapping

from bff.errors import CsrfRefused, NavigationRequired
from bff.gate.csrf import CsrfGuard
from bff.gate.endpoints import EndpointRule, Guard
from bff.gate.fetch_metadata import (
    is_form,
    is_own_navigation,
    is_speculative,
    is_top_level_navigation,
)
from bff.gate.head import ScannedFields
from bff.gate.routes import CsrfMode

# A GET that changes something: only one that the user has asked for, no prefetch or prerendering.
_MAY_BEGIN: Mapping[Guard, Callable[[ScannedFields], bool]] = {
    Guard.NONE: lambda _: True,
    Guard.PROOF: lambda fields: not is_speculative(fields),
    Guard.PAGE: is_top_level_navigation,
    Guard.NAVIGATION: is_own_navigation,
}


def require_initiator(
    rule: EndpointRule, csrf: CsrfGuard, method: str, query: bytes | None, fields: ScannedFields
) -> bool:
    """Whether the request is a form of our own pages, which carries no anti-forgery header.

    Raises:
        CsrfRefused: a layer of the CSRF guard that the endpoint asks for is missing or wrong.
        NavigationRequired: no navigation, or none that the user has asked for.
    """
    guard = rule.guards[method]
    is_bare_form = is_form(fields) and not fields.values(csrf.header_name)
    if guard is Guard.FORM or (guard is Guard.CSRF_OR_FORM and is_bare_form):
        raise_refusal(csrf.form_refusal(fields))
        return True
    if guard in (Guard.CSRF, Guard.CSRF_OR_FORM):
        raise_refusal(csrf.refusal(fields, method, CsrfMode.HEADER))
    elif guard is Guard.SAME_ORIGIN:
        raise_refusal(csrf.refusal(fields, method, CsrfMode.SAME_ORIGIN))
    elif not _MAY_BEGIN[guard](fields):
        raise NavigationRequired(rule.name, query or b"")
    return False


def raise_refusal(refusal: CsrfRefused | None) -> None:
    """Raise it, if there is one."""
    if refusal is not None:
        raise refusal
