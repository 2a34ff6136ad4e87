"""An exception that no rule foresees costs one request, which gets 500 or a cut connection and is
never left waiting; it is logged with its traceback, and the next request is served.

The gateway's parts are its own, but for one, which fails where the table says.
"""

import asyncio
import dataclasses
import ipaddress
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from bff.app import wiring
from bff.app.limited_server import LimitedServer
from bff.endpoints.forward_auth import ForwardAuth
from bff.errors import NotFound
from bff.gate.head import RequestHead
from bff.gate.outcome import Decision, Needs, Wait
from bff.gate.peers import TrustedProxies
from bff.gate.problem import OwnResponses
from bff.model import DEFAULT_FRONTEND
from bff.observability.access_log import AccessLog
from bff.observability.request_figures import RequestFigures
from bff.proxy.context import FrontendContext, ProxyContext
from tests.integration.other_parts import a_listener, context_of
from tests.parts.raw_upstream import OK, RawUpstream, Received, raw_upstream
from tests.parts.servers import answering
from tests.polling import until
from tests.wire.client import End, wired
from tests.wire.reading import read_answers, statuses
from tests.wire.users import Users, a_gateway_for_users

PREFIX = "/api"
ASK = "GET /api/x HTTP/1.1\r\nConnection: close\r\n"
ASK_OWN = "GET /bff/user HTTP/1.1\r\nConnection: close\r\n"
ASK_NOWHERE = "GET /nowhere/../x HTTP/1.1\r\nConnection: close\r\n"
HANDSHAKE = (
    "GET /api/x HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-Fetch-Site: same-origin\r\n"
)


class Fault(RuntimeError):
    """What no rule foresees."""


class Failing:
    """A part that raises when one of its methods is called; in all else it is the part."""

    def __init__(self, part: Any, method: str, error: BaseException | None = None) -> None:
        self._part = part
        self._method = method
        self._error = error or Fault(method)

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._method else getattr(self._part, name)

    def __call__(self, *arguments: Any) -> Any:
        return self._fail() if self._method == "__call__" else self._part(*arguments)

    def _fail(self, *_: Any, **__: Any) -> Any:
        raise self._error


class FailingTargets:
    """The targets of a route, whose members fail."""

    def __init__(self, targets: Any, method: str) -> None:
        self._targets = targets
        self._method = method

    def pick(self, tried: Collection[Any] = ()) -> Failing | None:
        target = self._targets.pick([failing._part for failing in tried])
        return Failing(target, self._method) if target is not None else None

    def release(self, target: Failing) -> None:
        self._targets.release(target._part)


class Waiting(Failing):
    """An admission that has to wait for every request."""

    def decide(self, head: RequestHead) -> Decision:
        decision: Decision = self._part.decide(head)
        return Wait(Needs.SESSION, decision.identity, key="")


Parts = Callable[[ProxyContext], dict[str, Any]]


def part(name: str, method: str) -> Parts:
    return lambda context: {name: Failing(getattr(context, name), method)}


def with_targets(context: ProxyContext, kind: type, method: str) -> dict[str, Any]:
    frontend = context.frontends[DEFAULT_FRONTEND]
    failing = {PREFIX: kind(frontend.targets[PREFIX], method)}
    changed = dataclasses.replace(frontend, targets=failing)
    return {"frontends": {**context.frontends, DEFAULT_FRONTEND: changed}}


def targets(method: str) -> Parts:
    return lambda context: with_targets(context, Failing, method)


def target(method: str) -> Parts:
    return lambda context: with_targets(context, FailingTargets, method)


def settling(error: BaseException) -> Parts:
    return lambda context: {"admission": Waiting(context.admission, "settle", error)}


def refusing_in_vain(context: ProxyContext) -> dict[str, Any]:
    """A refusal that has been waited for, and can't be worded."""
    return {**settling(NotFound())(context), **refusals("problem")(context)}


def refusals(method: str) -> Parts:
    """All of them fail: those of the application, and those of a request that is none's."""

    def replaced(one: FrontendContext) -> FrontendContext:
        failing: Any = Failing(one.refusals, method)
        return dataclasses.replace(one, refusals=failing)

    return lambda context: {
        "frontends": {name: replaced(one) for name, one in context.frontends.items()}
    }


