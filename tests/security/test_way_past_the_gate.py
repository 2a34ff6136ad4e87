"""What let requests past other gateways: here nothing passes without a session, whatever it says.

The upstream answers with a canary, so that an answer that holds it has come from there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.flows.apis import Api, an_api, status_of
from tests.parts.raw_upstream import raw_upstream

CANARY = b"upstream-canary"
MORE = """
[[routes]]
path = "/public/"
upstream = "UPSTREAM/public/"
token = "none"

[[routes]]
path = "/foo/"
upstream = "UPSTREAM/foo/"
"""


@asynccontextmanager
async def a_guarded_api(user: str | None = None) -> AsyncIterator[Api]:
    async with an_api(more=MORE, user=user) as api:
        length = len(CANARY)
        api.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (length, CANARY)
        yield api


def anonymous(api: Api, target: str, *fields: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {api.host}", "X-CSRF: 1", "Connection: close"]
    return ("\r\n".join([*lines, *fields]) + "\r\n\r\n").encode()


async def statuses(api: Api, requests: dict[str, bytes]) -> dict[str, int]:
    """What each request was answered with; none reached the upstream or brought its body."""
    answers = {name: await api.raw(request) for name, request in requests.items()}
    assert [name for name, answer in answers.items() if CANARY in answer] == []
    assert api.upstream.received == []
    return {name: status_of(answer) for name, answer in answers.items()}


@pytest.mark.rule("CVE-2025-54576")
@pytest.mark.rule("CVE-2026-41059")
@pytest.mark.rule("CVE-2026-33494")
@pytest.mark.rule("GHSA-5m6w-wvh7-57vm")
async def test_no_spelling_of_a_target_borrows_the_freedom_of_a_public_route() -> None:
    """The route without a session is open; nothing else becomes it by query, fragment or dots."""
    unauthenticated = [
        "/api/secret?x=/public/",
        "/api/secret?/public/",
        "/foo/secret%23/public/",
        "/api/secret%3F/public/",
        "/api/public/",
        "/foo/secret",
    ]
    ambiguous = [
        "/foo/secret#/public/",
        "/public/../api/secret",
        "/public/..%2fapi/secret",
        "/public/%2e%2e/api/secret",
        "/public/%2E%2E%2Fapi/secret",
        "/public/.%2e/api/secret",
        "/public/%252e%252e/api/secret",
        "/public/..;/api/secret",
        "/public/;/../api/secret",
        "/public/..\\api\\secret",
        "/public/%5c..%5capi/secret",
        "/public//../api/secret",
        "//public/../api/secret",
        "/public/x%00/../../api/secret",
    ]
    async with a_guarded_api() as api:
        expected = dict.fromkeys(unauthenticated, 401) | dict.fromkeys(ambiguous, 400)
        assert await statuses(api, {path: anonymous(api, path) for path in expected}) == expected
        assert CANARY in await api.raw(anonymous(api, "/public/x"))


FORGED = [
    "User-Agent: GoogleHC/1.0",
    "User-Agent: kube-probe/1.30",
    "User-Agent: ELB-HealthChecker/2.0",
    "Authorization: Bearer anything",
    "Authorization: Basic YWRtaW46YWRtaW4=",
    "Proxy-Authorization: Bearer anything",
    "DPoP: anything",
    "X-Forwarded-Uri: /public/x",
    "X-Forwarded-Path: /public/x",
    "X-Forwarded-Prefix: /public",
    "X-Forwarded-Method: OPTIONS",
    "X-Original-URL: /public/x",
    "X-Original-URI: /public/x",
    "X-Original-Method: OPTIONS",
    "X-Rewrite-URL: /public/x",
    "X-Http-Method-Override: OPTIONS",
    "X-Forwarded-User: admin",
    "X-Auth-Request-User: admin",
    "X-User: admin",
    "Remote-User: admin",
    "X-Real-IP: 127.0.0.1",
    "X-Forwarded-For: 127.0.0.1",
    "Forwarded: for=127.0.0.1;proto=https",
    "Sec-Fetch-Site: same-origin",
    "Origin: null",
    "X-Internal: true",
    "Accept: text/event-stream",
    "Accept: text/html",
    "Accept: application/json",
    "Accept: application/grpc",
    "Accept: image/*",
    "Accept: */*;q=0",
    "Accept:",
]


@pytest.mark.rule("CVE-2026-40575")
@pytest.mark.rule("CVE-2026-34457")
@pytest.mark.rule("CVE-2022-29226")
@pytest.mark.rule("traefikoidc-accept")
@pytest.mark.rule("GHSA-59jp-rwph-878r")
async def test_no_header_stands_for_a_session() -> None:
    """Nor does an answer to a request without one hold anything of the upstream's."""
    async with a_guarded_api() as api:
        requests = {field: anonymous(api, "/api/secret", field) for field in FORGED}
        navigation = ("Sec-Fetch-Mode: navigate", "Accept: text/html")
        requests["a navigation"] = anonymous(api, "/api/secret", *navigation)
        requests["a token in the query"] = anonymous(api, "/api/secret?access_token=anything")
        found = await statuses(api, requests)
        assert found == dict.fromkeys(requests, 401)


