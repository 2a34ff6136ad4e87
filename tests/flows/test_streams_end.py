"""What runs for a session ends with it: a stream of an API, a WebSocket, the event stream; however
the session ends, at whichever gateway, and also when that was before the stream had begun.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port, serving
from tests.parts.stack import Stack, running_stack
from tests.polling import HANG_SECONDS, until

CHUNK = b"data: 1\n\n"


class StreamingApi:
    """Begins to answer when `proceed` is set, goes on for ever, sends a chunk for each `more`."""

    def __init__(self) -> None:
        self.asked = self.open = 0
        self.proceed = asyncio.Event()
        self.proceed.set()
        self.more = asyncio.Event()

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/stream", self._stream)
        application.router.add_get("/ws", self._socket)
        return application

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        await self.proceed.wait()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(CHUNK)
        self.open += 1
        try:
            while True:
                await self.more.wait()
                self.more.clear()
                await response.write(CHUNK)
        finally:
            self.open -= 1

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self.asked += 1
        await self.proceed.wait()
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.open += 1
        try:
            await socket.receive()
        finally:
            self.open -= 1
        return socket


class Streams:
    """A browser's streams at one of several gateways."""

    def __init__(self, http: aiohttp.ClientSession, base: str, fields: dict[str, str]) -> None:
        self._http = http
        self._base = base
        self._fields = fields

    async def from_api(self) -> aiohttp.ClientResponse:
        answer = await self._http.get(f"{self._base}/api/stream", headers=self._fields)
        assert await answer.content.readexactly(len(CHUNK)) == CHUNK
        return answer

    async def socket(self) -> aiohttp.ClientWebSocketResponse:
        return await self._http.ws_connect(f"{self._base}/api/ws", headers=self._fields)

    async def events(self) -> aiohttp.ClientResponse:
        answer = await self._http.get(f"{self._base}/bff/events", headers=self._fields)
        await answer.content.readuntil(b"event: session\n")
        return answer


@asynccontextmanager
async def installation(
    api: StreamingApi, *, store: str = "memory://", **options: object
) -> AsyncIterator[tuple[Stack, Browser]]:
    """A gateway in front of the API, and a browser that is logged in there."""
    port = free_port()
    routes = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{port}/"
