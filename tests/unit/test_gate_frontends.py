"""Which application a request has come for: by its Host, and by the path below it."""

import pytest

from bff.clock import ManualClock
from bff.gate.csrf import CsrfGuard
from bff.gate.decision import Gate
from bff.gate.endpoints import EndpointTable
from bff.gate.forwarding import Forwarding
from bff.gate.frontend import Frontend, FrontendRules
from bff.gate.head import RequestHead
from bff.gate.outcome import Answer
from bff.gate.peers import TrustedProxies
from bff.gate.routes import Route, RouteTable, TokenKind, Upstream
from bff.tokens.policy import RefreshPolicy

API = Upstream("http", "127.0.0.1:9000", "")


def a_frontend(name: str, host: str, base: str = "") -> Frontend:
    """Whose one route is `/NAME/` below its base path."""
    route = Route(f"{base}/{name}", (API,), token=TokenKind.NONE)
    return Frontend(
        FrontendRules(
            hosts=frozenset({host.encode()}),
            session_cookie=b"bff",
            binder_cookie=b"bff-login",
            endpoints=EndpointTable(f"{base}/bff"),
            name=name,
            base_path=base.encode(),
        ),
        RouteTable([route]),
        CsrfGuard(f"https://{host}".encode()),
        Forwarding(public_scheme="https", public_host=host, via_name="bff-test"),
        session_key_of=lambda _value: None,
        cached=lambda _key: None,
        refresh_policy=RefreshPolicy(60),
        clock=ManualClock(),
    )


GATE = Gate(
    [
        a_frontend("root", "one.example"),
        a_frontend("shop", "one.example", "/shop"),
        a_frontend("admin", "one.example", "/shop/admin"),
        a_frontend("other", "other.example", "/other"),
    ],
    TrustedProxies([]),
)


def head(host: str, path: str) -> RequestHead:
    return RequestHead("GET", path.encode(), [(b"Host", host.encode())], "203.0.113.9")


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("one.example", "/", "root"),
        ("one.example", "/shops/x", "root"),
        ("one.example", "/x/shop/", "root"),
        ("one.example", "/shop", "shop"),
        ("one.example", "/shop/", "shop"),
        ("one.example", "/shop/administration", "shop"),
        ("one.example", "/shop/admin", "admin"),
        ("one.example", "/shop/admin/x", "admin"),
        ("OTHER.example", "/other/x", "other"),
    ],
)
def test_it_is_the_one_with_the_longest_base_path_at_that_host(
    host: str, path: str, name: str
) -> None:
    """A base path is one of whole segments."""
    decision = GATE.decide(head(host, path))
    assert decision.identity.frontend == name
    assert isinstance(decision, Answer)
    assert decision.error.code == "not_found"


@pytest.mark.parametrize(
    ("host", "path", "code"),
    [
        ("other.example", "/", "not_found"),
        ("other.example", "/others", "not_found"),
        ("none.example", "/", "misdirected_host"),
    ],
)
def test_where_there_is_none_nothing_answers(host: str, path: str, code: str) -> None:
    decision = GATE.decide(head(host, path))
    assert isinstance(decision, Answer)
    assert decision.error.code == code
    assert GATE.route_of(head(host, path)) == ""


@pytest.mark.parametrize(
    ("host", "path", "route"),
    [
        ("one.example", "/root/x", "/root"),
        ("one.example", "/shop/shop/x", "/shop/shop"),
        ("one.example", "/shop/root/x", ""),
        ("one.example", "/shop/admin/admin/", "/shop/admin/admin"),
        ("other.example", "/other/other/x", "/other/other"),
        ("one.example", "/other/other/x", ""),
    ],
)
def test_a_log_names_the_route_of_that_application(host: str, path: str, route: str) -> None:
    assert GATE.route_of(head(host, path)).rstrip("/") == route
