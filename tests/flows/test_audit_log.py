"""The audit log of a whole installation: one record for each thing that happened to a login, a
session or the settings, with its actor and reason, and nothing else.
"""

import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bff.audit.verification import Verification
from bff.clock import ManualClock
from tests.flows.logins import log_in
from tests.flows.op_logouts import tell, token
from tests.flows.test_reload import CLAIMS, change, config_of, hup
from tests.flows.test_restart import running, stopped
from tests.parts.browser import Browser
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.polling import until

Record = dict[str, Any]
FIELDS = {
    "version", "time", "event", "outcome", "reason", "actor", "actor_name", "frontend", "provider",
    "session", "sub", "request_id", "address", "user_agent", "settings", "omitted", "chain",
    "sequence", "prev", "hash",
}  # fmt: skip
OF_CHAINS = ("chain_begun", "chain_ended")


class AuditFile:
    """What stands in the file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[Record]:
        """Without the beginnings and ends of chains."""
        if not self.file.exists():
            return []
        found = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [record for record in found if record["event"] not in OF_CHAINS]

    def names(self) -> list[str]:
        return [record["event"] for record in self.read()]

    async def wait_for(self, name: str, count: int = 1) -> Record:
        """The newest of that event, once there are so many."""
        await until(lambda: self.names().count(name) >= count)
        return [record for record in self.read() if record["event"] == name][-1]

    def findings(self) -> list[str]:
        verification = Verification()
        with self.file.open("rb") as lines:
            verification.read("audit", lines)
        return [str(one) for one in verification.finish()]


@asynccontextmanager
async def audited_stack(
    folder: Path, more: str = "", **given: Any
) -> AsyncIterator[tuple[Stack, AuditFile]]:
    file = folder / "audit.jsonl"
    extra = f'[audit]\nsinks = ["file:{file}"]\naddress = "full"\n{more}\n'
    async with running_stack(extra=extra, **given) as stack:
        yield stack, AuditFile(file)


async def own_id(browser: Browser) -> str:
    listed = (await browser.fetch("GET", "/bff/sessions")).json()["sessions"]
    return next(str(one["id"]) for one in listed if one["current"])


@pytest.mark.rule("AU-01")
async def test_a_session_from_login_to_logout_is_three_records(tmp_path: Path) -> None:
    """Calls leave none. The session has the id of the lists, the requests those of the log."""
    async with audited_stack(tmp_path) as (stack, log), Browser() as browser:
        await log_in(browser, stack)
        session = await own_id(browser)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        page = await browser.fetch("POST", "/bff/logout", headers={"User-Agent": "Browser/1"})
        assert page.status == 200
        ended = await log.wait_for("session_ended")
        begun, succeeded, _ = log.read()
    assert all(record.keys() == FIELDS for record in (begun, succeeded, ended))
    assert (begun["event"], begun["actor"], begun["provider"]) == ("login_begun", "user", "default")
    assert begun["request_id"] != succeeded["request_id"]
    assert succeeded["event"] == "login_succeeded"
    assert succeeded["outcome"] == "success"
    assert (succeeded["sub"], succeeded["session"]) == ("alice", session)
    assert (begun["address"], succeeded["address"]) == ("127.0.0.1", "127.0.0.1")
    assert (ended["reason"], ended["actor"]) == ("logout", "user")
    assert (ended["sub"], ended["session"]) == ("alice", session)
    assert ended["request_id"] == page.headers["X-Request-ID"]
    assert (ended["address"], ended["user_agent"]) == ("127.0.0.1", "Browser/1")
    assert (ended["frontend"], ended["omitted"], ended["settings"]) == ("default", 0, [])
    assert log.findings() == []


# --- who ended it

End = Callable[[Stack, Browser, ManualClock], Awaitable[object]]


async def by_other_device(stack: Stack, _alice: Browser, _clock: ManualClock) -> None:
    async with Browser() as phone:
        await log_in(phone, stack)
        await phone.fetch("DELETE", "/bff/sessions")


async def by_herself(_stack: Stack, alice: Browser, _clock: ManualClock) -> None:
    await alice.fetch("DELETE", f"/bff/sessions/{await own_id(alice)}")


async def by_admin(stack: Stack, _alice: Browser, _clock: ManualClock) -> None:
    async with aiohttp.ClientSession(headers={"X-BFF-Actor": "carol"}) as http:
        await http.delete(f"{stack.admin_url}/sessions?sub=alice")


async def by_op(stack: Stack, _alice: Browser, _clock: ManualClock) -> None:
    assert await tell(stack, token(stack, sub="alice")) == 200


async def by_new_login(stack: Stack, alice: Browser, _clock: ManualClock) -> None:
    await log_in(alice, stack)


async def by_limit(stack: Stack, _alice: Browser, _clock: ManualClock) -> None:
    for _ in range(2):
        async with Browser() as other:
            await log_in(other, stack)


async def by_revoked_grant(stack: Stack, alice: Browser, clock: ManualClock) -> None:
    stack.revoke_all_grants()
    clock.advance(61)
    assert (await alice.fetch("GET", "/api/me")).status == 401


async def by_idling(_stack: Stack, _alice: Browser, clock: ManualClock) -> None:
    clock.advance(3600)


@pytest.mark.rule("AU-01")
@pytest.mark.parametrize(
    ("end", "reason", "actor"),
    [
        (by_other_device, "ended_by_user", "other_device"),
        (by_herself, "ended_by_user", "user"),
        (by_admin, "admin", "admin"),
        (by_op, "backchannel_logout", "op"),
        (by_new_login, "replaced", "user"),
        (by_limit, "limit", "limit"),
        (by_revoked_grant, "grant_rejected", "op"),
        (by_idling, "idle", "expiry"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_session_that_ended_says_by_whom(
    tmp_path: Path, end: End, reason: str, actor: str
) -> None:
    clock = ManualClock()
    session_settings = 'idle_timeout = "30m"\nmax_per_user = 2'
    async with (
        audited_stack(tmp_path, clock=clock, session=session_settings) as (stack, log),
        Browser() as alice,
    ):
        await log_in(alice, stack)
        session = await own_id(alice)
        await end(stack, alice, clock)
        record = await log.wait_for("session_ended")
    [record] = [one for one in log.read() if one["event"] == "session_ended"]
    assert (record["session"], record["reason"], record["actor"]) == (session, reason, actor)
    assert record["sub"] == (None if reason == "idle" else "alice")
    if actor == "admin":
        assert record["actor_name"] == "carol at 127.0.0.1"
    else:
        assert record["actor_name"] is None
    assert log.findings() == []


# --- refusals


async def test_a_login_that_fails_says_why(tmp_path: Path) -> None:
    async with audited_stack(tmp_path) as (stack, log), Browser() as browser:
        url = f"{stack.public_url}/bff/callback?code=canary&state=canary"
        page = await browser.navigate(url)
        assert page.status == 400
        record = await log.wait_for("login_failed")
    assert (record["reason"], record["outcome"]) == ("login_expired", "failure")
    assert (record["actor"], record["provider"]) == ("user", "default")
    assert "canary" not in log.file.read_text()


async def test_a_silent_login_that_needs_the_user_says_so(tmp_path: Path) -> None:
    async with audited_stack(tmp_path) as (stack, log), Browser() as browser:
        await browser.navigate(f"{stack.public_url}/bff/login?prompt=none")
        record = await log.wait_for("login_failed")
    assert (record["reason"], record["provider"]) == ("login_required", "default")
    assert log.names() == ["login_begun", "login_failed"]


async def test_a_logout_token_that_is_refused_ends_nothing_and_is_told(tmp_path: Path) -> None:
    async with audited_stack(tmp_path) as (stack, log):
        assert await tell(stack, token(stack, sub="alice", aud="another")) == 400
        record = await log.wait_for("op_logout_failed")
    assert (record["reason"], record["actor"]) == ("logout_token_invalid", "op")


@pytest.mark.rule("AU-04")
async def test_csrf_refusals_are_told_and_capped(tmp_path: Path) -> None:
    async with audited_stack(tmp_path) as (stack, log), Browser() as browser:
        await log_in(browser, stack)
        for number in range(30):
            path = "/api/me?q=canary" if number % 2 else "/bff/user"
            assert (await browser.fetch("GET", path, csrf=False)).status == 403
        first = await log.wait_for("csrf_refused")
    refused = [record for record in log.read() if record["event"] == "csrf_refused"]
    assert len(refused) == 21
    assert refused[-1]["omitted"] == 9
    assert (first["reason"], first["outcome"]) == ("csrf_header_missing", "refused")
    assert (first["frontend"], first["address"]) == ("default", "127.0.0.1")
    assert first["request_id"]
    assert "canary" not in log.file.read_text()


async def test_limits_that_are_hit_name_the_client_or_the_session(tmp_path: Path) -> None:
    limits = '[limits]\nlogins = "1/hour"\napi_calls = "1/hour"'
    async with audited_stack(tmp_path, limits) as (stack, log), Browser() as browser:
        await log_in(browser, stack)
        session = await own_id(browser)
        assert (await browser.fetch("GET", "/api/me")).status == 200
        assert (await browser.fetch("GET", "/api/me")).status == 429
        assert (await browser.navigate(f"{stack.public_url}/bff/login")).status == 429
        await log.wait_for("limit_hit", 2)
    calls, logins = (record for record in log.read() if record["event"] == "limit_hit")
    assert (calls["reason"], calls["session"], calls["address"]) == ("api_call", session, None)
    assert (logins["reason"], logins["session"], logins["address"]) == ("login", None, "127.0.0.1")
    assert {calls["actor"], logins["actor"]} == {"limit"}


# --- off, and failing


async def test_without_a_sink_there_is_no_audit_log() -> None:
    async with running_stack() as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("POST", "/bff/logout")).status == 200


@pytest.mark.rule("AU-04")
async def test_a_sink_that_takes_nothing_holds_up_no_login(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    extra = f'[audit]\nsinks = ["file:/dev/full", "file:{file}"]'
    async with running_stack(extra=extra) as stack, Browser() as browser:
        await log_in(browser, stack)
        assert (await browser.fetch("POST", "/bff/logout")).status == 200
        await AuditFile(file).wait_for("session_ended")


# --- settings


@pytest.mark.timeout(900)  # up to six processes are started, on a busy machine
@pytest.mark.parametrize("workers", [1, 2])
async def test_reloads_are_told_once_whatever_the_number_of_workers(
    own_redis: RedisServer, tmp_path: Path, workers: int
) -> None:
    """One that was refused, and one that was done, with the keys that have changed. The chains of
    all processes are whole at the end."""
    log = AuditFile(tmp_path / "audit.jsonl")
    more = {
        "server": f"workers = {workers}",
        "extra": f'[audit]\nsinks = ["file:{log.file}", "redis-stream:"]',
    }
    async with running(own_redis, tmp_path, **more) as service:
        good = config_of(service).read_text()
        change(service, CLAIMS, CLAIMS + "\nclaim = 1")
        await hup(service, "reload_refused")
        refused = await log.wait_for("settings_refused")
        config_of(service).write_text(good)
        change(service, CLAIMS, 'anonymous = "null"\n' + CLAIMS)
        await hup(service)
        reloaded = await log.wait_for("settings_reloaded")
        service.program.signal(signal.SIGTERM)
        assert await stopped(service) == 0
    assert log.names() == ["settings_refused", "settings_reloaded"]
    assert (refused["reason"], refused["actor"]) == ("reload_refused", "admin")
    assert (reloaded["settings"], reloaded["outcome"]) == (["user.anonymous"], "success")
    assert log.findings() == []
    in_stream = own_redis.command("XRANGE", "bff:a:audit", "-", "+")
    told = [json.loads(fields[1])["event"] for _, fields in in_stream]
    assert [name for name in told if name not in OF_CHAINS] == log.names()
