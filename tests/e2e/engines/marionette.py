"""Firefox's own remote protocol, which carries the commands of WebDriver over a TCP connection.

A message is its length in decimal, a colon, and JSON: `[0, id, name, arguments]` one way,
`[1, id, error, result]` the other. Speaking it needs no driver program beside the browser.
"""

import asyncio
import json
from typing import Any, Self

from tests.e2e.engines.webdriver import Command, WebDriverError
from tests.polling import HANG_SECONDS


class Marionette:
    """One connection, one command at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sent = 0

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Raises:
        OSError: Firefox does not listen there, or not yet.
        """
        self = cls(*await asyncio.open_connection("127.0.0.1", port))
        await self._receive()  # it says what it is
        return self

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def send(self, command: Command, **arguments: object) -> Any:
        return await self.call(f"WebDriver:{command.marionette}", **arguments)

    async def call(self, name: str, **arguments: object) -> Any:
        """A command by its full name.

        Raises:
            WebDriverError: Firefox refuses, or fails.
        """
        self._sent += 1
        message = json.dumps([0, self._sent, name, arguments]).encode()
        self._writer.write(b"%d:%s" % (len(message), message))
        await self._writer.drain()
        _, number, error, result = await self._receive()
        if number != self._sent:
            raise RuntimeError(f"an answer to {number}, not to {self._sent}")
        if error is not None:
            raise WebDriverError(error["error"], error["message"])
        # Like the body over HTTP, but for a few results that come without the "value" around them.
        is_wrapped = isinstance(result, dict) and set(result) == {"value"}
        return result["value"] if is_wrapped else result

    async def _receive(self) -> Any:
        async with asyncio.timeout(HANG_SECONDS):
            length = await self._reader.readuntil(b":")
            return json.loads(await self._reader.readexactly(int(length[:-1])))
