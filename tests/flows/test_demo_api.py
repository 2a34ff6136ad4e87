"""The demo API over sockets: which calls are let in, what the others are told, and its streams."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from multidict import CIMultiDict

from bff.clock import ManualClock
from spa_demo.api import ApiSettings
from spa_demo.op.keys import SigningKeys
from tests.parts.command import running_command
from tests.parts.demo_servers import RunningOp, running_api, running_op
from tests.parts.program import module
from tests.polling import HANG_SECONDS

ROOT = Path(__file__).parents[2]
LEEWAY_SECONDS = 10
FAST = {"stream_interval_seconds": 0.01}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    json: Any


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls the API with tokens that it makes itself, signed with the OP's keys or others."""

    op: RunningOp
    origin: str
    clock: ManualClock
    http: aiohttp.ClientSession

    def claims(self, **changes: object) -> dict[str, object]:
        now = int(self.clock.now())
        good: dict[str, object] = {
            "iss": self.op.issuer,
            "sub": "alice",
            "aud": "urn:demo:api",
            "client_id": "spa",
            "scope": "api:read api:write",
            "iat": now,
            "exp": now + 60,
            "jti": "1",
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(
        self, *, typ: str = "at+jwt", keys: SigningKeys | None = None, **changes: object
    ) -> str:
        return (keys or self.op.keys).sign(self.claims(**changes), typ=typ)

    async def call(
        self, method: str, path: str, token: str | None = None, **options: Any
    ) -> Answer:
        headers = dict(options.pop("headers", {}))
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = f"{self.origin}{path}"
        async with self.http.request(method, url, headers=headers, **options) as response:
            text = await response.text()
            return Answer(response.status, response.headers, json.loads(text) if text else None)


@asynccontextmanager
async def calling(**settings: Any) -> AsyncIterator[Caller]:
    clock = ManualClock()
    async with running_op(clock=clock) as op:
        given = ApiSettings(op.issuer, leeway_seconds=LEEWAY_SECONDS, **settings)
        async with running_api(given, clock) as origin, aiohttp.ClientSession() as http:
            yield Caller(op, origin, clock, http)


@pytest.fixture
async def api() -> AsyncIterator[Caller]:
    async with calling() as caller:
        yield caller


def _unsigned(api: Caller) -> str:
    header = {"alg": "none", "typ": "at+jwt", "kid": _kid(api)}
    return f"{_segment(header)}.{_segment(api.claims())}."


def _hmac(api: Caller) -> str:
    """The classic confusion: the public modulus as an HMAC secret (RFC 8725 section 2.1)."""
    key = OctKey.import_key(api.op.keys.jwks()["keys"][0]["n"].encode())
    header = {"alg": "HS256", "typ": "at+jwt", "kid": _kid(api)}
    return jwt.encode(header, api.claims(), key, ["HS256"])


def _foreign_with_known_kid(api: Caller) -> str:
    head, body, _ = api.token().split(".")
    signature = api.token(keys=SigningKeys()).split(".")[2]
    return f"{head}.{body}.{signature}"


def _segment(part: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _kid(api: Caller) -> str:
    return str(api.op.keys.jwks()["keys"][0]["kid"])


BAD_TOKENS: dict[str, Callable[[Caller], str]] = {
    "typ of an ID token": lambda api: api.token(typ="JWT"),
    "typ of a logout token": lambda api: api.token(typ="logout+jwt"),
    "other issuer": lambda api: api.token(iss="https://evil.test"),
    "issuer with a slash": lambda api: api.token(iss=f"{api.op.issuer}/"),
    "no issuer": lambda api: api.token(iss=None),
    "other audience": lambda api: api.token(aud="urn:other"),
    "audience with a suffix": lambda api: api.token(aud=["urn:demo:api2"]),
    "no audience": lambda api: api.token(aud=None),
    "expired": lambda api: api.token(exp=int(api.clock.now()) - LEEWAY_SECONDS),
    "no expiry": lambda api: api.token(exp=None),
    "expiry is text": lambda api: api.token(exp="9999999999"),
    "not yet valid": lambda api: api.token(nbf=int(api.clock.now()) + LEEWAY_SECONDS + 1),
    "no subject": lambda api: api.token(sub=None),
    "no client": lambda api: api.token(client_id=None),
    "foreign key": lambda api: api.token(keys=SigningKeys()),
    "foreign key, known kid": _foreign_with_known_kid,
    "broken signature": lambda api: api.token()[:-8] + "AAAAAAAA",
    "alg none": _unsigned,
    "HMAC with the public key": _hmac,
    "no JWT": lambda _api: "opaque",
    "too long": lambda api: api.token(scope="api:read " * 500),
    "expiry is a list": lambda api: api.token(exp=[]),
    "empty parts": lambda _api: "..",
}


async def test_a_good_token_is_let_in(api: Caller) -> None:
    """RFC 9068 section 4: everything verified, the API answers and says who called."""
    answer = await api.call("GET", "/me", api.token())
    assert answer.status == 200
    assert answer.json == {
        "sub": "alice",
        "client_id": "spa",
        "scope": "api:read api:write",
        "exp": int(api.clock.now()) + 60,
    }
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_without_token_the_challenge_names_no_error(api: Caller) -> None:
    """RFC 6750 section 3.1: no credentials, no error code."""
    answer = await api.call("GET", "/notes")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="demo-api"'
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["code"] == "token_missing"


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_bad_tokens_are_invalid_token(api: Caller, name: str) -> None:
    """RFC 6750 section 3.1, RFC 9068 section 4, RFC 8725 sections 3.1 and 3.11."""
    answer = await api.call("GET", "/me", BAD_TOKENS[name](api))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert answer.json["code"] == "invalid_token"


async def test_expiry_is_forgiven_within_the_leeway(api: Caller) -> None:
    """RFC 7519 section 4.1.4: a small leeway for clock skew, 30 s at the most."""
    just = api.token(exp=int(api.clock.now()) - LEEWAY_SECONDS + 1)
    assert (await api.call("GET", "/me", just)).status == 200
    with pytest.raises(ValueError, match="leeway"):
        ApiSettings("https://op.test", leeway_seconds=31)


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer  ", "token"])
async def test_other_schemes_are_refused(api: Caller, header: str) -> None:
    """RFC 6750 section 2.1: only Bearer, and only with a token."""
    answer = await api.call("GET", "/me", headers={"Authorization": header})
    assert answer.status == 401


async def test_two_credentials_are_one_too_many(api: Caller) -> None:
    """RFC 6750 section 2: one method, one token; which of two would count is not to be guessed."""
    headers = CIMultiDict({"Authorization": f"Bearer {api.token()}"})
    headers.add("Authorization", f"Bearer {api.token(sub='bob')}")
    async with api.http.get(f"{api.origin}/me", headers=headers) as response:
        assert response.status == 401


async def test_a_token_in_the_query_is_not_read(api: Caller) -> None:
    """RFC 6750 section 2.3, RFC 9700 section 4.3.2: tokens do not travel in URLs."""
    answer = await api.call("GET", f"/me?access_token={api.token()}")
    assert answer.json["code"] == "token_missing"


@pytest.mark.parametrize(
    ("method", "path", "scope", "needed"),
    [
        ("GET", "/notes", "api:write", "api:read"),
        ("POST", "/notes", "api:read", "api:write"),
        ("DELETE", "/notes/1", "api:read", "api:write"),
        ("GET", "/stream", "openid", "api:read"),
        ("GET", "/admin", "api:read api:write", "api:admin"),
        ("GET", "/notes", "api:reads xapi:read", "api:read"),
    ],
)
async def test_missing_scope_is_insufficient_scope(
    api: Caller, method: str, path: str, scope: str, needed: str
) -> None:
    """RFC 6750 section 3.1: 403, and the scope that would do."""
    answer = await api.call(method, path, api.token(scope=scope))
    assert answer.status == 403
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert f'scope="{needed}"' in challenge
    assert answer.json["code"] == "insufficient_scope"


# --- the OP's keys


async def test_a_rotated_key_is_found_with_one_fetch(api: Caller) -> None:
    """OIDC Core section 10.1.1: an unknown kid asks for the keys anew."""
    assert (await api.call("GET", "/me", api.token())).status == 200
    api.op.keys.rotate()
    api.clock.advance(10)
    assert (await api.call("GET", "/me", api.token())).status == 200
    assert api.op.state.counters.requests["jwks"] == 2


async def test_invented_kids_do_not_make_the_api_hammer_the_op(api: Caller) -> None:
    """Fetches are throttled, however many unknown kids arrive at once."""
    stranger = SigningKeys()
    for _ in range(3):
        calls = [api.call("GET", "/me", api.token(keys=stranger)) for _ in range(5)]
        assert {answer.status for answer in await asyncio.gather(*calls)} == {401}
    assert api.op.state.counters.requests["jwks"] == 1
    assert (await api.call("GET", "/me", api.token())).status == 200


async def test_without_keys_the_api_is_unavailable() -> None:
    """An OP that is down is no reason to refuse a token for good: 503 with Retry-After."""
    settings = ApiSettings("http://127.0.0.1:9")
    token = SigningKeys().sign({"sub": "alice"}, typ="at+jwt")
    async with running_api(settings) as origin, aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {token}"}
        async with http.get(f"{origin}/me", headers=headers) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "2"


async def test_metadata_of_another_issuer_is_not_used() -> None:
    """OIDC Discovery section 4.3: the issuer in the document must be the one it was asked of."""
    async with running_op() as op, aiohttp.ClientSession() as http:
        alias = op.issuer.replace("127.0.0.1", "localhost")
        async with running_api(ApiSettings(alias)) as origin:
            headers = {"Authorization": f"Bearer {op.keys.sign({}, typ='at+jwt')}"}
            async with http.get(f"{origin}/me", headers=headers) as response:
                assert response.status == 503


async def test_keys_outlive_the_op() -> None:
    """A fetch that fails keeps the keys already known."""
    clock = ManualClock()
    async with AsyncExitStack() as op_life, aiohttp.ClientSession() as http:
        op = await op_life.enter_async_context(running_op(clock=clock))
        async with running_api(ApiSettings(op.issuer), clock) as origin:
            caller = Caller(op, origin, clock, http)
            assert (await caller.call("GET", "/me", caller.token())).status == 200
            await op_life.aclose()
            clock.advance(11)
            assert (await caller.call("GET", "/me", caller.token(keys=SigningKeys()))).status == 401
            assert (await caller.call("GET", "/me", caller.token())).status == 200


# --- notes


async def test_notes_are_added_listed_and_deleted_by_their_author(api: Caller) -> None:
    """The domain: 201 with Location, a shared list, 204, and 404 afterwards."""
    made = await api.call("POST", "/notes", api.token(), json={"text": " tea at six "})
    assert made.status == 201
    assert (made.json["text"], made.json["author"]) == ("tea at six", "alice")
    listed = await api.call("GET", "/notes", api.token(sub="bob"))
    assert listed.json == {"notes": [made.json]}
    location = urljoin("/notes", made.headers["Location"])
    assert (await api.call("DELETE", location, api.token())).status == 204
    assert (await api.call("DELETE", location, api.token())).status == 404


async def test_only_the_author_deletes_a_note(api: Caller) -> None:
    """403 without a challenge: another token would not help."""
    made = await api.call("POST", "/notes", api.token(), json={"text": "mine"})
    answer = await api.call(
        "DELETE", urljoin("/notes", made.headers["Location"]), api.token(sub="bob")
    )
    assert (answer.status, answer.json["code"]) == (403, "not_the_author")
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("{", "application/json", 400, "malformed_json"),
        ("", "application/json", 400, "malformed_json"),
        (b"\xff\xfe", "application/json", 400, "malformed_json"),
        ("[" * 30_000, "application/json", 400, "malformed_json"),
        ("[]", "application/json", 400, "invalid_note"),
        ('{"text": ""}', "application/json", 400, "invalid_note"),
        ('{"text": 7}', "application/json", 400, "invalid_note"),
        (json.dumps({"text": "x" * 501}), "application/json", 400, "invalid_note"),
        ("text=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ("x" * 70_000, "application/json", 413, "request_entity_too_large"),
    ],
)
async def test_bad_bodies(
    api: Caller, body: str | bytes, content_type: str, status: int, code: str
) -> None:
    """RFC 9110 section 15.5: each fault of the client has its status, as problem+json."""
    headers = {"Content-Type": content_type}
    answer = await api.call("POST", "/notes", api.token(), data=body, headers=headers)
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/notes", 405), ("DELETE", "/notes/x", 404)],
)
async def test_unknown_paths_and_methods_are_problems(
    api: Caller, method: str, path: str, status: int
) -> None:
    """RFC 9457: the framework's own errors have the same shape; 405 names what is allowed."""
    answer = await api.call(method, path, api.token())
    assert (answer.status, answer.json["status"]) == (status, status)
    assert ("Allow" in answer.headers) is (status == 405)