@pytest.mark.rule("CVE-2026-40575")
@pytest.mark.rule("GHSA-5m6w-wvh7-57vm")
async def test_the_path_that_was_decided_is_the_path_that_is_sent() -> None:
    """Headers that name another path or method change neither decision nor request."""
    claims = [field for field in FORGED if "/public" in field or "OPTIONS" in field]
    async with a_guarded_api("alice") as api:
        for field in claims:
            await api.raw(api.head("GET /api/real?x=1 HTTP/1.1", field))
        assert {r.request_line for r in api.upstream.received} == {b"GET /v1/real?x=1 HTTP/1.1"}
        assert len(api.upstream.received) == len(claims)
        sent = b"\n".join(b"\n".join(request.lines) for request in api.upstream.received)
        assert b"public" not in sent
        assert b"OPTIONS" not in sent


@pytest.mark.rule("CVE-2022-29226")
async def test_a_browsers_own_authorization_is_replaced_wherever_it_is_put() -> None:
    own = ["Authorization: Bearer mine", "authorization:Bearer mine", "Authorization : mine"]
    async with a_guarded_api("alice") as api:
        await api.raw(api.head("GET /api/x HTTP/1.1", *own[:2], "Connection: authorization"))
        (request,) = api.upstream.received
        (authorization,) = request.values(b"authorization")
        assert authorization.startswith(b"Bearer eyJ")
        assert b"mine" not in b"\n".join(request.lines)
        await api.raw(anonymous(api, "/public/x", *own[:2]))
        assert not api.upstream.received[-1].values(b"authorization")
        assert status_of(await api.raw(api.head("GET /api/x HTTP/1.1", own[2]))) == 400


@pytest.mark.rule("CVE-2022-29228")
async def test_a_refused_request_goes_no_further_and_is_answered_once() -> None:
    async with a_guarded_api("alice") as api:
        head = api.head
        csrf = head("GET /api/x HTTP/1.1").replace(b"X-CSRF: 1\r\n", b"")
        requests = {
            "no session": anonymous(api, "/api/x"),
            "no header": csrf,
            "another site": head("GET /api/x HTTP/1.1", "Sec-Fetch-Site: cross-site"),
            "another origin": head("GET /api/x HTTP/1.1", "Origin: https://evil.example"),
            "method": head("TRACE /api/x HTTP/1.1"),
            "path": head("GET /api/../x HTTP/1.1"),
            "host": head("GET /api/x HTTP/1.1").replace(b"Host: localhost", b"Host: evil"),
            "upgrade": head("GET /api/x HTTP/1.1", "Upgrade: websocket"),
            "no such path below ours": head("GET /bff/nothing HTTP/1.1"),
        }
        answers = {name: await api.raw(request) for name, request in requests.items()}
        assert {name: status_of(answer) for name, answer in answers.items()} == {
            "no session": 401,
            "no header": 403,
            "another site": 403,
            "another origin": 403,
            "method": 405,
            "path": 400,
            "host": 421,
            "upgrade": 501,
            "no such path below ours": 404,
        }
        assert {answer.count(b"HTTP/1.1 ") for answer in answers.values()} == {1}
        assert api.upstream.received == []


