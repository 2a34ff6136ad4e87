"""What an API gets of a bound token (RFC 9449 sections 7 and 9), read from the bytes: the scheme, a
proof of its own for each request, and one retry for a nonce, where the request can be sent again.
"""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from bff.clock import ManualClock
from spa_demo.dpop import ProofJudge
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.raw_upstream import OK, RawUpstream, Received, raw_upstream, read_body
from tests.parts.stack import Stack, running_stack

WANTS = b'WWW-Authenticate: DPoP realm="api", error="use_dpop_nonce", algs="ES256"\r\n'
REFUSED = b"HTTP/1.1 401 Unauthorized\r\n" + WANTS + b"%bContent-Length: 7\r\n\r\nrefused"


def nonce_field(value: str) -> bytes:
    return b"DPoP-Nonce: %b\r\n" % value.encode()


@asynccontextmanager
async def an_api(more: str = "", **op: Any) -> AsyncIterator[tuple[Stack, Browser, RawUpstream]]:
    """A browser that is logged in, in front of an upstream that tokens are bound for."""
    async with raw_upstream() as upstream:
        routes = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{upstream.port}/v1/"
websocket = true
{more.replace("UPSTREAM", f"http://127.0.0.1:{upstream.port}")}
"""
        options: dict[str, Any] = {"op": {"dpop": "required", **op}, "oidc": "dpop = true"}
        clock = ManualClock()
        async with (
            running_stack(routes=routes, clock=clock, **options) as stack,
            Browser() as browser,
        ):
            await log_in(browser, stack)
            yield stack, browser, upstream


def claims_of(request: Received) -> dict[str, Any]:
    """Of its proof, of which there is one."""
    (proof,) = request.values(b"dpop")
    payload = proof.split(b".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    return claims


def token_of(request: Received) -> str:
    (value,) = request.values(b"authorization")
    scheme, _, token = value.partition(b" ")
    assert scheme == b"DPoP"
    return token.decode()


def asking_for_nonces(
    upstream: RawUpstream, nonces: Callable[[int], str], executed: list[bytes]
) -> None:
    """Have the upstream take none but the newest nonce: `nonces(n)` after `n` requests."""
    wanted = ""

    async def answer(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal wanted
        await read_body(request, reader)
        offered = nonces(len(upstream.received))
        if wanted and claims_of(request).get("nonce") == wanted:
            executed.append(request.body)
            writer.write(OK.replace(b"\r\n", b"\r\n" + nonce_field(offered), 1))
        else:
            writer.write(REFUSED % nonce_field(offered))
        wanted = offered
        await writer.drain()

    upstream.responder = answer


@pytest.mark.rule("FP-08")
async def test_requests_side_by_side_learn_of_one_nonce() -> None:
    """All are refused in one moment, with the same one: the first answer has brought it for all."""
    async with an_api() as (_, browser, upstream):
        together = asyncio.Barrier(3)

        async def answer(
            request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await read_body(request, reader)
            if claims_of(request).get("nonce") == "n-1":
                writer.write(OK)
            else:
                await together.wait()
                writer.write(REFUSED % nonce_field("n-1"))
            await writer.drain()

        upstream.responder = answer
        answers = await asyncio.gather(*(browser.fetch("GET", f"/api/{n}") for n in range(3)))
        assert [one.status for one in answers] == [200, 200, 200]
        assert len(upstream.received) == 6


@pytest.mark.rule("FP-04")
@pytest.mark.rule("FP-05")
async def test_each_request_has_a_proof_of_its_own() -> None:
    async with an_api() as (stack, browser, upstream):
        for method in ("GET", "POST", "DELETE"):
            assert (await browser.fetch(method, "/api/a%20b?q=1#f")).status == 200
        judge = ProofJudge(ManualClock(stack.now()))
        thumbprints = set()
        for request in upstream.received:
            method, target, _ = request.request_line.decode().split(" ")
            url = f"http://127.0.0.1:{upstream.port}{target.partition('?')[0]}"
            proofs = [value.decode() for value in request.values(b"dpop")]
            thumbprints.add(judge.thumbprint(proofs, method, url, token_of(request)))
            assert "nonce" not in claims_of(request)
        assert len(thumbprints) == 1
        assert len({claims_of(request)["jti"] for request in upstream.received}) == 3


@pytest.mark.rule("FP-09")
async def test_each_session_has_a_key_of_its_own() -> None:
    async with an_api() as (stack, browser, upstream), Browser() as other:
        await log_in(other, stack)
        await browser.fetch("GET", "/api/x")
        await other.fetch("GET", "/api/x")
        headers = {request.values(b"dpop")[0].split(b".")[0] for request in upstream.received}
        assert len(headers) == 2


@pytest.mark.rule("FP-05")
@pytest.mark.rule("PX-06")
async def test_a_browser_sends_and_gets_nothing_of_it() -> None:
    async with an_api() as (_, browser, upstream):
        upstream.answer = OK.replace(b"\r\n", b"\r\n" + nonce_field("n1"), 1)
        for name in ("DPoP", "dpop", "DPoP-Nonce", "dpop_nonce"):
            headers = {name: "of-the-browser"}
            answer = await browser.fetch("GET", "/api/x", headers=headers)
            assert answer.status == 200
            assert not {"dpop", "dpop-nonce"} & {key.lower() for key in answer.headers}
        for request in upstream.received:
            assert len(request.values(b"dpop")) == 1
            assert not any(b"of-the-browser" in line for line in request.lines[1:])


@pytest.mark.rule("FP-07")
@pytest.mark.rule("FP-08")
async def test_a_nonce_costs_one_retry_and_the_newest_is_used() -> None:
    executed: list[bytes] = []
    async with an_api() as (_, browser, upstream):
        asking_for_nonces(upstream, lambda number: f"n{number}", executed)
        for number in range(3):
            answer = await browser.fetch("POST", "/api/x", data=b"body-%d" % number)
            assert (answer.status, answer.body) == (200, b"ok")
        assert executed == [b"body-0", b"body-1", b"body-2"]
        sent = [claims_of(request).get("nonce") for request in upstream.received]
        assert sent == [None, "n1", "n2", "n3"]
        jtis = {claims_of(request)["jti"] for request in upstream.received}
        assert len(jtis) == 4


@pytest.mark.rule("FP-07")
async def test_a_body_that_was_not_kept_is_not_sent_again() -> None:
    """It was executed nowhere; the next proof has the nonce."""
    executed: list[bytes] = []
    async with an_api() as (_, browser, upstream):
        asking_for_nonces(upstream, lambda _: "n1", executed)
        large = b"x" * 200_000
        refused = await browser.fetch("POST", "/api/x", data=large)
        assert (refused.status, refused.json()["code"]) == (503, "upstream_wants_nonce")
        assert refused.headers["Retry-After"] == "1"
        assert (len(upstream.received), executed) == (1, [])
        assert (await browser.fetch("POST", "/api/x", data=large)).status == 200
        assert executed == [large]


@pytest.mark.rule("FP-07")
@pytest.mark.parametrize(
    ("nonces", "tries"),
    [
        (lambda number: f"n{number}", 2),  # another one each time, and none will do
        (lambda _: "same", 2),
        (lambda _: 'with "quotes"', 1),
        (lambda _: "", 1),
        (lambda _: "n" * 2000, 1),
    ],
    ids=["ever new", "the same", "no nonce", "empty", "too long"],
)
async def test_an_api_that_is_never_content_is_asked_twice_at_most(
    nonces: Callable[[int], str], tries: int
) -> None:
    async with an_api() as (_, browser, upstream):

        async def refuse(
            request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await read_body(request, reader)
            writer.write(REFUSED % nonce_field(nonces(len(upstream.received))))
            await writer.drain()

        upstream.responder = refuse
        answer = await browser.fetch("GET", "/api/x")
        assert (answer.status, answer.json()["code"]) == (503, "upstream_wants_nonce")
        assert len(upstream.received) == tries
        assert (await browser.fetch("GET", "/bff/user")).status == 200


@pytest.mark.rule("FP-08")
async def test_a_nonce_goes_to_the_server_it_is_from() -> None:
    """Two routes to one server share it; the OP and another API never see it."""
    executed: list[bytes] = []
    async with raw_upstream() as second:
        more = f"""
