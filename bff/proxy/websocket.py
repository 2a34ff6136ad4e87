"""What the proxy must know of WebSocket to end a tunnel well: where one frame ends. Pure.

RFC 6455 sections 1.3 (the accept value), 5.2 (framing), 5.5.1 and 7.4.2 (close, private codes).
"""

import base64
import hashlib

SESSION_ENDED = 4401
GOING_AWAY = 1001

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LENGTH_16 = 126
_LENGTH_64 = 127


def accept_value(key: bytes) -> bytes:
    """What a server must answer to a `Sec-WebSocket-Key` (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """An unmasked close frame; `reason` has at most 123 bytes."""
    payload = code.to_bytes(2) + reason
    return bytes((0x88, len(payload))) + payload


class FrameBoundary:
    """Follows one direction of a stream, in whatever pieces it comes. Payload is not looked at."""

    __slots__ = ("_head", "_skip_bytes")

    def __init__(self) -> None:
        self._head = b""
        self._skip_bytes = 0

    @property
    def is_at_one(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._head and self._skip_bytes == 0

    def feed(self, data: bytes) -> None:
        """The next piece of the stream."""
        at = 0
        while at < len(data):
            if self._skip_bytes:
                step = min(self._skip_bytes, len(data) - at)
                self._skip_bytes -= step
                at += step
                continue
            wanted = _head_bytes(self._head) - len(self._head)
            self._head += data[at : at + wanted]
            at += wanted
            if len(self._head) >= 2 and len(self._head) == _head_bytes(self._head):
                self._skip_bytes = _payload_bytes(self._head)
                self._head = b""


def _head_bytes(head: bytes) -> int:
    """How long a frame's head is, as far as its beginning tells."""
    if len(head) < 2:
        return 2
    masked, length = head[1] & 0x80, head[1] & 0x7F
    extended = {_LENGTH_16: 2, _LENGTH_64: 8}.get(length, 0)
    return 2 + extended + (4 if masked else 0)


def _payload_bytes(head: bytes) -> int:
    length = head[1] & 0x7F
    if length == _LENGTH_16:
        return int.from_bytes(head[2:4])
    if length == _LENGTH_64:
        return int.from_bytes(head[2:10])
    return length
