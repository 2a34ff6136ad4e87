"""`bff doctor` asks a running installation everything at once: each line says what was asked, what
was found, and what to do next. Against real programs, each set up in one of the wrong ways.
"""

import json
import os
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bff.cli.checks.verdict import Mark, bad, good, line, lines
from bff.cli.diagnosis.clocks import OpClock
from bff.cli.diagnosis.clocks import judged as judged_clocks
from bff.cli.diagnosis.gateway import RunningGateway, on_gateway
from bff.clock import ClockReading, ManualClock
from bff.config.load import load_with_origins
from tests.flows.examined import (
    SET_HOST,
    TRUSTED,
    UNWELL,
    WELL,
    behind_nginx,
    installation,
    judged,
    next_step,
    redis,
)
from tests.parts.client_keys import key_file
from tests.parts.command import Result, bff
from tests.parts.configuration import CLIENT_SECRET, SESSION_SECRET
from tests.parts.gateway_program import serving_gateway
from tests.parts.redis_server import RedisServer, own_redis
from tests.parts.scripted_op import Answer, ScriptedOp
from tests.parts.servers import free_port, serving
from tests.parts.stack import running_gateway

__all__ = ["own_redis"]


# --- all is well, and how it is told


async def test_an_installation_with_which_all_is_well(tmp_path: Path) -> None:
    with redis("--appendonly", "yes") as store:
        async with installation(tmp_path, store=store.url) as place:
            result = await place.doctor()
    assert result.code == WELL, result.out
    assert "✗" not in result.out
    for item in (
        "gateway",
        "readiness",
        "public URL    http://localhost:",
        "forwarded for no proxy is in front: 127.0.0.1",
        "OP",
        "client",
        "redirect URI",
        "clock",
        "store",
        "store version",
        "eviction      maxmemory-policy is noeviction",
        "persistence   appendonly is on",
        "store memory",
        "upstream",
    ):
        assert result.line(f"✓ {item}")
    assert " ms (median of 20 from here)" in result.out


