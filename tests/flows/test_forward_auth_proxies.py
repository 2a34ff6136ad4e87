"""Caddy and nginx carry the calls, as docs/forward-auth.md has them, and the gateway decides.

Their configurations are what keeps the promises here, so each is held against the real program.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bff.clock import ManualClock
from tests.flows.apis import status_of
from tests.flows.asking_proxies import PROXIES, Behind, behind, printed
from tests.polling import until

CANARY = b"api-canary"
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nSet-Cookie: __Host-Http-bff=planted; Path=/\r\n\r\n"
    + CANARY
)


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def logged_in(
    proxy: str, folder: Path, clock: ManualClock | None = None
) -> AsyncIterator[Behind]:
    async with behind(proxy, folder, clock) as installation:
        installation.api.answer = ANSWER
        await installation.log_in()
        yield installation


def token_of(installation: Behind) -> bytes:
    """What the API was last sent as bearer token."""
    (value,) = installation.api.received[-1].values(b"authorization")
    assert value.startswith(b"Bearer eyJ")
    return value.removeprefix(b"Bearer ")


@pytest.mark.rule("PX-20")
async def test_the_proxy_carries_a_call_with_the_users_token(proxy: str, tmp_path: Path) -> None:
    """The API gets the browser's bytes and the token; the browser gets neither token nor cookie."""
    target = "/api/a%20b/%C3%BC%3A%2B?x=%2F..%2F&y=/api/public/&z=a+b;c"
    async with logged_in(proxy, tmp_path) as installation:
        answer = await installation.browser.fetch("POST", target, json={"a": 1})
        assert (answer.status, answer.body) == (200, CANARY)
        (request,) = installation.api.received
        assert request.request_line == f"POST {target} HTTP/1.1".encode()
        assert request.body == b'{"a": 1}'
        assert request.values(b"cookie") == []
        assert request.values(b"host") == [installation.host.encode()]
        assert request.values(b"x-forwarded-for") == [b"127.0.0.1"]
        assert len(request.values(b"x-request-id")) == 1
        assert not any(b"bff" in value for value in request.values(b"via"))  # not by the gateway
        assert token_of(installation).decode() not in str(answer.headers)
        assert "Authorization" not in answer.headers
        assert "Set-Cookie" not in answer.headers
        assert answer.headers.getall("Cache-Control") == ["no-store"]


async def test_what_the_gateway_refuses_is_answered_as_it_would_itself(
    proxy: str, tmp_path: Path
) -> None:
    """With its status, its code, and the page for a navigation; and the API never hears of it."""
    async with logged_in(proxy, tmp_path) as installation:
        call = installation.head
        evil = "Origin: https://evil.example"
        requests = {
            "not_authenticated": call("GET /api/x HTTP/1.1", session=False),
            "csrf_header_missing": call("GET /api/x HTTP/1.1").replace(b"X-CSRF: 1\r\n", b""),
            "csrf_cross_site": call("GET /api/x HTTP/1.1", "Sec-Fetch-Site: cross-site"),
            "csrf_foreign_origin": call("POST /api/x HTTP/1.1", "Content-Length: 0", evil),
            "method_not_allowed": call("OPTIONS /api/x HTTP/1.1"),
            "upgrade_not_supported": call("GET /api/x HTTP/1.1", "Upgrade: websocket").replace(
                b"Connection: close", b"Connection: Upgrade, close"
            ),
        }
        if proxy == "nginx":  # asks without Upgrade, which it does not send to an API either
            del requests["upgrade_not_supported"]
        answers = {code: await installation.raw(sent) for code, sent in requests.items()}
        bodies = {
            code: json.loads(answer.partition(b"\r\n\r\n")[2]) for code, answer in answers.items()
        }
        assert {code: body["code"] for code, body in bodies.items()} == dict(
            zip(answers, answers, strict=True)
        )
        assert {code: status_of(answer) for code, answer in answers.items()} == {
            code: body["status"] for code, body in bodies.items()
        }
        assert bodies["not_authenticated"]["login_url"] == "/bff/login"
        assert b"allow: " in answers["method_not_allowed"].lower()
        for answer in answers.values():
            assert b"no-store" in answer
            assert b"authorization" not in answer.lower().partition(b"\r\n\r\n")[0]
        page = await installation.browser.navigate("/api/x", initiator="https://evil.example")
        assert page.status == 401
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert installation.api.received == []


