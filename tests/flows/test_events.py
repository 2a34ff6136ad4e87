"""The session's event stream, and what else must end when a session does."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from bff.clock import ManualClock
from bff.endpoints.events import Events, EventSettings
from bff.gate.forwarding import RequestIdentity
from bff.gate.head import ScannedFields
from bff.gate.outcome import Local
from bff.gate.problem import OwnResponses
from bff.model import DEFAULT_FRONTEND
from tests.canonical_target import parse_target
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.configuration import BY_NEWS_ONLY
from tests.parts.raw_upstream import Received, raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port, serving
from tests.parts.stack import Stack, running_stack
from tests.polling import HANG_SECONDS, until


class EventReader:
    """Reads server-sent events one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, *, seconds: float = 20.0) -> tuple[str, dict[str, object]]:
        """The next event's name and data; heartbeats and `retry` are passed over."""
        name, data = "", ""
        async with asyncio.timeout(seconds):
            async for raw in self.response.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = line.removeprefix("data: ")
                elif not line and name:
                    return name, json.loads(data)
        raise EOFError

    async def is_at_end(self) -> bool:
        async with asyncio.timeout(HANG_SECONDS):
            return await self.response.content.read() == b""


@asynccontextmanager
async def events(browser: Browser, path: str = "/bff/events") -> AsyncIterator[EventReader]:
    async with browser.stream(path, csrf=False) as response:
        assert response.status == 200, await response.text()
        yield EventReader(response)


async def test_a_stream_opens_with_the_state_of_the_session() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        async with events(browser) as stream:
            name, data = await stream.next()
            assert name == "session"
            assert set(data) == {
                "session_expires_in",
                "idle_expires_in",
                "access_token_expires_in",
            }
            headers = stream.response.headers
            assert headers["Content-Type"] == "text/event-stream"
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Accel-Buffering"] == "no"


async def test_a_logout_in_one_tab_is_told_to_all_others() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        async with events(browser) as first, events(browser) as second:
            for stream in (first, second):
                await stream.next()
            await browser.fetch("POST", "/bff/logout")
            for stream in (first, second):
                assert await stream.next() == ("ended", {"reason": "logout"})
                assert await stream.is_at_end()


async def test_a_session_with_a_stream_is_kept_fresh_and_tells_so() -> None:
    async with running_stack(access_token_seconds=3) as stack, Browser() as browser:
        await log_in(browser, stack)
        async with events(browser) as stream:
            await stream.next()
            for _ in range(2):
                name, data = await stream.next()
                assert name == "refreshed"
                assert int(str(data["access_token_expires_in"])) >= 1
        assert stack.op.reuse_detected == 0


async def test_the_coming_end_is_announced_and_then_told() -> None:
    async with (
        running_stack(session='absolute_timeout = "8s"\nidle_timeout = "5s"') as stack,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        async with events(browser) as stream:
            assert (await stream.next())[0] == "session"
            names = []
            while "ended" not in names:
                name, data = await stream.next()
                names.append(name)
            assert data == {"reason": "expired"}
            assert await stream.is_at_end()
        assert (await browser.fetch("GET", "/bff/user")).status == 401


async def test_listening_is_no_activity() -> None:
    clock = ManualClock()
    session = 'idle_timeout = "10m"'
    async with running_stack(clock=clock, session=session) as stack, Browser() as browser:
        await log_in(browser, stack)
        clock.advance(300)
        async with events(browser) as stream:
            _, data = await stream.next()
            assert data["idle_expires_in"] == 300
        clock.advance(301)
        assert (await browser.fetch("GET", "/api/me")).status == 401


@pytest.mark.rule("CS-04")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
        ({"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 403),
        ({"Last-Event-ID": "garbage\u00e9"}, 200),
    ],
)
async def test_only_our_own_pages_may_listen(headers: dict[str, str], status: int) -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        async with browser.stream("/bff/events", headers=headers, csrf=False) as response:
            assert response.status == status


async def test_a_silent_stream_is_kept_open_by_comments() -> None:
    """HTML standard, 9.2.7: proxies drop what is idle, and a browser that is gone is noticed."""
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        core = stack.gateway._core
        [session] = await core.sessions.of_subject(stack.issuer, "alice")
        often = Events(
            core.sessions,
            core.bound_streams,
            core.coordinator,
            core.refresh_policy,
            core.clock,
            {DEFAULT_FRONTEND: OwnResponses(hsts=False)},
            EventSettings(heartbeat_seconds=0.05),
        )
        target, fields = parse_target(b"/bff/events"), ScannedFields([], {}, [])
        identity = RequestIdentity("request", ())
        local = Local("events", "/bff/events", target, fields, identity, session.key, session)

        async def answer_with_events(request: web.Request) -> web.StreamResponse:
            return await often(request, local)

        application = web.Application()
        application.router.add_get("/", answer_with_events)
        port = free_port()
        async with (
            serving(application, port),
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{port}/") as answer,
            asyncio.timeout(HANG_SECONDS),
        ):
            await answer.content.readuntil(b"event: session\n")
            for _ in range(3):
                await answer.content.readuntil(b"\n:\n\n")
            often.stop()


async def test_there_is_no_stream_without_a_session() -> None:
    async with running_stack() as stack, Browser() as browser:
        await browser.navigate(stack.public_url)
        async with browser.stream("/bff/events", csrf=False) as response:
            assert response.status == 401


async def test_streams_of_one_session_are_capped_and_closed_ones_make_room() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)

        async def status_of_one_more() -> int:
            async with browser.stream("/bff/events", csrf=False) as response:
                assert response.status == 200 or response.headers["Retry-After"]
                return response.status

        async with open_streams(browser, 16):
            assert await status_of_one_more() == 429

        async def has_room() -> bool:
            return await status_of_one_more() == 200

        await until(has_room)


