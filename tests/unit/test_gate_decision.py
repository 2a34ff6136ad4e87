"""What becomes of a request: the whole decision, without a server."""

import dataclasses
import ipaddress

import pytest

from bff.clock import ManualClock
from bff.gate.csrf import CsrfGuard
from bff.gate.decision import Gate
from bff.gate.endpoints import SPA_RULE, EndpointRule, EndpointTable
from bff.gate.forwarding import Forwarding
from bff.gate.frontend import Frontend, FrontendRules
from bff.gate.head import RequestHead
from bff.gate.outcome import Answer, Decision, Forward, Known, Local, Needs, Wait
from bff.gate.peers import TrustedProxies
from bff.gate.routes import CsrfMode, Route, RouteTable, TokenKind, Upstream
from bff.model import Session, Tokens, TokenTarget
from bff.oidc.step_up import StepUp, StepUpRules
from bff.tokens.policy import RefreshPolicy

Fields = list[tuple[bytes, bytes]]

NOW = 1_700_000_000.0
KEY = "5e55" + "0" * 60
HOST = (b"Host", b"app.example")
COOKIE = (b"Cookie", b"theme=dark; bff=good; locale=de")
HEADER = (b"X-CSRF", b"1")
API = Upstream("http", "127.0.0.1:9000", "/v1")
ORDERS = TokenTarget(resource="https://orders.example")


def a_session(**changes: object) -> Session:
    tokens = Tokens("at-secret", NOW, NOW + 300, refresh_token="rt-secret")
    session = Session(KEY, 1, "https://op", "alice", "s1", NOW, NOW + 3600, NOW + 900, tokens)
    return dataclasses.replace(session, **changes)  # type: ignore[arg-type]


def a_gate(
    cached: Session | None = None,
    *,
    trusted: str = "10.0.0.0/8",
    spa: EndpointRule | None = SPA_RULE,
) -> Gate:
    routes = RouteTable(
        [
            Route("/api", (API,), methods=frozenset({"GET", "HEAD", "POST"})),
            Route("/api/deep", (API,), forward_cookies=frozenset({b"locale"}), strip_prefix=False),
            Route("/files", (API,), csrf=CsrfMode.SAME_ORIGIN),
            Route("/open", (API,), token=TokenKind.NONE),
            Route("/service", (API,), token=TokenKind.CLIENT, scope="s1"),
            Route("/catalog", (API,), token=TokenKind.CLIENT, scope="s2", anonymous=True),
            Route(
                "/ticker",
                (API,),
                token=TokenKind.CLIENT,
                scope="s3",
                anonymous=True,
                websocket=True,
            ),
            Route("/gold", (API,), step_up=StepUp(("gold",)), websocket=True),
            Route("/recent", (API,), token=TokenKind.CLIENT, step_up=StepUp((), 300)),
            Route("/hooks", (API,), token=TokenKind.NONE, csrf=CsrfMode.OFF),
            Route("/live", (API,), websocket=True, strip_headers=frozenset({b"x-debug"})),
            Route("/orders", (API,), resource=ORDERS.resource),
            Route("/stock", (API,), token=TokenKind.EXCHANGE, audience="stock"),
        ]
    )
    frontend = Frontend(
        FrontendRules(
            hosts=frozenset({b"app.example"}),
            session_cookie=b"bff",
            binder_cookie=b"bff-login",
            endpoints=EndpointTable("/bff"),
            spa=spa,
            step_up={"default": StepUpRules(("silver", "gold", "platinum"), leeway_seconds=10)},
        ),
        routes,
        CsrfGuard(b"https://app.example"),
        Forwarding(public_scheme="https", public_host="app.example", via_name="bff-test"),
        session_key_of={"good": KEY}.get,
        cached=lambda key: cached if cached is not None and cached.key == key else None,
        refresh_policy=RefreshPolicy(60),
        clock=ManualClock(NOW),
    )
    return Gate([frontend], TrustedProxies([ipaddress.ip_network(trusted)]))


def ask(
    gate: Gate,
    target: bytes,
    *fields: tuple[bytes, bytes],
    method: str = "GET",
    peer: str = "203.0.113.9",
    known: Known | None = None,
    host: tuple[bytes, bytes] = HOST,
) -> Decision:
    return gate.decide(RequestHead(method, target, [host, *fields], peer), known)


def refused(decision: Decision) -> str:
    assert isinstance(decision, Answer), decision
    return decision.error.code


