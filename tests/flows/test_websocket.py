"""WebSockets to an API: let through where the route says so, and no longer than the session lives.

RFC 6455 sections 4 (handshake), 5 (frames), 7.4 (close codes) and 10.2 (Origin).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from bff.clock import ManualClock
from tests.flows.apis import an_api, status_of
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.servers import free_port, serving
from tests.parts.stack import Stack, running_stack
from tests.polling import HANG_SECONDS, until

ROUTE = "websocket = true\nmax_concurrent = 3"


class EchoApi:
    """Echoes messages, says who has come, and sends without end if it is told to."""

    def __init__(self) -> None:
        self.authorizations: list[str] = []
        self.open = 0
        self.flooded_bytes = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", self._serve)
        app.router.add_get("/plain", self._plain)
        return app

    async def _plain(self, _request: web.Request) -> web.Response:
        return web.Response(text="no socket here")

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("chat",), max_msg_size=0)
        await socket.prepare(request)
        self.authorizations += request.headers.getall("Authorization", [])
        self.open += 1
        try:
            async for message in socket:
                if message.data == "flood":
                    while True:
                        await socket.send_bytes(b"x" * 60_000)
                        self.flooded_bytes += 60_000
                elif message.data == "bye":
                    await socket.close(code=4000, message=b"as you like")
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await socket.send_str(message.data)
                else:
                    await socket.send_bytes(message.data)
        except ConnectionError:
            pass
        finally:
            self.open -= 1
        return socket


class Sockets:
    """A logged-in browser that can open WebSockets."""

    def __init__(
        self, stack: Stack, browser: Browser, api: EchoApi, http: aiohttp.ClientSession
    ) -> None:
        self.stack, self.browser, self.api = stack, browser, api
        self._http = http

    async def open(
        self, path: str = "/api/ws", headers: Mapping[str, str] | None = None
    ) -> aiohttp.ClientWebSocketResponse:
        own = {
            "Origin": self.stack.public_url,
            "Cookie": f"bff={self.browser.cookies.get('bff')}",
        }
        return await self._http.ws_connect(
            f"{self.stack.public_url}{path}",
            headers=own | dict(headers or {}),
            protocols=("chat",),
            max_msg_size=0,
            autoping=True,
        )

    async def refused(self, headers: Mapping[str, str], path: str = "/api/ws") -> int:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await self.open(path, headers)
        return caught.value.status


@asynccontextmanager
async def sockets(
    clock: ManualClock | None = None, session: str = "", route: str = ROUTE
) -> AsyncIterator[Sockets]:
    api, port = EchoApi(), free_port()
    routes = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{port}/"
{route}
"""
    async with (
        serving(api.application(), port),
        running_stack(clock=clock, routes=routes, session=session) as stack,
        Browser() as browser,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        await log_in(browser, stack)
        yield Sockets(stack, browser, api, http)


@pytest.mark.rule("PX-17")
async def test_messages_of_every_size_pass_both_ways_with_the_users_token() -> None:
    async with sockets() as found:
        socket = await found.open()
        assert socket.protocol == "chat"
        for size in (0, 1, 125, 126, 65_535, 65_536, 1_000_000):
            await socket.send_bytes(b"x" * size)
            assert (await socket.receive_bytes()) == b"x" * size
        await socket.send_str("text")
        assert await socket.receive_str() == "text"
        (authorization,) = found.api.authorizations
        assert authorization.startswith("Bearer eyJ")
        await socket.close()
        await until(lambda: found.api.open == 0)


@pytest.mark.rule("CS-07")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Cookie": "bff=forged"}, 401),
    ],
)
async def test_a_handshake_of_another_origin_never_reaches_the_api(
    headers: dict[str, str], status: int
) -> None:
    async with sockets() as found:
        assert await found.refused(headers) == status
        assert found.api.authorizations == []


@pytest.mark.rule("PX-17")
async def test_no_handshake_without_the_routes_leave_and_no_other_protocol() -> None:
    async with an_api() as api:
        head = api.head(
            "GET /api/ws HTTP/1.1", f"Origin: {api.stack.public_url}", "Upgrade: websocket"
        )
        assert status_of(await api.raw(head)) == 501
        assert api.upstream.received == []
    async with an_api("websocket = true") as api:
        for upgrade in ("h2c, websocket", "websocket, h2c"):
            fields = (f"Origin: {api.stack.public_url}", f"Upgrade: {upgrade}")
            head = api.head("GET /api/ws HTTP/1.1", *fields).replace(b"close", b"Upgrade")
            assert status_of(await api.raw(head)) == 501
        assert api.upstream.received == []


