"""What a route makes of a path and of itself, and what it may be configured to do."""

import pytest

from bff.errors import MethodNotAllowed, NotAuthenticated, NotFound, RateLimited
from bff.gate.problem import OwnResponses, problem_for
from bff.gate.routes import (
    Route,
    RouteTable,
    TokenKind,
    Upstream,
    require_forwardable,
    require_strippable,
)
from bff.model import TokenTarget

ROOT = Upstream("http", "api")
BELOW = Upstream("http", "api", "/v1")


@pytest.mark.parametrize(
    ("route", "rest", "cuts", "told"),
    [
        (Route("/api", (ROOT,)), b"/x", True, b"/api"),
        (Route("/api", (ROOT, BELOW)), b"/x", True, b"/api"),
        (Route("/api", (BELOW,)), b"/x", False, b"/api"),
        (Route("/api", (ROOT,), map_location=False), b"/x", True, None),
        (Route("/api", (ROOT,), strip_prefix=False), b"/api/x", False, None),
        (Route("", (ROOT,)), b"/api/x", False, None),
    ],
)
def test_an_upstream_gets_the_path_below_the_prefix_and_is_told_of_it(
    route: Route, rest: bytes, *, cuts: bool, told: bytes | None
) -> None:
    assert route.rest_of(b"/api/x") == rest
    assert route.cuts_path is cuts
    assert route.told_prefix == (None if told is None else (b"X-Forwarded-Prefix", told))


@pytest.mark.parametrize(
    ("kind", "anonymous", "needs"),
    [
        (TokenKind.USER, False, True),
        (TokenKind.USER, True, True),
        (TokenKind.EXCHANGE, False, True),
        (TokenKind.EXCHANGE, True, True),
        (TokenKind.CLIENT, False, True),
        (TokenKind.CLIENT, True, False),
        (TokenKind.NONE, False, False),
    ],
)
def test_a_route_needs_a_session_for_the_users_token_and_by_default_for_the_clients(
    kind: TokenKind, *, anonymous: bool, needs: bool
) -> None:
    assert Route("/x", (ROOT,), token=kind, anonymous=anonymous).needs_session is needs


@pytest.mark.parametrize(
    ("kind", "scope", "target"),
    [
        (TokenKind.USER, "", None),
        (TokenKind.USER, "a", TokenTarget(scope="a")),
        (TokenKind.CLIENT, "", TokenTarget()),
        (TokenKind.CLIENT, "a", TokenTarget(scope="a")),
        (TokenKind.NONE, "", None),
    ],
)
def test_a_route_has_a_token_of_its_own_where_it_says_what_for(
    kind: TokenKind, scope: str, target: TokenTarget | None
) -> None:
    assert Route("/x", (ROOT,), token=kind, scope=scope).target == target


def test_a_route_has_no_limits_unless_they_are_given() -> None:
    route = Route("/x", (ROOT,))
    assert (route.total_timeout_seconds, route.max_concurrent) == (0, 0)
    assert (route.websocket, route.retry_unauthorized, route.map_location) == (False, True, True)


def test_the_longest_prefix_is_asked_first_and_the_root_matches_the_rest() -> None:
    outer, inner, root = Route("/a", (ROOT,)), Route("/a/b", (ROOT,)), Route("", (ROOT,))
    table = RouteTable([root, outer, inner])
    found = [table.match(path) for path in (b"/a/b", b"/a/b/c", b"/a/bc", b"/a", b"/ab", b"/")]
    assert found == [inner, inner, outer, outer, root, root]
    assert RouteTable([outer]).match(b"/ab") is None


@pytest.mark.rule("PX-04")
def test_no_route_may_name_a_method_that_is_never_forwarded() -> None:
    assert require_forwardable("PURGE") == "PURGE"
    for method, why in (("get", "upper case"), ("CONNECT", "never"), ("TRACE", "never")):
        with pytest.raises(ValueError, match=why):
            require_forwardable(method)


@pytest.mark.rule("PX-06")
def test_no_route_may_strip_what_describes_a_body_or_a_handshake() -> None:
    assert require_strippable("X-Debug") == "X-Debug"
    for name in ("Content-Length", "content_type", "Content-Encoding", "Sec-WebSocket-Protocol"):
        with pytest.raises(ValueError, match=r"body|handshake"):
            require_strippable(name)


def test_an_error_is_a_problem_with_what_its_status_asks_for() -> None:
    """RFC 9457; RFC 9110 sections 10.2.1 (Allow) and 10.2.3 (Retry-After)."""
    allowed = problem_for(MethodNotAllowed(("GET", "HEAD")), request_id="r", login_url="/login")
    assert (allowed.status, allowed.headers["Allow"]) == (405, "GET, HEAD")
    assert b"login_url" not in allowed.body
    later = problem_for(RateLimited("login", retry_after=7), request_id="r", login_url="/login")
    assert (later.status, later.headers["Retry-After"]) == (429, "7")
    assert b'"retry_after": 7' in later.body
    login = problem_for(NotAuthenticated(), request_id="r", login_url="/login")
    assert b'"login_url": "/login"' in login.body
    plain = problem_for(NotFound(), request_id="r", login_url="/login")
    assert plain.headers == {"Content-Type": "application/problem+json", "X-Request-ID": "r"}


def test_https_is_asked_for_beside_the_other_headers_where_it_is_used() -> None:
    with_hsts, without = (OwnResponses(hsts=hsts) for hsts in (True, False))
    assert with_hsts.headers() == without.headers() | with_hsts.transport_headers()
    assert without.transport_headers() == {}
    assert with_hsts.transport_headers() == {"Strict-Transport-Security": "max-age=34560000"}