def forwarded(decision: Decision) -> Forward:
    assert isinstance(decision, Forward), decision
    return decision


@pytest.mark.rule("ID-18")
@pytest.mark.parametrize(
    ("acr", "passes"), [("gold", True), ("platinum", True), ("silver", False), (None, False)]
)
def test_a_route_wants_a_login_of_some_strength(acr: str | None, *, passes: bool) -> None:
    """Decided by what the session holds, without waiting for anything."""
    decision = ask(a_gate(a_session(acr=acr)), b"/gold/x", COOKIE, HEADER)
    if passes:
        assert forwarded(decision).session is not None
    else:
        assert refused(decision) == "step_up_required"
        assert isinstance(decision, Answer)
        assert not decision.clear_cookie  # the session is as good as before


@pytest.mark.rule("ID-18")
@pytest.mark.parametrize(
    ("age", "passes"), [(0, True), (310, True), (311, False), (-10, True), (-11, False)]
)
def test_a_route_wants_a_login_of_some_age(age: int, *, passes: bool) -> None:
    """With the clock leeway; one from the future is none."""
    gate = a_gate(a_session(auth_time=int(NOW) - age))
    decision = ask(gate, b"/recent", COOKIE, HEADER)
    assert isinstance(decision, Wait if passes else Answer)
    assert refused(ask(a_gate(a_session()), b"/recent", COOKIE, HEADER)) == "step_up_required"


