"""Fair reads: of a connection on which a lot comes, little more is read at a time than of others.

libuv reads up to 32 times in a row what comes fast enough: 8 MB of each connection, in one turn of
the event loop, while a small request waits. Measured beside 16 downloads: 220 ms; 10 ms if they
take turns.
"""

import asyncio

MUCH_BYTES = 131_072  # in one read; uvloop makes none of more than twice as many


class FairReads:
    """Whether a transport is read from: not while it is not wanted, and not in this turn of the
    event loop if much was read in it."""

    __slots__ = ("_is_wanted", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
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
        asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._is_wanted and not self._transport.is_closing():
            self._transport.resume_reading()
