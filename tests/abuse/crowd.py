"""Many raw connections to one listener, and what became of them."""

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable

from tests.polling import until
from tests.wire.client import End, Wire

CLOSED = f"{End.CLOSED.value}, no answer"
INTERIM = frozenset({"100", "102", "103"})
RESET = f"{End.RESET.value}, no answer"
AT_ONCE = 100
ROUND_SECONDS = 0.1
SMALL_BYTES = 16_384
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Crowd(list[Wire]):
    """The connections of one block. `cut` were reset before they were made."""

    cut = 0

    @property
    def is_over(self) -> bool:
        return all(wire.end is not End.OPEN for wire in self)

    def send(self, data: bytes) -> None:
        for wire in self:
            if wire.end is End.OPEN:
                wire.send(data)

    async def until_over(self, *, seconds: float) -> None:
        """Return once the other side has ended all of them."""
        await until(lambda: self.is_over, seconds=seconds, every=0.02)

    async def dripping(self, data: bytes, *, seconds: float) -> None:
        """Each sends a byte now and a byte then, until the other side has ended all of them."""
        async with asyncio.timeout(seconds):
            for byte in data:
                if self.is_over:
                    return
                self.send(bytes([byte]))
                await asyncio.sleep(ROUND_SECONDS)
        await self.until_over(seconds=seconds)

    def outcomes(self) -> Counter[str]:
        """How often which answer, or which end without one."""
        found = Counter(outcome_of(wire) for wire in self)
        found[RESET] += self.cut
        return +found


def outcome_of(wire: Wire) -> str:
    """The final statuses that came, or how it ended without any."""
    found = [status for status in statuses_of(bytes(wire.received)) if status not in INTERIM]
    return " ".join(found) if found else f"{wire.end.value}, no answer"


def statuses_of(received: bytes) -> list[str]:
    """Of the answers in it; bodies of ours hold no status line."""
    return [status.decode() for status in _STATUS.findall(received)]


@contextlib.asynccontextmanager
async def crowd(port: int, count: int, *, deaf: bool = False) -> AsyncIterator[Crowd]:
    """`count` connections, gone at the end of the block. `deaf`: they read nothing, and the kernel
    takes little for them."""
    found = Crowd()

    async def one() -> None:
        try:
            wire = await _connected(port, SMALL_BYTES if deaf else None)
        except ConnectionResetError:
            found.cut += 1
            return
        found.append(wire)
        if deaf:
            wire.stop_reading()

    try:
        for size in batches(count):
            await asyncio.gather(*(one() for _ in range(size)))
        yield found
    finally:
        for wire in found:
            wire.abort()


async def _connected(port: int, buffer_bytes: int | None) -> Wire:
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            # That of Ethernet: loopback's is so large that the kernel would hold megabytes.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_460)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        _, wire = await loop.create_connection(Wire, sock=sock)
    except BaseException:
        sock.close()
        raise
    return wire


def batches(count: int, most: int = AT_ONCE) -> Iterable[int]:
    """`count` in portions of at most `most`."""
    while count > 0:
        yield min(count, most)
        count -= most