@pytest.mark.rule("ID-18")
def test_a_handshake_is_held_to_the_same() -> None:
    """And a call without the CSRF header learns nothing of the session."""
    handshake = [
        (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="), (b"Origin", b"https://app.example"),
    ]  # fmt: skip
    gate = a_gate(a_session(acr="silver"))
    assert refused(ask(gate, b"/gold", COOKIE, *handshake)) == "step_up_required"
    assert refused(ask(gate, b"/gold", COOKIE)) == "csrf_header_missing"
    assert refused(ask(gate, b"/gold", HEADER)) == "not_authenticated"


def test_a_call_with_a_session_is_forwarded_with_its_token() -> None:
    decision = forwarded(ask(a_gate(a_session()), b"/api/x?y=%2f", COOKIE, HEADER))
    assert decision.path_and_query == b"/x?y=%2f"
    assert (b"Authorization", b"Bearer at-secret") in decision.fields
    assert decision.session is not None
    assert decision.session.sub == "alice"
    assert not decision.refresh_due


@pytest.mark.rule("PX-05")
def test_cookies_pass_only_where_the_route_lists_them() -> None:
    gate = a_gate(a_session())
    plain = forwarded(ask(gate, b"/api/x", COOKIE, HEADER))
    assert not [value for name, value in plain.fields if name == b"Cookie"]
    listed = forwarded(ask(gate, b"/api/deep/x", COOKIE, HEADER))
    assert [value for name, value in listed.fields if name == b"Cookie"] == [b"locale=de"]


def test_the_longest_prefix_wins_on_segment_boundaries() -> None:
    gate = a_gate(a_session())
    assert forwarded(ask(gate, b"/api/deep", COOKIE, HEADER)).path_and_query == b"/api/deep"
    assert forwarded(ask(gate, b"/api/deeper", COOKIE, HEADER)).path_and_query == b"/deeper"
    assert forwarded(ask(gate, b"/api", COOKIE, HEADER)).path_and_query == b""
    assert isinstance(ask(gate, b"/apix", COOKIE, HEADER), Local)


@pytest.mark.rule("HD-05")
def test_without_a_session_the_answer_is_401() -> None:
    gate = a_gate()
    assert refused(ask(gate, b"/api/x")) == "not_authenticated"
    assert refused(ask(gate, b"/api/x", HEADER)) == "not_authenticated"
    forged = (b"Cookie", b"bff=forged")
    assert refused(ask(gate, b"/api/x", HEADER, forged)) == "not_authenticated"


@pytest.mark.rule("CK-09")
def test_two_session_cookies_authenticate_no_user() -> None:
    gate = a_gate(a_session())
    for line in (b"bff=good; bff=other", b"bff=other; bff=good"):
        assert refused(ask(gate, b"/api/x", (b"Cookie", line), HEADER)) == "not_authenticated"


@pytest.mark.rule("CS-01")
def test_a_cookie_without_the_header_is_403_before_any_lookup() -> None:
    assert refused(ask(a_gate(), b"/api/x", COOKIE)) == "csrf_header_missing"


def test_an_unknown_session_is_waited_for_once() -> None:
    gate = a_gate()
    wait = ask(gate, b"/api/x", COOKIE, HEADER)
    assert isinstance(wait, Wait)
    assert (wait.needs, wait.key) == (Needs.SESSION, KEY)
    found = ask(gate, b"/api/x", COOKIE, HEADER, known=Known(a_session()))
    assert forwarded(found).session is not None
    gone = ask(gate, b"/api/x", COOKIE, HEADER, known=Known(None))
    assert refused(gone) == "not_authenticated"


def test_a_dead_cookie_is_cleared_unless_a_login_is_open_in_this_browser() -> None:
    """A late answer to the old cookie must not delete the one that a login just set."""
    gate = a_gate()
    gone = ask(gate, b"/api/x", COOKIE, HEADER, known=Known(None))
    assert isinstance(gone, Answer)
    assert gone.clear_cookie
    during = (b"Cookie", b"bff=good; bff-login=x")
    gone = ask(gate, b"/api/x", during, HEADER, known=Known(None))
    assert isinstance(gone, Answer)
    assert not gone.clear_cookie
    unverified = ask(gate, b"/api/x", HEADER, (b"Cookie", b"bff=of-another-replica"))
    assert isinstance(unverified, Answer)
    assert not unverified.clear_cookie
    nothing_sent = ask(gate, b"/api/x", HEADER)
    assert isinstance(nothing_sent, Answer)
    assert not nothing_sent.clear_cookie


def test_an_expired_token_is_waited_for_and_a_new_one_is_used_whatever_its_life() -> None:
    expired = a_session(tokens=Tokens("old", NOW - 300, NOW, refresh_token="rt"))
    gate = a_gate(expired)
    wait = ask(gate, b"/api/x", COOKIE, HEADER)
    assert isinstance(wait, Wait)
    assert (wait.needs, wait.session) == (Needs.FRESH_TOKEN, expired)
    again = ask(gate, b"/api/x", COOKIE, HEADER, known=Known(expired, refreshed=True))
    assert isinstance(again, Forward)


def test_a_token_that_is_due_goes_on_and_asks_for_a_refresh() -> None:
    due = a_session(tokens=Tokens("old", NOW - 290, NOW + 10, refresh_token="rt"))
    assert forwarded(ask(a_gate(due), b"/api/x", COOKIE, HEADER)).refresh_due
    without = a_session(tokens=Tokens("old", NOW - 290, NOW + 10))
    assert not forwarded(ask(a_gate(without), b"/api/x", COOKIE, HEADER)).refresh_due


@pytest.mark.rule("FP-13")
def test_a_route_with_a_resource_gets_the_token_for_it_and_no_other() -> None:
    """The login's token may be good or long expired: it is another one."""
    login = Tokens("at-secret", NOW - 400, NOW - 100, refresh_token="rt")
    for without in (a_session(), a_session(tokens=login)):
        wait = ask(a_gate(without), b"/orders/x", COOKIE, HEADER)
        assert isinstance(wait, Wait)
        assert (wait.needs, wait.target) == (Needs.FRESH_TOKEN, ORDERS)
        found = dataclasses.replace(
            without, api_tokens={ORDERS.key: Tokens("at-orders", NOW, NOW + 300)}
        )
        sent = forwarded(ask(a_gate(found), b"/orders/x", COOKIE, HEADER))
        assert (b"Authorization", b"Bearer at-orders") in sent.fields
        assert not sent.refresh_due
    due = a_session(api_tokens={ORDERS.key: Tokens("at-orders", NOW - 290, NOW + 10)})
    assert forwarded(ask(a_gate(due), b"/orders/x", COOKIE, HEADER)).refresh_due
    assert not forwarded(ask(a_gate(due), b"/api/x", COOKIE, HEADER)).refresh_due
    expired = a_session(api_tokens={ORDERS.key: Tokens("at-orders", NOW - 300, NOW)})
    assert isinstance(ask(a_gate(expired), b"/orders/x", COOKIE, HEADER), Wait)


@pytest.mark.rule("FP-13")
def test_a_route_with_an_exchange_gets_the_exchanged_token_and_no_other() -> None:
    gate = a_gate(a_session())
    assert refused(ask(gate, b"/stock/x", HEADER)) == "not_authenticated"
    wait = ask(gate, b"/stock/x", COOKIE, HEADER)
    assert isinstance(wait, Wait)
    assert (wait.needs, wait.target) == (Needs.EXCHANGED_TOKEN, TokenTarget(audience="stock"))
    known = Known(a_session(), token=Tokens("at-stock", NOW, NOW + 60))
    sent = forwarded(ask(gate, b"/stock/x", COOKIE, HEADER, known=known))
    assert (b"Authorization", b"Bearer at-stock") in sent.fields
    still = ask(gate, b"/stock/x", COOKIE, HEADER, known=Known(a_session(), refreshed=True))
    assert isinstance(still, Wait)


@pytest.mark.rule("PX-04")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "FOO", "get"])
def test_methods_are_those_of_the_route(method: str) -> None:
    decision = ask(a_gate(a_session()), b"/api/x", COOKIE, HEADER, method=method)
    assert refused(decision) == "method_not_allowed"


