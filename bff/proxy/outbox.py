"""Writes of one turn of the event loop, sent together at its end.

A send wakes whoever waits for it on another processor, which costs more than the send itself. Sent
one after the other, a handful of them wakes the other side once.
"""

import asyncio


class Outbox:
    """One per process. What is written to one transport keeps its order."""

    __slots__ = ("_is_scheduled", "_pending")

    def __init__(self) -> None:
        self._pending: dict[asyncio.Transport, bytes] = {}
        self._is_scheduled = False

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send by the end of this turn."""
        before = self._pending.get(transport)
        if before is not None:
            data = before + data
        elif not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._send)
        self._pending[transport] = data

    def flush(self, transport: asyncio.Transport) -> None:
        """Send now: the transport is about to be closed, or handed over."""
        data = self._pending.pop(transport, None)
        if data is not None and not transport.is_closing():
            transport.write(data)

    def _send(self) -> None:
        self._is_scheduled = False
        pending, self._pending = self._pending, {}
        for transport, data in pending.items():
            if not transport.is_closing():
                transport.write(data)
