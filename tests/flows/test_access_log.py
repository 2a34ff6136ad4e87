"""The access log: one line for each request, whatever became of it, and nothing secret in any."""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.flows.test_forwarding import EARLY_HINTS
from tests.flows.test_unauthorized import Revoking
from tests.flows.test_websocket import EchoApi
from tests.parts.browser import Browser
from tests.parts.raw_upstream import Received, raw_upstream
from tests.parts.servers import free_port, serving
from tests.parts.stack import Stack, running_stack
from tests.polling import until
from tests.wire.client import everything, wired

FIELDS = {
    "time", "method", "route", "status", "code", "ending", "seconds", "upstream_seconds",
    "bytes_in", "bytes_out", "request_id", "session", "address",
}  # fmt: skip


class Lines:
    """What stands in the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    async def wait_for(self, judge: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first line that is as it should be."""
        await until(lambda: any(map(judge, self.read())))
        return next(line for line in self.read() if judge(line))

    async def of_route(self, route: str, status: int) -> dict[str, Any]:
        return await self.wait_for(lambda e: (e["route"], e["status"]) == (route, status))


@asynccontextmanager
async def logging_stack(
    file: Path, more: str = "", **given: Any
) -> AsyncIterator[tuple[Stack, Lines]]:
    extra = f'[access_log]\nenabled = true\nfile = "{file}"\n{more}\n'
    async with running_stack(extra=extra, **given) as stack:
        yield stack, Lines(file)


async def test_a_call_leaves_one_line_with_what_an_operator_asks_for(tmp_path: Path) -> None:
    """Route, status, durations, bytes both ways, and the ids that other logs name."""
    async with logging_stack(tmp_path / "access.log") as (stack, lines), Browser() as browser:
        await log_in(browser, stack)
        page = await browser.fetch("POST", "/api/echo?q=canary-query", data=b"x" * 1000)
        assert page.status == 200
        listed = json.loads((await browser.fetch("GET", "/bff/sessions")).text)["sessions"]
        line = await lines.of_route("/api/", 200)
        assert line.keys() == FIELDS
        assert line["method"] == "POST"
        assert line["ending"] == "complete"
        assert line["bytes_in"] == 1000
        assert line["bytes_out"] > len(page.text)
        assert 0 < line["upstream_seconds"] <= line["seconds"]
        assert line["request_id"] == page.headers["X-Request-ID"]
        assert line["session"] == listed[0]["id"]
        assert line["address"] == "127.0.0.0/24"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
        assert len([e for e in lines.read() if e["route"] == "/api/"]) == 1


async def test_a_call_that_was_sent_again_has_the_name_of_its_answer(tmp_path: Path) -> None:
    """An API has refused the token: the name is the one under which the call went out last."""
    clock, api = ManualClock(), Revoking()
    async with raw_upstream() as upstream:
        upstream.responder = api
        routes = f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{upstream.port}/"\n'
        given: dict[str, Any] = {"clock": clock, "access_token_seconds": 3600, "routes": routes}
        async with (
            logging_stack(tmp_path / "access.log", **given) as (stack, lines),
            Browser() as browser,
        ):
            await log_in(browser, stack)
            await browser.fetch("GET", "/api/x")
            api.revoked.add(upstream.received[0].values(b"authorization")[0])
            clock.advance(31)
            answer = await browser.fetch("POST", "/api/x")
            name = answer.headers["X-Request-ID"]
            assert upstream.received[-1].values(b"x-request-id") == [name.encode()]
            line = await lines.wait_for(lambda e: e["method"] == "POST")
            assert (line["status"], line["request_id"], stack.op.refreshes) == (200, name, 1)


