"""The way to an API and back: bytes, heads, streams, and what happens when a side fails."""

import asyncio
import gzip
import hashlib

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.flows.apis import an_api, status_of
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.configuration import free_ports, gateway_toml
from tests.parts.raw_upstream import Received, read_body, say_nothing
from tests.parts.stack import running_gateway, running_stack
from tests.polling import HANG_SECONDS, until
from tests.security.kept_connection import kept_connection

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


@pytest.mark.rule("PX-03")
async def test_path_and_query_arrive_byte_for_byte() -> None:
    async with an_api() as api:
        for target in ("/api/a%C3%a4?q=a+b&r=%2f&s=a%20b&t=%2B&u&v=", "/api/x", "/api/", "/api"):
            await api.raw(api.head(f"GET {target} HTTP/1.1"))
        lines = [request.request_line for request in api.upstream.received]
        assert lines == [
            b"GET /v1/a%C3%a4?q=a+b&r=%2f&s=a%20b&t=%2B&u&v= HTTP/1.1",
            b"GET /v1/x HTTP/1.1",
            b"GET /v1/ HTTP/1.1",
            b"GET /v1 HTTP/1.1",
        ]


@pytest.mark.rule("PX-02")
@pytest.mark.parametrize(
    "target",
    ["/api/../x", "/api/%2e%2e/x", "/api/..%2fx", "/api//x", "/api/.;/x", "/api/%00", "/api\\x"],
)
async def test_an_ambiguous_path_never_reaches_the_upstream(target: str) -> None:
    async with an_api() as api:
        answer = await api.raw(api.head(f"GET {target} HTTP/1.1"))
        assert status_of(answer) == 400
        assert not api.upstream.received


