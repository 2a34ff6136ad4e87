"""`bff sessions` as an administrator meets it: against a running gateway, and without one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from click.testing import CliRunner

from bff.cli import main
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.command import Result, bff
from tests.parts.configuration import free_ports, gateway_toml
from tests.parts.servers import serving
from tests.parts.stack import Stack, running_gateway, running_stack
from tests.parts.written_log import written_log

DONE, NOT_ANSWERED, UNUSABLE = 0, 1, 2


@asynccontextmanager
async def logged_in(directory: Path) -> AsyncIterator[tuple[Stack, Browser, Browser]]:
    """Alice and bob, and the gateway's configuration where `bff` looks for it."""
    async with running_stack() as stack, Browser() as alice, Browser() as bob:
        (directory / "bff.toml").write_text(stack.toml)
        await log_in(alice, stack)
        await log_in(bob, stack, "bob")
        yield stack, alice, bob


async def sessions(directory: Path, *arguments: str) -> Result:
    return await bff("sessions", *arguments, cwd=directory)


async def statuses(*browsers: Browser) -> list[int]:
    return [(await browser.fetch("GET", "/bff/user")).status for browser in browsers]


@pytest.mark.rule("SE-08")
async def test_the_list_is_a_table_and_its_ids_end_one_session(tmp_path: Path) -> None:
    async with logged_in(tmp_path) as (_, alice, bob):
        shown = await sessions(tmp_path, "list", "--sub", "alice")
        assert shown.code == DONE
        head, row = shown.out.splitlines()
        assert head.split("  ")[0] == "ID"
        assert "LAST SEEN" in head
        public_id, sub, *times = row.split()
        assert sub == "alice"
        assert times[1].endswith("Z")
        assert (alice.cookies.get("bff") or "").partition(".")[0] not in shown.out
        one = await sessions(tmp_path, "revoke", "--id", public_id)
        assert (one.code, one.out) == (DONE, "1 session ended.\n")
        assert await statuses(alice, bob) == [401, 200]


@pytest.mark.rule("SE-08")
async def test_everybody_is_ended_in_one_command(tmp_path: Path) -> None:
    async with logged_in(tmp_path) as (_, alice, bob):
        all_of_them = await sessions(tmp_path, "revoke", "--all")
        assert (all_of_them.code, all_of_them.out) == (DONE, "2 sessions ended.\n")
        assert await statuses(alice, bob) == [401, 401]
        again = await sessions(tmp_path, "list", "--sub", "alice")
        assert (again.code, again.out) == (DONE, "No session.\n")


async def test_without_arguments_all_are_listed_a_page_at_a_time(tmp_path: Path) -> None:
    """Each once, whatever the size of a page; what is left is said beside the table."""
    async with logged_in(tmp_path):
        everybody = await sessions(tmp_path, "list")
        assert (everybody.code, everybody.err) == (DONE, "")
        rows = everybody.out.splitlines()[1:]
        assert sorted(row.split()[1] for row in rows) == ["alice", "bob"]
        first = await sessions(tmp_path, "list", "--limit", "1")
        after = first.out.splitlines()[1].split()[0]
        assert first.err == f"There are more: --after {after}\n"
        second = await sessions(tmp_path, "list", "--limit", "1", "--after", after, "--json")
        assert second.err == ""
        document = json.loads(second.out)
        assert document.keys() == {"sessions"}
        assert [after, document["sessions"][0]["id"]] == [row.split()[0] for row in rows]


async def test_the_log_says_which_administrator_ended_a_session(tmp_path: Path) -> None:
    """In the line of the command and in that of each session."""
    with written_log() as log:
        async with logged_in(tmp_path):
            await bff("sessions", "revoke", "--sub", "alice", cwd=tmp_path, SUDO_USER="carol")
    for event in ("sessions_ended_by_admin", "session_ended"):
        [entry] = log.of(event)
        assert entry["actor"] == "carol at 127.0.0.1"