async def test_the_list_of_notes_is_bounded() -> None:
    """Past its capacity the oldest note goes."""
    async with calling(max_notes=2) as api:
        for text in ("one", "two", "three"):
            await api.call("POST", "/notes", api.token(), json={"text": text})
        notes = (await api.call("GET", "/notes", api.token())).json["notes"]
        assert [note["text"] for note in notes] == ["two", "three"]


# --- streams


async def test_the_stream_sends_events_at_once_and_on() -> None:
    """HTML, server-sent events: each event arrives when it happens, not when a buffer is full."""
    async with calling(**FAST) as api:
        headers = {"Authorization": f"Bearer {api.token()}"}
        async with api.http.get(f"{api.origin}/stream", headers=headers) as response:
            assert response.content_type == "text/event-stream"
            events = [await response.content.readuntil(b"\n\n") for _ in range(3)]
        numbers = [json.loads(event.split(b"data: ")[1])["number"] for event in events]
        assert numbers == [1, 2, 3]


async def test_the_stream_ends_when_the_api_stops() -> None:
    """A shutdown does not wait for readers: the stream is ended properly."""
    async with aiohttp.ClientSession() as http:
        async with calling() as api:
            headers = {"Authorization": f"Bearer {api.token()}"}
            response = await http.get(f"{api.origin}/stream", headers=headers)
            await response.content.readuntil(b"\n\n")
        assert await response.content.read() == b""