@asynccontextmanager
async def open_streams(browser: Browser, count: int) -> AsyncIterator[None]:
    """`count` open streams."""
    if count == 0:
        yield
        return
    async with events(browser) as stream, open_streams(browser, count - 1):
        await stream.next()
        yield


async def test_a_gateway_that_stops_ends_its_streams_without_saying_that_the_session_has() -> None:
    async with Browser() as browser:
        async with running_stack() as stack:
            await log_in(browser, stack)
            opened = browser.stream("/bff/events", csrf=False)
            stream = EventReader(await opened.__aenter__())
            await stream.next()
        with pytest.raises(EOFError):
            await stream.next()
        await opened.__aexit__(None, None, None)


@pytest.mark.rule("SE-07")
async def test_a_stream_of_an_api_is_cut_when_the_session_ends() -> None:
    gone = asyncio.Event()

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await reader.read()
        gone.set()
        writer.close()

    async with raw_upstream() as upstream:
        upstream.responder = respond
        routes = f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{upstream.port}/"\n'
        async with running_stack(routes=routes) as stack, Browser() as browser:
            await log_in(browser, stack)
            async with browser.stream("/api/stream") as stream:
                assert await stream.content.readany() == b"data: 1\n\n"
                await browser.fetch("POST", "/bff/logout")
                with pytest.raises(aiohttp.ClientError):
                    async with asyncio.timeout(HANG_SECONDS):
                        await stream.content.read()
            async with asyncio.timeout(HANG_SECONDS):
                await gone.wait()


@pytest.mark.rule("SE-07")
async def test_a_logout_on_one_replica_ends_the_streams_of_another(own_redis: RedisServer) -> None:
    async with (
        running_stack(store=own_redis.url, session=BY_NEWS_ONLY) as stack,
        stack.replica() as other,
        Browser() as browser,
    ):
        await log_in(browser, stack)
        async with listening(other, stack, browser) as stream:
            assert (await stream.next())[0] == "session"
            await browser.fetch("POST", "/bff/logout")
            assert await stream.next() == ("ended", {"reason": "logout"})


async def test_news_missed_during_a_store_outage_is_made_up_for(own_redis: RedisServer) -> None:
    """The session's end was never announced: a listening tab learns it all the same."""
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        await log_in(browser, stack)
        async with events(browser) as stream:
            await stream.next()
            own_redis.restart()  # empty: every session is gone
            assert await stream.next() == ("ended", {"reason": "expired"})


@asynccontextmanager
async def listening(base: str, stack: Stack, browser: Browser) -> AsyncIterator[EventReader]:
    """The event stream of one of several gateways."""
    headers = {
        "Host": urlsplit(stack.public_url).netloc,
        "Cookie": f"bff={browser.cookies.get('bff')}",
        "Sec-Fetch-Site": "same-origin",
    }
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{base}/bff/events", headers=headers) as r,
    ):
        yield EventReader(r)


async def test_the_stream_goes_on_while_the_op_is_away() -> None:
    async with running_stack(access_token_seconds=3) as stack, Browser() as browser:
        await log_in(browser, stack)
        async with events(browser) as stream:
            await stream.next()
            await stack.op_server.stop()

            async def anything_else() -> None:
                while (await stream.next(seconds=4))[0] == "refreshed":  # before the stop
                    pass

            with pytest.raises(TimeoutError):  # that is longer than a token lives
                await anything_else()
            await stack.op_server.start()
            assert (await browser.fetch("GET", "/bff/user")).status == 200