@pytest.mark.rule("PX-06")
@pytest.mark.rule("PX-09")
@pytest.mark.rule("TK-13")
async def test_the_upstream_sees_the_gateways_word_and_not_the_browsers() -> None:
    async with an_api() as api:
        await api.raw(
            api.head(
                "GET /api/x HTTP/1.1",
                "authorization: Bearer forged",
                "Authorization: Basic forged",
                "X_Forwarded_User: admin",
                "X-Forwarded-For: 6.6.6.6",
                "X-Forwarded-Host: evil",
                "Forwarded: for=6.6.6.6",
                "X-Real-IP: 6.6.6.6",
                "Accept: application/json",
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
        )
        (request,) = api.upstream.received
        (authorization,) = request.values(b"authorization")
        assert authorization.startswith(b"Bearer eyJ")
        assert request.values(b"host") == [f"127.0.0.1:{api.upstream.port}".encode()]
        assert request.values(b"x-forwarded-for") == [b"127.0.0.1"]
        assert request.values(b"x-forwarded-proto") == [b"http"]
        public = api.stack.public_url.partition("://")[2].encode()
        assert request.values(b"x-forwarded-host") == [public]
        assert request.values(b"accept") == [b"application/json"]
        assert request.values(b"traceparent")
        assert request.values(b"x-request-id")
        assert not request.values(b"cookie")
        head = b"\n".join(request.lines)
        assert b"6.6.6.6" not in head
        assert b"forged" not in head
        assert b"admin" not in head
        names = {line.partition(b":")[0].lower() for line in request.lines[1:]}
        assert names <= {
            b"authorization", b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-csrf",
            b"x-forwarded-host", b"x-forwarded-prefix", b"accept", b"traceparent", b"x-request-id",
            b"via",
        }  # fmt: skip


@pytest.mark.rule("PX-14")
async def test_a_body_passes_up_unchanged_with_its_length() -> None:
    async with an_api() as api:
        body = bytes(range(256)) * 40_000
        head = api.head("POST /api/x HTTP/1.1", f"Content-Length: {len(body)}")
        assert status_of(await api.raw(head + body)) == 200
        (request,) = api.upstream.received
        assert request.values(b"content-length") == [str(len(body)).encode()]
        assert hashlib.sha256(request.body).digest() == hashlib.sha256(body).digest()


async def test_a_chunked_body_passes_up_as_it_comes() -> None:
    async with an_api() as api:
        head = api.head("POST /api/x HTTP/1.1", "Transfer-Encoding: chunked")
        await api.raw(head + b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n")
        (request,) = api.upstream.received
        assert request.body == b"hello world"
        assert not request.values(b"x-trailer")


@pytest.mark.rule("PX-13")
async def test_a_compressed_request_body_is_not_touched() -> None:
    async with an_api() as api:
        body = gzip.compress(b"x" * 1000)
        await api.browser.fetch("POST", "/api/x", data=body, headers={"Content-Encoding": "gzip"})
        (request,) = api.upstream.received
        assert request.body == body
        assert request.values(b"content-encoding") == [b"gzip"]


@pytest.mark.rule("PX-13")
@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd", b"gzip, gzip", b"unknown"])
async def test_an_encoded_answer_is_not_touched(coding: bytes) -> None:
    async with an_api() as api:
        api.upstream.answer = (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: "
            + coding
            + b"\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\xff"
        )
        answer = await api.raw(api.head("GET /api/x HTTP/1.1", "Accept-Encoding: gzip, br"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == b"\x1f\x8b\x00\xff"
        assert b"Content-Encoding: " + coding in head
        assert b"Content-Length: 4" in head
        assert api.upstream.received[0].values(b"accept-encoding") == [b"gzip, br"]


@pytest.mark.rule("PX-16")
@pytest.mark.parametrize(
    ("method", "answer", "status", "length"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", b"200", b"1234"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n', b"304", None),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", b"204", None),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", b"204", None),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"200", b"0"),
        ("GET", EARLY_HINTS + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"200", b"0"),
    ],
)  # fmt: skip
async def test_answers_without_a_body_stay_without_one(
    method: str, answer: bytes, status: bytes, length: bytes | None
) -> None:
    async with an_api() as api:
        api.upstream.answer = answer
        got = await api.raw(api.head(f"{method} /api/x HTTP/1.1"))
        assert got.startswith(EARLY_HINTS) == answer.startswith(EARLY_HINTS)
        head, _, body = got.removeprefix(EARLY_HINTS).partition(b"\r\n\r\n")
        assert head.split(b" ", 2)[1] == status
        assert body == b""
        lengths = [
            line.partition(b": ")[2]
            for line in head.split(b"\r\n")
            if line[:15] == b"Content-Length:"
        ]
        assert lengths == ([length] if length is not None else [])
        assert b"transfer-encoding" not in head.lower()


@pytest.mark.rule("PX-14")
async def test_a_large_download_comes_through_whole() -> None:
    chunk = bytes(range(256)) * 256

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(400):
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with an_api() as api:
        api.upstream.responder = respond
        answer = await api.browser.fetch("GET", "/api/x")
        assert len(answer.body) == 400 * len(chunk)
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(chunk * 400).digest()


@pytest.mark.rule("PX-14")
async def test_a_slow_reader_holds_the_upstream_back() -> None:
    sent = 0

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with an_api() as api:
        api.upstream.responder = respond
        port = int(api.stack.public_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(api.head("GET /api/x HTTP/1.1"))
        seen = -1
        while seen != sent or sent == 0:  # until it no longer grows
            seen = sent
            await asyncio.sleep(0.3)
        assert sent < 60_000_000
        writer.transport.abort()
        await until(lambda: api.upstream.closed == 1)


@pytest.mark.rule("PX-14")
async def test_server_sent_events_arrive_one_by_one() -> None:
    proceed = asyncio.Event()

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await proceed.wait()
        writer.write(b"data: 2\n\n")
        await writer.drain()
        writer.close()

    async with an_api() as api:
        api.upstream.responder = respond
        async with api.browser.stream("/api/x") as response:
            assert await response.content.readany() == b"data: 1\n\n"
            proceed.set()
            assert await response.content.read() == b"data: 2\n\n"


async def test_a_browser_that_hangs_up_stops_the_upstream_call() -> None:
    gone = asyncio.Event()

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read()
        gone.set()
        writer.close()

    async with an_api() as api:
        api.upstream.responder = respond
        port = int(api.stack.public_url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(api.head("GET /api/x HTTP/1.1"))
        await until(lambda: len(api.upstream.received) == 1)
        writer.close()
        async with asyncio.timeout(HANG_SECONDS):
            await gone.wait()


async def test_an_upstream_that_resets_is_502() -> None:
    async with an_api() as api:
        api.upstream.responder = _slam
        answer = await api.browser.fetch("GET", "/api/x")
        assert answer.status == 502
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "upstream_unreachable"


async def test_an_upstream_that_is_not_there_is_502() -> None:
    routes = '[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:1/"\n'
    async with running_stack(routes=routes) as stack, Browser() as browser:
        await log_in(browser, stack)
        answer = await browser.fetch("GET", "/api/x")
        assert (answer.status, answer.json()["code"]) == (502, "upstream_unreachable")
        assert (await browser.fetch("GET", "/bff/user")).status == 200


async def test_an_upstream_that_is_silent_is_504() -> None:
    async with an_api('timeout = "300ms"') as api:
        api.upstream.responder = say_nothing
        answer = await api.browser.fetch("GET", "/api/x")
        assert (answer.status, answer.json()["code"]) == (504, "upstream_timeout")


@pytest.mark.rule("SM-07")
@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_no_http_is_502(garbage: bytes) -> None:
    async with an_api() as api:
        api.upstream.answer = garbage
        answer = await api.browser.fetch("GET", "/api/x")
        assert answer.status == 502
        assert answer.json()["code"] in ("upstream_malformed", "upstream_unreachable")
        api.upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
        assert (await api.browser.fetch("GET", "/api/y")).body == b"next"


@pytest.mark.rule("PX-14")
@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
async def test_a_cut_answer_never_looks_complete(cut: bytes) -> None:
    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(cut)
        await writer.drain()
        writer.close()

    async with an_api() as api:
        api.upstream.responder = respond
        with pytest.raises(aiohttp.ClientError):
            await api.browser.fetch("GET", "/api/x")


@pytest.mark.rule("PX-15")
async def test_a_post_is_never_sent_twice() -> None:
    async with an_api() as api:
        api.upstream.responder = _slam
        answer = await api.browser.fetch("POST", "/api/x", data=b"once")
        assert answer.status == 502
        assert len(api.upstream.received) == 1


@pytest.mark.rule("PX-10")
async def test_a_redirect_is_passed_on_and_not_followed() -> None:
    async with an_api() as api:
        api.upstream.answer = (
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n"
        )
        answer = await api.browser.fetch("GET", "/api/x")
        assert (answer.status, answer.location) == (302, "http://127.0.0.1:1/x")
        assert len(api.upstream.received) == 1


@pytest.mark.rule("PX-11")
@pytest.mark.rule("PX-12")
async def test_an_upstream_cookie_reaches_neither_this_browser_nor_another_user() -> None:
    async with an_api() as api, Browser() as bob:
        api.upstream.answer = (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: bff=evil; Path=/\r\nSet-Cookie: a=b\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        answer = await api.browser.fetch("GET", "/api/x")
        assert not answer.headers.getall("Set-Cookie", [])
        await log_in(bob, api.stack, "bob")
        await bob.fetch("GET", "/api/x")
        assert not api.upstream.received[-1].values(b"cookie")


async def test_listed_cookies_pass_both_ways_and_ours_never() -> None:
    async with an_api('forward_cookies = ["theme"]') as api:
        api.upstream.answer = (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: theme=light\r\nSet-Cookie: bff=evil\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
        answer = await api.raw(api.head("GET /api/x HTTP/1.1"))
        assert api.upstream.received[0].values(b"cookie") == [b"theme=dark"]
        assert answer.count(b"Set-Cookie") == 1
        assert b"Set-Cookie: theme=light" in answer


@pytest.mark.rule("SM-06")
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_413(*, chunked: bool) -> None:
    async with an_api(server='max_body = "1KiB"') as api:
        if chunked:
            head = api.head("POST /api/x HTTP/1.1", "Transfer-Encoding: chunked")
            answer = await api.raw(head + b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n")
        else:
            head = api.head("POST /api/x HTTP/1.1", "Content-Length: 2048")
            answer = await api.raw(head + b"x" * 2048)
        assert status_of(answer) == 413
        assert b"body_too_large" in answer


@pytest.mark.rule("PX-16")
async def test_a_client_that_expects_100_gets_it_and_the_upstream_gets_the_body() -> None:
    async with an_api() as api:
        head = api.head("POST /api/x HTTP/1.1", "Content-Length: 4", "Expect: 100-continue")
        reader, writer = await asyncio.open_connection("127.0.0.1", api.stack.ports.gateway)
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        (request,) = api.upstream.received
        assert request.body == b"body"
        assert not request.values(b"expect")


@pytest.mark.rule("SM-01")
@pytest.mark.rule("SM-02")
@pytest.mark.rule("SM-03")
@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: +5"],
        ["Content-Length: -5"],
        ["Content-Length: 5,6"],
        ["Content-Length: 0x5"],
        ["Content-Length: 99999999999999999999999"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding : chunked"],
        ["X: a\x00b"],
        [" folded: x"],
        ["X\x01: y"],
    ],
)
async def test_a_message_with_two_readings_is_refused_and_the_connection_closed(
    fields: list[str],
) -> None:
    async with an_api() as api:
        smuggled = b"0\r\n\r\n" + api.head("GET /api/smuggled HTTP/1.1")
        answer = await api.raw(api.head("POST /api/x HTTP/1.1", *fields) + smuggled)
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.") == 1
        assert not [r for r in api.upstream.received if b"smuggled" in r.request_line]


@pytest.mark.rule("SM-10")
async def test_an_unread_body_is_never_read_as_a_request() -> None:
    async with an_api() as api:
        inner = api.head("GET /api/smuggled HTTP/1.1")
        length = f"Content-Length: {len(inner) + 1_000_000}"
        head = api.head("POST /api/../x HTTP/1.1", length).replace(b"Connection: close\r\n", b"")
        answer = await api.raw(head + inner)
        assert status_of(answer) == 400
        assert answer.count(b"HTTP/1.") == 1
        assert not api.upstream.received


@pytest.mark.rule("HD-04")
@pytest.mark.parametrize(
    "request_bytes",
    [b"\x16\x03\x01\x02\x00garbage\r\n\r\n", b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n"],
)
async def test_unreadable_bytes_are_not_repeated_and_no_software_is_named(
    request_bytes: bytes,
) -> None:
    async with an_api() as api:
        answer = await api.raw(request_bytes)
        assert status_of(answer) == 400
        assert b"application/problem+json" in answer
        assert b"aiohttp" not in answer
        assert b"Python" not in answer
        assert b"Bad Header" not in answer
        assert b"garbage" not in answer


@pytest.mark.rule("PX-19")
@pytest.mark.rule("CVE-2025-48947")
async def test_an_answer_a_session_opened_is_not_stored_by_caches() -> None:
    async with an_api() as api:
        answer = await api.browser.fetch("GET", "/api/x")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.rule("CS-02")
async def test_a_preflight_is_never_granted() -> None:
    async with an_api() as api:
        for origin in ("https://evil.example", "null", api.stack.public_url + "0"):
            head = api.head(
                "OPTIONS /api/x HTTP/1.1", f"Origin: {origin}", "Access-Control-Request-Method: GET"
            )
            answer = await api.raw(head)
            assert status_of(answer) == 405
            assert b"access-control" not in answer.lower()
        assert not api.upstream.received


async def _slam(
    request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await read_body(request, reader)
    writer.transport.abort()


@pytest.mark.rule("PX-02")
@pytest.mark.rule("PX-03")
async def test_a_route_forwards_the_spellings_that_it_allows_as_they_were_sent() -> None:
    """GitLab's project paths, npm's scoped packages, a key of an object store, OData's keys."""
    allowed = 'allow_in_path = ["%2F", "//", ";", "%25", "%5C", "escapes"]'
    paths = (
        "/projects/group%2Fproject",
        "/@scope%2fname",
        "/o/photos%2F2024%2f1.jpg",
        "/bucket//key//",
        "/x;v=1/50%25/%7Euser/a%5Cb",
    )
    refused = ("/..%2Fadmin", "/a/..;/b", "/%2e%2e/x", "/a%5C..%5Cb", "/%252e%252e/x", "/%zz")
    async with an_api(allowed) as api:
        for path in paths:
            answer = await api.raw(api.head(f"GET /api{path}?q=%2f HTTP/1.1"))
            assert status_of(answer) == 200, path
            received = api.upstream.received[-1].request_line
            assert received == f"GET /v1{path}?q=%2f HTTP/1.1".encode()
        for path in refused:
            assert status_of(await api.raw(api.head(f"GET /api{path} HTTP/1.1"))) == 400, path
        assert len(api.upstream.received) == len(paths)
    async with an_api() as api:
        for path in paths:
            assert status_of(await api.raw(api.head(f"GET /api{path} HTTP/1.1"))) == 400, path
        assert api.upstream.received == []


async def test_an_api_is_told_the_origin_that_a_page_of_ours_may_not_tell() -> None:
    """Firefox and WebKit send `null` for a page with `Referrer-Policy: no-referrer`, Chromium the
    page's origin; an API that checks Origin refuses the former."""
    open_to_all = """
[[routes]]
path = "/hooks/"
upstream = "UPSTREAM"
token = "none"
csrf = "off"
"""
    null, ours = b"null", "Sec-Fetch-Site: same-origin"
    async with an_api(more=open_to_all) as api:
        public = api.stack.public_url.encode()
        for method, path, fields, told in (
            ("POST", "/api/x", ["origin: null", ours], [public]),
            ("DELETE", "/api/x", [ours, "Origin: null"], [public]),
            ("GET", "/api/x", [ours], []),
            ("POST", "/api/x", [f"Origin: {api.stack.public_url}", ours], [public]),
            ("POST", "/hooks/x", ["Origin: null", ours], [public]),
            ("POST", "/hooks/x", ["Origin: null"], [null]),
            ("POST", "/hooks/x", ["Origin: null", "Sec-Fetch-Site: cross-site"], [null]),
            ("POST", "/hooks/x", ["Origin: null", ours, "Sec-Fetch-Site: none"], [null]),
            ("POST", "/hooks/x", ["Origin: null", "Origin: null", ours], [null, null]),
            (
                "POST",
                "/hooks/x",
                ["X_Origin: null", "Origin: https://a.example"],
                [b"https://a.example"],
            ),
        ):
            head = api.head(f"{method} {path} HTTP/1.1", "Content-Length: 0", *fields)
            assert status_of(await api.raw(head)) == 200, fields
            assert api.upstream.received[-1].values(b"origin") == told, fields


async def test_webhooks_pass_where_the_guard_is_off() -> None:
    """From anywhere: no token and no cookie goes along, and none comes back."""
    hook = """
[[routes]]
path = "/hooks/"
upstream = "UPSTREAM"
token = "none"
csrf = "off"
"""
    async with an_api(more=hook) as api:
        api.upstream.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
        for sent in (
            [],
            ["Origin: https://elsewhere.example", "Sec-Fetch-Site: cross-site"],
            ["Origin: null"],
        ):
            head = "\r\n".join(
                [
                    "POST /hooks/github HTTP/1.1",
                    f"Host: {api.host}",
                    f"Cookie: bff={api.browser.cookies.get('bff')}; theme=dark",
                    "Connection: close",
                    "Content-Length: 0",
                    *sent,
                ]
            )
            answer = await api.raw(f"{head}\r\n\r\n".encode())
            assert status_of(answer) == 200
            assert b"et-cookie" not in answer.lower()
            assert not api.upstream.received[-1].values(b"cookie")
            assert not api.upstream.received[-1].values(b"authorization")
            head = head.replace("/hooks/github", "/api/x")
            assert status_of(await api.raw(f"{head}\r\n\r\n".encode())) == 403


@pytest.mark.rule("AZ-11")
@pytest.mark.parametrize(
    ("public_url", "spelled", "others"),
    [
        ("https://app.example", "app.example:443", ["app.example:80", "app.example:444"]),
        ("https://app.example:8443", "app.example:8443", ["app.example", "app.example:443"]),
        ("https://[2001:db8::1]", "[2001:db8::1]:443", ["[2001:db8::1]:80", "[2001:db8::2]"]),
    ],
)
async def test_the_schemes_own_port_may_be_named(
    public_url: str, spelled: str, others: list[str]
) -> None:
    """RFC 9110 section 4.2.3: it is the same host; every other port is another one's."""
    ports = free_ports()
    toml = gateway_toml(ports, server=f'public_url = "{public_url}"')
    async with running_gateway(toml), kept_connection(ports.gateway) as connection:
        for host, status in (
            (public_url.removeprefix("https://"), 401),
            (spelled, 401),
            (spelled.upper(), 401),
            *((other, 421) for other in others),
        ):
            for line in (
                f"GET /api/x HTTP/1.1\r\nHost: {host}",
                f"GET https://{host}/api/x HTTP/1.1\r\nHost: x",
            ):
                reply = await connection.ask(f"{line}\r\n\r\n".encode())
                assert reply.status == status, line


@pytest.mark.rule("HD-02")
@pytest.mark.parametrize(
    ("public_url", "hsts"),
    [
        ("https://app.example", True),
        ("https://localhost", False),
        ("https://localhost:8443", False),
        ("https://app.localhost", False),
        ("https://127.0.0.1:8443", False),
        ("https://[::1]", False),
        ("https://localhost.example", True),
    ],
)
async def test_hsts_is_never_for_this_machine(public_url: str, *, hsts: bool) -> None:
    """RFC 6797 section 8.3: it holds for every port of the host, http://localhost:3000 included."""
    ports = free_ports()
    toml = gateway_toml(ports, server=f'public_url = "{public_url}"')
    async with running_gateway(toml), kept_connection(ports.gateway) as connection:
        host = public_url.removeprefix("https://")
        for path in ("/", "/api/x", "/bff/user", "/bff/nothing"):
            reply = await connection.ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            found = reply.values(b"strict-transport-security")
            assert found == ([b"max-age=34560000"] if hsts else []), path


@pytest.mark.rule("PX-06")
async def test_a_route_strips_further_fields_and_says_what_it_stripped() -> None:
    """By their names, in a debug log; values are never logged."""
    async with an_api('strip_headers = ["X-Tenant-Id"]') as api:
        sent = ("X-Tenant-Id: secret-1", "x_tenant_id: secret-2", "OIDC_CLAIM_sub: secret-3")
        with capture_logs() as logs:
            await api.raw(api.head("GET /api/x HTTP/1.1", *sent, "X-User-Timezone: Europe/Berlin"))
        (request,) = api.upstream.received
        assert b"secret" not in b"\n".join(request.lines)
        assert request.values(b"x-user-timezone") == [b"Europe/Berlin"]
        (told,) = [entry for entry in logs if entry["event"] == "fields_stripped"]
        assert told["log_level"] == "debug"
        assert told["names"] == ["OIDC_CLAIM_sub", "X-Tenant-Id", "x_tenant_id"]
        assert request.values(b"x-request-id") == [told["request_id"].encode()]
        assert "secret" not in str(logs)
        with capture_logs() as logs:
            await api.raw(api.head("GET /api/x HTTP/1.1", "Accept: */*"))
        assert not [entry for entry in logs if entry["event"] == "fields_stripped"]
