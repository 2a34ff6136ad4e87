"""WebSocket frames as bytes, good and bad, by nothing of the gateway's (RFC 6455 section 5.2)."""

from dataclasses import dataclass

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length_bytes: int = 0,
) -> bytes:
    """A frame as a browser sends it. `length_bytes`: say the length in 2 or 8 bytes even so."""
    first = fin << 7 | reserved << 4 | opcode
    size = len(payload)
    needed = length_bytes or (0 if size < 126 else 2 if size < 65_536 else 8)
    length = {0: size, 2: 126, 8: 127}[needed]
    head = bytes((first, masked << 7 | length)) + (size.to_bytes(needed) if needed else b"")
    if not masked:
        return head + payload
    key = (MASK * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload) ^ int.from_bytes(key)
    return head + MASK + mixed.to_bytes(size)


def close(code: int = 1000, reason: bytes = b"") -> bytes:
    """The frame that says goodbye."""
    return frame(CLOSE, code.to_bytes(2) + reason)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as it was read."""

    opcode: int
    payload: bytes


def read_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """The whole frames of a server's stream, and what is left of one that has no end yet."""
    found = []
    while len(data) >= 2:
        size, at = data[1] & 0x7F, 2
        if size > 125:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at])
        if len(data) < at + size:
            break
        found.append(Frame(data[0] & 0x0F, data[at : at + size]))
        data = data[at + size :]
    return found, data
