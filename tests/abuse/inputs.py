"""Inputs that are meant to be expensive to read: deep, many, large, colliding."""

import itertools
import json
from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv4Address

from tests.abuse.crowd import crowd
from tests.abuse.scenario import Outcome, Scale, Scenario, at_most
from tests.abuse.site import Site

PATIENCE_SECONDS = 20.0
PARALLEL = 8
_ADDRESSES = itertools.count(int(IPv4Address("10.128.0.0")))
DEEP = b"[" * 20_000
# Equal under a hash that is the product of 31 and what came before (RFC 8259 says nothing of it).
COLLIDING = [f"{'Aa' * (n >> 1 & 1)}{'BB' * (n & 1)}{n:x}" for n in range(2_000)]


@dataclass(frozen=True, slots=True)
class Input:
    """A request, and the statuses that are right for it."""

    name: str
    request: bytes
    expected: frozenset[str]
    to_admin: bool = False


def inputs(site: Site, cookie: str) -> list[Input]:
    """To every place that parses something; some with a session of the attacker's own."""
    host = f"Host: {site.host}\r\n"
    lines = f"{host}Cookie: {cookie}\r\nX-CSRF: 1\r\n"
    parameters = "&".join(f"p{n}=" for n in range(1_500))
    colliding = "&".join(f"{name}=" for name in COLLIDING)
    cookies = "; ".join(f"c{n}=1" for n in range(6_000))
    fields = "".join(f"X-{n}: 1\r\n" for n in range(3_000))
    nested = "logout_token=" + ".".join(map(_b64, (DEEP[:5_000], DEEP[:5_000], b"x")))
    wide = json.dumps(dict.fromkeys(COLLIDING[:1000], 0)).encode()
    return [
        _get("parameters of a login", f"/bff/login?{parameters[:8_000]}", host, "400"),
        _get("parameters of a callback", f"/bff/callback?{parameters[:8_000]}", host, "400"),
        _get("a target too long", f"/bff/login?{parameters}", host, "414"),
        _get(
            "thousands of cookies",
            "/bff/user",
            f"{lines}Cookie: {cookies[:60_000]}\r\n",
            "200 400 401 431",
        ),
        _get("thousands of fields", "/bff/user", lines + fields, "431"),
        _get("a field too large", "/bff/user", f"{lines}X: {'x' * 70_000}\r\n", "431"),
        _get("a state too large", f"/bff/callback?state={'s' * 8_000}&code=c", host, "400"),
        _get(
            "front-channel parameters",
            f"/bff/frontchannel-logout?{parameters[:8_000]}",
            host,
            "400",
        ),
        _get("an accept too long", "/bff/login", f"{host}Accept: {'a/b,' * 15_000}\r\n", "302"),
        _post(
            "a form too large",
            "/bff/backchannel-logout",
            host,
            b"logout_token=" + b"x" * 1_000_000,
            "413",
        ),
        _post("a form of many", "/bff/backchannel-logout", host, parameters.encode(), "400"),
        _post("a form that collides", "/bff/backchannel-logout", host, colliding.encode(), "400"),
        _post("a deep logout token", "/bff/backchannel-logout", host, nested.encode(), "400"),
        _post(
            "a wide logout token",
            "/bff/backchannel-logout",
            host,
            b"logout_token=" + _b64(wide).encode() + b".e30.x",
            "400",
        ),
        _post("a body for logout", "/bff/logout", lines, DEEP * 40, "200 401"),
        _post("a body for sessions", "/bff/sessions", lines, DEEP * 40, "405"),
        _get(
            "admin parameters",
            f"/sessions?{parameters[:8_000]}",
            "Host: localhost\r\n",
            "400",
            to_admin=True,
        ),
        _get(
            "admin fields", "/sessions?sub=x", "Host: localhost\r\n" + fields, "400", to_admin=True
        ),
        _post(
            "a body for the admin",
            "/sessions",
            "Host: localhost\r\n",
            DEEP * 40,
            "405",
            to_admin=True,
        ),
    ]


async def expensive_inputs(site: Site, scale: Scale) -> Outcome:
    """Each several times at once; each gets the one right answer."""
    found = inputs(site, await site.log_in())
    rounds = scale.repeats * PARALLEL
    outcome = Outcome(f"{len(found)} inputs that are deep, many or large, each {rounds} times")
    for given in found:
        answers: Counter[str] = Counter()
        for _ in range(scale.repeats):
            answers += await _asked(site, given)
        strange = {answer: n for answer, n in answers.items() if answer not in given.expected}
        outcome.require(not strange, f"{given.name}: {strange}")
        outcome.answers += answers
    return outcome


async def _asked(site: Site, given: Input) -> Counter[str]:
    port = site.ports.admin if given.to_admin else site.port
    async with crowd(port, PARALLEL) as askers:
        for wire in askers:
            wire.send(given.request.replace(b"\r\n", _from_elsewhere(), 1))
        await askers.until_over(seconds=PATIENCE_SECONDS)
        return Counter({name.split(" ")[0]: n for name, n in askers.outcomes().items()})


def _from_elsewhere() -> bytes:
    """An address that no limit has seen yet."""
    return f"\r\nX-Forwarded-For: {IPv4Address(next(_ADDRESSES))}\r\n".encode()


def _get(name: str, target: str, lines: str, expected: str, *, to_admin: bool = False) -> Input:
    request = f"GET {target} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode()
    return Input(name, request, frozenset(expected.split()), to_admin)


def _post(
    name: str, target: str, lines: str, body: bytes, expected: str, *, to_admin: bool = False
) -> Input:
    head = (
        f"POST {target} HTTP/1.1\r\n{lines}Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return Input(name, head.encode() + body, frozenset(expected.split()), to_admin)


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


SCENARIOS = [Scenario("expensive inputs", expensive_inputs, at_most(48))]
