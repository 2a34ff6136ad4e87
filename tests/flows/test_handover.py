"""What has begun in a process goes on there after another one has taken over: streams of APIs and
WebSockets notice neither a reload nor a restart. They end with their session, with the service, and
after `server.handover_timeout`.

Real processes, with sessions in Redis.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from bff.app.stopping import HANDED_OVER_SECONDS
from bff.app.successors import MOST_OLD
from tests.flows.test_reload import CLAIMS, change, hup
from tests.flows.test_restart import is_running, restart, stopped
from tests.flows.test_streams_end import CHUNK, StreamingApi, Streams, is_cut
from tests.flows.test_workers import Service, logged_in, served
from tests.parts.browser import Browser
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.demo_servers import running_demo_op
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port, serving
from tests.polling import HANG_SECONDS, until

pytestmark = pytest.mark.timeout(900)  # up to six processes are started, on a busy machine

# Longer than a process takes that stops: `shutdown_timeout` is two seconds here.
LONGER_SECONDS = HANDED_OVER_SECONDS + 4


@dataclass(frozen=True, slots=True)
class Installation:
    """A gateway in front of an API whose answers have no end, and a browser that is logged in."""

    service: Service
    streams: Streams
    api: StreamingApi
    browser: Browser


@asynccontextmanager
async def installation(
    redis: RedisServer, folder: Path, *, server: str
) -> AsyncIterator[Installation]:
    ports, api = Ports(*(free_port() for _ in range(4))), StreamingApi()
    routes = f"""
[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:{ports.api}/"
websocket = true
timeout = "10m"
"""
    text = gateway_toml(ports, store=redis.url, server=server, routes=routes)
    public_url = f"http://localhost:{ports.gateway}"
    async with (
        serving(api.application(), ports.api),
        running_demo_op(ports.op, public_url, access_token_seconds=3600),
        served(ports, folder, text) as service,
        logged_in(service) as (browser, fields),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        own = {**fields, "Origin": public_url, "Sec-Fetch-Site": "same-origin"}
        yield Installation(service, Streams(http, public_url, own), api, browser)


async def reloaded(service: Service, name: str) -> int:
    """A reload with another configuration; the process that serves now."""
    change(service, CLAIMS, f'claims = ["name", "email", "{name}"]')
    done = await hup(service)
    assert done["changed"] == ["user.claims"]
    change(service, f'claims = ["name", "email", "{name}"]', CLAIMS)
    return int(done["pid"])


@pytest.mark.parametrize("workers", [1, 2])
async def test_streams_notice_no_reload(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """Two of them, and a restart: the streams of each process go on, and end with the session."""
    async with installation(own_redis, tmp_path, server=f"workers = {workers}") as there:
        first, socket = await there.streams.from_api(), await there.streams.socket()
        await reloaded(there.service, "nickname")
        second = await there.streams.from_api()
        await restart(there.service)
        serving_now = await reloaded(there.service, "zoneinfo")
        over_at = time.monotonic() + LONGER_SECONDS
        await until(lambda: time.monotonic() > over_at)
        there.api.more.set()
        for stream in (first, second):
            async with asyncio.timeout(HANG_SECONDS):
                assert await stream.content.readexactly(len(CHUNK)) == CHUNK
        await socket.send_str("bye")
        assert (await socket.receive(timeout=HANG_SECONDS)).type == aiohttp.WSMsgType.CLOSE

        assert (await there.browser.fetch("POST", "/bff/logout")).status == 200
        await asyncio.gather(is_cut(first), is_cut(second))
        assert is_running(serving_now)
        assert await stopped(there.service) == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_stop_ends_what_goes_on_in_all_of_them(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """Whichever of them has started which: the first passes the signal on to each."""
    async with installation(own_redis, tmp_path, server=f"workers = {workers}") as there:
        open_ones, pids = [await there.streams.from_api()], []
        for name in ("nickname", "zoneinfo", "locale"):
            pids.append(await reloaded(there.service, name))
            open_ones.append(await there.streams.from_api())
        assert all(map(is_running, pids))
        assert await stopped(there.service) == 0
        await asyncio.gather(*map(is_cut, open_ones))
        assert not any(map(is_running, pids))


async def test_of_many_old_processes_the_oldest_is_stopped(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """Each is as large as the one that serves. The very first one stays, for it is the parent."""
    async with installation(own_redis, tmp_path, server="") as there:
        open_ones, pids = [], []
        for number in range(2 + MOST_OLD):
            open_ones.append(await there.streams.from_api())
            pids.append(await reloaded(there.service, f"claim{number}"))
        await is_cut(open_ones.pop(1))
        await until(lambda: not is_running(pids[0]))
        assert all(map(is_running, pids[1:]))
        there.api.more.set()
        for stream in open_ones:
            async with asyncio.timeout(HANG_SECONDS):
                assert await stream.content.readexactly(len(CHUNK)) == CHUNK
        assert await stopped(there.service) == 0


async def test_what_goes_on_keeps_no_service_up_that_serves_no_more(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """The process that has taken over dies: the first one ends as that one did, so that a service
    manager starts it anew, though streams of processes before it are open."""
    async with installation(own_redis, tmp_path, server="") as there:
        open_ones = [await there.streams.from_api()]
        await reloaded(there.service, "nickname")
        open_ones.append(await there.streams.from_api())
        serving_now = await reloaded(there.service, "zoneinfo")
        os.kill(serving_now, signal.SIGKILL)
        assert await there.service.program.exit_code() == 128 + signal.SIGKILL
        await asyncio.gather(*map(is_cut, open_ones))


async def test_what_has_no_end_is_cut_when_its_time_is_over(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    async with installation(own_redis, tmp_path, server='handover_timeout = "1s"') as there:
        answer = await there.streams.from_api()
        await reloaded(there.service, "nickname")
        await is_cut(answer)
        assert await stopped(there.service) == 0
