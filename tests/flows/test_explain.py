"""`bff explain` as an operator meets it: what it tells is what the running gateway does, nothing is
changed by it, and nothing secret is in it."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from bff.clock import ManualClock
from bff.sessions.cookie import SessionCookie
from tests.flows.logins import log_in
from tests.flows.witness import Witness, require_none
from tests.parts.browser import Browser
from tests.parts.command import Result, bff
from tests.parts.config_files import SECRET, toml
from tests.parts.configuration import CLIENT_SECRET, SESSION_SECRET
from tests.parts.redis_server import RedisServer
from tests.parts.stack import Stack, running_stack
from tests.security.kept_connection import kept_connection

EXPLAINED, NOT_LOOKED_UP, UNUSABLE = 0, 1, 2

ROUTES = """
[[routes]]
path = "/plain/"
upstream = "http://127.0.0.1:1/base/"
token = "none"
csrf = "same-origin"

[[routes]]
path = "/machine/"
upstream = ["http://127.0.0.1:1/", "http://127.0.0.1:2/"]
token = "client"
scope = "api:read"

[[routes]]
path = "/strong/"
upstream = "http://127.0.0.1:1/"
require_acr = ["gold"]

[[routes]]
path = "/other/"
upstream = "http://127.0.0.1:1/"
scope = "api:read"

