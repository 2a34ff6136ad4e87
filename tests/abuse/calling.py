"""Requests in great number, over few kept connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Caller:
    """One kept connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes) -> str:
        """The status of the answer, which has a length."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        _, _, rest = head.lower().partition(b"content-length:")
        await self._reader.readexactly(int(rest.split(b"\r\n", 1)[0] or 0))
        return head[9:12].decode()


@contextlib.asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()