async def test_own_endpoints_refusals_and_broken_requests_are_there_too(tmp_path: Path) -> None:
    """Under the path of the configuration, never that of the request."""
    async with logging_stack(tmp_path / "access.log") as (stack, lines), Browser() as browser:
        await log_in(browser, stack)
        await browser.fetch("DELETE", "/bff/sessions/no-such-session-canary")
        await browser.fetch("POST", "/api/echo", csrf=False)
        await browser.fetch("GET", "/api/x%2f..%2fcanary")
        reader, writer = await asyncio.open_connection("127.0.0.1", stack.ports.gateway)
        writer.write(b"canary\r\n\r\n")
        await reader.read()
        writer.close()
        assert (await lines.of_route("/bff/login", 302))["code"] is None
        assert (await lines.of_route("/bff/callback", 302))["method"] == "GET"
        assert (await lines.of_route("/bff/sessions/*", 404))["method"] == "DELETE"
        assert (await lines.of_route("/api/", 403))["code"] == "csrf_header_missing"
        await lines.wait_for(lambda e: (e["code"], e["route"]) == ("ambiguous_path", "/api/"))
        await lines.wait_for(lambda e: (e["status"], e["method"]) == (400, None))
        assert "spa" in {e["route"] for e in lines.read()}
    text = (tmp_path / "access.log").read_text()
    cookie = browser.cookies.get("bff")
    assert cookie is not None
    for secret in ("canary", "code=", "state=", "eyJ", "returnUrl", cookie):
        assert secret not in text


async def test_a_websocket_is_one_line_at_its_end(tmp_path: Path) -> None:
    port, api = free_port(), EchoApi()
    route = f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{port}/"\nwebsocket = true\n'
    async with (
        serving(api.application(), port),
        logging_stack(tmp_path / "access.log", routes=route) as (stack, lines),
        Browser() as browser,
        aiohttp.ClientSession() as http,
    ):
        await log_in(browser, stack)
        headers = {"Origin": stack.public_url, "Cookie": f"bff={browser.cookies.get('bff')}"}
        async with http.ws_connect(f"{stack.public_url}/api/ws", headers=headers) as socket:
            await socket.send_str("x" * 500)
            assert await socket.receive_str() == "x" * 500
            assert not [e for e in lines.read() if e["status"] == 101]
        line = await lines.of_route("/api/", 101)
        assert line["bytes_in"] > 500
        assert line["bytes_out"] > 500
        assert line["session"] is not None