FORGED = [
    "X-Forwarded-Uri: /api/public/x",
    "X-Forwarded-Method: OPTIONS",
    "X-Original-URI: /api/public/x",
    "X-Original-URL: /api/public/x",
    "X-Original-Method: OPTIONS",
    "X_Forwarded_Uri: /api/public/x",
    "X_Original_URI: /api/public/x",
    "X-Rewrite-URL: /api/public/x",
    "X-Http-Method-Override: OPTIONS",
    "X-Forwarded-User: admin",
    "X-Auth-Request-User: admin",
    "X-Remote-User: admin",
    "Remote-User: admin",
    "Remote_User: admin",
    "X-User: admin",
    "Authorization: Bearer forged",
    "DPoP: forged",
    "Forwarded: for=192.0.2.1",
    "X-Request-ID: forged-request-id",
    "X-Real-IP: 192.0.2.1",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: gopher",
]
CLAIMS = [
    *FORGED,
    "User-Agent: GoogleHC/1.0",
    "User-Agent: kube-probe/1.30",
    "User-Agent: ELB-HealthChecker/2.0",
    "Accept: text/event-stream",
    "Connection: X-Forwarded-Uri, X-Forwarded-Method, X-Original-URI, X-Original-Method",
]


@pytest.mark.rule("CVE-2026-40575")
@pytest.mark.rule("CVE-2026-34457")
@pytest.mark.rule("PX-09")
async def test_no_header_of_a_browser_stands_for_a_session_or_another_request(
    proxy: str, tmp_path: Path
) -> None:
    """Without a session nothing passes; with one, nothing of the kind reaches the API."""
    async with logged_in(proxy, tmp_path) as installation:
        call = installation.head
        for field in CLAIMS:
            answer = await installation.raw(call("GET /api/real HTTP/1.1", field, session=False))
            assert status_of(answer) == 401, field
        everything = call("GET /api/real HTTP/1.1", *CLAIMS, session=False)
        assert status_of(await installation.raw(everything)) == 401
        assert installation.api.received == []
        for field in FORGED:
            await installation.raw(call("GET /api/real HTTP/1.1", field))
        assert len(installation.api.received) == len(FORGED)
        for field, request in zip(FORGED, installation.api.received, strict=True):
            assert request.request_line == b"GET /api/real HTTP/1.1", field
            assert request.values(b"via") == [], field  # the proxy's, not the gateway's
            assert field.partition(": ")[2].encode() not in b"\n".join(request.lines[1:]), field


@pytest.mark.rule("CVE-2026-30851")
async def test_a_route_without_a_token_gets_none_from_the_browser(
    proxy: str, tmp_path: Path
) -> None:
    """The answer has nothing to copy there, and the browser's own must not fill the gap."""
    async with logged_in(proxy, tmp_path) as installation:
        for session in (False, True):
            await installation.raw(
                installation.head(
                    "GET /api/public/x HTTP/1.1", "Authorization: Bearer forged", session=session
                )
            )
            request = installation.api.received[-1]
            assert request.request_line == b"GET /api/public/x HTTP/1.1"
            assert request.values(b"authorization") == []
            assert request.values(b"cookie") == []


@pytest.mark.rule("CVE-2026-30851")
def test_what_caddy_copies_it_has_removed_before() -> None:
    """Some versions leave the browser's own where the answer has none."""
    before, _, after = printed("caddyfile").partition("copy_headers ")
    names = after.splitlines()[0].split()
    assert "Authorization" in names
    for name in names:
        assert f"\trequest_header -{name}\n" in before