[[routes]]
path = "/exchanged/"
upstream = "http://127.0.0.1:1/"
token = "exchange"
audience = "other"
"""


LATER_ROUTE = """
[[routes]]
path = "/later/"
upstream = "http://127.0.0.1:1/"
resource = "https://later.example"
"""


class Explained:
    """A gateway on Redis, alice logged in at it, and her cookies in a file."""

    def __init__(self, stack: Stack, directory: Path, browser: Browser) -> None:
        self.stack = stack
        self.directory = directory
        self.browser = browser
        self.cookie = f"bff={browser.cookies.get('bff')}"
        (directory / "cookies").write_text(f"Cookie: {self.cookie}\n")

    async def text(self, *arguments: str) -> Result:
        return await bff("explain", *arguments, cwd=self.directory)

    async def asked(self, *arguments: str, cookies: bool = True) -> dict[str, Any]:
        """What `--json` tells, with her cookies."""
        file = ("--cookie-file", "cookies") if cookies else ()
        result = await self.text(*arguments, *file, "--json")
        assert result.err == ""
        document: dict[str, Any] = json.loads(result.out)
        return document


@asynccontextmanager
async def explained(directory: Path, redis: RedisServer, **stack: Any) -> AsyncIterator[Explained]:
    # With a namespace of its own, for the server is shared.
    session = f'namespace = "{directory.name}"'
    async with (
        running_stack(store=redis.url, session=session, extra=ROUTES, **stack) as running,
        Browser() as browser,
    ):
        (directory / "bff.toml").write_text(running.toml)
        await log_in(browser, running)
        yield Explained(running, directory, browser)


def rules_of(document: dict[str, Any]) -> list[str]:
    return [step["rule"] for step in document["steps"]]


def refused_by(document: dict[str, Any]) -> str:
    """The one rule that did not let it pass, which is the last that was asked."""
    refusing = [step["rule"] for step in document["steps"] if not step["passed"]]
    assert refusing == rules_of(document)[-1:]
    return str(refusing[0])


async def test_a_call_is_followed_to_what_the_api_would_get(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with explained(tmp_path, redis_server) as at:
        listed = json.loads((await bff("sessions", "list", "--json", cwd=tmp_path)).out)
        found = await at.asked(
            "GET", "/api/me?key=query-canary", "--header", "X-Key: header-canary"
        )
        assert (found["frontend"], found["route"]) == ("default", "/api/")
        session = found["session"]
        assert (session["state"], session["id"]) == ("found", listed["sessions"][0]["id"])
        assert rules_of(found) == [
            *("head", "frontend", "path", "place", "method", "loop", "upgrade"),
            *("cookie", "csrf", "session", "token"),
        ]
        assert all(step["passed"] for step in found["steps"])
        upstream = found["outcome"]["upstream"]
        assert upstream["token"] == "user"
        assert upstream["addresses"] == [f"http://127.0.0.1:{at.stack.ports.api}/me?(as sent)"]
        headers = {one["name"]: one["value"] for one in upstream["headers"]}
        assert headers["Authorization"] == "Bearer (the user token, hidden)"
        assert headers["X-Forwarded-Host"] == f"localhost:{at.stack.ports.gateway}"
        assert headers["X-Key"] == "(as sent)"
        assert "Cookie" not in headers
        text = await at.text("GET", "/api/me", "--cookie-file", "cookies")
        assert (text.code, text.err) == (EXPLAINED, "")
        assert f"session   found {session['id']}" in text.out
        assert f"forwarded GET to http://127.0.0.1:{at.stack.ports.api}/me" in text.out


async def test_a_bound_token_is_told_with_its_proof(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """Also of a token that would be asked for first."""
    bound = {"oidc": "dpop = true", "op": {"dpop": "offered"}}
    async with explained(tmp_path, redis_server, **bound) as at:
        for path, token in (
            ("/api/me", "user"),
            ("/exchanged/x", "exchange"),
            ("/machine/x", "client"),
            ("/other/x", "user"),
        ):
            found = await at.asked("GET", path)
            headers = {one["name"]: one["value"] for one in found["outcome"]["upstream"]["headers"]}
            assert headers["Authorization"] == f"DPoP (the {token} token, hidden)"
            assert headers["DPoP"] == "(a new proof for each request)"
        plain = (await at.asked("GET", "/plain/x"))["outcome"]["upstream"]["headers"]
        assert not {"Authorization", "DPoP"} & {one["name"] for one in plain}


REFUSED = [
    ("GET /nowhere/../x", "path"),
    ("TRACE /api/me", "method"),
    ("GET /api/me|Sec-Fetch-Site: cross-site", "csrf"),
    ("POST /api/me|Origin: https://evil.example", "csrf"),
    ("GET /api/me|Upgrade: websocket", "upgrade"),
    ("GET /api/me|Via: 1.1 x|Cookie: bff=a; bff=b", "session"),
    ("GET /bff/nothing", "path"),
    ("GET /bff/login", "initiator"),
    ("GET /api/me|Host: other.example", "frontend"),
    ("GET /api/me|Host: two words", "address"),
    ("GET /api/%|X-Forwarded-For: 192.0.2.1|X-Forwarded-For: 192.0.2.2", "path"),
    ("GET /api/me|Transfer-Encoding: gzip", "head"),
]


async def test_a_refusal_is_that_of_the_running_gateway(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """The same status and code come over the wire for the same request; the rule that has refused
    is told last."""
    async with explained(tmp_path, redis_server) as at:
        for request, rule in REFUSED:
            line, *fields = request.split("|")
            options = (part for field in fields for part in ("--header", field))
            found = await at.asked(*line.split(), *options)
            outcome = found["outcome"]
            assert outcome["kind"] == "refused", request
            assert refused_by(found) == rule, request
            assert outcome["documented"] == f"docs/errors.md, {outcome['code']}"
            assert outcome["next"]
            told = outcome["status"], outcome["code"]
            assert told == await answered(at, line, fields), request
        text = await at.text("GET", "/api/me", "--header", "X-CSRF:", "--cookie-file", "cookies")
        assert text.code == EXPLAINED
        assert "STOP    csrf" in text.out
        assert "refused   403 csrf_header_missing" in text.out
        assert "see docs/errors.md, csrf_header_missing" in text.out


async def answered(at: Explained, line: str, fields: list[str]) -> tuple[int, str]:
    """What the gateway itself answers."""
    sent = {
        "Host": f"localhost:{at.stack.ports.gateway}",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
        "X-CSRF": "1",
        "Cookie": at.cookie,
    }
    if line.startswith(("POST", "DELETE")):
        sent["Origin"] = f"http://localhost:{at.stack.ports.gateway}"
    for field in fields:
        name, _, value = field.partition(":")
        sent[name] = value.strip()
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    async with kept_connection(at.stack.ports.gateway) as connection:
        reply = await connection.ask(f"{line} HTTP/1.1\r\n{head}\r\n".encode())
    return reply.status, json.loads(reply.body)["code"]


async def test_the_session_of_each_kind_of_cookie_is_told(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with explained(tmp_path, redis_server) as at:
        without = await at.asked("GET", "/api/me", cookies=False)
        assert without["session"] == {"state": "not asked"}
        assert refused_by(without) == "session"
        curls = f"#HttpOnly_localhost\tFALSE\t/\tFALSE\t0\tbff\t{at.cookie.removeprefix('bff=')}"
        files = {
            "other=1": "not in file",
            f"{at.cookie}x": "not signed",
            f"{at.cookie}; {at.cookie}": "not in file",
            f"# Netscape HTTP Cookie File\n{curls}": "found",
            f"# Of another host\n{curls.replace('localhost', 'elsewhere')}": "not in file",
        }
        for content, state in files.items():
            (tmp_path / "cookies").write_text(content)
            assert (await at.asked("GET", "/api/me"))["session"]["state"] == state, state
        (tmp_path / "cookies").write_text(at.cookie)
        not_needed = await at.asked("GET", "/plain/x")
        assert not_needed["session"] == {"state": "not needed"}
        await bff("sessions", "revoke", "--sub", "alice", cwd=tmp_path)
        ended = await at.asked("GET", "/api/me")
        assert ended["session"]["state"] == "none"
        assert refused_by(ended) == "session"
        assert ended["outcome"]["clears_cookie"] is True


async def test_what_the_gateway_would_wait_for_is_told_and_not_asked(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """An expired token of the user's, and one of the gateway's own."""
    clock = ManualClock(time.time() - 120)  # so that a token of a minute is over
    async with explained(tmp_path, redis_server, clock=clock) as at:
        asked = at.stack.op.token_requests.total()
        expired = await at.asked("GET", "/api/me")
        assert len(expired["waits"]) == 1
        assert "refresh" in expired["waits"][0]
        assert expired["outcome"]["kind"] == "forward"
        assert expired["outcome"]["upstream"]["refresh_in_background"] is False
        for path in ("/other/x", "/exchanged/x"):
            other = await at.asked("GET", path)
            assert (len(other["waits"]), other["outcome"]["kind"]) == (1, "forward")
        strong = await at.asked("GET", "/strong/x")
        assert (refused_by(strong), strong["outcome"]["code"]) == ("step-up", "step_up_required")
        own = await at.asked("GET", "/machine/x")
        assert len(own["waits"]) == 1
        upstream = own["outcome"]["upstream"]
        assert upstream["token"] == "client"
        assert upstream["addresses"] == ["http://127.0.0.1:1/x", "http://127.0.0.1:2/x"]
        text = await at.text("GET", "/machine/x", "--cookie-file", "cookies")
        assert "to one of http://127.0.0.1:1/x, http://127.0.0.1:2/x" in text.out
        assert at.stack.op.token_requests.total() == asked


async def test_a_token_that_can_not_be_had_is_told_as_the_refusal(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    """Of a route that has come after the login, which asked for no token for it."""
    async with explained(tmp_path, redis_server) as at:
        (tmp_path / "bff.toml").write_text(at.stack.toml + LATER_ROUTE)
        later = await at.asked("GET", "/later/x")
        assert (later["outcome"]["status"], later["outcome"]["code"]) == (502, "api_token_refused")
        assert "did not ask for this resource" in later["outcome"]["detail"]


async def test_a_header_can_be_given_several_times(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with explained(tmp_path, redis_server) as at:
        host = f"localhost:{at.stack.ports.gateway}"
        both = ("--header", f"Host: {host}", "--header", f"Host: {host}")
        twice = await at.asked("GET", "/api/me", *both)
        assert twice["request"]["headers"].count("Host") == 2
        assert (twice["frontend"], twice["route"]) == (None, None)
        assert refused_by(twice) == "address"


async def test_cookies_of_a_list_are_those_of_the_path(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with explained(tmp_path, redis_server) as at:
        value = at.cookie.removeprefix("bff=")
        row = f"#HttpOnly_localhost\tFALSE\t/api\tFALSE\t0\tbff\t{value}"
        (tmp_path / "cookies").write_text(row)
        origin = f"http://localhost:{at.stack.ports.gateway}"
        for target, state in {
            "/api/me": "found",
            "/api/me?x=1": "found",
            f"{origin}/api/me": "found",
            "/apis/me": "not in file",
        }.items():
            assert (await at.asked("GET", target))["session"]["state"] == state, target


async def test_an_explanation_writes_nothing(tmp_path: Path, own_redis: RedisServer) -> None:
    """Neither in the store, its expiries included, nor to the processes that listen there."""
    async with explained(tmp_path, own_redis) as at:
        await at.stack.gateway.stop()
        with Redis.from_url(own_redis.url) as redis, redis.pubsub() as heard:
            heard.psubscribe("*")
            heard.get_message(timeout=5)
            before = everything_in(redis)
            for path in ("/api/me", "/bff/user"):
                assert (await at.asked("GET", path))["session"]["state"] == "found"
            after = everything_in(redis)  # less, if the time of a limit's count is over
            assert after.items() <= before.items()
            assert heard.get_message(ignore_subscribe_messages=True) is None
        await at.stack.gateway.start()


def everything_in(redis: Redis) -> dict[bytes, object]:
    """Each key with its bytes and the moment of its expiry."""
    keys: list[Any] = redis.keys("*")
    return {key: (redis.dump(key), redis.pexpiretime(key)) for key in keys}


@pytest.mark.rule("TK-12")
async def test_no_secret_is_in_an_explanation(tmp_path: Path, redis_server: RedisServer) -> None:
    witness = Witness()
    async with explained(tmp_path, redis_server, prepare_op=witness.attach) as at:
        secrets = {
            **witness.secrets,
            "session id": at.cookie.removeprefix("bff=").partition(".")[0],
            "signature": at.cookie.partition(".")[2],
            "session secret": SESSION_SECRET,
            "client secret": CLIENT_SECRET,
            "query": "query-canary",
            "header": "header-canary",
        }
        assert len(witness.secrets) > 3
        field = ("--header", "X-Api-Key: header-canary")
        for path in ("/api/me", "/bff/login", "/bff/user"):
            asked = ("GET", f"{path}?code=query-canary", *field, "--cookie-file", "cookies")
            said = [await at.text(*asked), await at.text(*asked, "--json")]
            texts = {path: "".join(result.out + result.err for result in said)}
            require_none(secrets, texts)


async def test_a_store_that_is_down_is_told_and_has_its_exit_code(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    async with explained(tmp_path, own_redis) as at:
        own_redis.stop()
        result = await at.text("GET", "/api/me", "--cookie-file", "cookies")
        assert result.code == NOT_LOOKED_UP
        assert "refused   503 store_unavailable" in result.out
        own_redis.start()


async def test_a_session_in_memory_can_not_be_looked_up(tmp_path: Path) -> None:
    async with running_stack() as stack, Browser() as browser:
        (tmp_path / "bff.toml").write_text(stack.toml)
        await log_in(browser, stack)
        (tmp_path / "cookies").write_text(f"bff={browser.cookies.get('bff')}")
        result = await bff("explain", "GET", "/api/me", "--cookie-file", "cookies", cwd=tmp_path)
        assert result.code == NOT_LOOKED_UP
        assert "memory:// is in the running gateway only" in result.out


FRONTENDS = """
[[frontends]]
name = "shop"
public_url = "https://shop.example"
csrf = { header_name = "X-Shop" }