@pytest.mark.rule("SM-05")
@pytest.mark.parametrize(
    ("hosts", "code"),
    [
        ([], "bad_request"),
        ([HOST, HOST], "bad_request"),
        ([(b"Host", b"a b")], "bad_request"),
        ([(b"Host", b"")], "bad_request"),
        ([(b"Host", b"evil.example")], "misdirected_host"),
        ([(b"Host", b"app.example:444")], "misdirected_host"),
        ([(b"Host", b"app.example.")], "misdirected_host"),
    ],
)
def test_only_our_host_is_served(hosts: Fields, code: str) -> None:
    head = RequestHead("GET", b"/api/x", [*hosts, COOKIE, HEADER], "203.0.113.9")
    assert refused(a_gate(a_session()).decide(head)) == code


@pytest.mark.rule("SM-03")
@pytest.mark.parametrize(
    "codings",
    [["gzip, chunked"], ["chunked, chunked"], ["chunked", "chunked"], ["identity"], [""], ["gzip"]],
)
def test_a_transfer_coding_other_than_chunked_is_refused(codings: list[str]) -> None:
    """RFC 9112 section 6.1: whatever the parser in front of the gate lets through."""
    gate = a_gate(a_session())
    fields = [(b"Transfer-Encoding", coding.encode()) for coding in codings]
    assert refused(ask(gate, b"/api/x", COOKIE, HEADER, *fields)) == "bad_request"
    forwarded(ask(gate, b"/api/x", COOKIE, HEADER, (b"Transfer-Encoding", b" Chunked ")))


@pytest.mark.rule("SM-05")
def test_the_authority_of_an_absolute_target_wins_over_host() -> None:
    gate = a_gate(a_session())
    assert refused(ask(gate, b"http://evil/api/x", COOKIE, HEADER)) == "misdirected_host"
    elsewhere = (b"Host", b"evil.example")
    ours = ask(gate, b"https://app.example/api/x", COOKIE, HEADER, host=elsewhere)
    assert forwarded(ours).path_and_query == b"/x"


@pytest.mark.rule("PX-09")
def test_a_forwarded_host_counts_from_a_trusted_proxy_only() -> None:
    gate = a_gate(a_session())
    inside = (b"Host", b"gateway.internal")
    said = (b"X-Forwarded-Host", b"app.example")
    trusted = ask(gate, b"/api/x", COOKIE, HEADER, said, host=inside, peer="10.1.1.1")
    assert isinstance(trusted, Forward)
    untrusted = ask(gate, b"/api/x", COOKIE, HEADER, said, host=inside)
    assert refused(untrusted) == "misdirected_host"


@pytest.mark.rule("PX-06")
def test_the_gateway_speaks_for_itself_and_the_browser_cannot() -> None:
    forged = [
        (b"Authorization", b"Bearer forged"),
        (b"authorization", b"Bearer again"),
        (b"X_Forwarded_User", b"admin"),
        (b"X-Forwarded-Proto", b"gopher"),
        (b"X-Request-ID", b"forged-request-id"),
        (b"Connection", b"Authorization, X-Forwarded-For, Via"),
    ]
    fields = forwarded(ask(a_gate(a_session()), b"/api/x", COOKIE, HEADER, *forged)).fields
    sent = {name.lower(): [v for n, v in fields if n.lower() == name.lower()] for name, _ in fields}
    assert sent[b"authorization"] == [b"Bearer at-secret"]
    assert sent[b"x-forwarded-for"] == [b"203.0.113.9"]
    assert sent[b"x-forwarded-proto"] == [b"https"]
    assert sent[b"x-forwarded-host"] == [b"app.example"]
    assert sent[b"via"] == [b"1.1 bff-test"]
    assert sent[b"x-request-id"] != [b"forged-request-id"]
    assert b"x_forwarded_user" not in sent


