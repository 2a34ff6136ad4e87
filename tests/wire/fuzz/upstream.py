"""The upstream of all fuzzing: reads with h11, numbers what it gets, and answers as it is told.

h11 is strict with what it receives; whatever it can't read was forwarded wrongly.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import h11

from tests.parts.servers import free_port
from tests.wire.reading import MOST_HEAD_BYTES, Request

SCRIPTED = b"/v1/first"


@dataclass(slots=True)
class Forwarded:
    """A request as it arrived, with the connection it came on."""

    number: int
    connection: int
    request: Request
    user: str


@dataclass(frozen=True, slots=True)
class Script:
    """How to answer: pieces to send one by one, and whether to hang up then."""

    pieces: list[bytes]
    closes: bool


def numbered(forwarded: Forwarded) -> Script:
    """An answer that says which request it is for."""
    text = b"%d" % forwarded.number
    head = b"HTTP/1.1 200 OK\r\nX-Number: %b\r\nContent-Length: %d\r\n\r\n" % (text, len(text))
    return Script([head if forwarded.request.method == b"HEAD" else head + text], closes=False)


@dataclass(slots=True)
class JudgingUpstream:
    """`arrived` by number; `unread` are reasons why h11 could not read what was forwarded;
    `scripts` by user, each for one answer to `SCRIPTED`; all others are numbered."""

    port: int
    scripts: dict[str, Script] = field(default_factory=dict)
    arrived: dict[int, Forwarded] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    connections: int = 0
    count: int = 0

    def new(self) -> "_Connection":
        self.connections += 1
        return _Connection(self, self.connections)

    def of(self, user: str) -> list[Forwarded]:
        """What has arrived with a user's token, in order; it is forgotten here."""
        found = [forwarded for forwarded in self.arrived.values() if forwarded.user == user]
        for forwarded in found:
            del self.arrived[forwarded.number]
        return found


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: JudgingUpstream, number: int) -> None:
        self._upstream = upstream
        self._number = number
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
        self._transport = cast("asyncio.Transport", None)
        self._reading: Forwarded | None = None
        self._answers: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.receive_data(data)
        try:
            self._read()
        except h11.RemoteProtocolError as error:
            self._upstream.unread.append(f"{error}: {data[:300]!r}")
            self._transport.abort()

    def _read(self) -> None:
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.Request):
                self._reading = self._begin(event)
            elif isinstance(event, h11.Data) and self._reading is not None:
                self._reading.request.body += event.data
            elif isinstance(event, h11.EndOfMessage) and self._reading is not None:
                self._reading.request.whole = True
                self._answer(self._reading)
                self._parser.start_next_cycle()
            else:
                return

    def _begin(self, event: h11.Request) -> Forwarded:
        request = Request(event.method, event.target, event.http_version, list(event.headers))
        (authorization,) = request.values(b"authorization") or [b""]
        user = authorization.decode().removeprefix("Bearer token-of-")
        self._upstream.count += 1
        forwarded = Forwarded(self._upstream.count, self._number, request, user)
        self._upstream.arrived[forwarded.number] = forwarded
        return forwarded

    def _answer(self, forwarded: Forwarded) -> None:
        # The parser need not know what is really sent.
        self._parser.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        self._parser.send(cast("h11.Event", h11.EndOfMessage()))
        script = None
        if forwarded.request.target == SCRIPTED:
            script = self._upstream.scripts.pop(forwarded.user, None)
        script = script or numbered(forwarded)
        if len(script.pieces) == 1 and not script.closes:
            self._transport.write(script.pieces[0])
            return
        task = asyncio.get_running_loop().create_task(self._play(script, forwarded))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _play(self, script: Script, forwarded: Forwarded) -> None:
        for piece in script.pieces:
            if self._transport.is_closing():
                return
            self._transport.write(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if script.closes and self._reading is forwarded:  # else it would cut another's answer
            self._transport.close()


@contextlib.asynccontextmanager
async def judging_upstream() -> AsyncIterator[JudgingUpstream]:
    upstream = JudgingUpstream(free_port())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(upstream.new, "127.0.0.1", upstream.port)
    try:
        yield upstream
    finally:
        server.close()
