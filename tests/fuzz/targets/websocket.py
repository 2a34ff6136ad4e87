"""Frames of a WebSocket in pieces: a close frame of ours goes between two frames, never into one.

A case is the stream of an API; where it is cut into pieces follows from the case itself.
"""

import zlib
from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

from bff.proxy.exchange.websocket import FrameBoundary
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require

SIZES = [0, 1, 2, 5, 124, 125, 126, 127, 128, 200, 65_535, 65_536, 65_537]
LENGTHS = [0, 1, 125, 126, 65_535, 65_536, 2**31, 2**63 - 1, 2**63, 2**64 - 1]


class Subject(Protocol):
    """As `FrameBoundary`."""

    @property
    def is_at_one(self) -> bool: ...

    def feed(self, data: bytes) -> None: ...


class WebSocketTarget:
    """The subject is made anew for each stream. One that ends between two frames is accepted."""

    name = "websocket"

    def __init__(self, subject: Callable[[], Subject] = FrameBoundary) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.1:
            return garbage(random)
        sizes = SIZES[:10] if random.random() < 0.98 else SIZES
        frames = [a_frame(random, random.choice(sizes)) for _ in range(random.randint(0, 6))]
        if random.random() < 0.1:
            frames.append(_head(random, random.choice(LENGTHS)))
        case = b"".join(frames)
        return mutated(random, case) if random.random() < 0.4 else case

    def judge(self, case: bytes) -> bool:
        ends = boundaries(case)
        subject = self._subject()
        require(subject.is_at_one, "no frame can begin at the beginning")
        at = 0
        for upto in _cuts(case):
            subject.feed(case[at:upto])
            at = upto
            require(subject.is_at_one == (at in ends), f"wrong about a boundary at {at}")
        return subject.is_at_one

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "empty frames": lambda size: b"\x89\0" * (size // 2),
            "one frame": lambda size: b"\x82\x7f" + size.to_bytes(8) + b"\0" * size,
            "nothing": lambda size: b"\xff" * size,
        }


def a_frame(random: Random, size: int) -> bytes:
    return _head(random, size) + random.randbytes(size)


def _head(random: Random, size: int) -> bytes:
    """Shortest form or not, masked or not (RFC 6455 section 5.2)."""
    forms = [form for form, most in ((0, 125), (2, 0xFFFF), (8, 2**64 - 1)) if size <= most]
    form = forms[0] if random.random() < 0.9 else random.choice(forms)
    mask = 0x80 if random.random() < 0.5 else 0
    length = {0: bytes([mask | size & 0x7F]), 2: bytes([mask | 126]), 8: bytes([mask | 127])}[form]
    extended = size.to_bytes(form) if form else b""
    return bytes([random.randrange(256)]) + length + extended + (b"mask" if mask else b"")


def boundaries(stream: bytes) -> set[int]:
    """Where frames begin, read in one go."""
    found, at = {0}, 0
    while at + 2 <= len(stream):
        length = stream[at + 1] & 0x7F
        extended = {126: 2, 127: 8}.get(length, 0)
        head = 2 + extended + (4 if stream[at + 1] & 0x80 else 0)
        if at + head > len(stream):
            break
        if extended:
            length = int.from_bytes(stream[at + 2 : at + 2 + extended])
        at += head + length
        found.add(at)
    return found


def _cuts(case: bytes) -> list[int]:
    """In a few pieces, or byte by byte, as the case has it."""
    random = Random(zlib.crc32(case))  # noqa: S311 - it must come again
    if len(case) < 300 and random.random() < 0.3:
        return list(range(1, len(case) + 1))
    return sorted({random.randint(0, len(case)) for _ in range(5)} | {len(case)})
