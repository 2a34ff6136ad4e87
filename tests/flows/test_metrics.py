"""What Prometheus is told after a story that is known, of one process and of two workers."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.flows.logins import log_in
from tests.flows.test_websocket import sockets
from tests.flows.test_workers import a_line_to_each, logged_in, two_workers
from tests.parts.browser import Browser
from tests.parts.raw_upstream import RawUpstream, Received, raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.polling import until

CSRF = {"X-CSRF": "1"}
NAMES = ("frontend", "method", "status", "route")


async def samples(admin_url: str) -> dict[str, float]:
    """Every sample that is shown now, by its name and labels."""
    async with aiohttp.ClientSession() as http, http.get(f"{admin_url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    found = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def requests(route: str, method: str, status: str, *, frontend: str = "default") -> str:
    labels = f'frontend="{frontend}",method="{method}",route="{route}",status="{status}"'
    return f"bff_requests_total{{{labels}}}"


def durations(route: str, method: str, status: str, part: str = "count") -> str:
    labels = f'method="{method}",route="{route}",status="{status}"'
    return f"bff_request_duration_seconds_{part}{{{labels}}}"


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class HeldApi:
    """Answers as the path says; `/held` once it is let go of."""

    def __init__(self) -> None:
        self.begin = asyncio.Event()
        self.end = asyncio.Event()

    async def __call__(
        self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        path = request.request_line.split()[1]
        length = int((request.values(b"content-length") or [b"0"])[0])
        await reader.readexactly(length)
        if path == b"/held":
            await self.begin.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
            await self.end.wait()
            writer.write(b"67890")
        elif path == b"/cut":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
            await writer.drain()
            writer.close()
        else:
            status = path.rpartition(b"/")[2]
            writer.write(b"HTTP/1.1 %b Said\r\nContent-Length: 2\r\n\r\nok" % status)
        await writer.drain()


@asynccontextmanager
async def held_api(extra: str = "") -> AsyncIterator[tuple[Stack, Browser, HeldApi, RawUpstream]]:
    """A logged-in browser in front of one."""
    async with raw_upstream() as upstream:
        upstream.responder = api = HeldApi()
        routes = f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{upstream.port}/"\n'
        async with running_stack(routes=routes, extra=extra) as stack, Browser() as browser:
            await log_in(browser, stack)
            yield stack, browser, api, upstream
            api.begin.set()
            api.end.set()


async def test_each_request_is_counted_once_by_route_method_and_status() -> None:
    async with held_api() as (stack, browser, _, _):
        base = stack.public_url
        for _ in range(3):
            await browser.fetch("GET", f"{base}/api/200")
        await browser.fetch("HEAD", f"{base}/api/204")
        await browser.fetch("POST", f"{base}/api/201", data=b"x" * 5000)
        await browser.fetch("GET", f"{base}/api/503")
        async with aiohttp.ClientSession() as http:
            host = base.removeprefix("http://")
            for path, name in (("/api/200", host), ("/nowhere/else", host), ("/", "evil.example")):
                headers = CSRF | {"Host": name}
                url = f"http://127.0.0.1:{stack.ports.gateway}{path}"
                async with http.get(url, headers=headers, allow_redirects=False):
                    pass
        found = await samples(stack.admin_url)
        for expected, count in (
            (requests("/api/", "safe", "2xx"), 4),
            (requests("/api/", "unsafe", "2xx"), 1),
            (requests("/api/", "safe", "5xx"), 1),
            (requests("/api/", "safe", "4xx"), 1),
            (requests("/bff/login", "safe", "3xx"), 1),
            (requests("/bff/callback", "safe", "3xx"), 1),
            (requests("none", "safe", "4xx", frontend="none"), 1),
        ):
            assert found[expected] == count, expected
        for series in (("/api/", "safe", "2xx"), ("/api/", "unsafe", "2xx")):
            assert found[durations(*series)] == found[requests(*series)]
            assert 0 < found[durations(*series, part="sum")] < 60
        answers = sum(n for name, n in found.items() if name.startswith("bff_answers_total{"))
        counted = sum(n for name, n in found.items() if name.startswith("bff_requests_total{"))
        assert answers == counted, "one answer is counted once"
        assert found['bff_upstream_duration_seconds_count{route="/api/"}'] == 6
        assert found['bff_gateway_duration_seconds_count{route="/api/"}'] == 7
        assert 'bff_upstream_duration_seconds_count{route="/bff/login"}' not in found
        assert found["bff_received_bytes_total"] > 5000
        assert found["bff_sent_bytes_total"] > 1000


@pytest.mark.rule("OP-05")
async def test_no_request_makes_a_series_of_its_own() -> None:
    """Whatever its path, method and host are, and whatever status an API answers."""
    async with held_api() as (stack, browser, _, _), aiohttp.ClientSession() as http:
        base = f"http://127.0.0.1:{stack.ports.gateway}"
        hosts = (stack.public_url.removeprefix("http://"), "made-up.example", "localhost:1")
        for host in hosts:
            for path in ("/made-up", "/api/made-up/200", "/bff/made-up", "/bff/callback/made-up"):
                for method in ("GET", "PURGE", "MKCOL"):
                    headers = CSRF | {"Host": host, "X-Made-Up": "made-up"}
                    async with http.request(method, base + path, headers=headers):
                        pass
        for status in (200, 299, 418, 599):
            await browser.fetch("GET", f"{stack.public_url}/api/{status}")
        found = await samples(stack.admin_url)
        assert not [name for name in found if "made-up" in name.lower() or "PURGE" in name]
        labels = [name for name in found if name.startswith("bff_requests_total{")]
        values = {name: set(re.findall(rf'{name}="([^"]*)"', " ".join(labels))) for name in NAMES}
        assert values["frontend"] == {"default", "none"}
        assert values["method"] == {"safe", "unsafe"}
        assert values["status"] <= {"none", "1xx", "2xx", "3xx", "4xx", "5xx"}
        assert values["route"] <= {"/api/", "/bff/login", "/bff/callback", "spa", "none"}


async def test_the_upstreams_time_is_told_apart_from_the_gateways() -> None:
    """An API that takes its time for the head of its answer; what it takes for the rest is neither
    one's."""
    async with held_api() as (stack, browser, api, upstream):
        calling = asyncio.create_task(browser.fetch("GET", f"{stack.public_url}/api/held"))
        began = asyncio.get_running_loop().time()
        await until(lambda: bool(upstream.received))
        sent = asyncio.get_running_loop().time()

        async def in_flight() -> bool:
            found = await samples(stack.admin_url)
            return found["bff_requests_in_flight"] == 1 and found["bff_streams_open"] == 0

        await until(in_flight)
        await until(lambda: asyncio.get_running_loop().time() - sent >= 0.3)
        api.begin.set()

        async def is_streaming() -> bool:
            return (await samples(stack.admin_url))["bff_streams_open"] == 1

        await until(is_streaming)
        api.end.set()
        assert (await calling).status == 200
        whole = asyncio.get_running_loop().time() - began

        found = await samples(stack.admin_url)
        upstream_seconds = found['bff_upstream_duration_seconds_sum{route="/api/"}']
        gateway_seconds = found['bff_gateway_duration_seconds_sum{route="/api/"}']
        request_seconds = found[durations("/api/", "safe", "2xx", "sum")]
        assert 0.25 <= upstream_seconds <= whole
        assert gateway_seconds + upstream_seconds <= request_seconds <= whole
        assert found["bff_requests_in_flight"] == found["bff_streams_open"] == 0


