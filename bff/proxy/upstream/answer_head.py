"""An answer's head, and what must be true of it to be passed on: pure.

llhttp lets more pass than that; what is refused here ends the connection it came on.

RFC 9112 sections 4 (status line), 6.1 and 6.3 (framing), 7.1.2 (trailers); RFC 9110 sections 8.6
(Content-Length) and 15 (classes of status).
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from bff.gate.framing import FRAMING_FIELDS, MOST_LENGTH_DIGITS
from bff.gate.head import Field

LEAST_STATUS = 100
CONTINUE = 100
SWITCHING_PROTOCOLS = 101
END_OF_HEAD = b"\r\n\r\n"
BODILESS = frozenset({204, 304})
_REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")  # RFC 9112 section 4; llhttp lets all pass
_HTTP_1 = b"HTTP/1."
_LENGTH_SIZE = len(b"content-length")
_name_of = itemgetter(0)


class Unreadable(ValueError):
    """No answer that could be passed on; the text says why."""


@dataclass(slots=True)
class AnswerHead:
    """`length` is the announced Content-Length, None without one. `has_body` is False where no
    body follows whatever the fields say (RFC 9112 section 6.3)."""

    status: int
    reason: bytes
    fields: list[Field] = field(repr=False)
    length: int | None
    has_body: bool


def require_http(heads: bytes, at: int) -> int:
    """Where the status line begins that is to be found at `at`: llhttp passes over empty lines in
    front of it.

    Raises:
        Unreadable: it is none of HTTP. llhttp takes RTSP and ICE as well.
    """
    if not heads.startswith(_HTTP_1, at):
        at = len(heads) - len(heads[at:].lstrip(b"\r\n"))
        if not heads.startswith(_HTTP_1, at):
            raise Unreadable("no status line of HTTP/1")
    return at


def framing(fields: Sequence[Field]) -> tuple[int | None, list[bytes]]:
    """Content-Length, which llhttp has checked, and the transfer codings in lower case.

    Raises:
        Unreadable: a length of more digits than any length has.
    """
    length: int | None = None
    codings: list[bytes] = []
    for at in _framing_places(tuple(map(_name_of, fields))):
        name, value = fields[at]
        if len(name) == _LENGTH_SIZE:
            if len(value) > MOST_LENGTH_DIGITS:
                raise Unreadable("a Content-Length of too many digits")
            length = int(value)
        else:
            # Spaces only: llhttp takes no coding with a tab beside it for chunked.
            codings += [coding.strip(b" ").lower() for coding in value.split(b",")]
    return length, codings


def has_framing(fields: Sequence[Field]) -> bool:
    """Whether one of these says where a body ends."""
    return bool(_framing_places(tuple(map(_name_of, fields))))


def require_text(reason: bytes) -> None:
    """Raises: Unreadable."""
    if not _REASON.match(reason):
        raise Unreadable("a reason that is no text")


def require_known_framing(version: str, codings: list[bytes]) -> None:
    """RFC 9112 sections 6.1, 6.3: a coding we don't know, or one in HTTP/1.0.

    Raises:
        Unreadable: the end of the body could be found in two ways.
    """
    if codings and (codings != [b"chunked"] or version == "1.0"):
        raise Unreadable("a transfer coding other than chunked, or in HTTP/1.0")


@functools.lru_cache(maxsize=256)  # an API sends the same names again and again
def _framing_places(names: tuple[bytes, ...]) -> tuple[int, ...]:
    return tuple(at for at, name in enumerate(names) if name.lower() in FRAMING_FIELDS)