async def test_echo_answers_while_it_reads(api: Caller) -> None:
    """A chunk comes back before the next one is sent: nothing buffers the whole body."""
    back: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        assert await asyncio.wait_for(back.get(), HANG_SECONDS) == b"first"
        yield b"second"

    async with api.http.post(f"{api.origin}/echo", data=body()) as response:
        assert response.status == 200
        await back.put(await response.content.readexactly(5))
        assert await response.content.read() == b"second"


async def test_echo_names_headers_and_shows_no_value(api: Caller) -> None:
    """A test can see that a bearer token was sent; the token itself never comes back."""
    token = api.token()
    headers = {"Authorization": f"Bearer {token}", "X-Colour": "canary-yellow"}
    async with api.http.post(f"{api.origin}/echo", data=b"x", headers=headers) as response:
        names = response.headers["X-Echo-Header-Names"].split(", ")
        assert {"authorization", "x-colour"} <= set(names)
        assert token not in str(response.headers)
        assert "canary-yellow" not in str(response.headers)
        assert response.content_type == "application/octet-stream"


async def test_echo_refuses_a_declared_length_over_its_limit() -> None:
    """RFC 9110 section 15.5.14: 413 before anything is read."""
    async with calling(max_echo_bytes=1000) as api:
        answer = await api.call("POST", "/echo", data=b"x" * 1001)
        assert (answer.status, answer.json["code"]) == (413, "body_too_large")