async def test_a_request_that_ends_otherwise_is_counted_as_well() -> None:
    """Cut by the API in mid-answer, or given up by the browser before there was one."""
    async with held_api() as (stack, browser, api, upstream):
        with pytest.raises(aiohttp.ClientError):
            await browser.fetch("GET", f"{stack.public_url}/api/cut")
        assert (await samples(stack.admin_url))[requests("/api/", "safe", "2xx")] == 1
        calling = asyncio.create_task(browser.fetch("GET", f"{stack.public_url}/api/held"))
        await until(lambda: len(upstream.received) == 2)
        calling.cancel()

        async def is_counted() -> bool:
            found = await samples(stack.admin_url)
            return found.get(requests("/api/", "safe", "none")) == 1

        await until(is_counted)
        assert (await samples(stack.admin_url))["bff_requests_in_flight"] == 0
        api.begin.set()
        api.end.set()
        await until(lambda: upstream.closed == 2)


async def test_websockets_and_connections_are_counted_while_they_are_open() -> None:
    async with sockets() as found:
        before = await samples(found.stack.admin_url)
        socket = await found.open()
        await socket.send_bytes(b"x" * 70_000)
        await socket.receive_bytes()
        open_now = await samples(found.stack.admin_url)
        assert open_now["bff_websockets_open"] == 1
        assert open_now["bff_streams_open"] == 0
        assert open_now["bff_connections_open"] >= 1
        for name in ("bff_received_bytes_total", "bff_sent_bytes_total"):
            assert open_now[name] - before[name] > 70_000
        await socket.close()

        async def is_over() -> bool:
            now = await samples(found.stack.admin_url)
            counted = now.get(requests("/api/", "safe", "1xx"))
            return (now["bff_websockets_open"], counted) == (0, 1)

        await until(is_over)
        # How long one was open says nothing about how long requests take.
        assert (await samples(found.stack.admin_url))[durations("/api/", "safe", "1xx")] == 0


async def test_without_per_route_requests_are_not_counted_by_route() -> None:
    async with held_api("[metrics]\nper_route = false\n") as (stack, browser, _, _):
        await browser.fetch("GET", f"{stack.public_url}/api/200")
        found = await samples(stack.admin_url)
        assert not [name for name in found if name.startswith("bff_requests_total{")]
        forwarded = 'bff_answers_total{code="none",frontend="default",kind="forward",status="200"}'
        assert found[forwarded] == 1


