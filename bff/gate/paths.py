"""The request target, and whether its path has one reading only.

What is matched is what is forwarded, byte for byte. A path that two programs could read in two
ways (dot segments, encoded separators, encoded letters, path parameters, empty segments) is never
normalised; `bff.gate.spellings` says for which routes it is refused. A page of the application is
forwarded to nothing, so that its path needs no single reading.

RFC 9112 section 3.2 (target forms), RFC 3986 section 6.2.2 (equivalent spellings).
"""

import functools
import re
from dataclasses import dataclass, field

from bff.errors import AmbiguousPath, BadRequest, TargetTooLong

MAX_TARGET_BYTES = 8192
# Applications ask for the same targets again and again; long ones are not worth the memory.
_REMEMBERED_BYTES = 256
_REMEMBERED_TARGETS = 2048

# Visible ASCII that may stand in a path by itself. Left out: '\\', '#', '?', ';' (parameters,
# which some servers cut off before they match) and '"<>^`{}', which no browser sends unescaped.
_PATH = re.compile(rb"/[A-Za-z0-9\-._~!$&'()*+,=:@%/\[\]|]*\Z")
_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*\Z")  # no control, space, '#' or non-ASCII bytes
_ESCAPE = re.compile(rb"%(..?|\Z)", re.DOTALL)
_HEX = re.compile(rb"[0-9A-Fa-f]{2}\Z")
_AUTHORITY = re.compile(rb"[A-Za-z0-9.\-]+(:[0-9]{1,5})?\Z|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?\Z")
UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SEPARATORS = frozenset(b"/\\%;")
# ASCII in more bytes than it needs (RFC 3629 section 3 forbids it; lenient decoders read `%c0%ae`
# as a dot).
OVERLONG = re.compile(rb"%(?:[Cc][01]%[89ABab]|[Ee]0%[89]|[Ff]0%8|[Ff]8%8[0-7]|[Ff][Cc]%8[0-3])")


# What the URL standard leaves in a path: all visible ASCII but '\\', which a browser reads as '/',
# and what begins a query or fragment.
_SENT = re.compile(rb"/[\x21\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*\Z")


@dataclass(frozen=True, slots=True)
class Target:
    """`path` starts with a slash; `query` holds no `?`, None if absent, and at the callback it
    holds the code. `doubt` says why the path has more than one reading, and is empty for one that
    has not."""

    path: bytes
    query: bytes | None = field(repr=False)
    authority: bytes | None = None
    doubt: str = ""

    @property
    def suffix(self) -> bytes:
        """`?query` as it was sent, or nothing."""
        return b"" if self.query is None else b"?" + self.query


def read_target(raw: bytes) -> Target:
    """Read an origin-form or absolute-form target, canonical or not.

    Raises:
        BadRequest: not one of these forms, too long, or with bytes no URI holds.
        AmbiguousPath: with bytes that no path holds.
    """
    if len(raw) <= _REMEMBERED_BYTES:
        return _read_remembered(raw)
    if len(raw) > MAX_TARGET_BYTES:
        raise TargetTooLong
    return _read(raw)


def _read(raw: bytes) -> Target:
    authority: bytes | None = None
    if not raw.startswith(b"/"):
        authority, raw = _split_absolute(raw)
    path, mark, query = raw.partition(b"?")
    if not _SENT.match(path):
        raise AmbiguousPath("bytes in the path that no path holds")
    if not is_query(query):
        raise BadRequest("bytes in the query that no URI holds")
    return Target(path, query if mark else None, authority, doubt_of(path))


_read_remembered = functools.lru_cache(_REMEMBERED_TARGETS)(_read)


def is_query(query: bytes) -> bool:
    """Whether all bytes are those of a query."""
    return _QUERY.match(query) is not None


def is_page_path(path: bytes) -> bool:
    """Whether the address bar can show this as a path (URL standard section 4.5), and no byte of it
    is no UTF-8. That no reading has a dot segment or a control is `spellings`' to say."""
    return _SENT.match(path) is not None and OVERLONG.search(path) is None


def require_canonical_path(path: bytes) -> None:
    """Raise `AmbiguousPath` unless the path can be read in one way only."""
    doubt = doubt_of(path)
    if doubt:
        raise AmbiguousPath(doubt)


def doubt_of(path: bytes) -> str:
    """Why the path could be read in more than one way; empty when it can't."""
    if not _PATH.match(path):
        return "bytes in the path that no canonical path holds"
    if b"//" in path:
        return "empty segment"
    if b"/." in path and any(segment in (b".", b"..") for segment in path.split(b"/")):
        return "dot segment"
    return _doubt_of_escapes(path) if b"%" in path else ""


def _doubt_of_escapes(path: bytes) -> str:
    if OVERLONG.search(path):
        return "overlong UTF-8"
    for match in _ESCAPE.finditer(path):
        digits = match.group(1)
        if not _HEX.match(digits):
            return "incomplete percent-encoding"
        byte = int(digits, 16)
        if byte < 0x20 or byte == 0x7F:
            return "encoded control byte"
        if byte in UNRESERVED or byte in _SEPARATORS:
            return "a byte is percent-encoded that changes the path's reading"
    return ""


def _split_absolute(raw: bytes) -> tuple[bytes, bytes]:
    # RFC 9112 section 3.2.2: the authority of an absolute-form target wins over Host.
    scheme, mark, rest = raw.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        raise BadRequest("neither origin-form nor absolute-form")
    authority = re.split(rb"[/?]", rest, maxsplit=1)[0]
    tail = rest.removeprefix(authority)
    if not is_authority(authority):
        raise BadRequest("malformed authority")
    return authority.lower(), tail if tail.startswith(b"/") else b"/" + tail


def is_authority(value: bytes) -> bool:
    """Whether a Host value is `host` or `host:port` and nothing else (RFC 9112 section 3.2)."""
    return _AUTHORITY.match(value) is not None
