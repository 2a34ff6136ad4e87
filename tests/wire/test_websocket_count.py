"""WebSockets of one session: far more than a browser opens, and no more."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bff.proxy.exchange.websocket import MOST_STREAMS, accept_value
from tests.abuse.crowd import crowd
from tests.parts.raw_upstream import Received
from tests.polling import until
from tests.wire.client import wired
from tests.wire.fronts import the_gateway
from tests.wire.loops import ON_UVLOOP

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
SURPLUS = 20
HANDSHAKE = (
    "GET /api/x HTTP/1.1\r\n{ours}Origin: http://{host}\r\nConnection: Upgrade\r\n"
    f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY.decode()}\r\n\r\n"
)


async def switch(_: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_value(KEY)
    )
    await reader.read()
    writer.close()


@ON_UVLOOP
def refusals(file: Path) -> list[dict[str, Any]]:
    """Lines of the access log about handshakes that were refused."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [line for line in map(json.loads, lines) if line["code"] == "too_many_streams"]


@pytest.mark.rule("SM-06")
async def test_a_session_has_no_more_websockets_than_that(tmp_path: Path) -> None:
    """Those asked for at once count as well. There is room again when some are gone. The access log
    says how long the API took for an answer that came to nothing."""
    file = tmp_path / "access.log"
    log = f'[access_log]\nenabled = true\nfile = "{file}"\n'
    async with the_gateway(f"websocket = true\n{log}", "") as gateway:
        gateway.upstream.responder = switch
        handshake = gateway.text(HANDSHAKE)
        async with crowd(gateway.port, MOST_STREAMS + SURPLUS) as sockets:
            sockets.send(handshake)
            await until(lambda: all(one.received for one in sockets))
            assert sockets.outcomes() == {"101": MOST_STREAMS, "429": SURPLUS}
            asked = gateway.upstream.connections
            await until(lambda: len(refusals(file)) == SURPLUS)
            took_time = [line for line in refusals(file) if line["upstream_seconds"] is not None]
            assert len(took_time) == asked - MOST_STREAMS
            async with wired(gateway.port) as one_more:
                one_more.send(handshake)
                assert b"too_many_streams" in await one_more.until_end()
            assert gateway.upstream.connections == asked
            one_more_call = gateway.text("GET /bff/user HTTP/1.1\r\n{ours}\r\n")
            async with wired(gateway.port) as call:
                call.send(one_more_call)
                await call.until_received(b"HTTP/1.1 200 ")
        await until(lambda: gateway.upstream.closed == gateway.upstream.connections)
        async with wired(gateway.port) as later:
            later.send(handshake)
            await later.until_received(b"HTTP/1.1 101 ")
