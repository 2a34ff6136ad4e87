"""What an upstream believes of a user comes from the gateway, also behind WSGI's folding of names
and on routes where no user is logged in (RFC 9700 section 4.13)."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from tests.flows.apis import an_api
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.servers import free_port

Start = Callable[[str, list[tuple[str, str]]], object]
FORGED = "forged-identity"
NAMES = [
    "X-Forwarded-User",
    "X_Forwarded_User",
    "x-forwarded_user",
    "X_FORWARDED-USER",
    "X-Forwarded-Email",
    "X_Forwarded_Email",
    "X-Forwarded-Groups",
    "X_Forwarded_Groups",
    "X-Forwarded-Access-Token",
    "X_Forwarded_Access_Token",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X_Auth_Request_User",
    "X-Auth-Request-Access-Token",
    "X-User",
    "X_User",
    "X-User-Id",
    "X_User_Id",
    "X-Remote-User",
    "X_Remote_User",
    "Remote-User",
    "Remote_User",
    "REMOTE_USER",
    "Authorization",
    "AUTHORIZATION",
    "Proxy-Authorization",
    "Proxy_Authorization",
    "DPoP",
    "Cookie",
    "Forwarded",
    "X-Real-IP",
    "X_Real_IP",
    "True-Client-IP",
    "True_Client_Ip",
    "X-Original-URL",
    "X_Original_URL",
    "Proxy",
    "OIDC_CLAIM_sub",
    "OIDC-Claim-Email",
    "X-WEBAUTH-USER",
    "X_WEBAUTH_USER",
    "X-MS-CLIENT-PRINCIPAL",
    "X-MS-Client-Principal-Name",
    "X-Consumer-Username",
    "X-Amzn-Oidc-Data",
    "X_Amzn_Oidc_Identity",
    "CF-Connecting-IP",
    "Client-IP",
    "Client_Ip",
    "X-Middleware-Subrequest",
]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def a_wsgi_upstream() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """Its port, and the environment of each request it got."""
    seen: list[dict[str, str]] = []

    def application(environ: dict[str, str], start: Start) -> Iterable[bytes]:
        seen.append({k: v for k, v in environ.items() if k.startswith(("HTTP_", "REMOTE_"))})
        start("200 OK", [("Content-Length", "0")])
        return [b""]

    with make_server("127.0.0.1", free_port(), application, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.rule("CVE-2025-64484")
@pytest.mark.rule("mod_auth_openidc-2026-08-07")
@pytest.mark.rule("PX-06")
async def test_no_spelling_of_an_identity_field_reaches_a_wsgi_upstream() -> None:
    with a_wsgi_upstream() as (port, seen):
        more = "".join(
            f"""
[[routes]]
path = "/{name}/"
upstream = "http://127.0.0.1:{port}/"
token = "{name}"
methods = ["GET", "OPTIONS"]
"""
            for name in ("user", "none")
        )
        async with an_api(more=more) as api:
            forged = [f"{name}: {FORGED}" for name in NAMES]
            for method in ("GET", "OPTIONS"):
                for route in ("user", "none"):
                    for fields in (forged, forged * 2):
                        head = api.head(f"{method} /{route}/x HTTP/1.1", *fields)
                        answer = await api.raw(head)
                        # A cookie line of its own is a second one; ours is found all the same.
                        assert answer.startswith(b"HTTP/1.1 200"), answer
    assert len(seen) == 8
    assert all(FORGED not in value for environ in seen for value in environ.values())
    assert [env["HTTP_AUTHORIZATION"][:10] for env in seen if "HTTP_AUTHORIZATION" in env] == [
        "Bearer eyJ"
    ] * 4


@pytest.mark.rule("duende-misuse")
async def test_a_client_token_needs_a_session_unless_the_route_says_anonymous() -> None:
    more = """
[[routes]]
path = "/service/"
upstream = "UPSTREAM/s/"
token = "client"
scope = "api:read"

[[routes]]
path = "/catalog/"
upstream = "UPSTREAM/c/"
token = "client"
scope = "api:read"
anonymous = true
"""
    async with an_api(more=more, user=None) as api:
        await api.browser.navigate(api.stack.public_url)
        assert (await api.browser.fetch("GET", "/service/x")).status == 401
        assert api.upstream.received == []
        assert (await api.browser.fetch("GET", "/catalog/x", csrf=False)).status == 403
        assert (await api.browser.fetch("GET", "/catalog/x")).status == 200
        await log_in(api.browser, api.stack, "alice")
        assert (await api.browser.fetch("GET", "/service/x")).status == 200
        anonymous, of_alice = api.upstream.received
        assert anonymous.values(b"authorization")[0].startswith(b"Bearer ")
        assert of_alice.values(b"authorization") == anonymous.values(b"authorization")


@pytest.mark.rule("CVE-2024-51987")
@pytest.mark.rule("CVE-2025-67490")
async def test_parallel_calls_over_one_pool_carry_each_their_own_users_token() -> None:
    async with an_api(user=None) as api:
        async with Browser() as alice, Browser() as bob, Browser() as carol:
            people = {"alice": alice, "bob": bob, "carol": carol}
            for name, browser in people.items():
                await log_in(browser, api.stack, name)
            await asyncio.gather(
                *(
                    browser.fetch("GET", f"/api/{name}")
                    for _ in range(20)
                    for name, browser in people.items()
                )
            )
        tokens: dict[bytes, set[bytes]] = {}
        for request in api.upstream.received:
            (token,) = request.values(b"authorization")
            tokens.setdefault(request.request_line, set()).add(token)
        assert [len(found) for found in tokens.values()] == [1, 1, 1]
        assert len(set.union(*tokens.values())) == 3
        assert len(api.upstream.received) == 60
