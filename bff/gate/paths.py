"""The request target: one reading, or none.

What is matched is what is forwarded, byte for byte. A path that two programs could read in two
ways (dot segments, encoded separators, encoded letters, path parameters, empty segments) is
refused instead of normalised, so there is no second reading to disagree with.

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
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SEPARATORS = frozenset(b"/\\%;")
# ASCII in more bytes than it needs (RFC 3629 section 3 forbids it; lenient decoders read `%c0%ae`
# as a dot).
_OVERLONG = re.compile(rb"%(?:[Cc][01]%[89ABab]|[Ee]0%[89]|[Ff]0%8|[Ff]8%8[0-7]|[Ff][Cc]%8[0-3])")


@dataclass(frozen=True, slots=True)
class Target:
    """A canonical target. `path` starts with one slash; `query` holds no `?`, None if absent, and
    at the callback it holds the code."""

    path: bytes
    query: bytes | None = field(repr=False)
    authority: bytes | None = None

    @property
    def suffix(self) -> bytes:
        """`?query` as it was sent, or nothing."""
        return b"" if self.query is None else b"?" + self.query


def parse_target(raw: bytes) -> Target:
    """Read an origin-form or absolute-form target.

    Raises:
        BadRequest: not one of these forms, too long, or with bytes no URI holds.
        AmbiguousPath: the path has a second reading.
    """
    if len(raw) <= _REMEMBERED_BYTES:
        return _parse_remembered(raw)
    if len(raw) > MAX_TARGET_BYTES:
        raise TargetTooLong
    return _parse(raw)


def _parse(raw: bytes) -> Target:
    authority: bytes | None = None
    if not raw.startswith(b"/"):
        authority, raw = _split_absolute(raw)
    path, mark, query = raw.partition(b"?")
    require_canonical_path(path)
    if mark and not _QUERY.match(query):
        raise BadRequest("bytes in the query that no URI holds")
    return Target(path, query if mark else None, authority)


_parse_remembered = functools.lru_cache(_REMEMBERED_TARGETS)(_parse)


def require_canonical_path(path: bytes) -> None:
    """Raise `AmbiguousPath` unless the path can be read in one way only."""
    if not _PATH.match(path):
        raise AmbiguousPath("bytes in the path that no canonical path holds")
    if b"//" in path:
        raise AmbiguousPath("empty segment")
    if b"/." in path and any(segment in (b".", b"..") for segment in path.split(b"/")):
        raise AmbiguousPath("dot segment")
    if b"%" in path:
        _require_canonical_escapes(path)


def _require_canonical_escapes(path: bytes) -> None:
    if _OVERLONG.search(path):
        raise AmbiguousPath("overlong UTF-8")
    for match in _ESCAPE.finditer(path):
        digits = match.group(1)
        if not _HEX.match(digits):
            raise AmbiguousPath("incomplete percent-encoding")
        byte = int(digits, 16)
        if byte < 0x20 or byte == 0x7F:
            raise AmbiguousPath("encoded control byte")
        if byte in _UNRESERVED or byte in _SEPARATORS:
            raise AmbiguousPath("a byte is percent-encoded that changes the path's reading")


def _split_absolute(raw: bytes) -> tuple[bytes, bytes]:
    # RFC 9112 section 3.2.2: the authority of an absolute-form target wins over Host.
    scheme, mark, rest = raw.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        raise BadRequest("neither origin-form nor absolute-form")
    cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    authority, tail = rest[:cut], rest[cut:]
    if not is_authority(authority):
        raise BadRequest("malformed authority")
    return authority.lower(), tail if tail.startswith(b"/") else b"/" + tail


def is_authority(value: bytes) -> bool:
    """Whether a Host value is `host` or `host:port` and nothing else (RFC 9112 section 3.2)."""
    return _AUTHORITY.match(value) is not None