[[frontends]]
name = "wiki"
public_url = "https://crm.example/wiki"
"""


async def test_the_frontend_is_found_by_host_and_path(tmp_path: Path) -> None:
    """Its own anti-forgery header is sent; a cookie of another frontend is told as that."""
    (tmp_path / "bff.toml").write_text(toml({"server": {"public_url": None}}, FRONTENDS))
    shop = await bff("explain", "GET", "/api/x", cwd=tmp_path)
    assert "frontend  shop" in shop.out
    assert "x-shop" in shop.out
    crm = ("explain", "GET", "/wiki/api/x", "--host", "crm.example")
    assert "frontend  wiki" in (await bff(*crm, cwd=tmp_path)).out
    cookie = SessionCookie("any", [SECRET], frontend="shop").issue().value
    (tmp_path / "cookies").write_text(f"__Secure-bff-wiki={cookie}")
    foreign = await bff(*crm, "--cookie-file", "cookies", cwd=tmp_path)
    assert foreign.code == EXPLAINED
    assert "none: the cookie is of the frontend shop" in foreign.out


async def test_a_whole_address_is_asked_for_as_a_browser_would(tmp_path: Path) -> None:
    """With the Host of the address, whose cookies are chosen; without its fragment."""
    (tmp_path / "bff.toml").write_text(toml({"server": {"public_url": None}}, FRONTENDS))
    (tmp_path / "cookies").write_text(
        "crm.example\tFALSE\t/wiki\tTRUE\t0\t__Secure-bff-wiki\tforged\n"
    )
    address = "HTTPS://crm.example/wiki/api/x?canary#part"
    asked = await bff("explain", "GET", address, "--cookie-file", "cookies", cwd=tmp_path)
    assert asked.out.startswith("request   GET /wiki/api/x at crm.example, as script")
    assert "frontend  wiki" in asked.out
    assert "the cookie was not signed by any frontend" in asked.out
    assert "canary" not in asked.out
    bare = await bff("explain", "GET", "https://crm.example?x", cwd=tmp_path)
    assert bare.out.startswith("request   GET / at crm.example")


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        ("METHOD", ("GE T", "/api/x")),
        ("METHOD", ("GET /x", "/api/x")),
        ("PATH", ("GET", "/\x1b[2J")),
        ("PATH", ("GET", "/api/\udcff")),  # a byte that is no UTF-8, as Python has it
        ("--host", ("GET", "/api/x", "--host", "a\tb")),
        ("--peer", ("GET", "/api/x", "--peer", "nonsense")),
        ("methods are case-sensitive", ("get", "/api/x")),
        ("methods are case-sensitive", ("Patch", "/api/x")),
        ("is no method", ("FETCH", "/api/x")),
        ("--header", ("GET", "/api/x", "--header", "no colon")),
        ("--header", ("POST", "/api/x", "--header", "Content-Length: 5,6")),
        ("--cookie-file", ("GET", "/api/x", "--cookie-file", "bff.toml")),
        ("--cookie-file", ("GET", "/api/x", "--cookie-file", "missing")),
    ],
    ids=range(13),
)
async def test_what_is_no_request_is_a_mistake_in_the_command(
    tmp_path: Path, named: str, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "bff.toml").write_text(toml())
    result = await bff("explain", *arguments, cwd=tmp_path)
    assert (result.code, result.out) == (UNUSABLE, "")
    assert named in result.err
