"""A lean HTTP/1.1 client for load: GETs over kept connections, no redirects, no cookies of its own.

The load shares two cores with everything it measures, so it does as little as possible.
"""

import asyncio
from dataclasses import dataclass, field

ANSWER_SECONDS = 40.0


class Unreachable(Exception):
    """There was no answer, or the answer was cut."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes = field(repr=False)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Connections to one gateway on loopback, shared by all users, as a load balancer's would be.

    `host` is the value of the Host field: gateways of one installation serve the same one.
    """

    def __init__(self, port: int, host: str) -> None:
        self._port = port
        self._host = host
        self._idle: list[Connection] = []

    async def get(self, path: str, cookie: str) -> Answer:
        """One request. Raises `Unreachable`, which leaves open whether it had an effect."""
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nCookie: {cookie}\r\n"
            "X-CSRF: 1\r\nSec-Fetch-Site: same-origin\r\n\r\n"
        )
        while True:
            is_new = not self._idle
            try:
                connection = self._idle.pop() if self._idle else await self._open()
            except OSError as error:
                raise Unreachable(str(error)) from None
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer = await self._exchange(connection, head.encode())
            except (OSError, asyncio.IncompleteReadError) as error:
                connection[1].close()
                if is_new or isinstance(error, TimeoutError):
                    raise Unreachable(type(error).__name__) from None
                continue  # the kept one was stale
            except BaseException:
                connection[1].close()
                raise
            self._idle.append(connection)
            return answer

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _open(self) -> Connection:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def _exchange(self, connection: Connection, head: bytes) -> Answer:
        reader, writer = connection
        writer.write(head)
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        status = int(lines[0].split(b" ", 2)[1])
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return Answer(status, await reader.readexactly(int(value)))
        raise AssertionError(f"an answer without a length: {lines[0]!r}")
