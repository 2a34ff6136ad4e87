"""What of the bytes that were written a browser has not taken yet, and those of its own that the
process has not read: as far as the kernel holds them.

A browser may be slow. One that takes nothing at all for as long as a body may pause is cut off.
"""

import asyncio
import fcntl
import sys
import termios
from collections.abc import Callable

from bff.proxy.transport import Deadline, Guard


class UntakenBytes:
    """Watches one connection, from `watch` to `stop`: `on_none_taken` is called when nothing was
    taken for `seconds`."""

    __slots__ = ("_at_last_look", "_deadline", "_on_none_taken", "_seconds", "_transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        seconds: float,
        on_none_taken: Callable[[], None],
        guard: Guard,
    ) -> None:
        self._transport = transport
        self._seconds = seconds
        self._on_none_taken = on_none_taken
        self._at_last_look = sys.maxsize
        self._deadline = Deadline(asyncio.get_running_loop(), lambda: guard(self._look))

    def watch(self) -> None:
        """How much there is to take is seen at the first look."""
        self._at_last_look = sys.maxsize
        self._deadline.set(self._seconds)

    def stop(self) -> None:
        """The browser has taken enough."""
        self._deadline.clear()

    def close(self) -> None:
        """The connection is gone."""
        self._deadline.close()

    def _look(self) -> None:
        # The kernel has room for megabytes, and asks for more only when a third of it is free.
        in_kernel_bytes = kernel_bytes(self._transport, termios.TIOCOUTQ)
        untaken_bytes = self._transport.get_write_buffer_size() + in_kernel_bytes
        if untaken_bytes < self._at_last_look:
            self._at_last_look = untaken_bytes
            self._deadline.set(self._seconds)
        else:
            self._on_none_taken()


def has_unread_bytes(transport: asyncio.Transport) -> bool:
    """Whether something has come that was not read."""
    return kernel_bytes(transport, termios.FIONREAD) > 0


def kernel_bytes(transport: asyncio.Transport, queue: int) -> int:
    """What the kernel holds of a connection: TIOCOUTQ not taken, FIONREAD not read."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    held: bytes = fcntl.ioctl(sock.fileno(), queue, bytes(4))
    return int.from_bytes(held, sys.byteorder)
