"""Streams of one user: events of ours, WebSockets and event streams of an API."""

import asyncio

from bff.endpoints.events import EventSettings
from bff.proxy.exchange.websocket import accept_value
from tests.abuse.crowd import Crowd, crowd
from tests.abuse.scenario import Outcome, Scale, Scenario, per_connection, per_reader
from tests.abuse.site import Site
from tests.parts.raw_upstream import Received, Responder
from tests.polling import until
from tests.wire.client import End

PATIENCE_SECONDS = 30.0
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
MESSAGE = b"\x82\x7e\xff\xff" + bytes(65_535)


async def own_events(site: Site, scale: Scale) -> Outcome:
    """So many may be open for a session; for all others there is room again when they are gone."""
    outcome = Outcome(f"{scale.connections} event streams of one session")
    request = f"GET /bff/events HTTP/1.1\r\n{site.lines}Sec-Fetch-Site: same-origin\r\n\r\n"
    async with crowd(site.port, scale.connections) as streams:
        streams.send(request.encode())
        await _until_answered(streams)
        outcome.answers = streams.outcomes()
    outcome.require_only("200", "429")
    most = EventSettings().per_session
    outcome.require(outcome.answers["200"] == most, f"{most} streams of a session, no more")
    return outcome


async def websockets(site: Site, scale: Scale) -> Outcome:
    """Whose users take nothing: the API is held up, and in the end they are cut off."""
    count = scale.readers
    outcome = Outcome(f"{count} WebSockets whose user takes nothing")
    everybody_is_in = asyncio.Event()
    site.upstream.responder = _flooding_websocket(everybody_is_in)
    request = (
        f"GET /hostile/ws HTTP/1.1\r\n{site.lines}Origin: http://{site.host}\r\n"
        f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {KEY.decode()}\r\n\r\n"
    )
    async with crowd(site.port, count, deaf=True) as sockets:
        for wire in sockets:
            wire.read_on()
        sockets.send(request.encode())
        await _until_answered(sockets)
        for wire in sockets:
            wire.stop_reading()
        everybody_is_in.set()
        await until(lambda: site.upstream.closed >= site.upstream.connections, seconds=60.0)
        outcome.answers = sockets.outcomes()
    outcome.require_only("101")
    return outcome


async def event_streams(site: Site, scale: Scale) -> Outcome:
    """Of an API that never says anything after the head: it has its `timeout`."""
    outcome = Outcome(f"{scale.readers} event streams of an API that falls silent")
    site.upstream.responder = _silent_stream
    async with crowd(site.port, scale.readers) as streams:
        streams.send(f"GET /hostile/sse HTTP/1.1\r\n{site.lines}\r\n".encode())
        await streams.until_over(seconds=PATIENCE_SECONDS)
        outcome.answers = streams.outcomes()
    outcome.require_only("200")
    return outcome


async def _until_answered(wires: Crowd) -> None:
    await until(
        lambda: all(wire.received or wire.end is not End.OPEN for wire in wires),
        seconds=PATIENCE_SECONDS,
    )


def _flooding_websocket(begin: asyncio.Event) -> Responder:
    async def respond(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_value(KEY)
        )
        await begin.wait()
        while True:
            writer.write(MESSAGE)
            await writer.drain()

    return respond


async def _silent_stream(
    _request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")
    await reader.read()


SCENARIOS = [
    Scenario("own event streams", own_events, per_connection(64)),
    Scenario("stalled WebSockets", websockets, per_reader(512)),
    Scenario("silent event streams", event_streams, per_connection(64)),
]