async def test_programs_get_json(tmp_path: Path) -> None:
    async with logged_in(tmp_path):
        listed = json.loads((await sessions(tmp_path, "list", "--sub", "alice", "--json")).out)
        [one] = listed["sessions"]
        assert one["sub"] == "alice"
        by_sid = await sessions(tmp_path, "revoke", "--sid", one["sid"], "--json")
        assert json.loads(by_sid.out) == {"ended": 1, "foreign": 0}


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--issuer", "https://op.example"),
        ("list", "--limit", "0"),
        ("list", "--sub", "alice", "--after", "x"),
        ("revoke",),
        ("list", "--all"),
        ("list", "--sub", ""),
        ("revoke", "--sub", "alice", "--sid", "x"),
        ("revoke", "--sub", "alice", "--all"),
        ("revoke", "--all", "--issuer", "https://op.example"),
        ("revoke", "--id", "x", "--issuer", "https://op.example"),
    ],
)
def test_an_unclear_command_ends_no_session(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Exactly one way to say which sessions; the gateway is not even asked."""
    ports = free_ports()
    config = tmp_path / "bff.toml"
    config.write_text(gateway_toml(ports))
    result = CliRunner().invoke(main, ["sessions", *arguments, "--config", str(config)])
    assert (result.exit_code, result.stdout) == (UNUSABLE, "")
    assert result.stderr.startswith("Usage: ")


async def test_no_running_gateway_is_told_in_plain_words(tmp_path: Path) -> None:
    ports = free_ports()
    for admin in (f"127.0.0.1:{ports.admin}", f"unix:{tmp_path}/admin.sock"):
        text = gateway_toml(ports, server=f'admin_listen = "{admin}"')
        (tmp_path / "bff.toml").write_text(text)
        result = await sessions(tmp_path, "list", "--sub", "alice")
        assert (result.code, result.out) == (NOT_ANSWERED, "")
        assert result.err.startswith(f"bff: no gateway answers at {admin} (server.admin_listen): ")
        assert result.err.endswith("; is it running?\n")


async def test_something_else_at_the_address_is_told_apart(tmp_path: Path) -> None:
    """A wrong admin_listen must not look like an empty list."""
    ports = free_ports()
    (tmp_path / "bff.toml").write_text(gateway_toml(ports))

    async def other(_request: web.Request) -> web.Response:
        return web.Response(text="<html>welcome</html>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/sessions", other)
    async with serving(application, ports.admin):
        result = await sessions(tmp_path, "list", "--sub", "alice")
    assert (result.code, result.out) == (NOT_ANSWERED, "")
    assert "is no admin listener of a gateway" in result.err


async def test_a_terminal_is_not_steered_by_what_the_list_holds(tmp_path: Path) -> None:
    """A `sub` comes from the OP, a client's name from the browser."""
    ports = free_ports()
    (tmp_path / "bff.toml").write_text(gateway_toml(ports))
    evil = {"id": "i", "sub": "a\x1b[2Jb\nc", "client": "\u202ex", "created_at": None}

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"sessions": [evil]})

    application = web.Application()
    application.router.add_get("/sessions", answer)
    async with serving(application, ports.admin):
        result = await sessions(tmp_path, "list", "--sub", "alice")
    assert result.code == DONE
    assert len(result.out.splitlines()) == 2
    assert "a?[2Jb?c" in result.out
    assert "\u202e" not in result.out


@pytest.mark.parametrize(
    "listen", ["unix:{directory}/admin.sock", "0.0.0.0:{port}", "[::1]:{port}"]
)
async def test_the_gateway_is_found_wherever_it_listens(tmp_path: Path, listen: str) -> None:
    ports = free_ports()
    admin = listen.format(directory=tmp_path, port=ports.admin)
    text = gateway_toml(ports, server=f'admin_listen = "{admin}"')
    (tmp_path / "bff.toml").write_text(text)
    async with running_gateway(text):
        result = await sessions(tmp_path, "list", "--sub", "alice")
    assert (result.code, result.out) == (DONE, "No session.\n")