@pytest.mark.rule("PX-08")
def test_via_is_appended_and_a_loop_is_refused() -> None:
    gate = a_gate(a_session())
    once = forwarded(ask(gate, b"/api/x", COOKIE, HEADER, (b"Via", b"1.0 fred, 1.1 p")))
    assert (b"Via", b"1.0 fred, 1.1 p, 1.1 bff-test") in once.fields
    loop = ask(gate, b"/api/x", COOKIE, HEADER, (b"Via", b"1.0 fred, 1.1 bff-test (x)"))
    assert refused(loop) == "loop_detected"


@pytest.mark.rule("PX-17")
@pytest.mark.parametrize("protocol", [b"websocket", b"WebSocket", b"h2c, websocket"])
def test_a_websocket_is_refused_where_there_is_none(protocol: bytes) -> None:
    upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", protocol)]
    decision = ask(a_gate(a_session()), b"/api/x", COOKIE, HEADER, *upgrade)
    assert refused(decision) == "upgrade_not_supported"


@pytest.mark.rule("PX-17")
@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"websockets", b""])
def test_any_other_upgrade_is_ignored(protocol: bytes) -> None:
    """RFC 9110 section 7.8. Java's HttpClient offers h2c with each first request."""
    upgrade = [(b"Connection", b"Upgrade"), (b"Upgrade", protocol)]
    head = forwarded(ask(a_gate(a_session()), b"/api/x", COOKIE, HEADER, *upgrade))
    assert {b"upgrade", b"connection"}.isdisjoint(name.lower() for name, _ in head.fields)


def test_a_route_without_a_token_needs_no_session_but_changes_need_the_header() -> None:
    gate = a_gate()
    reading = forwarded(ask(gate, b"/open/x", COOKIE))
    assert not [name for name, _ in reading.fields if name == b"Authorization"]
    assert reading.session is None
    assert refused(ask(gate, b"/open/x", method="POST")) == "csrf_header_missing"
    assert isinstance(ask(gate, b"/open/x", HEADER, method="POST"), Forward)


@pytest.mark.rule("duende-misuse")
def test_a_client_token_is_for_sessions_unless_the_route_says_anonymous() -> None:
    token = Tokens("client-at", NOW, NOW + 60)
    gate = a_gate()
    assert refused(ask(gate, b"/service/x", HEADER)) == "not_authenticated"
    wait = ask(gate, b"/catalog/x", HEADER)
    assert isinstance(wait, Wait)
    assert (wait.needs, wait.target) == (Needs.CLIENT_TOKEN, TokenTarget(scope="s2"))
    sent = forwarded(ask(gate, b"/catalog/x", HEADER, known=Known(token=token)))
    assert (b"Authorization", b"Bearer client-at") in sent.fields
    with_session = ask(a_gate(a_session()), b"/service/x", COOKIE, HEADER)
    assert isinstance(with_session, Wait)
    assert with_session.target == TokenTarget(scope="s1")


@pytest.mark.rule("SE-11")
@pytest.mark.parametrize(
    "fields",
    [
        [(b"Sec-Fetch-Site", b"cross-site"), (b"Sec-Fetch-Mode", b"navigate")],
        [(b"Sec-Fetch-Site", b"same-site"), (b"Sec-Fetch-Mode", b"navigate")],
        [(b"Sec-Fetch-Site", b"cross-site"), (b"Sec-Fetch-Dest", b"image")],
        [(b"Sec-Fetch-Site", b"same-origin"), (b"Sec-Fetch-Dest", b"iframe")],
        [(b"Sec-Fetch-Site", b"same-origin"), (b"Sec-Fetch-Mode", b"cors")],
        [(b"Sec-Fetch-Site", b"same-origin"), (b"Sec-Fetch-Site", b"cross-site")],
    ],
)
@pytest.mark.parametrize("path", [b"/bff/login", b"/bff/resume"])
def test_a_login_starts_by_a_navigation_of_our_own_only(path: bytes, fields: Fields) -> None:
    assert refused(ask(a_gate(), path, *fields)) == "navigation_required"


@pytest.mark.parametrize("site", [b"same-origin", b"none"])
def test_a_login_starts_from_our_pages_and_the_address_bar(site: bytes) -> None:
    fields = [
        (b"Sec-Fetch-Site", site),
        (b"Sec-Fetch-Mode", b"navigate"),
        (b"Sec-Fetch-Dest", b"document"),
    ]
    decision = ask(a_gate(), b"/bff/login?returnUrl=/x", *fields)
    assert isinstance(decision, Local)
    assert decision.endpoint == "login"


