"""The CSRF guard and the methods of a route, through a running gateway: every combination of what a
browser or another program may send, and what passes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product

import pytest

from tests.flows.apis import Api, an_api
from tests.security.kept_connection import KeptConnection, kept_connection

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
SITES = (None, "same-origin", "same-site", "cross-site", "none", "", "SAME-ORIGIN", "x")
ORIGINS = (
    None,
    "OWN",
    "null",
    "http://evil.example",
    "OWN.evil.example",
    "OWN/",
    "https://HOST",
    "",
)
MARKS = ("X-CSRF: 1", None, "X-CSRF: 0", "X-CSRF:", "X-CSRF: 1, 1", "X_CSRF: 1")
# Of a state-changing own endpoint the guard is the same.
OWN = (("POST", "/bff/logout"), ("GET", "/bff/user"), ("GET", "/bff/sessions"))


@asynccontextmanager
async def alices() -> AsyncIterator[tuple[Api, KeptConnection]]:
    async with an_api() as api, kept_connection(api.stack.ports.gateway) as connection:
        yield api, connection


def request(api: Api, line: str, *fields: str | None) -> bytes:
    cookie = f"Cookie: bff={api.browser.cookies.get('bff')}"
    sent = [f"{line} HTTP/1.1", f"Host: {api.host}", cookie, *fields]
    text = "\r\n".join(one for one in sent if one is not None)
    return f"{text}\r\n\r\n".replace("OWN", api.stack.public_url).replace("HOST", api.host).encode()


def may_pass(site: str | None, origin: str | None, mark: str | None) -> bool:
    is_own = origin in (None, "OWN") or (origin == "null" and site == "same-origin")
    return site in (None, "same-origin") and is_own and mark == "X-CSRF: 1"


@pytest.mark.rule("CS-01")
@pytest.mark.rule("CS-03")
@pytest.mark.rule("CS-04")
async def test_only_a_call_of_our_own_page_with_the_header_reaches_an_api() -> None:
    """Whatever the method, GET included; all three layers must be right, or not be sent."""
    wrong = []
    async with alices() as (api, connection):
        for method, site, origin, mark in product(METHODS, SITES, ORIGINS, MARKS):
            arrived = len(api.upstream.received)
            reply = await connection.ask(
                request(
                    api,
                    f"{method} /api/x",
                    None if site is None else f"Sec-Fetch-Site: {site}",
                    None if origin is None else f"Origin: {origin}",
                    mark,
                    "Content-Length: 0",
                ),
                has_body=method != "HEAD",
            )
            passed = len(api.upstream.received) - arrived
            wanted = (200, 1) if may_pass(site, origin, mark) else (403, 0)
            if (reply.status, passed) != wanted:
                wrong.append((method, site, origin, mark, reply.status, passed))
    assert wrong == []


@pytest.mark.rule("CS-01")
@pytest.mark.rule("CS-04")
async def test_own_endpoints_are_guarded_alike() -> None:
    """And with all that was refused no user has been logged out."""
    wrong = []
    async with alices() as (api, connection):
        for (method, path), site, origin, mark in product(OWN, SITES, ORIGINS, MARKS):
            if may_pass(site, origin, mark):
                continue
            reply = await connection.ask(
                request(
                    api,
                    f"{method} {path}",
                    None if site is None else f"Sec-Fetch-Site: {site}",
                    None if origin is None else f"Origin: {origin}",
                    mark,
                    "Content-Length: 0",
                )
            )
            if reply.status != 403:
                wrong.append((method, path, site, origin, mark, reply.status))
        alive = await connection.ask(request(api, "GET /bff/user", "X-CSRF: 1"))
    assert wrong == []
    assert alive.status == 200


KNOWN_METHODS = ("TRACE", "OPTIONS", "PROPFIND", "MKCOL", "LOCK", "REPORT", "QUERY")
OTHER_METHODS = ("CONNECT", "FOO", "get", "GETX", "PRI")


@pytest.mark.rule("PX-04")
async def test_a_method_that_no_route_lists_reaches_no_api() -> None:
    """TRACE and CONNECT least of all; those of other protocols are not even read."""
    async with alices() as (api, connection):
        for method in KNOWN_METHODS + OTHER_METHODS:
            for target in ("/api/x", f"http://{api.host}/api/x"):
                reply = await connection.ask(request(api, f"{method} {target}", "X-CSRF: 1"))
                assert reply.status in ((405,) if method in KNOWN_METHODS else (400, 405, 501))
                connection.close()  # what a CONNECT was answered on is no connection any more
        assert api.upstream.received == []


@pytest.mark.rule("HD-05")
async def test_a_call_without_a_session_is_led_nowhere() -> None:
    """Not to the OP either, whatever it accepts; no login is begun for it."""
    async with an_api(user=None) as api, kept_connection(api.stack.ports.gateway) as connection:
        for method, accept in product(METHODS, ("*/*", "application/json", "text/html", "image/*")):
            head = f"{method} /api/x HTTP/1.1\r\nHost: {api.host}\r\nAccept: {accept}\r\nX-CSRF: 1"
            sent = f"{head}\r\nSec-Fetch-Mode: cors\r\nContent-Length: 0\r\n\r\n".encode()
            reply = await connection.ask(sent, has_body=method != "HEAD")
            assert reply.status == 401
            assert reply.values(b"location") == []
            assert reply.values(b"set-cookie") == []
        assert api.upstream.received == []
