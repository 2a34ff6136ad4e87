"""One connection for hundreds of requests, each answered before the next: corpora over a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.polling import HANG_SECONDS


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: lower-case names, values as they came."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


class KeptConnection:
    """Opens another one when the gateway has closed: after what it can't read it must."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, *, has_body: bool = True) -> Reply:
        """Send one request's bytes; the one answer to them, which to a HEAD is without a body.
        Nothing may follow it."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        try:
            async with asyncio.timeout(HANG_SECONDS):
                reply = await _read(reader, has_body=has_body)
                if [value.lower() for value in reply.values(b"connection")] == [b"close"]:
                    assert await reader.read() == b"", "something follows the answer"
                    self.close()
        except BaseException:
            self.close()  # what may still come is no answer to the next request
            raise
        return reply

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read(reader: asyncio.StreamReader, *, has_body: bool) -> Reply:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    fields = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    length = next((int(value) for name, value in fields if name == b"content-length"), 0)
    body = await reader.readexactly(length) if has_body else b""
    return Reply(int(first.split(b" ")[1]), fields, body)


@asynccontextmanager
async def kept_connection(port: int) -> AsyncIterator[KeptConnection]:
    connection = KeptConnection(port)
    try:
        yield connection
    finally:
        connection.close()
