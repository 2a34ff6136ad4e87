"""Heads as bytes: what is written to upstreams and to browsers. Pure.

RFC 9112 sections 3 (request line), 4 (status line), 5 (fields), 7.1 (chunks).
"""

import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus

from bff.gate.head import Field

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CHUNKED: Field = (b"Transfer-Encoding", b"chunked")
CLOSE: Field = (b"Connection", b"close")
UPGRADE: tuple[Field, Field] = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
KEEP_ALIVE: Field = (b"Connection", b"keep-alive")

_COLON = b": "
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def request_head(method: str, target: bytes, host: bytes, fields: Iterable[Field]) -> bytes:
    """`fields`, one at least, say how a body is framed if there is one; they hold no Host."""
    lines = b"\r\n".join(map(_COLON.join, fields))
    return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n\r\n" % (method.encode(), target, host, lines)


def response_head(status: int, reason: bytes, fields: Iterable[Field]) -> bytes:
    """A response is always in our own version (RFC 9110 section 6.2). One field at least."""
    lines = b"\r\n".join(map(_COLON.join, fields))
    return b"HTTP/1.1 %d %b\r\n%b\r\n\r\n" % (status, reason, lines)


def interim_head(status: int, reason: bytes, fields: Iterable[Field]) -> bytes:
    """As `response_head`; an interim one may have no field."""
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, lines)


def fields_into(fields: list[Field]) -> Callable[[bytes, bytes], None]:
    """A parser's `on_header` that collects there. It is called more often than all else together,
    so it looks nothing up."""
    append = fields.append

    def on_header(name: bytes, value: bytes) -> None:
        append((name, value))

    return on_header


def reason_of(status: int) -> bytes:
    """The registered phrase of a status, empty for one that has none."""
    return _REASONS.get(status, b"")


def chunk(data: bytes) -> bytes:
    """One chunk; `data` is not empty, which would be the end of the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class DateField:
    """The Date field of now (RFC 9110 section 6.6.1), made anew once a second."""

    __slots__ = ("_field", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._field: Field = (b"Date", b"")

    def __call__(self) -> Field:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._field = (b"Date", formatdate(now, usegmt=True).encode())
        return self._field
