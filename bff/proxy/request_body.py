"""A request's body as far as it has come: framed for the upstream, and kept while it is small, in
case the request has to be sent again. Pure. RFC 9112 sections 6.1, 6.2 and 7.1."""

from collections.abc import Iterable

from bff.gate.framing import MOST_LENGTH_DIGITS
from bff.gate.head import Field
from bff.proxy.messages import LAST_CHUNK, chunk

KEPT_BYTES = 65_536  # also how much is taken in before there is an upstream to send it to


class RequestBody:
    """`is_chunked`, `announced_bytes` and `expects_continue` are what the head says of it."""

    __slots__ = (
        "_chunks", "_kept", "announced_bytes", "complete", "expects_continue", "is_chunked",
        "seen_bytes",
    )  # fmt: skip

    def __init__(self, fields: Iterable[Field]) -> None:
        self.is_chunked = False
        self.expects_continue = False
        self.announced_bytes = 0
        self.complete = False
        self.seen_bytes = 0
        self._chunks: list[bytes] = []
        self._kept = True
        for name, value in fields:
            lower = name.lower()
            if lower == b"content-length":
                if len(value) <= MOST_LENGTH_DIGITS:  # the gate refuses any other
                    self.announced_bytes = int(value)  # llhttp lets nothing but digits pass
            elif lower == b"transfer-encoding":
                self.is_chunked = True
            elif lower == b"expect":
                self.expects_continue = value.strip().lower() == b"100-continue"

    def add(self, data: bytes) -> None:
        """Some more of it."""
        self.seen_bytes += len(data)
        if self._kept:
            self._chunks.append(data)

    def exceeds(self, limit_bytes: int | None) -> bool:
        """Whether more has been announced, or has come, than is allowed."""
        return limit_bytes is not None and max(self.announced_bytes, self.seen_bytes) > limit_bytes

    @property
    def is_kept(self) -> bool:
        """Whether all of it could be sent again."""
        return self._kept

    def let_go(self) -> None:
        """It is on its way; keep it no longer than it is small."""
        if self.seen_bytes > KEPT_BYTES:
            self._kept = False
            self._chunks.clear()

    def framed(self, data: bytes) -> bytes:
        """A piece as the upstream gets it."""
        return chunk(data) if self.is_chunked else data

    def end(self) -> bytes:
        """What marks the end of it on the wire."""
        self.complete = True
        return LAST_CHUNK if self.is_chunked else b""

    def from_the_start(self) -> bytes:
        """All that was kept, framed, with its end if that has come."""
        parts = [self.framed(data) for data in self._chunks]
        if self.complete and self.is_chunked:
            parts.append(LAST_CHUNK)
        return b"".join(parts)
