"""The event stream: a page reads exactly the events that were sent, whatever is in them, and what
it says it read last (`Last-Event-ID`) is of no interest here.

A case is the value of that field on a line, and then what events carry, a line each. The stream is
read as the HTML standard has it (section 9.2.6).
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random

from aiohttp import web

from bff.endpoints.events import Stream
from bff.gate.head import RequestHead
from bff.gate.outcome import Decision, Forward, Local
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require
from tests.fuzz.targets.head import a_gate, fields_of

NAMES = ("session", "refreshed", "expiring", "ended")
REASONS = [
    b"logout", b"ended_by_user", b"expired", b"replaced", b"a\rb", b"event: ended", b"data: x",
    b": x", b"id: 7", b"retry: 0", b"\xe2\x80\xa8", b"\0", b'"}', b"\\n\\ndata: x", b"<script>",
    b"", b"\xff", b"\xef\xbb\xbf", b"\x85", b"\x0b\x0c", b"x" * 300,
]  # fmt: skip
IDS = [
    b"",
    b"1",
    b"7",
    b"abc",
    b"\0",
    b"-1",
    b"9" * 300,
    b"a\xc3\xa4",
    b"ended",
    b"*",
    b"%0a",
    b"\xff",
]
WORDS = [b"\n", b"\r", b"event:", b"data:", b"id:", b":", b"\n\n", *REASONS]
CALL = [(b"Host", b"app.example"), (b"Cookie", b"bff=good"), (b"X-CSRF", b"1")]
SITE = (b"Sec-Fetch-Site", b"same-origin")

Event = tuple[str, str]
Write = Callable[[Sequence[tuple[str, dict[str, object]]]], bytes]


class _Written(web.StreamResponse):
    """Keeps what is written instead of sending it."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data


def written(events: Sequence[tuple[str, dict[str, object]]]) -> bytes:
    """What the gateway's own stream makes of these events."""
    response = _Written()
    stream = Stream(response)

    async def send() -> None:
        await stream.write("retry: 3000\n\n")
        for name, data in events:
            await stream.send(name, data)
            await stream.write(":\n\n")

    _finish(send())
    return bytes(response.data)


def _finish(work: Awaitable[None]) -> None:
    """Run what never waits for anything."""
    iterator = work.__await__()
    try:
        next(iterator)
    except StopIteration:
        return
    raise asyncio.InvalidStateError("it waits")


class EventsTarget:
    """The subject writes events. Those whose Last-Event-ID a parser lets through are accepted."""

    name = "events"

    def __init__(self, subject: Write = written) -> None:
        self._subject = subject
        self._decide = a_gate().decide

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random, WORDS)
        identity = random.choice(IDS)
        if random.random() < 0.3:
            identity = mutated(random, identity, WORDS)
        lines = [random.choice(REASONS) for _ in range(random.randint(0, 4))]
        case = b"\n".join((identity, *lines))
        return mutated(random, case, WORDS) if random.random() < 0.5 else case

    def judge(self, case: bytes) -> bool:
        identity, *lines = case.split(b"\n")
        sent: list[tuple[str, dict[str, object]]] = [
            (NAMES[number % 4], {"reason": line.decode("utf-8", "replace")})
            for number, line in enumerate(lines)
        ]
        expected = [(name, json.dumps(data)) for name, data in sent]
        read = as_a_page_reads(self._subject(sent))
        require(read == expected, f"a page reads {read}")
        return self._is_no_matter(identity)

    def _is_no_matter(self, identity: bytes) -> bool:
        """The field changes no decision, and reaches an API as it came."""
        extra = list(fields_of([b"Last-Event-ID:" + identity]))
        own, own_plain = (self._asked(b"/bff/events", fields) for fields in (extra, []))
        require(isinstance(own, Local) and isinstance(own_plain, Local), "no stream")
        if isinstance(own, Local) and isinstance(own_plain, Local):
            require(own.session == own_plain.session, "another session")
            require(b"last-event-id" not in own.fields.places, "it is read")
        api = self._asked(b"/api/x", extra)
        require(isinstance(api, Forward), "refused because of an id")
        if isinstance(api, Forward):
            passed = [field for field in api.fields if field[0] == b"Last-Event-ID"]
            require(passed == extra, "an API gets another id")
        return bool(extra)

    def _asked(self, target: bytes, extra: Sequence[tuple[bytes, bytes]]) -> Decision:
        return self._decide(RequestHead("GET", target, [*CALL, SITE, *extra], "203.0.113.9"))

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "events": lambda size: b"\na" * (size // 2),
            "one event": lambda size: b"\n" + b"\r" * size,
            "id": lambda size: b"7" * size,
        }


def as_a_page_reads(stream: bytes) -> list[Event]:
    """The events of a stream, by the algorithm of an EventSource."""
    text = stream.decode("utf-8").removeprefix("\ufeff")
    found: list[Event] = []
    name, data = "", list[str]()
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if line == "":
            if data:
                found.append((name or "message", "\n".join(data)))
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        else:
            require(field in {"", "retry"}, f"a field {field!r}")
    return found