@pytest.mark.rule("CS-07")
async def test_a_handshake_needs_an_origin() -> None:
    async with an_api("websocket = true") as api:
        fields = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + KEY)
        head = api.head("GET /api/ws HTTP/1.1", *fields).replace(b"close", b"Upgrade")
        assert status_of(await api.raw(head)) == 403
        assert api.upstream.received == []


KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.rule("PX-17")
async def test_a_101_for_another_handshake_s_key_is_502() -> None:
    async with an_api("websocket = true") as api:
        api.upstream.answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
        )
        fields = (
            f"Origin: {api.stack.public_url}", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
        )  # fmt: skip
        head = api.head("GET /api/ws HTTP/1.1", *fields).replace(b"close", b"Upgrade")
        assert status_of(await api.raw(head)) == 502
        assert api.upstream.received[0].values(b"sec-websocket-key") == [KEY.encode()]


async def test_an_api_that_does_not_switch_answers_as_usual() -> None:
    async with sockets() as found:
        assert await found.refused({}, "/api/plain") == 200


@pytest.mark.rule("SE-07")
async def test_a_logout_closes_it_with_4401() -> None:
    async with sockets() as found:
        socket = await found.open()
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        assert (await found.browser.fetch("POST", "/bff/logout")).status == 200
        message = await socket.receive(timeout=HANG_SECONDS)
        assert (message.type, message.data, message.extra) == (
            aiohttp.WSMsgType.CLOSE, 4401, "logout",
        )  # fmt: skip
        await until(lambda: found.api.open == 0)


@pytest.mark.rule("SE-07")
async def test_a_logout_in_the_middle_of_traffic_ends_it_without_a_broken_frame() -> None:
    async with sockets() as found:
        socket = await found.open()
        await socket.send_str("flood")
        await socket.receive_bytes()
        await found.browser.fetch("POST", "/bff/logout")
        async with asyncio.timeout(HANG_SECONDS):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                assert message.data == b"x" * 60_000
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert socket.close_code in (4401, 1006)  # cut off in a frame that had begun
        await until(lambda: found.api.open == 0)


@pytest.mark.rule("SE-07")
async def test_it_ends_with_the_session_s_time() -> None:
    clock = ManualClock()
    async with sockets(clock, session='idle_timeout = "10m"') as found:
        socket = await found.open()
        clock.advance(601)
        message = await socket.receive(timeout=HANG_SECONDS)
        assert (message.data, message.extra) == (4401, "expired")


async def test_the_close_of_either_side_reaches_the_other() -> None:
    async with sockets() as found:
        socket = await found.open()
        await socket.send_str("bye")
        message = await socket.receive()
        assert (message.data, message.extra) == (4000, "as you like")
        other = await found.open()
        assert other._conn is not None
        assert other._conn.transport is not None
        other._conn.transport.abort()
        await until(lambda: found.api.open == 0)


async def test_sockets_count_as_the_routes_concurrency() -> None:
    async with sockets() as found:
        held = [await found.open() for _ in range(3)]
        assert await found.refused({}) == 503
        await held[0].close()
        await until(lambda: found.api.open == 2)
        await found.open()


async def test_a_slow_reader_holds_the_api_back() -> None:
    async with sockets() as found:
        socket = await found.open()
        assert socket._conn is not None
        assert socket._conn.transport is not None
        socket._conn.transport.pause_reading()
        await socket.send_str("flood")
        before = -1
        while before != found.api.flooded_bytes or before == 0:  # until it no longer grows
            before = found.api.flooded_bytes
            await asyncio.sleep(0.3)
        assert 0 < before < 60_000_000
        socket._conn.transport.abort()
        await until(lambda: found.api.open == 0)


async def test_a_gateway_that_stops_says_so() -> None:
    async with sockets() as found:
        socket = await found.open()
        stopping = asyncio.create_task(found.stack.gateway.stop())
        message = await socket.receive(timeout=HANG_SECONDS)
        assert (message.data, message.extra) == (1001, "going away")
        await socket.close()
        await stopping
