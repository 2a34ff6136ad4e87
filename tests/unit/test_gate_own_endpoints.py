"""What the gate asks of a request for one of its own endpoints before the endpoint sees it."""

import pytest

from bff.errors import CsrfHeaderMissing, CsrfRefused, NavigationRequired, OriginUnknown
from bff.gate.csrf import CsrfGuard
from bff.gate.endpoints import (
    DEVICE_RULES,
    FRONTCHANNEL_RULE,
    JWKS_RULE,
    LOGGED_OUT_RULE,
    PROVIDER_CALLBACK_RULE,
    RULES,
    SPA_RULE,
    EndpointRule,
    EndpointTable,
    Guard,
    require_initiator,
)
from bff.gate.fetch_metadata import is_navigation, is_speculative
from bff.gate.head import scan

Fields = list[tuple[bytes, bytes]]

CSRF = CsrfGuard(origin=b"https://app.example")
HEADER = (b"X-CSRF", b"1")
OURS = (b"Origin", b"https://app.example")
FOREIGN = (b"Origin", b"https://evil.example")
FORM = (b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8")
JSON = (b"Content-Type", b"application/json")
SAME = (b"Sec-Fetch-Site", b"same-origin")
CROSS = (b"Sec-Fetch-Site", b"cross-site")
TYPED = (b"Sec-Fetch-Site", b"none")
NAVIGATE = (b"Sec-Fetch-Mode", b"navigate")
DOCUMENT = (b"Sec-Fetch-Dest", b"document")
FRAME = (b"Sec-Fetch-Dest", b"iframe")
WORKER = (b"Sec-Fetch-Dest", b"empty")
PREFETCH = (b"Sec-Purpose", b"prefetch;prerender")

PASSES, NO_HEADER, UNKNOWN, NO_NAVIGATION = (
    None,
    CsrfHeaderMissing,
    OriginUnknown,
    NavigationRequired,
)


def refusal(guard: Guard, fields: Fields) -> type[Exception] | None:
    rule = EndpointRule("x", {"POST": guard})
    try:
        require_initiator(rule, CSRF, "POST", b"a=b", scan(fields, {CSRF.header_name}))
    except (CsrfRefused, NavigationRequired) as error:
        return type(error)
    return None


@pytest.mark.rule("SE-11")
@pytest.mark.parametrize(
    ("fields", "proof", "page", "navigation"),
    [
        ([], PASSES, PASSES, PASSES),
        ([TYPED, NAVIGATE, DOCUMENT], PASSES, PASSES, PASSES),
        ([SAME, NAVIGATE, DOCUMENT], PASSES, PASSES, PASSES),
        ([SAME, NAVIGATE, WORKER], PASSES, PASSES, PASSES),
        ([CROSS, NAVIGATE, DOCUMENT], PASSES, PASSES, NO_NAVIGATION),
        ([CROSS, NAVIGATE, WORKER], PASSES, NO_NAVIGATION, NO_NAVIGATION),
        ([SAME, NAVIGATE, FRAME], PASSES, NO_NAVIGATION, NO_NAVIGATION),
        ([SAME, (b"Sec-Fetch-Mode", b"cors"), DOCUMENT], PASSES, NO_NAVIGATION, NO_NAVIGATION),
        ([SAME, NAVIGATE, DOCUMENT, PREFETCH], NO_NAVIGATION, NO_NAVIGATION, NO_NAVIGATION),
        ([(b"Purpose", b"PreFetch")], NO_NAVIGATION, NO_NAVIGATION, NO_NAVIGATION),
        ([(b"X-Purpose", b"preview")], NO_NAVIGATION, NO_NAVIGATION, NO_NAVIGATION),
        ([(b"X-Moz", b"prefetch")], NO_NAVIGATION, NO_NAVIGATION, NO_NAVIGATION),
        ([(b"X-Moz", b"something")], PASSES, PASSES, PASSES),
    ],
)
def test_a_get_that_changes_something_is_one_that_the_user_has_asked_for(
    fields: Fields,
    proof: type[Exception] | None,
    page: type[Exception] | None,
    navigation: type[Exception] | None,
) -> None:
    assert refusal(Guard.NONE, fields) is None
    assert refusal(Guard.PROOF, fields) is proof
    assert refusal(Guard.PAGE, fields) is page
    assert refusal(Guard.NAVIGATION, fields) is navigation


@pytest.mark.rule("CS-01")
@pytest.mark.parametrize(
    ("fields", "form", "csrf", "csrf_or_form", "same_origin"),
    [
        ([], UNKNOWN, NO_HEADER, NO_HEADER, NO_HEADER),
        ([OURS], PASSES, NO_HEADER, NO_HEADER, NO_HEADER),
        ([HEADER], UNKNOWN, PASSES, PASSES, PASSES),
        ([FORM], UNKNOWN, NO_HEADER, UNKNOWN, NO_HEADER),
        ([FORM, OURS], PASSES, NO_HEADER, PASSES, NO_HEADER),
        ([FORM, SAME], PASSES, NO_HEADER, PASSES, NO_HEADER),
        ([FORM, OURS, (b"X-CSRF", b"0")], PASSES, NO_HEADER, NO_HEADER, NO_HEADER),
        ([JSON, OURS], PASSES, NO_HEADER, NO_HEADER, NO_HEADER),
        ([FORM, FORM, OURS], PASSES, NO_HEADER, NO_HEADER, NO_HEADER),
    ],
)
def test_a_form_of_our_own_pages_goes_without_the_header_where_that_is_foreseen(
    fields: Fields,
    form: type[Exception] | None,
    csrf: type[Exception] | None,
    csrf_or_form: type[Exception] | None,
    same_origin: type[Exception] | None,
) -> None:
    assert refusal(Guard.FORM, fields) is form
    assert refusal(Guard.CSRF, fields) is csrf
    assert refusal(Guard.CSRF_OR_FORM, fields) is csrf_or_form
    assert refusal(Guard.SAME_ORIGIN, fields) is same_origin


@pytest.mark.rule("CS-03")
@pytest.mark.parametrize("guard", [Guard.FORM, Guard.CSRF, Guard.CSRF_OR_FORM, Guard.SAME_ORIGIN])
@pytest.mark.parametrize("foreign", [FOREIGN, CROSS])
def test_no_other_site_passes_where_a_change_is_guarded(
    guard: Guard, foreign: tuple[bytes, bytes]
) -> None:
    for fields in ([foreign], [foreign, HEADER], [foreign, FORM]):
        found = refusal(guard, fields)
        assert found is not None
        assert found not in (CsrfHeaderMissing, OriginUnknown)


@pytest.mark.parametrize(
    ("guard", "fields", "by_form"),
    [
        (Guard.FORM, [OURS], True),
        (Guard.CSRF_OR_FORM, [OURS, FORM], True),
        (Guard.CSRF_OR_FORM, [OURS, FORM, HEADER], False),
        (Guard.CSRF, [OURS, FORM, HEADER], False),
        (Guard.NONE, [OURS, FORM], False),
    ],
)
def test_the_endpoint_learns_whether_a_form_came_without_the_header(
    guard: Guard, fields: Fields, by_form: bool
) -> None:
    rule = EndpointRule("x", {"POST": guard})
    found = require_initiator(rule, CSRF, "POST", None, scan(fields, {CSRF.header_name}))
    assert found is by_form


def test_each_endpoint_has_its_methods_its_guard_and_its_place() -> None:
    table = EndpointTable("/bff", (*RULES, *DEVICE_RULES, PROVIDER_CALLBACK_RULE))
    found = {
        rule.name: (
            {method: guard.name for method, guard in rule.guards.items()},
            rule.wants_session,
            table.route_of(rule),
        )
        for rule in (
            *RULES,
            PROVIDER_CALLBACK_RULE,
            *DEVICE_RULES,
            FRONTCHANNEL_RULE,
            JWKS_RULE,
            LOGGED_OUT_RULE,
            SPA_RULE,
        )
    }
    assert found == {
        "login": ({"GET": "NAVIGATION", "POST": "FORM"}, True, "/bff/login"),
        "arrival": ({"GET": "NONE"}, False, "/bff/arrival"),
        "callback": ({"GET": "PROOF"}, False, "/bff/callback"),
        "device": ({"POST": "CSRF"}, True, "/bff/device"),
        "device-poll": ({"GET": "CSRF"}, False, "/bff/device/*"),
        "provider-callback": ({"GET": "PROOF"}, False, "/bff/callback/*"),
        "logged-out": ({"GET": "PROOF"}, False, "logged-out"),
        "resume": ({"GET": "NAVIGATION"}, True, "/bff/resume"),
        "providers": ({"GET": "NONE"}, False, "/bff/providers"),
        "user": ({"GET": "CSRF"}, True, "/bff/user"),
        "logout": ({"GET": "PAGE", "POST": "CSRF_OR_FORM"}, True, "/bff/logout"),
        "backchannel-logout": ({"POST": "NONE"}, False, "/bff/backchannel-logout"),
        "events": ({"GET": "SAME_ORIGIN"}, True, "/bff/events"),
        "sessions": ({"GET": "CSRF", "DELETE": "CSRF"}, True, "/bff/sessions"),
        "session": ({"DELETE": "CSRF"}, True, "/bff/sessions/*"),
        "client": ({"GET": "NONE", "HEAD": "NONE"}, False, "/bff/client/*"),
        "frontchannel-logout": ({"GET": "PROOF"}, False, "frontchannel-logout"),
        "jwks": ({"GET": "NONE", "HEAD": "NONE"}, False, "jwks"),
        "spa": ({"GET": "NONE", "HEAD": "NONE"}, False, "spa"),
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/bff/sessions", "sessions"),
        (b"/bff/sessions/abc", "session"),
        (b"/bff/client/bff-client.js", "client"),
        (b"/bff/sessions/abc/d", None),
        (b"/bff/login/abc", None),
        (b"/bff", None),
    ],
)
def test_a_star_is_one_segment(path: bytes, name: str | None) -> None:
    rule = EndpointTable("/bff").match(path)
    assert (rule.name if rule is not None else None) == name


@pytest.mark.parametrize(
    ("fields", "is_one"),
    [
        ([NAVIGATE], True),
        ([(b"Sec-Fetch-Mode", b"cors"), (b"Accept", b"text/html")], False),
        ([NAVIGATE, NAVIGATE], False),
        ([(b"Accept", b"text/html,*/*")], True),
        ([(b"Accept", b"application/json, text/html")], False),
        ([], False),
    ],
)
def test_a_navigation_is_known_by_its_mode_or_else_by_what_it_accepts(
    fields: Fields, is_one: bool
) -> None:
    assert is_navigation(scan(fields)) is is_one
    assert not is_speculative(scan(fields))


@pytest.mark.parametrize(("query", "asked"), [(b"a=b", b"a=b"), (None, b"")])
def test_what_is_no_navigation_is_told_what_was_asked(query: bytes | None, asked: bytes) -> None:
    """For the page that asks the user to go on."""
    rule = EndpointRule("login", {"GET": Guard.NAVIGATION})
    with pytest.raises(NavigationRequired) as refused:
        require_initiator(rule, CSRF, "GET", query, scan([CROSS]))
    assert (refused.value.endpoint, refused.value.query) == ("login", asked)
