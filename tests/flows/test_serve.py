"""`bff serve` as a process: its banner, its admin listener, and how it stops."""

import asyncio
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from spa_demo.op import Client, OpSettings, build_op
from tests.browser import Browser
from tests.polling import HANG_SECONDS, until
from tests.raw_upstream import Received, raw_upstream
from tests.stack import (
    CLIENT_ID,
    CLIENT_SECRET,
    Ports,
    free_port,
    gateway_toml,
    serving,
    signing_keys,
)


@asynccontextmanager
async def a_served_gateway(ports: Ports, directory: Path, **toml: str) -> AsyncIterator[Process]:
    """`bff serve` in front of a demo OP, ready to be used."""
    public_url = f"http://localhost:{ports.gateway}"
    client = Client(CLIENT_ID, CLIENT_SECRET, redirect_uris=(f"{public_url}/bff/callback",))
    op = build_op(OpSettings(f"http://127.0.0.1:{ports.op}", (client,)), keys=signing_keys())
    config = directory / "bff.toml"
    config.write_text(gateway_toml(ports, **toml))
    async with serving(op, ports.op):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bff", "serve", "--config", str(config), stdout=PIPE, stderr=PIPE
        )
        try:
            await until(lambda: _ready(ports), every=0.05)
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def _ready(ports: Ports) -> bool:
    try:
        return (await admin(ports, "/readyz"))[0] == 200
    except aiohttp.ClientError:
        return False


async def admin(ports: Ports, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{ports.admin}{path}") as answer,
    ):
        if answer.content_type == "application/json":
            return answer.status, await answer.json()
        return answer.status, await answer.text()


def some_ports(api: int) -> Ports:
    return Ports(free_port(), free_port(), free_port(), api)


async def test_a_stop_signal_lets_running_requests_finish_and_exits_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is answered by half; new connections are refused meanwhile."""
    monkeypatch.setenv("BFF_SERVER__SHUTDOWN_TIMEOUT", "60s")
    proceed = asyncio.Event()

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await writer.drain()
        await proceed.wait()
        writer.write(b"world")

    async with raw_upstream() as upstream:
        upstream.responder = respond
        ports = some_ports(upstream.port)
        async with a_served_gateway(ports, tmp_path) as process, Browser() as browser:
            page = await browser.navigate(f"http://localhost:{ports.gateway}/bff/login")
            await browser.log_in_at_op(page, "alice")
            calls = [
                asyncio.create_task(browser.fetch("GET", f"/api/{number}")) for number in range(20)
            ]
            await until(lambda: len(upstream.received) == 20)
            process.send_signal(signal.SIGTERM)

            async def refuses() -> bool:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", ports.gateway)
                except ConnectionError:
                    return True
                writer.close()
                return False

            await until(refuses)
            proceed.set()
            answers = await asyncio.gather(*calls)
            assert {(answer.status, answer.body) for answer in answers} == {(200, b"helloworld")}
            _, errors = await process.communicate()
            assert process.returncode == 0
            assert b"Traceback" not in errors


@pytest.mark.parametrize("patience", ["2s", "0s"])
async def test_a_stop_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: str
) -> None:
    """Least of all when it is told not to wait."""
    monkeypatch.setenv("BFF_SERVER__SHUTDOWN_TIMEOUT", patience)

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with raw_upstream() as upstream:
        upstream.responder = respond
        ports = some_ports(upstream.port)
        async with a_served_gateway(ports, tmp_path) as process, Browser() as browser:
            page = await browser.navigate(f"http://localhost:{ports.gateway}/bff/login")
            await browser.log_in_at_op(page, "alice")
            async with browser.stream("/api/stream") as stream:
                await stream.content.readany()
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(HANG_SECONDS):
                    assert await process.wait() == 0


async def test_the_banner_says_what_runs_and_no_secret(tmp_path: Path) -> None:
    ports = some_ports(free_port())
    async with a_served_gateway(ports, tmp_path) as process:
        process.terminate()
        output, errors = await process.communicate()
    banner = output.decode()
    for part in (
        f"http://localhost:{ports.gateway}",
        f"127.0.0.1:{ports.admin}",
        f"http://127.0.0.1:{ports.op}",
        f"/api/ -> http://127.0.0.1:{ports.api}",
        "memory",
    ):
        assert part in banner
    assert CLIENT_SECRET not in banner + errors.decode()
    assert process.returncode == 0


async def test_an_address_in_use_is_a_plain_sentence(tmp_path: Path) -> None:
    async with raw_upstream() as taken:
        ports = Ports(taken.port, free_port(), free_port(), free_port())
        config = tmp_path / "bff.toml"
        config.write_text(gateway_toml(ports))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bff", "serve", "--config", str(config), stdout=PIPE, stderr=PIPE
        )
        _, errors = await process.communicate()
        assert process.returncode == 3
        assert errors.decode().startswith("bff: can't listen: ")
        assert "Traceback" not in errors.decode()


@pytest.mark.rule("CVE-2022-24797")
@pytest.mark.rule("OP-05")
async def test_health_and_metrics_are_on_the_admin_listener_only(tmp_path: Path) -> None:
    ports = some_ports(free_port())
    async with a_served_gateway(ports, tmp_path):
        assert await admin(ports, "/healthz") == (200, {"status": "ok"})
        status, ready = await admin(ports, "/readyz")
        assert (status, ready["checks"]) == (200, {"store": "ok", "op": "ok"})
        status, text = await admin(ports, "/metrics")
        assert status == 200
        assert "bff_refreshes_total" in text
        async with aiohttp.ClientSession() as http:
            for path in ("/healthz", "/readyz", "/metrics", "/bff/metrics"):
                url = f"http://localhost:{ports.gateway}{path}"
                async with http.get(url) as answer:
                    body = await answer.text()
                    assert "bff_" not in body
                    assert '"checks"' not in body


async def test_a_gateway_whose_op_is_away_starts_and_is_not_ready(tmp_path: Path) -> None:
    ports = some_ports(free_port())
    config = tmp_path / "bff.toml"
    config.write_text(gateway_toml(ports))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bff", "serve", "--config", str(config), stdout=PIPE, stderr=PIPE
    )
    try:

        async def not_ready() -> bool:
            try:
                status, answer = await admin(ports, "/readyz")
            except aiohttp.ClientError:
                return False
            assert status == 503
            return bool(answer["checks"]["op"] == "op_unavailable")

        await until(not_ready, every=0.05)
        assert (await admin(ports, "/healthz"))[0] == 200
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


async def test_as_many_files_may_be_open_as_the_system_allows(tmp_path: Path) -> None:
    """Not as few as it suggests, which a listener soon has; and the log says if that is too few."""
    config = tmp_path / "bff.toml"
    config.write_text(gateway_toml(some_ports(api=1)))
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", 'ulimit -Sn 256; ulimit -Hn 4096; exec "$@"', "bash"),
        *(sys.executable, "-m", "bff", "serve", "--config", str(config)),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readuntil(b"serving")
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    process.terminate()
    _, log = await process.communicate()
    assert (soft, hard) == (4096, 4096)
    assert b'"allowed": 4096, "wanted": 31024, "event": "few_open_files"' in log