async def hang_up(
    _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.close()


async def begin(
    _request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Half of an answer."""
    writer.write(OK[:-1])
    await reader.read()
    writer.close()


@dataclass(frozen=True)
class Case:
    """`statuses` of what the browser gets; an answer that has begun may also be lost as a whole."""

    parts: Parts
    statuses: list[int]
    ask: str = ASK
    responder: Any = field(default=None)


CASES = {
    "the decision": Case(part("admission", "decide"), [500]),
    "what was waited for": Case(settling(Fault()), [500]),
    "what was waited for is cancelled": Case(settling(asyncio.CancelledError()), [500]),
    "the words of a refusal that was waited for": Case(refusing_in_vain, []),
    "the choice of an upstream": Case(targets("pick"), [500]),
    "an upstream that answers": Case(target("succeeded"), [500]),
    "an upstream that hangs up": Case(target("failed"), [500], responder=hang_up),
    "an upstream that is over": Case(targets("release"), [200]),
    "an upstream that hangs up and is over": Case(targets("release"), [500], responder=hang_up),
    "the count of answers": Case(part("metrics", "answered"), [200]),
    "a stream that begins": Case(part("bound_streams", "hold"), [200], responder=begin),
    "the count of streams": Case(part("bound_streams", "count"), [500], ask=HANDSHAKE),
    "the words of a refusal": Case(refusals("problem"), [], ask=ASK_NOWHERE),
    "the date of a refusal": Case(part("date", "__call__"), [], ask=ASK_NOWHERE),
    "what is written": Case(part("writes", "write"), []),
    "an own endpoint's connection": Case(part("local", "take"), [500], ask=ASK_OWN),
    "a new connection to it": Case(part("local", "connect"), [500], ask=ASK_OWN),
    "the decision beside it": Case(part("local", "hand_over"), [500], ask=ASK_OWN),
}


@dataclass(frozen=True)
class Place:
    users: Users
    upstream: RawUpstream
    lines: str


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with (
        raw_upstream() as upstream,
        a_gateway_for_users(upstream.port, route="websocket = true") as users,
    ):
        yield Place(users, upstream, await users.log_in("alice"))


@dataclass(frozen=True)
class Seen:
    """What the metrics and the access log have of the requests of one listener."""

    figures: RequestFigures
    registry: CollectorRegistry
    log: AccessLog
    file: Path

    @classmethod
    def into(cls, file: Path) -> Self:
        registry = CollectorRegistry()
        log = AccessLog(is_json=True, file=file, address="off")
        return cls(RequestFigures(registry), registry, log, file)

    def count(self) -> float:
        self.figures.flush()
        samples = (one for metric in self.registry.collect() for one in metric.samples)
        return sum(one.value for one in samples if one.name == "bff_requests_total")

    def lines(self) -> int:
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0


@pytest.mark.parametrize("name", CASES)
async def test_a_request_is_not_left_waiting(place: Place, name: str, tmp_path: Path) -> None:
    """And it is counted once, and has its line in the access log."""
    case = CASES[name]
    origin = f"Host: {place.users.host}\r\nOrigin: http://{place.users.host}\r\n{place.lines}"
    place.upstream.responder = case.responder
    noted = Seen.into(tmp_path / "access.log")
    parts = case.parts(context_of(place.users.gateway))
    parts |= {"request_figures": noted.figures, "access_log": noted.log}
    with capture_logs() as logs:
        async with (
            a_listener(place.users.gateway, **parts) as other,
            wired(other.port) as wire,
        ):
            wire.send(f"{case.ask}{origin}\r\n".encode())
            received = await wire.until_end()
            await until(lambda: noted.lines() == 1)
            assert noted.count() == 1
    noted.log.close()
    seen = statuses(read_answers(received).messages)
    assert seen in ([case.statuses] if case.statuses == [500] else [case.statuses, []])
    told = [entry for entry in logs if entry["event"] == "unhandled"]
    assert told
    assert all(entry["exc_info"].__traceback__ for entry in told)
    for answer in read_answers(received).messages:
        if answer.status == 500:  # log and answer name the request alike
            names = [name.decode() for name in answer.values(b"x-request-id")]
            assert names == [told[0]["request_id"]]
    place.upstream.responder = None
    async with wired(place.users.port) as wire:  # nothing else has suffered
        wire.send(f"{ASK}{origin}\r\n".encode())
        assert statuses(read_answers(await wire.until_end()).messages) == [200]
        assert wire.end is End.CLOSED


async def test_a_request_whose_browser_hangs_up_is_noted_in_spite_of_a_fault(
    place: Place, tmp_path: Path
) -> None:
    asked = asyncio.Event()

    async def keep_waiting(
        _request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        asked.set()
        await reader.read()
        writer.close()

    place.upstream.responder = keep_waiting
    noted = Seen.into(tmp_path / "access.log")
    parts = targets("release")(context_of(place.users.gateway))
    parts |= {"request_figures": noted.figures, "access_log": noted.log}
    with capture_logs() as logs:
        async with a_listener(place.users.gateway, **parts) as other:
            async with wired(other.port) as wire:
                wire.send(f"{ASK}Host: {place.users.host}\r\n{place.lines}\r\n".encode())
                await asked.wait()
            await until(lambda: noted.lines() == 1)
            assert noted.count() == 1
    noted.log.close()
    assert "unhandled" in [entry["event"] for entry in logs]


async def test_what_a_proxy_asks_has_one_name_in_log_and_answer(place: Place) -> None:
    """Also where the gate has given it none, because it is the gate that fails."""
    gateway = place.users.gateway
    own = gateway._auth
    failing = ForwardAuth(
        cast("Any", Failing(own._admission, "admit")),
        TrustedProxies([ipaddress.ip_network("127.0.0.1/32")]),
        own._refusals,
        OwnResponses(hsts=False),
        own._metrics,
        path="/bff/auth",
    )
    server = LimitedServer(failing, wiring.auth_limits(gateway.settings), for_proxies=True)
    async with answering(server) as port, wired(port) as wire:
        about = "X-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Uri: /x\r\n"
        head = f"GET /bff/auth HTTP/1.1\r\nHost: {place.users.host}\r\n{about}"
        with capture_logs() as logs:
            wire.send(f"{head}Connection: close\r\n\r\n".encode())
            (answer,) = read_answers(await wire.until_end()).messages
    assert answer.status == 500
    (told,) = [entry for entry in logs if entry["event"] == "unhandled"]
    assert answer.values(b"x-request-id") == [told["request_id"].encode()]