def test_the_user_endpoint_and_post_logout_are_guarded_even_without_a_cookie() -> None:
    gate = a_gate()
    assert refused(ask(gate, b"/bff/user")) == "csrf_header_missing"
    assert refused(ask(gate, b"/bff/logout", method="POST")) == "csrf_header_missing"
    assert isinstance(ask(gate, b"/bff/user", HEADER), Local)
    assert isinstance(ask(gate, b"/bff/logout"), Local)


@pytest.mark.parametrize(
    "path", [b"/bff/", b"/bff/nothing", b"/bff/user/", b"/bff/login/x", b"/bff/metrics"]
)
def test_nothing_else_answers_below_our_prefix(path: bytes) -> None:
    assert refused(ask(a_gate(a_session()), path, COOKIE, HEADER)) == "not_found"


def test_an_encoded_own_path_is_not_our_endpoint() -> None:
    assert refused(ask(a_gate(), b"/bff/%6cogin")) == "ambiguous_path"


def test_a_request_id_is_taken_from_a_trusted_proxy_if_it_is_plain() -> None:
    gate = a_gate(a_session())
    plain = (b"X-Request-ID", b"abc-123.def_456")
    taken = forwarded(ask(gate, b"/api/x", COOKIE, HEADER, plain, peer="10.0.0.1"))
    assert taken.identity.request_id == "abc-123.def_456"
    for odd in (b"short", b"with space here", b"x" * 65, b"a\"b'c<d>ef"):
        made = forwarded(
            ask(gate, b"/api/x", COOKIE, HEADER, (b"X-Request-ID", odd), peer="10.0.0.1")
        )
        assert len(made.identity.request_id) == 32


def test_no_secret_shows_in_a_decision() -> None:
    decision = ask(a_gate(a_session()), b"/api/x", COOKIE, HEADER)
    assert "at-secret" not in repr(decision)
    assert "rt-secret" not in repr(decision)


def test_a_request_through_a_unix_socket_comes_from_an_unknown_address() -> None:
    head = RequestHead("GET", b"/api/x", [HOST, COOKIE, HEADER], None)
    fields = forwarded(a_gate(a_session()).decide(head)).fields
    assert (b"X-Forwarded-For", b"unknown") in fields


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (b"/api/x", "/api/"),
        (b"/api/deep", "/api/deep/"),
        (b"/bff/sessions/abc", "/bff/sessions/*"),
        (b"/bff/nothing", ""),
        (b"/page", "spa"),
        (b"no path", ""),
    ],
)
def test_a_route_is_named_in_words_of_the_configuration(path: bytes, route: str) -> None:
    assert a_gate().route_of(RequestHead("GET", path, [HOST], None)) == route


@pytest.mark.parametrize("fields", [[], [(b"Host", b"evil.example")], [HOST, HOST]])
@pytest.mark.parametrize("path", [b"/api/x", b"/page"])
def test_a_request_that_has_come_for_no_application_has_no_route(
    path: bytes, fields: Fields
) -> None:
    """As in the metrics, also where there is one application only."""
    assert a_gate().route_of(RequestHead("GET", path, fields, None)) == ""


def test_where_the_application_is_served_elsewhere_no_path_leads_to_it() -> None:
    gate = a_gate(spa=None)
    assert refused(ask(gate, b"/page")) == "not_found"
    assert gate.route_of(RequestHead("GET", b"/page", [HOST], None)) == ""


@pytest.mark.parametrize("path", [b"/bff/callback", b"/bff/client/x.js", b"/page"])
def test_an_endpoint_that_wants_no_session_does_not_wait_for_one(path: bytes) -> None:
    decision = ask(a_gate(), path, COOKIE)
    assert isinstance(decision, Local)
    assert (decision.session_key, decision.session) == (None, None)


def test_an_endpoint_that_wants_the_session_gets_it_or_learns_that_there_is_none() -> None:
    wait = ask(a_gate(), b"/bff/user", COOKIE, HEADER)
    assert isinstance(wait, Wait)
    assert (wait.needs, wait.key) == (Needs.SESSION, KEY)
    gone = ask(a_gate(), b"/bff/user", COOKIE, HEADER, known=Known(None))
    there = ask(a_gate(a_session()), b"/bff/user", COOKIE, HEADER)
    assert isinstance(gone, Local)
    assert isinstance(there, Local)
    assert (gone.session_key, gone.session) == (KEY, None)
    assert there.session == a_session()


