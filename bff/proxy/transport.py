"""What every connection does with its transport: time limits, fair reads, and writes that are sent
together.

All three cost next to nothing while nothing is late, large or in a hurry.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from bff.gate.refusals import unforeseen

Guard = Callable[[Callable[[], None]], None]
"""Takes a step that the event loop has asked for. What is raised in it becomes the end of the
connection's request: the event loop would log it, and the request would wait for ever."""

NEVER = float("inf")
RUNS_ON = -1.0  # in place of a phase's seconds: the time limit that was running goes on
MUCH_BYTES = 131_072  # in one read; uvloop makes none of more than twice as many
LARGE_BYTES = 32_768  # of one write
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: send nothing more
_ROUNDING_SECONDS = 0.002  # uvloop's timers count in milliseconds


class Deadline:
    """Calls `on_passed` once each time the moment that was last set has come. Moving it is an
    assignment; the event loop's timer behind it is moved only when it fires, or when the deadline
    comes closer."""

    __slots__ = ("_at", "_handle", "_loop", "_on_passed")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_passed: Callable[[], None]) -> None:
        self._loop = loop
        self._on_passed = on_passed
        self._at = NEVER
        self._handle: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """From now on; the deadline before it no longer counts."""
        self._at = at = self._loop.time() + seconds
        handle = self._handle
        if handle is None:
            self._handle = self._loop.call_at(at, self._look)
        elif handle.when() > at:
            handle.cancel()
            self._handle = self._loop.call_at(at, self._look)

    def clear(self) -> None:
        """Nothing is awaited."""
        self._at = NEVER

    def close(self) -> None:
        """Call nothing any more."""
        self._at = NEVER
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = None
        if self._at == NEVER:
            return
        if self._loop.time() < self._at - _ROUNDING_SECONDS:
            self._handle = self._loop.call_at(self._at, self._look)
            return
        self._at = NEVER
        self._on_passed()


class PhaseDeadline(Deadline):
    """The time limit of a phase. `seconds` are those of `phases.phase_seconds`."""

    __slots__ = ("_seconds",)

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_passed: Callable[[], None],
        seconds: tuple[float | None, ...],
    ) -> None:
        super().__init__(loop, on_passed)
        self._seconds = seconds

    def follow(self, phase: int) -> None:
        """A phase has begun: its limit runs, and none of the phase before."""
        seconds = self._seconds[phase]
        if seconds is None:
            self._at = NEVER
        elif seconds != RUNS_ON:
            self.set(seconds)


def reset(transport: asyncio.Transport) -> None:
    """Cut a connection so that the other end sees that it was cut: to one that knows no chunks, the
    mere end would be that of the body. Also one that is to be closed when all has been taken, but
    none that is lost: its descriptor may be another's by now."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


class FairReads:
    """Whether a transport is read from: not while it is not wanted, and not in this turn of the
    event loop if much was read in it.

    libuv reads up to 32 times in a row what comes fast enough: 8 MB of each connection, in one turn
    of the event loop, while a small request waits. Measured beside 16 downloads: 220 ms; 10 ms if
    they take turns.
    """

    __slots__ = ("_guard", "_is_wanted", "_transport")

    def __init__(self, transport: asyncio.Transport, guard: Guard) -> None:
        self._transport = transport
        self._guard = guard
        self._is_wanted = True

    def want(self, *, on: bool) -> None:
        """Read on, or no more for now."""
        if on != self._is_wanted:
            self._is_wanted = on
            if not on:
                self._transport.pause_reading()
            elif not self._transport.is_closing():
                self._transport.resume_reading()

    def give_way(self) -> None:
        """Read on in the next turn only."""
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._guard, self._read_on)

    def _read_on(self) -> None:
        if self._is_wanted and not self._transport.is_closing():
            self._transport.resume_reading()


class WriteCoalescer:
    """Writes of one turn of the event loop, sent together at its end; one coalescer per process.

    A send wakes the process at the other end on another processor, which costs more than the send
    itself. Sent one after the other, a handful of them wakes it once. Only what is large is sent at
    once: many reads may follow in the same turn, and the reader must hear when nothing more is
    taken. What is written to one transport keeps its order.
    """

    __slots__ = ("_is_scheduled", "_pending")

    def __init__(self) -> None:
        self._pending: dict[asyncio.Transport, list[bytes]] = {}
        self._is_scheduled = False

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send by the end of this turn."""
        parts = self._pending.get(transport)
        if parts is not None:
            parts.append(data)
        else:
            self._pending[transport] = [data]
            if not self._is_scheduled:
                self._is_scheduled = True
                asyncio.get_running_loop().call_soon(self._send)
        if len(data) > LARGE_BYTES:
            self.flush(transport)

    def flush(self, transport: asyncio.Transport) -> None:
        """Send now."""
        parts = self._pending.pop(transport, None)
        if parts is not None and not transport.is_closing():
            transport.write(b"".join(parts))

    def _send(self) -> None:
        self._is_scheduled = False
        pending, self._pending = self._pending, {}
        for transport, parts in pending.items():
            if not transport.is_closing():
                try:
                    transport.write(b"".join(parts))
                except Exception as error:  # noqa: BLE001 - those after it must not lack theirs
                    unforeseen(error)
                    reset(transport)
