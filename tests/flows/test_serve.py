"""`bff serve` as a process: its banner and its admin listener."""

import asyncio
import json
import os
import resource
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from bff import __version__
from tests.flows.served import a_served_gateway, admin, some_ports
from tests.parts.raw_upstream import raw_upstream
from tests.parts.stack import CLIENT_SECRET, Ports, free_port, gateway_toml
from tests.polling import until


async def test_the_banner_says_what_runs_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where logs are text, for people."""
    monkeypatch.setenv("BFF_LOG__FORMAT", "text")
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


async def test_start_and_stop_are_events_and_nothing_else_is_said(tmp_path: Path) -> None:
    """Logs are JSON by default, so whatever a program reads of it is; the banner is not."""
    ports = some_ports(free_port())
    async with a_served_gateway(ports, tmp_path) as process:
        process.terminate()
        output, errors = await process.communicate()
    assert output == b""
    events = [json.loads(line) for line in errors.splitlines()]
    [started] = [event for event in events if event["event"] == "started"]
    assert started["version"] == __version__
    assert started["public_url"] == f"http://localhost:{ports.gateway}"
    assert started["listen"] == [f"127.0.0.1:{ports.gateway}"]
    assert (started["store"], started["workers"]) == ("memory", 1)
    assert events[-1]["event"] == "stopped"
    assert events[-1]["uptime_seconds"] >= 0


async def test_a_placeholder_is_told_at_each_start(tmp_path: Path) -> None:
    """On loopback it is allowed: it must not be forgotten."""
    ports = some_ports(free_port())
    weak = {"BFF_OIDC__CLIENT_SECRET": "my-spa-client-secret"}
    config = tmp_path / "bff.toml"
    config.write_text(gateway_toml(ports))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bff", "serve", "--config", str(config)),
        env={**os.environ, **weak},
        stderr=PIPE,
    )
    assert process.stderr is not None
    warned = await process.stderr.readuntil(b'"event": "guessable_secret"')
    process.terminate()
    await process.communicate()
    assert b'"setting": "oidc.client_secret"' in warned
    assert b"my-spa-client-secret" not in warned


async def test_an_access_log_that_can_not_be_opened_is_a_plain_sentence(tmp_path: Path) -> None:
    config = tmp_path / "bff.toml"
    file = tmp_path / "nowhere" / "access.log"
    extra = f'[access_log]\nenabled = true\nfile = "{file}"\n'
    config.write_text(gateway_toml(some_ports(free_port()), extra=extra))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bff", "serve", "--config", str(config), stdout=PIPE, stderr=PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 3
    assert errors.decode() == f"bff: can't open {file}: No such file or directory\n"


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
    assert process.stderr is not None
    begun = await process.stderr.readuntil(b'"event": "started"')
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    process.terminate()
    log = begun + (await process.communicate())[1]
    assert (soft, hard) == (4096, 4096)
    assert b'"allowed": 4096, "wanted": 31024, "event": "few_open_files"' in log