[[routes]]
path = "/same/"
upstream = "UPSTREAM/v2/"

[[routes]]
path = "/second/"
upstream = "http://127.0.0.1:{second.port}/"
"""
        async with an_api(more, dpop_nonces=True) as (_, browser, upstream):
            asking_for_nonces(upstream, lambda _: "of-the-first", executed)
            asking_for_nonces(second, lambda _: "of-the-second", executed)
            for path in ("/api/x", "/second/x", "/same/x", "/second/y"):
                assert (await browser.fetch("GET", path)).status == 200
            first = [claims_of(request).get("nonce") for request in upstream.received]
            other = [claims_of(request).get("nonce") for request in second.received]
            assert first == [None, "of-the-first", "of-the-first"]
            assert other == [None, "of-the-second", "of-the-second"]


@pytest.mark.rule("FP-07")
async def test_of_two_upstreams_the_one_that_asked_is_asked_again() -> None:
    executed: list[bytes] = []
    async with raw_upstream() as one, raw_upstream() as other:
        asking_for_nonces(one, lambda _: "of-one", executed)
        asking_for_nonces(other, lambda _: "of-other", executed)
        urls = f'["http://127.0.0.1:{one.port}/", "http://127.0.0.1:{other.port}/"]'
        more = f'\n[[routes]]\npath = "/both/"\nupstream = {urls}\n'
        async with an_api(more) as (_, browser, _upstream):
            for _ in range(4):
                assert (await browser.fetch("GET", "/both/x")).status == 200
            for upstream, nonce in ((one, "of-one"), (other, "of-other")):
                sent = [claims_of(request).get("nonce") for request in upstream.received]
                assert sent == [None, nonce, nonce]


@pytest.mark.rule("PX-18")
@pytest.mark.rule("FP-05")
async def test_a_token_that_the_api_refuses_is_replaced_and_stays_bound() -> None:
    """A challenge of bearer tokens downgrades nothing. First a nonce is wanted, then a token."""
    challenge = b'WWW-Authenticate: Bearer, DPoP error="invalid_token"\r\n'
    refusal = (REFUSED % b"").replace(WANTS, challenge)
    async with running_bound_hour() as (stack, browser, upstream, clock):
        clock.advance(31)
        refused: set[str] = set()

        async def answer(
            request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            if claims_of(request).get("nonce") is None:
                writer.write(REFUSED % nonce_field("n1"))
            elif not refused or token_of(request) in refused:
                refused.add(token_of(request))
                writer.write(refusal)
            else:
                writer.write(OK)

        upstream.responder = answer
        answered = await browser.fetch("GET", "/api/x")
        assert (answered.status, answered.body) == (200, b"ok")
        assert len(upstream.received) == 3
        assert stack.op.refreshes == 1


@asynccontextmanager
async def running_bound_hour() -> AsyncIterator[tuple[Stack, Browser, RawUpstream, ManualClock]]:
    """As `an_api`, with tokens that live for an hour."""
    clock = ManualClock()
    async with raw_upstream() as upstream:
        routes = f'\n[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{upstream.port}/"\n'
        async with (
            running_stack(
                routes=routes,
                clock=clock,
                access_token_seconds=3600,
                op={"dpop": "required"},
                oidc="dpop = true",
            ) as stack,
            Browser() as browser,
        ):
            await log_in(browser, stack)
            yield stack, browser, upstream, clock


@pytest.mark.rule("FP-04")
async def test_the_handshake_of_a_websocket_has_a_proof() -> None:
    async with an_api() as (stack, browser, upstream), aiohttp.ClientSession() as http:
        headers = {
            "Cookie": f"bff={browser.cookies.get('bff')}",
            "Origin": stack.public_url,
            "Sec-Fetch-Site": "same-origin",
        }
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(f"{stack.public_url}/api/socket", headers=headers)
        (request,) = upstream.received
        judge = ProofJudge(ManualClock(stack.now()))
        proofs = [value.decode() for value in request.values(b"dpop")]
        url = f"http://127.0.0.1:{upstream.port}/v1/socket"
        assert judge.thumbprint(proofs, "GET", url, token_of(request))


async def test_without_it_nothing_is_different() -> None:
    """Off unless asked for, whatever the OP offers."""
    async with raw_upstream() as upstream:
        routes = f'\n[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{upstream.port}/"\n'
        async with (
            running_stack(routes=routes, op={"dpop": "offered"}) as stack,
            Browser() as browser,
        ):
            await log_in(browser, stack)
            upstream.answer = REFUSED % nonce_field("n1")
            answer = await browser.fetch("GET", "/api/x")
            assert (answer.status, answer.body) == (401, b"refused")
            (request,) = upstream.received
            assert request.values(b"authorization")[0].startswith(b"Bearer ")
            assert not request.values(b"dpop")