def test_the_connection_ends_where_the_end_of_the_request_can_not_be_told() -> None:
    unsound = ask(a_gate(), b"/api/x", (b"Transfer-Encoding", b"gzip"))
    assert isinstance(unsound, Answer)
    assert unsound.ends_connection
    other = ask(a_gate(), b"/api/x")
    assert isinstance(other, Answer)
    assert not other.ends_connection


SAME = (b"Sec-Fetch-Site", b"same-origin")
OURS = (b"Origin", b"https://app.example")
WEBSOCKET = [
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
]


def test_an_own_endpoint_answers_its_methods_only() -> None:
    for path in (b"/bff/user", b"/page"):
        assert refused(ask(a_gate(), path, HEADER, method="POST")) == "method_not_allowed"


@pytest.mark.rule("PX-06")
def test_a_route_tells_of_its_prefix_and_keeps_what_it_strips() -> None:
    debug = (b"X_Debug", b"1")
    gate = a_gate(a_session())
    stripped = forwarded(ask(gate, b"/live/x", COOKIE, HEADER, debug))
    assert (b"X-Forwarded-Prefix", b"/live") in stripped.fields
    assert debug not in stripped.fields
    assert stripped.stripped == (b"X_Debug",)
    assert debug in forwarded(ask(gate, b"/api/x", COOKIE, HEADER, debug)).fields
    untold = forwarded(ask(gate, b"/api/deep/x", COOKIE, HEADER)).fields
    assert not [value for name, value in untold if name == b"X-Forwarded-Prefix"]


@pytest.mark.rule("CS-03")
def test_a_null_origin_of_our_own_page_reaches_the_api_as_ours() -> None:
    null = (b"Origin", b"null")
    decision = forwarded(ask(a_gate(a_session()), b"/api/x", COOKIE, HEADER, SAME, null))
    assert OURS in decision.fields
    assert null not in decision.fields


@pytest.mark.rule("CS-07")
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([COOKIE], "csrf_origin_unknown"),
        ([COOKIE, SAME], "csrf_origin_unknown"),
        ([COOKIE, (b"Origin", b"https://evil.example")], "csrf_foreign_origin"),
        ([COOKIE, (b"Origin", b"null"), SAME], "csrf_foreign_origin"),
        ([OURS], "not_authenticated"),
    ],
)
def test_a_handshake_is_of_our_own_page_and_of_a_session(fields: Fields, code: str) -> None:
    assert refused(ask(a_gate(a_session()), b"/live", *WEBSOCKET, *fields)) == code


def test_a_handshake_in_order_is_forwarded_with_its_key_and_no_other() -> None:
    gate = a_gate(a_session())
    decision = forwarded(ask(gate, b"/live", *WEBSOCKET, COOKIE, OURS))
    assert decision.websocket_key == WEBSOCKET[3][1]
    assert (b"Authorization", b"Bearer at-secret") in decision.fields
    several = [(name, b"h2c, websocket" if name == b"Upgrade" else v) for name, v in WEBSOCKET]
    assert refused(ask(gate, b"/live", *several, COOKIE, OURS)) == "upgrade_not_supported"
    assert forwarded(ask(gate, b"/live", COOKIE, HEADER)).websocket_key is None


@pytest.mark.rule("CS-01")
def test_a_call_with_the_clients_token_is_guarded_even_without_a_session() -> None:
    """What goes along is the gateway's own; a route on which nothing does may be open to all."""
    assert refused(ask(a_gate(), b"/catalog/x")) == "csrf_header_missing"
    assert isinstance(ask(a_gate(), b"/hooks/x", method="POST"), Forward)


def test_what_is_waited_for_says_for_whom() -> None:
    expired = a_session(tokens=Tokens("old", NOW - 300, NOW, refresh_token="rt"))
    for path in (b"/api/x", b"/service/x"):
        wait = ask(a_gate(expired), path, COOKIE, HEADER)
        assert isinstance(wait, Wait)
        assert (wait.key, wait.session, wait.may_clear_cookie) == (KEY, expired, True)
    anonymous = ask(a_gate(), b"/catalog/x", HEADER)
    assert isinstance(anonymous, Wait)
    assert (anonymous.key, anonymous.session, anonymous.may_clear_cookie) == ("", None, False)


