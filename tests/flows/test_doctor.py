"""`bff doctor` asks a running installation everything at once: each line says what was asked, what
was found, and what to do next. Against real programs, each set up in one of the wrong ways.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bff.app import Gateway
from bff.cli.checks.verdict import bad, good, has_failed, line, lines
from bff.cli.diagnosis.gateway import ask_gateway
from bff.cli.doctor import all_verdicts
from bff.clock import ManualClock, SystemClock
from bff.config.load import load_with_origins
from bff.endpoints.arrival import TICKET
from tests.flows.test_check import led_to, scripted_op
from tests.parts.caddy_server import running_caddy
from tests.parts.certificates import self_signed
from tests.parts.command import Result, bff
from tests.parts.configuration import CLIENT_SECRET, SESSION_SECRET, Ports, free_ports, gateway_toml
from tests.parts.gateway_program import serving_gateway
from tests.parts.nginx_server import running_nginx
from tests.parts.redis_server import RedisServer, own_redis
from tests.parts.scripted_op import Answer, ScriptedOp
from tests.parts.servers import free_port, serving
from tests.parts.stack import running_gateway
from tests.polling import until

__all__ = ["own_redis"]

WELL, UNWELL = 0, 1
SET_HOST = "proxy_set_header Host $http_host;"
SET_FOR = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
SET_PROTO = "proxy_set_header X-Forwarded-Proto $scheme;"
TRUSTED = 'trusted_proxies = ["127.0.0.1/32"]'
NGINX = """
server {
    listen 127.0.0.1:PORT ssl;
    ssl_certificate CERTIFICATE;
    ssl_certificate_key KEY;
    location / { proxy_pass http://127.0.0.1:GATEWAY; FIELDS }
}
"""


@dataclass
class Installation:
    """The configuration of a gateway, and what the command says of it."""

    op: ScriptedOp
    config: Path
    ports: Ports
    public_url: str
    ca_file: Path | None = None
    gateway: Gateway | None = field(default=None, repr=False)

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.admin}"

    async def doctor(self) -> Result:
        """What the command says and how it ends, without a process of its own."""
        loaded = load_with_origins(self.config, {})
        found = [verdict async for verdict in all_verdicts(loaded, self.ca_file)]
        shown = [text for verdict in found for text in lines(verdict, "utf-8")]
        return judged(Result(UNWELL if has_failed(found) else WELL, "\n".join(shown), ""))

    async def ticket(self) -> str:
        """One from the admin listener."""
        loaded = load_with_origins(self.config, {})
        return (await ask_gateway(loaded.settings, SystemClock())).ticket

    async def arrival(self, *tickets: str, method: str = "GET") -> tuple[int, Any]:
        """A request to the public endpoint, past any proxy."""
        url = f"http://127.0.0.1:{self.ports.gateway}/bff/arrival"
        headers = [("Host", self.public_url.partition("://")[2])]
        headers += [(TICKET, ticket) for ticket in tickets]
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, url, headers=headers) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


def judged(result: Result) -> Result:
    """With what holds for every report."""
    for secret in (CLIENT_SECRET, SESSION_SECRET):
        assert secret not in result.out + result.err
    assert result.err == ""
    for shown in result.out.splitlines():
        assert shown[:2] in {"✓ ", "! ", "✗ "} or shown.lstrip().startswith("next: ")
    return result


def next_step(result: Result, start: str) -> str:
    """What it says to do about the first line that begins so."""
    shown = result.out.splitlines()
    at = shown.index(result.line(start))
    text = shown[at + 1].strip()
    assert text.startswith("next: "), shown[at]
    return text.removeprefix("next: ")


@asynccontextmanager
async def installation(
    folder: Path, *, serves: bool = True, public_url: str = "", **changes: Any
) -> AsyncIterator[Installation]:
    """A gateway with an OP with which all is well, and an API."""
    async with scripted_op(metadata={"authorization_response_iss_parameter_supported": True}) as op:
        ports = free_ports(api=int(op.issuer.rpartition(":")[2]))
        public_url = public_url or f"http://localhost:{ports.gateway}"
        op.answers["other"] = led_to(f"{public_url}/bff/callback?error=login_required")
        server = f'public_url = "{public_url}"\nmax_connections = 100\n{changes.pop("server", "")}'
        oidc = f'issuer = "{op.issuer}"\n{changes.pop("oidc", "")}'
        toml = gateway_toml(ports, server=server, oidc=oidc, **changes)
        config = folder / "bff.toml"
        config.write_text(toml)
        place = Installation(op, config, ports, public_url)
        if not serves:
            yield place
            return
        settings = load_with_origins(config, {}).settings
        async with running_gateway(settings) as gateway:
            place.gateway = gateway
            yield place


@asynccontextmanager
async def behind_nginx(
    folder: Path, fields: str, server: str = "", *, leads_to: int = 0, **changes: Any
) -> AsyncIterator[Installation]:
    """The same behind an nginx that serves https and sends these fields to the gateway, or to
    another port."""
    port = free_port()
    certificate, key = self_signed(folder, "localhost")
    public_url = f"https://localhost:{port}"
    async with installation(folder, public_url=public_url, server=server, **changes) as place:
        http = NGINX.replace("PORT", str(port)).replace(
            "GATEWAY", str(leads_to or place.ports.gateway)
        )
        http = http.replace("CERTIFICATE", str(certificate)).replace("KEY", str(key))
        with running_nginx(folder, http.replace("FIELDS", fields), port):
            yield replace(place, ca_file=certificate)


@contextmanager
def redis(*options: str) -> Iterator[RedisServer]:
    server = RedisServer(*options)
    try:
        yield server
    finally:
        server.close()


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
        "forwarded     no proxy is in front: 127.0.0.1",
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


async def test_too_few_files_may_be_open(tmp_path: Path) -> None:
    """In the gateway, whatever the limit of the shell is in which the command runs."""
    limited = ("bash", "-c", 'ulimit -n 256; exec "$@"', "bash")
    async with installation(tmp_path, serves=False) as place:
        text = place.config.read_text()
        async with serving_gateway(place.ports, tmp_path, text, before=limited):
            result = await place.doctor()
    assert "256 open; server.max_connections takes 1324" in result.line("✗ open files")
    assert "LimitNOFILE" in next_step(result, "✗ open files")


# --- the way through the proxies


async def test_a_proxy_that_does_all_that_is_needed(tmp_path: Path) -> None:
    fields = SET_HOST + SET_FOR + SET_PROTO
    async with behind_nginx(tmp_path, fields, TRUSTED) as place:
        result = await place.doctor()
    assert result.line(f"✓ public URL    {place.public_url} leads to this gateway")
    assert "127.0.0.1, by X-Forwarded-For of the proxy" in result.line("✓ client address")
    assert result.line("✓ forwarded     X-Forwarded-Proto is https")
    assert result.line("✓ cookie        __Host-Http-bff")


async def test_the_caddyfile_of_the_project(tmp_path: Path) -> None:
    port = free_port()
    async with installation(
        tmp_path, public_url=f"https://localhost:{port}", server=TRUSTED
    ) as place:
        gateway = f"127.0.0.1:{place.ports.gateway}"
        with running_caddy(tmp_path / "caddy", gateway=gateway, port=port) as caddy:
            result = await replace(place, ca_file=caddy.ca_root).doctor()
    for item in ("public URL", "client address", "forwarded"):
        assert result.line(f"✓ {item}")


@pytest.mark.parametrize(
    ("fields", "server", "found", "todo"),
    [
        (
            SET_HOST + SET_FOR,
            TRUSTED,
            "! forwarded     the proxy 127.0.0.1 sends no X-Forwarded-Proto",
            "$scheme",
        ),
        (
            SET_HOST + SET_FOR + "proxy_set_header X-Forwarded-Proto http;",
            TRUSTED,
            "! forwarded     the proxy 127.0.0.1 says X-Forwarded-Proto: http, and public_url is h",
            "the outermost proxy",
        ),
        (
            SET_HOST + SET_PROTO,
            TRUSTED,
            "✗ client address the proxy 127.0.0.1 sends no X-Forwarded-For: all users have one",
            "$proxy_add_x_forwarded_for",
        ),
        (
            SET_HOST + 'proxy_set_header Forwarded "for=203.0.113.9";',
            "",
            "✗ client address the proxy 127.0.0.1 sends no X-Forwarded-For, but Forwarded",
            'add "127.0.0.1/32" to server.trusted_proxies',
        ),
        (
            SET_HOST + SET_FOR + SET_PROTO,
            "",
            "✗ client address the proxy 127.0.0.1 is not in server.trusted_proxies",
            'add "127.0.0.1/32" to server.trusted_proxies',
        ),
        (
            SET_HOST + 'proxy_set_header X-Forwarded-For "203.0.113.9, 10.9.8.7";',
            TRUSTED,
            "✗ client address 10.9.8.7 counts as the client, and is a proxy: 203.0.113.9",
            'add "10.9.8.7/32" to server.trusted_proxies',
        ),
        (
            SET_FOR + SET_PROTO,
            TRUSTED,
            "✗ public URL    the gateway gets another Host than localhost:",
            "proxy_set_header Host",
        ),
        (
            "return 301 https://www.example.org/login?secret=canary;",
            TRUSTED,
            "✗ public URL    https://localhost:",
            "without a login or redirect",
        ),
        (
            "return 200 welcome;",
            TRUSTED,
            "✗ public URL    what answers at https://localhost:",
            "have it pass /bff/ on to server.listen",
        ),
    ],
)
async def test_what_a_proxy_does_wrong(
    tmp_path: Path, fields: str, server: str, found: str, todo: str
) -> None:
    async with behind_nginx(tmp_path, fields, server) as place:
        result = await place.doctor()
    assert result.line(found), result.out
    assert todo in next_step(result, found)
    assert "canary" not in result.out


async def test_a_proxy_that_does_not_reach_the_gateway(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, SET_HOST, TRUSTED, leads_to=free_port()) as place:
        result = await place.doctor()
    assert "does not reach it (status 502)" in result.line("✗ public URL")
    assert f"127.0.0.1:{place.ports.gateway}" in next_step(result, "✗ public URL")


async def test_a_public_url_that_can_not_be_reached(tmp_path: Path) -> None:
    async with installation(tmp_path, public_url=f"http://localhost:{free_port()}") as place:
        result = await place.doctor()
    assert "connection refused" in result.line("✗ public URL")
    assert "DNS" in next_step(result, "✗ public URL")


async def test_a_certificate_that_this_machine_does_not_trust(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, SET_HOST) as place:
        result = await replace(place, ca_file=None).doctor()
    assert "--ca-file" in result.line("✗ public URL")


async def test_another_gateway_at_the_public_url(tmp_path: Path) -> None:
    """One with other secrets does not know the ticket, and says no more than to other callers."""
    other = tmp_path / "other"
    other.mkdir()
    async with (
        installation(other, secret="uC4rT8yW2eX6nB9kV3mZ7qL5sJ1hD0fG") as there,
        installation(tmp_path, public_url=there.public_url) as place,
    ):
        result = await place.doctor()
    assert "a gateway answers" in result.line("✗ public URL")
    assert "session.secrets" in next_step(result, "✗ public URL")


# --- the endpoint that tells how a request has arrived


@pytest.mark.rule("OP-10")
async def test_a_ticket_is_good_once_and_for_a_minute(tmp_path: Path) -> None:
    async with installation(tmp_path, serves=False) as place:
        clock = ManualClock(time.time())
        settings = load_with_origins(place.config, {}).settings
        async with running_gateway(settings, clock):
            ticket = await place.ticket()
            status, document = await place.arrival(ticket)
            assert (status, document["client"]) == (200, "127.0.0.1")
            assert set(document) == {"peer", "is_peer_trusted", "client", "fields"}
            assert (await place.arrival(ticket))[0] == 404, "it was used"
            assert (await place.arrival(await place.ticket(), await place.ticket()))[0] == 404
            late = await place.ticket()
            clock.advance(61)
            assert (await place.arrival(late))[0] == 404


@pytest.mark.rule("OP-10")
async def test_without_a_ticket_it_is_a_path_that_does_not_exist(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    """For any caller, and for no access to the store: a forged ticket is known by its signature."""
    async with installation(tmp_path, store=own_redis.url) as place:
        good = await place.ticket()
        expires_at, nonce, mac = good.split(".")
        forged = [
            f"{int(expires_at) + 1}.{nonce}.{mac}",
            f"{expires_at}.{nonce[::-1]}.{mac}",
            f"{expires_at}.{nonce}.{mac[::-1]}",
            "x",
            "",
        ]
        status, unknown = await place.arrival()
        assert (status, unknown["code"]) == (404, "not_found")
        before = own_redis.records()
        own_redis.pause()
        try:
            for ticket in forged:
                assert (await place.arrival(ticket))[0] == 404, ticket
        finally:
            own_redis.resume()
        assert own_redis.records() == before
        assert (await place.arrival(good))[0] == 200


@pytest.mark.rule("OP-10")
@pytest.mark.parametrize(
    "field", [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Host", "evil")]
)
async def test_no_page_of_a_browser_gets_a_ticket(tmp_path: Path, field: tuple[str, str]) -> None:
    async with installation(tmp_path) as place, aiohttp.ClientSession() as http:
        async with http.post(f"{place.admin_url}/doctor", headers=[field]) as answer:
            assert answer.status in {403, 421}
            assert "ticket" not in await answer.text()
        async with http.get(f"{place.admin_url}/doctor") as answer:
            assert answer.status == 405


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


def telling_time(op: ScriptedOp, seconds: float, **headers: str) -> None:
    """Its answers carry a Date that is off by so many seconds."""

    def answer(document: Any) -> Any:
        def now(_: object) -> Answer:
            date = formatdate(time.time() + seconds, usegmt=True)
            return Answer(document(), headers={"Date": date, **headers})

        return now

    op.answers["discovery"] = answer(op.metadata)
    op.answers["jwks"] = answer(lambda: {"keys": [key.jwk() for key in op.keys]})


# --- the store


async def test_a_redis_that_is_down(tmp_path: Path, own_redis: RedisServer) -> None:
    async with installation(tmp_path, store=own_redis.url) as place:
        own_redis.stop()
        result = await place.doctor()
    assert result.code == UNWELL
    assert "the gateway says of store: store_unavailable" in result.line("✗ readiness")
    assert result.line("✗ store ")
    assert "at " in result.line("✗ public URL"), "a ticket can't be used"
    assert "store latency" not in result.out


async def test_a_redis_that_evicts_and_keeps_nothing(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory", "100mb")
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert result.line("! eviction      maxmemory-policy is allkeys-lru")
    assert "noeviction" in next_step(result, "! eviction")
    assert result.line("! persistence   appendonly is off")
    assert "of 100 MiB (maxmemory); nothing was evicted" in result.line("✓ store memory")


async def test_a_redis_that_has_thrown_sessions_away(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    own_redis.command("SET", "old", "x" * 100_000)
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert "thrown away 1 keys for want of memory" in result.line("✗ store memory")
    assert "noeviction" in next_step(result, "✗ store memory")


async def test_a_redis_that_is_nearly_full(tmp_path: Path, own_redis: RedisServer) -> None:
    own_redis.command("SET", "large", "x" * 40_000_000)
    used = int(own_redis.command("INFO", "memory").partition(b"used_memory:")[2].split()[0])
    own_redis.command("CONFIG", "SET", "maxmemory", int(used * 1.08))
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert "(maxmemory) are in use" in result.line("✗ store memory")


async def test_a_redis_that_can_not_write_its_snapshot(tmp_path: Path) -> None:
    with redis("--dir", "/proc", "--stop-writes-on-bgsave-error", "no") as store:
        store.command("BGSAVE")
        await until(lambda: b"rdb_last_bgsave_status:err" in store.command("INFO", "persistence"))
        async with installation(tmp_path, store=store.url) as place:
            result = await place.doctor()
    assert "snapshot: err" in result.line("✗ persistence")
    assert "disk is full" in next_step(result, "✗ persistence")


async def test_a_redis_that_does_not_tell_how_it_is_set_up(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    """Its user has no right to INFO: no verdict is made up."""
    own_redis.command("ACL", "SETUSER", "default", "-info")
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert "(INFO)" in result.line("! store figures")
    assert "+info" in next_step(result, "! store figures")
    for item in ("eviction", "persistence", "store memory", "store version"):
        assert item not in result.out


async def test_sessions_in_memory(tmp_path: Path) -> None:
    async with installation(tmp_path) as place:
        result = await place.doctor()
    assert "forgets all sessions" in result.line("! store")
    assert next_step(result, "! store") == "set session.store to a Redis"


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