@pytest.mark.rule("PX-01")
async def test_nothing_in_a_request_chooses_its_upstream() -> None:
    """Only the route table does (OAuth for browser-based apps, section 6.1.3.6)."""
    async with raw_upstream() as stranger, a_guarded_api("alice") as api:
        evil = f"127.0.0.1:{stranger.port}"
        own = f"Host: {api.host}"
        refused = {
            f"GET http://{evil}/api/x HTTP/1.1": own,
            f"GET http://{api.host}@{evil}/api/x HTTP/1.1": own,
            f"GET /api//{evil}/ HTTP/1.1": own,
            f"GET /api/\\{evil}/ HTTP/1.1": own,
            "GET /api/x HTTP/1.1": f"Host: {evil}",
            f"CONNECT {evil} HTTP/1.1": own,
            f"GET {evil}/api/x HTTP/1.1": own,
        }
        for line, host in refused.items():
            answer = await api.raw(api.head(line).replace(own.encode(), host.encode()))
            assert 400 <= status_of(answer) < 500, line
        page = await api.raw(api.head(f"GET //{evil}/api/x HTTP/1.1"))
        assert b"<!doctype html>" in page  # a page of the application
        assert api.upstream.received == []
        for line in (
            f"/api/@{evil}/",
            f"/api/:{stranger.port}/",
            f"/api/http:{evil}",
            f"/api/x?u=http://{evil}",
        ):
            await api.raw(api.head(f"GET {line} HTTP/1.1", f"X-Forwarded-Host: {evil}"))
        hosts = {value for request in api.upstream.received for value in request.values(b"host")}
        assert hosts == {f"127.0.0.1:{api.upstream.port}".encode()}
        assert len(api.upstream.received) == 4
        assert stranger.connections == 0


@pytest.mark.rule("CVE-2026-33495")
async def test_the_scheme_is_that_of_the_public_url() -> None:
    async with a_guarded_api("alice") as api:
        for field in ("X-Forwarded-Proto: https", "Forwarded: proto=https", "X-Forwarded-Ssl: on"):
            await api.raw(api.head("GET /api/x HTTP/1.1", field))
            start = await api.raw(anonymous(api, "/bff/login", field))
            location = next(line for line in start.split(b"\r\n") if line.startswith(b"Location:"))
            assert b"redirect_uri=http%3A%2F%2Flocalhost" in location
        protos = [request.values(b"x-forwarded-proto") for request in api.upstream.received]
        assert protos == [[b"http"]] * 3


@pytest.mark.rule("CVE-2025-41253")
async def test_text_of_a_request_is_never_evaluated() -> None:
    """It arrives as it was sent, or it is refused."""
    odd = [
        "${PATH}",
        "{{7*7}}",
        "%(PATH)s",
        "$(id)",
        "{0.__class__}",
        "T(java.lang.Runtime)",
        "`id`",
    ]
    async with a_guarded_api("alice") as api:
        for text in odd:
            await api.raw(api.head(f"GET /api/x?q={text} HTTP/1.1", f"X-Custom: {text}"))
        assert [r.request_line for r in api.upstream.received] == [
            f"GET /v1/x?q={text} HTTP/1.1".encode() for text in odd
        ]
        assert [r.values(b"x-custom") for r in api.upstream.received] == [[t.encode()] for t in odd]