def test_what_was_found_by_waiting_counts_and_not_what_is_in_memory() -> None:
    """The session may have ended meanwhile."""
    gate = a_gate(a_session())
    gone = ask(gate, b"/bff/user", COOKIE, HEADER, known=Known(None))
    assert isinstance(gone, Local)
    assert gone.session is None
    assert refused(ask(gate, b"/api/x", COOKIE, HEADER, known=Known(None))) == "not_authenticated"


def test_only_what_was_typed_may_come_from_no_site() -> None:
    """On a route that is read without the header."""
    typed = [(b"Sec-Fetch-Site", b"none"), (b"Sec-Fetch-Mode", b"navigate")]
    gate = a_gate(a_session())
    assert isinstance(ask(gate, b"/files/x", COOKIE, SAME), Forward)
    fetched = ask(gate, b"/files/x", COOKIE, typed[0])
    assert refused(fetched) == "csrf_cross_site"
    cross = (b"Sec-Fetch-Site", b"cross-site")
    assert refused(ask(gate, b"/files/x", COOKIE, cross, typed[1])) == "csrf_cross_site"
    assert isinstance(ask(gate, b"/files/x", COOKIE, *typed), Forward)
    foreign = (b"Origin", b"https://evil.example")
    assert refused(ask(gate, b"/files/x", COOKIE, *typed, foreign)) == "csrf_cross_site"


def test_the_client_is_the_first_of_the_hops_that_count() -> None:
    said = (b"X-Forwarded-For", b"198.51.100.7")
    head = RequestHead("GET", b"/page", [HOST, said], "10.0.0.1")
    assert a_gate().decide(head).identity.client_address == "198.51.100.7"
    direct = RequestHead("GET", b"/page", [HOST, said], "203.0.113.9")
    assert a_gate().decide(direct).identity.client_address == "203.0.113.9"
    assert a_gate().decide(RequestHead("GET", b"/page", [HOST], None)).identity.client_address == (
        "unknown"
    )


def test_each_request_has_an_id_of_its_own() -> None:
    """In one process and among several."""
    gates = [a_gate(), a_gate()]
    found = {ask(gate, b"/page").identity.request_id for gate in gates for _ in range(3)}
    assert len(found) == 6


def test_no_cookie_is_cleared_for_a_request_that_is_refused_for_any_sender() -> None:
    for path in (b"/bff/nothing", b"/api/x", b"/api/%2e"):
        answer = ask(a_gate(a_session()), path, COOKIE)
        assert isinstance(answer, Answer)
        assert not answer.clear_cookie
    wait = ask(a_gate(), b"/api/x", COOKIE, HEADER)
    assert isinstance(wait, Wait)
    assert not wait.may_clear_cookie


def test_a_session_that_was_found_with_an_expired_token_is_waited_for_once_more() -> None:
    expired = a_session(tokens=Tokens("old", NOW - 300, NOW, refresh_token="rt"))
    wait = ask(a_gate(), b"/api/x", COOKIE, HEADER, known=Known(expired))
    assert isinstance(wait, Wait)
    assert wait.needs is Needs.FRESH_TOKEN


def test_a_handshake_with_the_clients_token_carries_no_header() -> None:
    wait = ask(a_gate(), b"/ticker", *WEBSOCKET, OURS)
    assert isinstance(wait, Wait)
    assert (wait.needs, wait.target) == (Needs.CLIENT_TOKEN, TokenTarget(scope="s3"))


def test_only_the_users_token_asks_for_a_refresh() -> None:
    due = a_session(tokens=Tokens("old", NOW - 290, NOW + 10, refresh_token="rt"))
    known = Known(due, token=Tokens("client-at", NOW, NOW + 60))
    decision = forwarded(ask(a_gate(due), b"/service/x", COOKIE, HEADER, known=known))
    assert not decision.refresh_due


@pytest.mark.rule("FE-02")
@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_session_of_another_frontend_is_none(is_loaded: bool) -> None:
    """From memory or from the store, for a call and for an own endpoint, without waiting."""
    foreign = a_session(frontend="shop")
    known = Known(session=foreign) if is_loaded else None
    gate = a_gate(None if is_loaded else foreign)
    assert refused(ask(gate, b"/api/x", COOKIE, HEADER, known=known)) == "not_authenticated"
    own = ask(gate, b"/bff/user", COOKIE, HEADER, known=known)
    assert isinstance(own, Local)
    assert own.session is None