@pytest.mark.rule("CVE-2025-54576")
@pytest.mark.rule("PX-02")
async def test_a_path_of_two_readings_reaches_no_api(proxy: str, tmp_path: Path) -> None:
    """With a session or without: what the proxy tidies up for itself is not what was decided."""
    targets = [
        "/api/public/../secret",
        "/api/public/%2e%2e/secret",
        "/api/public/..%2fsecret",
        "/api/public/..;/secret",
        "/api/public/%2E%2E%2Fsecret",
        "/api/public//../secret",
        "/api/public/%252e%252e/secret",
        "/api/public/..\\secret",
        "/api/public%2f..%2fsecret",
        "/public/../api/secret",
        "//api/secret",
        "/api//secret",
        "/%61pi/secret",
        "/api/./secret",
        "/api/secret%2f",
        "/x/%2e%2e/api/secret",
    ]
    public = [
        "/api/secret?/api/public/",
        "/api/secret?x=/api/public/x",
        "/api/secret%3F/api/public/",
    ]
    async with logged_in(proxy, tmp_path) as installation:
        for target in [*targets, *public]:
            answer = await installation.raw(
                installation.head(f"GET {target} HTTP/1.1", session=False)
            )
            assert CANARY not in answer, target
        for target in targets:
            answer = await installation.raw(installation.head(f"GET {target} HTTP/1.1"))
            assert CANARY not in answer, target
            assert status_of(answer) in (400, 404) or b"<html" in answer, target  # or the SPA's
        assert [request.request_line for request in installation.api.received] == []


@pytest.mark.rule("SE-06")
async def test_a_logout_stops_the_next_call(proxy: str, tmp_path: Path) -> None:
    async with logged_in(proxy, tmp_path) as installation:
        browser = installation.browser
        assert (await browser.fetch("GET", "/api/x")).status == 200
        cookie = browser.cookies.get("__Host-Http-bff")
        assert (await browser.fetch("POST", "/bff/logout")).status == 200
        assert (await browser.fetch("GET", "/api/x")).status == 401
        stolen = installation.head(
            "GET /api/x HTTP/1.1", f"Cookie: __Host-Http-bff={cookie}", session=False
        )
        assert status_of(await installation.raw(stolen)) == 401
        assert len(installation.api.received) == 1


@pytest.mark.rule("TK-06")
async def test_tokens_are_refreshed_for_proxies_as_well(proxy: str, tmp_path: Path) -> None:
    """Once for many calls; an outage of the OP is a 503; a dead grant ends the session, and its
    cookie is taken away."""
    clock = ManualClock()
    async with logged_in(proxy, tmp_path, clock) as installation:
        browser = installation.browser
        await browser.fetch("GET", "/api/x")
        before = token_of(installation)
        clock.advance(45)  # due, and still good
        await browser.fetch("GET", "/api/x")
        assert token_of(installation) == before
        await until(lambda: installation.op.counters.refreshes == 1)
        clock.advance(61)
        answers = await asyncio.gather(*(browser.fetch("GET", "/api/x") for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert token_of(installation) != before
        assert installation.op.counters.refreshes == 2

        calls = len(installation.api.received)
        clock.advance(61)
        await installation.op.server.stop()
        answer = await browser.fetch("GET", "/api/x")
        assert (answer.status, answer.json()["code"]) == (503, "op_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        await installation.op.server.start()
        clock.advance(61)
        installation.op.revoke_all_grants()
        browser.cookies.delete("__Host-Http-bff-login")  # the login is long over
        answer = await browser.fetch("GET", "/api/x")
        # nginx asks twice: of the session that its first question has ended nothing is known.
        code = {"caddy": "session_ended", "nginx": "not_authenticated"}[proxy]
        assert (answer.status, answer.json()["code"]) == (401, code)
        assert browser.cookies.get("__Host-Http-bff") is None
        assert len(installation.api.received) == calls


async def test_nginx_copies_the_cookies_that_a_route_lists(tmp_path: Path) -> None:
    async with logged_in("nginx", tmp_path) as installation:
        await installation.raw(installation.head("GET /api/themed/x HTTP/1.1"))
        assert installation.api.received[-1].values(b"cookie") == [b"theme=dark"]
