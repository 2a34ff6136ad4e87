"""What a stream of events says, and when: on a clock of the test's own, over a socket."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp
import pytest
from aiohttp import web

from bff.clock import ManualClock
from bff.endpoints.events import Events, EventSettings
from bff.errors import BffError, StoreUnavailable
from bff.gate.forwarding import RequestIdentity
from bff.gate.head import ScannedFields
from bff.gate.outcome import Local
from bff.gate.problem import OwnResponses
from bff.model import DEFAULT_FRONTEND, Session
from bff.sessions.bound_streams import BoundStreams
from bff.tokens.policy import RefreshPolicy
from tests.canonical_target import parse_target
from tests.parts.refreshing import POLICY, Process, a_process
from tests.parts.rotating_op import RotatingOp
from tests.parts.scripted_store import ScriptedStore
from tests.parts.servers import answering
from tests.polling import until

OFTEN = 0.02
SELDOM = 10_000.0
EXPIRING = 100.0


@dataclass
class Stream:
    """What has come so far: events by name and data; `beats` are the comments between them."""

    head: aiohttp.ClientResponse
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    beats: int = 0

    async def read(self) -> None:
        """Until the end."""
        async for raw in self.head.content:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name == "event":
                self.events.append((value, {}))
            elif name == "data":
                self.events[-1][1].update(json.loads(value))
            elif name == ":":
                self.beats += 1

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    async def quiet(self) -> None:
        """Two more heartbeats have come: nothing else is to be said."""
        beats = self.beats
        await until(lambda: self.beats >= beats + 2)


@dataclass
class Place:
    """A process whose streams look at their session every few milliseconds."""

    events: Events
    process: Process
    store: ScriptedStore
    clock: ManualClock
    op: RotatingOp
    http: aiohttp.ClientSession
    sessions: dict[str, Session | None] = field(default_factory=dict)
    url: str = ""

    async def log_in(self, *, lifetime: float = 3000, refreshable: bool = True) -> Session:
        tokens = self.op.grant("a")
        tokens = replace(tokens, expires_at=tokens.obtained_at + lifetime)
        if not refreshable:
            tokens = replace(tokens, refresh_token=None)
        return await self.process.sessions.create(
            secrets.token_hex(32), issuer=self.op.issuer, sub="alice", sid="s", tokens=tokens
        )

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        session = self.sessions[request.path.strip("/")]
        target, fields = parse_target(b"/bff/events"), ScannedFields([], {}, [])
        identity = RequestIdentity("the-id", ())
        key = None if session is None else session.key
        local = Local("events", "/bff/events", target, fields, identity, key, session)
        try:
            return await self.events(request, local)
        except BffError as error:
            return web.Response(status=error.status, text=error.code)

    @asynccontextmanager
    async def open(self, session: Session | None) -> AsyncIterator[Stream]:
        key = "none" if session is None else session.key
        self.sessions[key] = session
        async with self.http.get(f"{self.url}/{key}") as answer:
            yield Stream(answer)

    @asynccontextmanager
    async def listening(self, session: Session) -> AsyncIterator[Stream]:
        """A stream that is read in the background, from its first event on."""
        async with self.open(session) as stream:
            assert stream.head.status == 200, await stream.head.text()
            reading = asyncio.create_task(stream.read())
            await until(lambda: stream.names() == ["session"])
            yield stream
            reading.cancel()
            await asyncio.wait([reading])


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened(heartbeat_seconds=OFTEN) as found:
        yield found


@pytest.fixture
async def still_place() -> AsyncIterator[Place]:
    """Without heartbeats: a stream that says something has had a reason."""
    async with opened(heartbeat_seconds=SELDOM) as found:
        yield found


@asynccontextmanager
async def opened(*, heartbeat_seconds: float) -> AsyncIterator[Place]:
    clock = ManualClock()
    store, op = ScriptedStore(clock), RotatingOp(clock)
    await op.start()
    async with a_process(store, op, clock) as process, aiohttp.ClientSession() as http:
        events = Events(
            process.sessions,
            BoundStreams(process.sessions, clock),
            process.coordinator,
            RefreshPolicy(20),
            clock,
            {DEFAULT_FRONTEND: OwnResponses(hsts=False)},
            EventSettings(heartbeat_seconds, EXPIRING, per_session=2),
        )
        found = Place(events, process, store, clock, op, http)
        async with answering(web.Server(found.answer, handler_cancellation=True)) as port:
            found.url = f"http://127.0.0.1:{port}"
            yield found
            events.stop()
    await op.close()


async def test_a_stream_begins_with_the_times_that_are_left(place: Place) -> None:
    session = await place.log_in(lifetime=60, refreshable=False)
    place.clock.advance(61)
    async with place.listening(session) as stream:
        head = stream.head.headers
        assert head["Content-Type"] == "text/event-stream"
        assert (head["X-Accel-Buffering"], head["X-Request-ID"]) == ("no", "the-id")
        assert (head["Cache-Control"], head["X-Content-Type-Options"]) == ("no-store", "nosniff")
        about = {"session_expires_in": 3539, "idle_expires_in": 2939, "access_token_expires_in": 0}
        assert stream.events == [("session", about)]


async def test_a_browser_that_has_lost_a_stream_waits_before_it_comes_again(place: Place) -> None:
    session = await place.log_in()
    async with place.open(session) as stream:
        name, _, milliseconds = (await stream.head.content.readline()).partition(b": ")
        assert name == b"retry"
        assert 1000 <= int(milliseconds) < 5000


async def test_nothing_is_said_while_nothing_changes(place: Place) -> None:
    session = await place.log_in()
    async with place.listening(session) as stream:
        await stream.quiet()
        assert stream.names() == ["session"]
    assert place.op.count("token") == 0


async def test_a_token_that_is_due_is_replaced_and_the_browser_told(place: Place) -> None:
    session = await place.log_in(lifetime=60)
    async with place.listening(session) as stream:
        place.clock.advance(59)
        await until(lambda: len(stream.events) >= 2)
        name, about = stream.events[1]
        assert (name, about["access_token_expires_in"]) == ("refreshed", 60)
        await stream.quiet()
    assert place.op.count("token") == 1


async def test_a_change_is_told_without_waiting_for_a_heartbeat(still_place: Place) -> None:
    """Another process, or another request, may have made it."""
    session = await still_place.log_in(lifetime=3000)
    async with still_place.listening(session) as stream:
        still_place.clock.advance(2999)
        await still_place.process.coordinator.refreshed(session)
        await until(lambda: stream.names() == ["session", "refreshed"])


async def test_a_stream_wakes_for_the_coming_end_by_itself(still_place: Place) -> None:
    session = await still_place.log_in()
    still_place.clock.advance(POLICY.idle_seconds - EXPIRING - OFTEN)
    async with still_place.listening(session) as stream:
        still_place.clock.advance(OFTEN)
        await until(lambda: stream.names() == ["session", "expiring"])


async def test_the_coming_end_is_announced_once(place: Place) -> None:
    """To the second."""
    session = await place.log_in()
    async with place.listening(session) as stream:
        place.clock.advance(POLICY.idle_seconds - EXPIRING - 1)
        await stream.quiet()
        assert stream.names() == ["session"]
        place.clock.advance(1)
        await until(lambda: len(stream.events) >= 2)
        assert stream.events[1] == (
            "expiring",
            {"session_expires_in": 700, "idle_expires_in": 100, "access_token_expires_in": 100},
        )
        await stream.quiet()
        assert len(stream.events) == 2


async def test_the_end_is_announced_although_a_token_was_replaced_just_now(place: Place) -> None:
    session = await place.log_in(lifetime=POLICY.idle_seconds - EXPIRING)
    async with place.listening(session) as stream:
        place.clock.advance(POLICY.idle_seconds - EXPIRING)
        await until(lambda: len(stream.events) >= 3)
        await stream.quiet()
        assert sorted(stream.names()) == ["expiring", "refreshed", "session"]


async def test_an_activity_lets_the_end_be_announced_anew(place: Place) -> None:
    session = await place.log_in(lifetime=POLICY.absolute_seconds)
    async with place.listening(session) as stream:
        place.clock.advance(POLICY.idle_seconds - EXPIRING)
        await until(lambda: len(stream.events) >= 2)
        place.process.sessions.touch(session)
        await stream.quiet()
        place.clock.advance(POLICY.absolute_seconds - POLICY.idle_seconds)
        await until(lambda: len(stream.events) >= 3)
        assert stream.names() == ["session", "expiring", "expiring"]


async def test_an_end_is_told_with_its_reason_and_is_the_last_that_is_said(place: Place) -> None:
    session = await place.log_in()
    async with place.open(session) as stream:
        reading = stream.head.content
        await reading.readuntil(b"\n\n")
        await place.process.sessions.end(session, "logout")
        text = (await reading.read()).decode()
    assert text.endswith('event: ended\ndata: {"reason": "logout"}\n\n')
    assert text.count("event: ended") == 1


async def test_a_session_that_is_not_there_any_more_has_expired(place: Place) -> None:
    session = await place.log_in()
    async with place.listening(session) as stream:
        place.store.lose(session.key)
        place.clock.advance(POLICY.cache_seconds + 1)
        await until(lambda: len(stream.events) >= 2)
        assert stream.events[1] == ("ended", {"reason": "expired"})


async def test_a_store_that_is_away_says_nothing_about_a_session(place: Place) -> None:
    session = await place.log_in()
    async with place.listening(session) as stream:
        place.store.faults["load"] = [StoreUnavailable("away") for _ in range(3)]
        place.clock.advance(POLICY.cache_seconds + 1)
        await until(lambda: not place.store.faults["load"])
        await stream.quiet()
        assert stream.names() == ["session"]


async def test_streams_that_stop_do_not_say_that_a_session_has_ended(place: Place) -> None:
    session = await place.log_in()
    async with place.open(session) as stream:
        await stream.head.content.readuntil(b"event: session\n")
        place.events.stop()
        assert b"ended" not in await stream.head.content.read()


async def test_a_session_has_so_many_streams_and_no_other_counts(place: Place) -> None:
    one, other = await place.log_in(), await place.log_in()
    async with place.listening(one), place.listening(one):
        async with place.open(one) as third:
            assert (third.head.status, await third.head.text()) == (429, "too_many_streams")
        async with place.listening(other):
            pass

    async def has_room() -> bool:
        async with place.open(one) as again:
            return again.head.status == 200

    await until(has_room)


async def test_a_stream_needs_a_session(place: Place) -> None:
    async with place.open(None) as refused:
        assert (refused.head.status, await refused.head.text()) == (401, "not_authenticated")