async def test_the_command_tells_it_to_people_and_to_programs(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    async with installation(tmp_path, store=own_redis.url) as place:
        for_people = await bff("doctor", "--config", str(place.config), cwd=tmp_path)
        for_programs = await bff("doctor", "--config", str(place.config), "--json", cwd=tmp_path)
    judged(for_people)
    assert for_people.code == WELL, for_people.out
    assert next_step(for_people, "! persistence   appendonly is off").startswith("set it to yes")
    document = json.loads(for_programs.out)
    assert (for_programs.code, document["well"]) == (WELL, True)
    assert {"verdict", "item", "found", "next"} == set(document["verdicts"][0])
    by_item = {one["item"]: one for one in document["verdicts"]}
    assert by_item["persistence"]["verdict"] == "warn"
    assert by_item["persistence"]["next"].startswith("set it to yes")
    assert len(document["verdicts"]) == len(
        [shown for shown in for_people.out.splitlines() if "next: " not in shown]
    )


async def test_an_invalid_configuration_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    config = tmp_path / "bff.toml"
    config.write_text("[server]\n")
    result = await bff("doctor", "--config", str(config), cwd=tmp_path)
    assert (result.code, result.out) == (2, "")


# --- the running gateway


async def test_no_gateway_runs(tmp_path: Path) -> None:
    """The rest is asked all the same."""
    async with installation(tmp_path, serves=False) as place:
        result = await place.doctor()
    assert result.code == UNWELL
    assert "no gateway answers" in result.line("✗ gateway")
    assert "bff serve" in next_step(result, "✗ gateway")
    assert result.line("✓ OP")
    assert "public URL" not in result.out


async def test_another_program_at_the_admin_listener(tmp_path: Path) -> None:
    """Such as a gateway of an older release, which has no such endpoint."""
    async with (
        installation(tmp_path, serves=False) as place,
        serving(web.Application(), place.ports.admin),
    ):
        result = await place.doctor()
    assert "no admin listener of a gateway" in result.line("✗ gateway")
    assert "this release" in next_step(result, "✗ gateway")


async def test_the_gateway_sees_trouble_that_is_not_seen_from_here(tmp_path: Path) -> None:
    """Its network may be another: what it says itself is told beside what is found from here."""
    async with installation(tmp_path, serves=False) as place:
        away = place.config.read_text().replace(place.op.issuer, f"http://127.0.0.1:{free_port()}")
        elsewhere = tmp_path / "elsewhere.toml"
        elsewhere.write_text(away)
        async with running_gateway(load_with_origins(elsewhere, {}).settings):
            result = await place.doctor()
    assert "the gateway says of op: op_unavailable" in result.line("✗ readiness")
    assert "docs/errors.md, op_unavailable" in next_step(result, "✗ readiness")
    assert result.line("✓ OP")


def test_a_gateway_that_was_not_restarted_after_an_update() -> None:
    """And one of whose OPs does not answer in time, and without a limit of open files."""
    checks = {"store": "ok", "op": "ok", "op:corp": "timeout"}
    running = RunningGateway("0.0.1", checks, None, 1324, "ticket", ClockReading(0, 0, 0))
    shown = [text for one in on_gateway(running, "here") for text in lines(one, "utf-8")]
    told = Result(WELL, "\n".join(shown), "")
    assert "release 0.0.1 runs" in told.line("! gateway")
    assert next_step(told, "! gateway").startswith("restart it")
    assert "op:corp: timeout" in told.line("! readiness")
    assert next_step(told, "! readiness").startswith("it took too long")
    assert told.line("✓ open files    without a limit")


async def test_too_few_files_may_be_open(tmp_path: Path) -> None:
    """In the gateway, whatever the limit of the shell is in which the command runs."""
    limited = ("bash", "-c", 'ulimit -n 256; exec "$@"', "bash")
    async with installation(tmp_path, serves=False) as place:
        text = place.config.read_text()
        async with serving_gateway(place.ports, tmp_path, text, before=limited):
            result = await place.doctor()
    assert "256 open; server.max_connections takes 1324" in result.line("✗ open files")
    assert "LimitNOFILE" in next_step(result, "✗ open files")


# --- the OP


async def test_an_op_that_does_not_answer(tmp_path: Path) -> None:
    async with installation(tmp_path) as place:
        await place.op.close()
        result = await place.doctor()
    assert "connection refused" in result.line("✗ OP")
    assert "clock" not in result.out, "what is not known is not told"


@pytest.mark.parametrize(("seconds", "way"), [(300, "ahead of"), (-300, "behind")])
async def test_an_op_whose_clock_is_off_by_five_minutes(
    tmp_path: Path, seconds: int, way: str
) -> None:
    async with installation(tmp_path) as place:
        telling_time(place.op, seconds)
        result = await place.doctor()
    told = result.line("✗ clock")
    assert f"{way} the gateway's, more than oidc.leeway, 30 s: logins fail" in told
    told_seconds = int(told.partition(f" s {way}")[0].rpartition(" ")[2])
    assert abs(told_seconds - 300) < 30
    assert "NTP" in next_step(result, "✗ clock")


async def test_an_op_whose_clock_is_off_by_less_than_the_leeway(tmp_path: Path) -> None:
    async with installation(tmp_path, oidc='leeway = "60s"') as place:
        telling_time(place.op, 30)
        result = await place.doctor()
    assert "ahead of the gateway's" in result.line("! clock")


async def test_an_answer_out_of_a_cache_says_when_it_was_made(tmp_path: Path) -> None:
    """RFC 9111 section 5.1: its Date is old, and its Age says how long ago that was."""
    async with installation(tmp_path) as place:
        telling_time(place.op, -3600, Age="3600")
        result = await place.doctor()
    assert result.line("✓ clock")


async def test_the_clock_of_the_gateway_counts_and_not_that_of_this_machine(
    tmp_path: Path,
) -> None:
    async with installation(tmp_path, serves=False) as place:
        settings = load_with_origins(place.config, {}).settings
        async with running_gateway(settings, ManualClock(time.time() + 600)):
            result = await place.doctor()
    assert "behind the gateway's" in result.line("✗ clock")


@pytest.mark.parametrize(
    ("aheads", "words"),
    [
        ([300], ["one of the two is wrong"]),
        ([300, 301], ["the gateway's clock is wrong", "the gateway's clock is wrong"]),
        ([300, 0], ["tell the OP's operator", ""]),
        ([300, 0, 301, -1], ["tell the OP's operator", "", "tell the OP's operator", ""]),
    ],
)
def test_which_of_several_clocks_is_wrong(aheads: list[float], words: list[str]) -> None:
    """Where several OPs agree on that."""
    clocks = [OpClock(f"https://op{at}", "oidc", 30, one) for at, one in enumerate(aheads)]
    for verdict, expected in zip(judged_clocks(clocks), words, strict=True):
        assert expected in verdict.next_step
        assert bool(expected) == (verdict.mark is Mark.BAD)


def telling_time(op: ScriptedOp, seconds: float, **headers: str) -> None:
    """Its answers carry a Date that is off by so many seconds."""

    def answer(document: Any) -> Any:
        def now(_: object) -> Answer:
            date = formatdate(time.time() + seconds, usegmt=True)
            return Answer(document(), headers={"Date": date, **headers})

        return now

    op.answers["discovery"] = answer(op.metadata)
    op.answers["jwks"] = answer(lambda: {"keys": [key.jwk() for key in op.keys]})


# --- secrets and cookies


@pytest.mark.rule("OP-01")
@pytest.mark.parametrize("options", [(), ("--json",)])
async def test_no_secret_is_shown_whatever_is_wrong(
    tmp_path: Path, own_redis: RedisServer, options: tuple[str, ...]
) -> None:
    """Nor a ticket, nor what an OP or a proxy says that could move a terminal's cursor."""
    own_redis.command("CONFIG", "SET", "requirepass", "right")
    url = own_redis.url.replace("unix://", "unix://:store-canary@")
    fields = SET_HOST + 'proxy_set_header X-Forwarded-Proto "\x1b[2J";'
    async with behind_nginx(tmp_path, fields, TRUSTED, store=url) as place:
        place.op.answers["token"] = Answer(
            {"error": "invalid_client", "error_description": f"{CLIENT_SECRET}\x1b[2J"}, status=401
        )
        ca_file = ("--ca-file", str(place.ca_file))
        command = ("doctor", "--config", str(place.config), *options, *ca_file)
        result = await bff(*command, cwd=tmp_path)
    assert result.code == UNWELL
    assert result.err == ""
    for text in ("does not accept spa", "store_unavailable"):
        assert text in result.out
    for secret in ("canary", CLIENT_SECRET, SESSION_SECRET, "\x1b", "\\u001b"):
        assert secret not in result.out


async def test_a_secret_that_is_years_old(tmp_path: Path) -> None:
    secret = tmp_path / "client_secret"
    secret.write_text(CLIENT_SECRET)
    then = time.time() - 3 * 365 * 86_400
    os.utime(secret, (then, then))
    async with installation(tmp_path, oidc=f'client_secret_file = "{secret}"') as place:
        result = await place.doctor()
    told = result.line("! secret        oidc.client_secret: secret file ")
    assert told.endswith("was written 1095 days ago")
    assert "make a new one" in next_step(result, "! secret")
    assert "its age can't be told" in result.line("✓ secret        session.secrets")


async def test_a_session_secret_that_is_old_is_replaced_without_a_logout(tmp_path: Path) -> None:
    secrets = tmp_path / "session_secrets"
    secrets.write_text(f"{SESSION_SECRET}\n")
    then = time.time() - 400 * 86_400
    os.utime(secrets, (then, then))
    async with installation(tmp_path) as place:
        text = place.config.read_text()
        by_file = text.replace(f'secrets = ["{SESSION_SECRET}"]', f'secrets_file = "{secrets}"')
        assert by_file != text
        place.config.write_text(by_file)
        result = await place.doctor()
    assert "400 days ago" in result.line("! secret        session.secrets")
    assert "bff keygen" in next_step(result, "! secret        session.secrets")


async def test_a_key_of_the_client_that_is_old(tmp_path: Path) -> None:
    """It is named by its file; no setting of it is hidden."""
    key = key_file(tmp_path / "client.pem")
    then = time.time() - 500 * 86_400
    os.utime(key, (then, then))
    oidc = f'client_auth = "private_key_jwt"\nclient_keys = ["{key}"]'
    async with installation(tmp_path, oidc=oidc) as place:
        result = await place.doctor()
    told = "! secret        oidc.client_keys: key file "
    assert result.line(told).endswith("client.pem was written 500 days ago")
    assert "client-authentication.md" in next_step(result, told)


async def test_a_cookie_without_a_prefix(tmp_path: Path) -> None:
    async with installation(tmp_path) as place:
        result = await place.doctor()
    assert "bff has no prefix" in result.line("! cookie")
    assert "https" in next_step(result, "! cookie")


def test_a_verdict_is_one_line_or_two() -> None:
    """The second says what to do next; `bff check` has both in one."""
    assert [*lines(good("OP", "is there"), "utf-8")] == ["✓ OP            is there"]
    found = bad("OP", "is away", "call it")
    assert [*lines(found, "ascii")] == [
        "FAIL OP            is away",
        "                   next: call it",
    ]
    assert line(found, "utf-8") == "✗ OP            is away: call it"