async def test_echo_aborts_past_its_limit() -> None:
    """Once the head is out an error is an abort: no second head, no clean end (RFC 9112, 7.1)."""
    async with calling(max_echo_bytes=1000) as api:
        port = urlsplit(api.origin).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        chunk = b"258\r\n" + b"x" * 600 + b"\r\n"
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + chunk)
        received = await asyncio.wait_for(reader.readuntil(b"x" * 600), HANG_SECONDS)
        writer.write(chunk)
        received += await asyncio.wait_for(reader.read(-1), HANG_SECONDS)
        writer.close()
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"0\r\n\r\n" not in received
        assert received.count(b"x" * 600) == 1


async def test_the_program_prints_its_address_when_it_is_ready() -> None:
    """`python -m spa_demo.api --port 0` says where it listens, and answers there."""
    options = ("--port", "0", "--issuer", "http://127.0.0.1:9")
    async with running_command(module("spa_demo.api", *options)) as program:
        origin = (await program.line_with("http")).split()[-1]
        async with aiohttp.ClientSession() as http, http.get(f"{origin}/me") as response:
            assert response.status == 401
        assert (await program.ended()).code == 0


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"acr": "urn:demo:acr:strong"}, 200),
        ({"acr": "urn:demo:acr:strong", "age": 310}, 200),
        ({"acr": "urn:demo:acr:strong", "age": 311}, 401),
        ({"acr": "urn:demo:acr:password"}, 401),
        ({}, 401),
    ],
)
async def test_the_vault_wants_a_strong_and_recent_login(
    claims: dict[str, Any], status: int
) -> None:
    """RFC 9470 section 3: and says so."""
    async with calling() as caller:
        age = claims.pop("age", 0)
        token = caller.token(auth_time=int(caller.clock.now()) - age, **claims)
        answer = await caller.call("GET", "/vault", token)
        assert answer.status == status
        if status == 401:
            assert answer.headers["WWW-Authenticate"] == (
                'Bearer realm="demo-api", error="insufficient_user_authentication", '
                'acr_values="urn:demo:acr:strong", max_age="300"'
            )