async def test_logins_and_sessions() -> None:
    """Begun, finished, with how long it took; sessions made, alive and ended."""
    async with held_api() as (stack, browser, _, _):
        labels = 'frontend="default",provider="default"'
        found = await samples(stack.admin_url)
        assert found[f"bff_sessions_created_total{{{labels}}}"] == 1
        assert found["bff_login_duration_seconds_count"] == 1
        assert found['bff_op_jwks_fetched_timestamp_seconds{provider="default"}'] > 1e9

        async def alive() -> float:
            return (await samples(stack.admin_url))["bff_sessions_alive"]

        async def is_one() -> bool:
            return await alive() == 1

        async def is_none() -> bool:
            return await alive() == 0

        await until(is_one)
        await browser.fetch("POST", f"{stack.public_url}/bff/logout")
        await until(is_none)
        assert (await samples(stack.admin_url))['bff_sessions_ended_total{reason="logout"}'] == 1


async def test_the_store_and_the_cache(own_redis: RedisServer) -> None:
    async with running_stack(store=own_redis.url) as stack, Browser() as browser:
        await log_in(browser, stack)
        for _ in range(5):
            assert (await browser.fetch("GET", f"{stack.public_url}/api/me")).status == 200
        found = await samples(stack.admin_url)
        answered = 'bff_store_requests_total{operation="create",outcome="answered"}'
        assert found[answered] == 1
        assert found['bff_store_request_duration_seconds_count{operation="create"}'] == 1
        in_cache = found['bff_session_lookups_total{place="cache"}']
        in_store = found['bff_session_lookups_total{place="store"}']
        assert in_cache + in_store >= 5
        assert found["bff_store_reconnects_total"] == 0

        own_redis.stop()

        async def has_failed() -> bool:
            await browser.fetch("GET", f"{stack.public_url}/api/me")
            now = await samples(stack.admin_url)
            failed = [
                n for name, n in now.items() if 'outcome="failed"' in name and "store" in name
            ]
            return now["bff_store_watching"] == 0 and sum(failed) > 0

        await until(has_failed)
        own_redis.start()

        async def is_back() -> bool:
            now = await samples(stack.admin_url)
            return (now["bff_store_watching"], now["bff_store_reconnects_total"]) == (1, 1)

        await until(is_back)


async def test_of_two_workers_there_is_one_sum(own_redis: RedisServer, tmp_path: Path) -> None:
    """Each of them shows what both have counted and hold, a little later for the other one."""
    async with (
        two_workers(own_redis, tmp_path) as service,
        logged_in(service) as (_, fields),
        AsyncExitStack() as stack,
    ):
        lines = await a_line_to_each(stack, service)
        for line, calls in zip(lines.values(), (3, 5), strict=True):
            for _ in range(calls):
                assert await line.status("GET", f"{service.public_url}/api/me", fields) == 200

        async def shown() -> dict[str, float]:
            return await samples(f"http://127.0.0.1:{service.ports.admin}")

        async def is_whole() -> bool:
            found = await shown()
            return (
                found.get(requests("/api/", "safe", "2xx")) == 8
                and found[durations("/api/", "safe", "2xx")] == 8
                and found['bff_upstream_duration_seconds_count{route="/api/"}'] == 8
                and found["bff_connections_open"] >= 2
                and found["bff_sessions_alive"] == 1
                and found["bff_workers"] == 2
            )

        for _ in range(8):  # whichever is asked
            await until(is_whole)
        found = await shown()
        memory = sum(map(resident_bytes, service.worker_pids()))
        assert memory / 2 < found["process_resident_memory_bytes"] < memory * 2
        assert found["process_cpu_seconds_total"] > 0
        assert found["process_open_fds"] > 2
        assert found["process_max_fds"] >= 2 * 256
        assert found["process_start_time_seconds"] > 1e9
        assert found["bff_event_loop_lag_seconds_count"] > 0
        builds = {name: n for name, n in found.items() if name.startswith("bff_build_info{")}
        assert list(builds.values()) == [1]


async def test_what_a_worker_has_counted_outlives_it(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    """To the last request, unless it was killed; what it held open is gone with it."""
    async with (
        two_workers(own_redis, tmp_path) as service,
        logged_in(service) as (_, fields),
        AsyncExitStack() as stack,
    ):
        victim = min(service.worker_pids())
        for line in (await a_line_to_each(stack, service)).values():
            assert await line.status("GET", f"{service.public_url}/api/me", fields) == 200
        os.kill(victim, signal.SIGTERM)

        async def is_replaced() -> bool:
            found = await samples(f"http://127.0.0.1:{service.ports.admin}")
            return (found["bff_worker_restarts_total"], found["bff_workers"]) == (1, 2)

        await until(is_replaced)

        async def are_counted() -> bool:
            found = await samples(f"http://127.0.0.1:{service.ports.admin}")
            return found.get(requests("/api/", "safe", "2xx")) == 2

        await until(are_counted)
