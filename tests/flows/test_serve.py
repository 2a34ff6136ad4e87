"""`bff serve` as a process: its banner and its admin listener."""

import resource
import signal
from pathlib import Path

import aiohttp
import pytest

from bff import __version__
from tests.flows.served import a_served_gateway, admin
from tests.parts.command import bff
from tests.parts.configuration import CLIENT_SECRET, Ports, free_ports, gateway_toml
from tests.parts.gateway_program import GatewayProgram, gateway_program, serving_gateway
from tests.parts.raw_upstream import raw_upstream
from tests.parts.servers import free_port
from tests.polling import until


async def test_the_banner_says_what_runs_and_no_secret(tmp_path: Path) -> None:
    """Where logs are text, for people."""
    ports = free_ports()
    async with a_served_gateway(ports, tmp_path, extra='[log]\nformat = "text"') as program:
        await stopped(program)
    banner = program.output.read_text()
    for part in (
        f"http://localhost:{ports.gateway}",
        f"127.0.0.1:{ports.admin}",
        f"http://127.0.0.1:{ports.op}",
        f"/api/ -> http://127.0.0.1:{ports.api}",
        "memory",
    ):
        assert part in banner
    assert CLIENT_SECRET not in banner + program.log.read_text()


async def test_start_and_stop_are_events_and_nothing_else_is_said(tmp_path: Path) -> None:
    """Logs are JSON by default, so whatever a program reads of it is; the banner is not."""
    ports = free_ports()
    async with a_served_gateway(ports, tmp_path) as program:
        await stopped(program)
    assert program.output.read_text() == ""
    [started] = program.events("started")
    assert started["version"] == __version__
    assert started["public_url"] == f"http://localhost:{ports.gateway}"
    assert started["listen"] == [f"127.0.0.1:{ports.gateway}"]
    assert (started["store"], started["workers"]) == ("memory", 1)
    last = program.events()[-1]
    assert last["event"] == "stopped"
    assert last["uptime_seconds"] >= 0


async def stopped(program: GatewayProgram) -> None:
    program.signal(signal.SIGTERM)
    assert await program.exit_code() == 0


async def test_a_placeholder_is_told_at_each_start(tmp_path: Path) -> None:
    """On loopback it is allowed: it must not be forgotten."""
    ports = free_ports()
    toml = gateway_toml(ports, oidc='client_secret = "my-spa-client-secret"')
    async with serving_gateway(ports, tmp_path, toml, ready="/healthz") as program:
        await until(lambda: program.events("guessable_secret") != [])
    [warned] = program.events("guessable_secret")
    assert warned["setting"] == "oidc.client_secret"
    assert "my-spa-client-secret" not in program.log.read_text()


async def test_an_op_without_tls_is_told_at_each_start_and_by_the_check(tmp_path: Path) -> None:
    """With its hosts: a machine that can change what passes there can log in as any user."""
    ports = free_ports()
    toml = gateway_toml(ports, oidc='allow_http_hosts = ["keycloak:8080"]')
    async with serving_gateway(ports, tmp_path, toml, ready="/healthz") as program:
        await until(lambda: program.events("plain_http_allowed") != [])
    [warned] = program.events("plain_http_allowed")
    assert (warned["level"], warned["hosts"]) == ("warning", ["keycloak:8080"])
    result = await bff("check", "--offline", "--config", str(tmp_path / "bff.toml"))
    assert "keycloak:8080 may be reached without TLS (allow_http_hosts)" in result.line("! OP")


async def refused(program: GatewayProgram) -> str:
    """What a process says that ends with exit code 3, as it can't listen or open a file."""
    program.spawn()
    assert await program.exit_code() == 3
    return program.log.read_text()


async def test_an_access_log_that_can_not_be_opened_is_a_plain_sentence(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "access.log"
    ports = free_ports()
    toml = gateway_toml(ports, extra=f'[access_log]\nenabled = true\nfile = "{file}"\n')
    said = await refused(gateway_program(ports, tmp_path, toml))
    assert said == f"bff: can't open {file}: No such file or directory\n"


async def test_an_address_in_use_is_a_plain_sentence(tmp_path: Path) -> None:
    async with raw_upstream() as taken:
        ports = Ports(taken.port, free_port(), free_port(), free_port())
        said = await refused(gateway_program(ports, tmp_path))
        assert said.startswith("bff: can't listen: ")
        assert "Traceback" not in said


@pytest.mark.rule("CVE-2022-24797")
@pytest.mark.rule("OP-05")
async def test_health_and_metrics_are_on_the_admin_listener_only(tmp_path: Path) -> None:
    ports = free_ports()
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
    ports = free_ports()
    async with serving_gateway(ports, tmp_path, ready="/healthz") as program:
        status, answer = await program.admin("/readyz")
        assert (status, answer["checks"]["op"]) == (503, "op_unavailable")
        await stopped(program)


async def test_as_many_files_may_be_open_as_the_system_allows(tmp_path: Path) -> None:
    """Not as few as it suggests, which a listener soon has; and the log says if that is too few."""
    limited = ("bash", "-c", 'ulimit -Sn 256; ulimit -Hn 4096; exec "$@"', "bash")
    ports = free_ports(api=1)
    async with serving_gateway(ports, tmp_path, ready="/healthz", before=limited) as program:
        assert resource.prlimit(program.pid, resource.RLIMIT_NOFILE) == (4096, 4096)
        await until(lambda: program.events("few_open_files") != [])
    [told] = program.events("few_open_files")
    assert (told["allowed"], told["wanted"]) == (4096, 31024)
