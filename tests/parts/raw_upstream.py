"""An upstream that records the very bytes it gets and answers the very bytes it is told to."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.parts.servers import free_port

Responder = Callable[["Received", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(slots=True)
class Received:
    """One request: its head's lines, and the body if it had a Content-Length or was chunked."""

    lines: list[bytes]
    body: bytes = b""

    @property
    def request_line(self) -> bytes:
        return self.lines[0]

    def values(self, name: bytes) -> list[bytes]:
        pairs = (line.partition(b":") for line in self.lines[1:])
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]


async def say_nothing(
    _request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A responder that waits until the other side hangs up."""
    await reader.read()
    writer.close()


@dataclass(slots=True)
class RawUpstream:
    """`answer` is written after each request was read, unless `responder` takes over."""

    port: int
    answer: bytes = OK
    responder: Responder | None = None
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except RuntimeError:  # by which uvloop says that the connection is gone
            if not writer.is_closing():
                raise
        self.closed += 1
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        request = Received(head.removesuffix(b"\r\n\r\n").split(b"\r\n"))
        self.received.append(request)
        if self.responder is not None:
            await self.responder(request, reader, writer)
            return
        await read_body(request, reader)
        writer.write(self.answer)
        await writer.drain()


async def read_body(request: Received, reader: asyncio.StreamReader) -> None:
    """Read what the head announces into `request.body`."""
    if length := request.values(b"content-length"):
        request.body = await reader.readexactly(int(length[0]))
    elif request.values(b"transfer-encoding"):
        while size := int((await reader.readline()).split(b";")[0], 16):
            request.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()


@contextlib.asynccontextmanager
async def raw_upstream(
    tls: ssl.SSLContext | None = None, *, port: int | None = None, backlog: int = 100
) -> AsyncIterator[RawUpstream]:
    """`backlog`: connections that may wait to be accepted."""
    upstream = RawUpstream(port or free_port())
    server = await asyncio.start_server(
        upstream.serve, "127.0.0.1", upstream.port, ssl=tls, backlog=backlog
    )
    try:
        yield upstream
    finally:
        server.close()
        if hasattr(server, "close_clients"):  # Python 3.13
            server.close_clients()