class Broken:
    """An API whose answers end too early, or not at all."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/cut", self._cut)
        app.router.add_get("/never", self._never)
        return app

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.abort()
        return response

    async def _never(self, request: web.Request) -> web.StreamResponse:
        self.waiting.set()
        await asyncio.Event().wait()
        return web.Response()


async def test_answers_that_are_cut_off_say_how_they_ended(tmp_path: Path) -> None:
    """By the API in mid-answer, or by a browser that hung up while it waited."""
    port, api = free_port(), Broken()
    route = f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{port}/"\ntoken = "none"\n'
    async with (
        serving(api.application(), port),
        logging_stack(tmp_path / "access.log", routes=route) as (stack, lines),
        aiohttp.ClientSession() as http,
    ):
        with pytest.raises(aiohttp.ClientError):
            async with http.get(f"{stack.public_url}/api/cut") as answer:
                await answer.read()
        cut = await lines.wait_for(lambda e: e["ending"] == "cut")
        assert (cut["status"], cut["route"]) == (200, "/api/")
        task = asyncio.create_task(http.get(f"{stack.public_url}/api/never").__aenter__())
        await api.waiting.wait()
        task.cancel()
        gone = await lines.wait_for(lambda e: e["ending"] == "browser_gone")
        assert (gone["status"], gone["method"]) == (None, "GET")


@pytest.mark.parametrize("way", ["moved", "copied and cut"])
async def test_the_file_can_be_rotated_without_a_signal(tmp_path: Path, way: str) -> None:
    """As logrotate does it, with `create` and with `copytruncate`."""
    file = tmp_path / "access.log"
    async with logging_stack(file) as (stack, lines), aiohttp.ClientSession() as http:

        async def another() -> bool:
            async with http.get(f"{stack.public_url}/bff/user") as answer:
                await answer.read()
            return file.exists() and bool(lines.read())

        await until(another)
        if way == "moved":
            file.rename(tmp_path / "access.log.1")
        else:
            shutil.copy(file, tmp_path / "access.log.1")
            with file.open("r+b") as opened:
                opened.truncate(0)
        await until(another)
        assert Lines(tmp_path / "access.log.1").read()


async def test_a_full_disk_costs_lines_and_no_request(tmp_path: Path) -> None:
    """The lines are dropped, the answers are not."""
    async with logging_stack(Path("/dev/full")) as (stack, _), aiohttp.ClientSession() as http:
        for _attempt in range(3):
            async with http.get(f"{stack.public_url}/bff/user") as answer:
                assert answer.status == 403


@pytest.mark.parametrize(
    ("address", "shown"), [("full", "127.0.0.1"), ("truncated", "127.0.0.0/24"), ("off", None)]
)
async def test_the_address_is_shown_as_configured(
    tmp_path: Path, address: str, shown: str | None
) -> None:
    more = f'address = "{address}"'
    async with (
        logging_stack(tmp_path / "access.log", more) as (stack, lines),
        aiohttp.ClientSession() as http,
    ):
        async with http.get(f"{stack.public_url}/bff/user") as answer:
            await answer.read()
        assert (await lines.of_route("/bff/user", 403))["address"] == shown


async def test_what_follows_a_handshake_is_counted_for_the_handshake_alone(tmp_path: Path) -> None:
    """Not for the request before it, which came in the same read."""
    async with logging_stack(tmp_path / "access.log") as (stack, lines):
        host = f"Host: {stack.public_url.partition('://')[2]}\r\n"
        handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        ask = f"GET / HTTP/1.1\r\n{host}\r\nGET /nowhere/../x HTTP/1.1\r\n{host}{handshake}"
        await everything(stack.ports.gateway, f"{ask}\r\nhello".encode())
        assert (await lines.of_route("spa", 200))["bytes_in"] == 0


async def test_the_status_is_that_of_the_answer_itself(tmp_path: Path) -> None:
    """Not that of an interim one before it, nor of what looks like one in its body."""
    may_end = asyncio.Event()

    async def hint_first(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(EARLY_HINTS)
        await may_end.wait()
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\nHTTP/1.1 404")

    async with raw_upstream() as upstream:
        upstream.responder = hint_first
        routes = f'[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:{upstream.port}/"\n'
        async with (
            logging_stack(tmp_path / "access.log", routes=routes) as (stack, lines),
            Browser() as browser,
        ):
            await log_in(browser, stack)
            host = f"Host: {stack.public_url.partition('://')[2]}\r\n"
            cookie = f"Cookie: bff={browser.cookies.get('bff')}\r\nX-CSRF: 1\r\n"
            async with wired(stack.ports.gateway) as wire:
                wire.send(f"GET /api/x HTTP/1.1\r\n{host}{cookie}\r\n".encode())
                await wire.until_received(b"103 Early Hints")
                may_end.set()
                await wire.until_received(b"HTTP/1.1 404")
            line = await lines.wait_for(lambda entry: entry["route"] == "/api/")
            assert (line["status"], line["ending"]) == (201, "complete")


async def test_a_path_is_written_where_it_is_asked_for_and_text_is_one_line(tmp_path: Path) -> None:
    """Never its query; and no value can look like another field."""
    more = 'path = true\nformat = "text"'
    file = tmp_path / "access.log"
    async with logging_stack(file, more) as (stack, _), aiohttp.ClientSession() as http:
        async with http.get(f"{stack.public_url}/bff/user?x=canary") as answer:
            await answer.read()
        await until(lambda: file.exists() and "\n" in file.read_text())
        line = file.read_text()
    assert re.match(r"\S+Z method=GET route=/bff/user path=/bff/user status=403 code=\w+ ", line)
    assert "canary" not in line


async def test_without_being_asked_for_nothing_is_written(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    extra = f'[access_log]\nfile = "{file}"\n'
    async with (
        running_stack(extra=extra) as stack,
        aiohttp.ClientSession() as http,
        http.get(f"{stack.public_url}/bff/user") as answer,
    ):
        assert answer.status == 403
    assert not file.exists()
