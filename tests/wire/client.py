"""A browser that is nothing but a connection: it sends the bytes it is told and keeps what it gets,
with the way in which the other side ended."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import StrEnum
from typing import cast

from tests.polling import HANG_SECONDS, until


class End(StrEnum):
    """How the other side has ended the connection, so far."""

    OPEN = "open"
    CLOSED = "closed"
    RESET = "reset"


class Wire(asyncio.Protocol):
    """`received` is everything so far."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.end = End.OPEN
        self._ended = asyncio.Event()
        self._transport = cast("asyncio.Transport", None)

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.end = End.CLOSED
        self._ended.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.end is End.OPEN and exc is not None:
            self.end = End.RESET
        elif self.end is End.OPEN:
            self.end = End.CLOSED
        self._ended.set()

    # ---

    def send(self, data: bytes) -> None:
        """All of it at once, if the connection is still there."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def send_split(self, pieces: list[bytes]) -> None:
        """One piece after the other, each read by itself: the reader is in this event loop."""
        for piece in pieces:
            self.send(piece)
            await asyncio.sleep(0)  # it is readable now
            await asyncio.sleep(0)  # and has been read

    @property
    def unsent_bytes(self) -> int:
        """What was to be sent and has found no taker."""
        return self._transport.get_write_buffer_size()

    def half_close(self) -> None:
        """Say that nothing more comes, and go on reading."""
        self._transport.write_eof()

    def abort(self) -> None:
        """Be gone, by a reset."""
        self._transport.abort()

    def close(self) -> None:
        self._transport.close()

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def read_on(self) -> None:
        self._transport.resume_reading()

    async def until_received(self, data: bytes, *, seconds: float = HANG_SECONDS) -> None:
        """Return once these bytes have come."""
        await until(lambda: data in self.received, seconds=seconds, every=0.002)

    async def until_end(self, *, seconds: float = HANG_SECONDS) -> bytes:
        """Everything, once the other side has ended the connection."""
        async with asyncio.timeout(seconds):
            await self._ended.wait()
        return bytes(self.received)


@contextlib.asynccontextmanager
async def wired(port: int) -> AsyncIterator[Wire]:
    """A connection to a loopback port, gone at the end of the block."""
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(Wire, "127.0.0.1", port)
    try:
        yield wire
    finally:
        wire.abort()


async def everything(port: int, data: bytes, *, seconds: float = HANG_SECONDS) -> tuple[bytes, End]:
    """Send on a connection of its own; all that comes until the other side ends it."""
    async with wired(port) as wire:
        wire.send(data)
        received = await wire.until_end(seconds=seconds)
        return received, wire.end
