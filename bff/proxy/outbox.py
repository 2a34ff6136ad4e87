"""Writes of one turn of the event loop, sent together at its end.

A send wakes whoever waits for it on another processor, which costs more than the send itself. Sent
one after the other, a handful of them wakes the other side once. Only what is large is sent at
once: many reads may follow in the same turn, and who makes them must hear that nobody takes them.
"""

import asyncio

from bff.proxy.refusals import unforeseen

LARGE_BYTES = 32_768


class Outbox:
    """One per process. What is written to one transport keeps its order."""

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
            transport.write(_joined(parts))

    def _send(self) -> None:
        self._is_scheduled = False
        pending, self._pending = self._pending, {}
        for transport, parts in pending.items():
            if not transport.is_closing():
                try:
                    transport.write(_joined(parts))
                except Exception as error:  # noqa: BLE001 - those after it must not lack theirs
                    unforeseen(error)
                    transport.abort()


def _joined(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)