websocket = true
"""
    async with (
        running_stack(store=store, routes=routes, **options) as stack,  # type: ignore[arg-type]
        serving(api.application(), port),
        Browser() as browser,
    ):
        await log_in(browser, stack)
        yield stack, browser


@asynccontextmanager
async def streams_of(browser: Browser, stack: Stack, base: str = "") -> AsyncIterator[Streams]:
    fields = {
        "Host": urlsplit(stack.public_url).netloc,
        "Origin": stack.public_url,
        "Sec-Fetch-Site": "same-origin",
        "Cookie": f"bff={browser.cookies.get('bff')}",
        "X-CSRF": "1",
    }
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield Streams(http, base or stack.public_url, fields)


async def is_cut(answer: aiohttp.ClientResponse) -> None:
    """It breaks off: an end that looks like one would be taken for the whole."""
    async with answer, asyncio.timeout(HANG_SECONDS):
        with pytest.raises(aiohttp.ClientError):
            await answer.content.read()


async def is_closed(socket: aiohttp.ClientWebSocketResponse, reason: str) -> None:
    async with socket:
        message = await socket.receive(timeout=HANG_SECONDS)
    assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4401, reason)


async def is_told(events: aiohttp.ClientResponse, reason: str) -> None:
    async with events, asyncio.timeout(HANG_SECONDS):
        text = (await events.content.read()).decode()
    assert text.endswith(f"event: ended\ndata: {json.dumps({'reason': reason})}\n\n")


async def ends_all(
    streams: Streams, api: StreamingApi, reason: str, end: Callable[[], Awaitable[object]]
) -> None:
    """Open one of each kind, end the session, and see them all end."""
    answer, socket, events = (
        await streams.from_api(),
        await streams.socket(),
        await streams.events(),
    )
    await until(lambda: api.open == 2)
    await end()
    await asyncio.gather(is_cut(answer), is_closed(socket, reason), is_told(events, reason))

    def is_left() -> bool:
        api.more.set()  # an API notices when it sends
        return api.open == 0

    await until(is_left)


@pytest.mark.rule("SE-07")
@pytest.mark.parametrize("by", ["logout", "admin", "ended_by_user"])
async def test_they_end_when_another_process_ends_the_session(
    own_redis: RedisServer, by: str
) -> None:
    api = StreamingApi()
    async with (
        installation(api, store=own_redis.url) as (stack, browser),
        stack.replica() as other,
        streams_of(browser, stack, other) as streams,
        Browser() as phone,
    ):
        await log_in(phone, stack)

        async def end() -> None:
            if by == "logout":
                await browser.fetch("POST", "/bff/logout")
            elif by == "ended_by_user":
                assert (await phone.fetch("DELETE", "/bff/sessions")).json() == {"ended": 1}
            else:
                async with (
                    aiohttp.ClientSession() as http,
                    http.delete(f"{stack.admin_url}/sessions?sub=alice") as answer,
                ):
                    assert (await answer.json())["ended"] == 2

        await ends_all(streams, api, by, end)


@pytest.mark.rule("SE-07")
@pytest.mark.parametrize(
    ("session", "is_used"),
    [
        ('idle_timeout = "10m"', False),
        ('idle_timeout = "10m"\nabsolute_timeout = "10m"', True),
    ],
    ids=["idle", "absolute"],
)
async def test_they_end_with_the_session_s_time(session: str, *, is_used: bool) -> None:
    """An expiry is not announced: the process that holds a stream open watches the clock."""
    api, clock = StreamingApi(), ManualClock()
    async with (
        installation(api, clock=clock, session=session) as (stack, browser),
        streams_of(browser, stack) as streams,
    ):

        async def end() -> None:
            clock.advance(300)
            if is_used:
                assert (await browser.fetch("GET", "/bff/user")).status == 200
            clock.advance(301)

        await ends_all(streams, api, "expired", end)


@pytest.mark.rule("SE-07")
async def test_activity_keeps_a_stream_and_its_lack_ends_another_s() -> None:
    """A stream knows the session as it was when it began; what counts is how it is now."""
    api, clock = StreamingApi(), ManualClock()
    async with (
        installation(api, clock=clock, session='idle_timeout = "10m"') as (stack, alice),
        streams_of(alice, stack) as of_alice,
        Browser() as bob,
    ):
        await log_in(bob, stack, "bob")
        async with streams_of(bob, stack) as of_bob:
            kept, cut = await of_alice.from_api(), await of_bob.from_api()
            clock.advance(400)
            assert (await alice.fetch("GET", "/bff/user")).status == 200
            clock.advance(400)
            await is_cut(cut)  # so that every session has been looked at
            async with kept:
                api.more.set()
                assert await kept.content.readexactly(len(CHUNK)) == CHUNK


@pytest.mark.rule("SE-07")
async def test_what_begins_after_the_end_ends_at_once() -> None:
    """An API that thinks for a while answers for a session that may be gone by then."""
    api = StreamingApi()
    api.proceed.clear()
    async with (
        installation(api) as (stack, browser),
        streams_of(browser, stack) as streams,
    ):
        answer = asyncio.create_task(streams.from_api())
        socket = asyncio.create_task(streams.socket())
        await until(lambda: api.asked == 2)
        await browser.fetch("POST", "/bff/logout")
        api.proceed.set()
        await asyncio.gather(is_cut(await answer), is_closed(await socket, "logout"))


@pytest.mark.rule("SE-07")
async def test_an_end_without_news_is_found_out(own_redis: RedisServer) -> None:
    """Here the store has lost everything while an API was thinking."""
    api = StreamingApi()
    api.proceed.clear()
    async with (
        installation(api, store=own_redis.url) as (stack, browser),
        streams_of(browser, stack) as streams,
    ):
        answer = asyncio.create_task(streams.from_api())
        socket = asyncio.create_task(streams.socket())
        await until(lambda: api.asked == 2)
        own_redis.restart()

        async def is_over() -> bool:
            """The session is gone, and news comes in again: none of it is about the session."""
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"{stack.admin_url}/metrics") as metrics,
            ):
                watching = "bff_store_watching 1.0" in await metrics.text()
            return watching and (await browser.fetch("GET", "/bff/user")).status == 401

        await until(is_over)
        api.proceed.set()
        await asyncio.gather(is_cut(await answer), is_closed(await socket, "expired"))
