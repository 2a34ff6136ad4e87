"""Paths with a second reading: which of them a route lets through, and that none leads out of it.

A route allows spellings by name; what it allows is forwarded as it was sent. Whatever the API makes
of it (decoded once or twice, a backslash or `//` as one slash, parameters cut off at `;`), it must
stay this route's: no dot segment, no path of another route, none of ours.
"""

import functools
import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from bff.errors import AmbiguousPath
from bff.gate.paths import UNRESERVED, Target, doubt_of, is_page_path
from bff.gate.routes import Route, RouteTable, Spelling

# A longer path is refused whatever it is allowed: its readings are too much work.
MAX_DOUBTFUL_BYTES = 2048
# As with targets: pages and an API's names are asked for again and again, long ones are not.
_REMEMBERED = 512
_REMEMBERED_BYTES = 256

# As in a canonical path, and ';'.
_PATH = re.compile(rb"/[A-Za-z0-9\-._~!$&'()*+,=:@%/\[\]|;]*\Z")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_PARAMETERS = re.compile(rb";[^/]*")
_SLASHES = re.compile(rb"/{2,}")
_DOT_SEGMENT = re.compile(rb"/\.{1,2}(?:[/\\;]|\Z)")
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
# ASCII in more bytes than it needs, decoded (RFC 3629 section 3).
_OVERLONG_BYTES = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|\xf8[\x80-\x87]|\xfc[\x80-\x83]"
)
_BY_BYTE = {
    0x2F: Spelling.SLASH,
    0x25: Spelling.PERCENT,
    0x5C: Spelling.BACKSLASH,
    0x3B: Spelling.PARAMETERS,
    **dict.fromkeys(UNRESERVED, Spelling.ESCAPES),
}


def require_within(
    target: Target, route: Route | None, routes: RouteTable, is_own: Callable[[bytes], bool]
) -> None:
    """Raise `AmbiguousPath` unless a doubtful target may go where it matches: to `route`, or to the
    application's pages when that is None. `is_own` knows the paths of our own endpoints."""
    path = target.path
    if len(path) > MAX_DOUBTFUL_BYTES:
        raise AmbiguousPath(target.doubt)
    if route is None:
        is_allowed = is_page_path(path)
    else:
        is_allowed = _spellings(path) <= route.allow_in_path
        if route.cuts_path and route.rest_of(path).startswith(b"//"):
            raise AmbiguousPath("an empty segment at the beginning of what is forwarded")
    if not is_allowed:
        raise AmbiguousPath(target.doubt)
    for reading in readings(path):
        if not _is_plain(reading):
            raise AmbiguousPath("a dot segment or a control byte in one of the path's readings")
        if routes.match(reading) is not route or is_own(reading):
            raise AmbiguousPath("one of the path's readings is another route's")


def is_page(path: bytes) -> bool:
    """Whether this can be a page of the application, on which no reading sees a dot segment."""
    if not doubt_of(path):
        return True
    is_short = len(path) <= MAX_DOUBTFUL_BYTES
    return is_short and is_page_path(path) and all(map(_is_plain, readings(path)))


def _spellings(path: bytes) -> frozenset[Spelling]:
    """What of the path needs to be allowed. Raises: AmbiguousPath: something that can't be."""
    if not _PATH.match(path):
        raise AmbiguousPath("bytes in the path that no route allows")
    found = {Spelling.PARAMETERS} if b";" in path else set()
    if b"//" in path:
        found.add(Spelling.EMPTY)
    for match in _ESCAPE.finditer(path):
        if match.group(1) is None:
            raise AmbiguousPath("incomplete percent-encoding")
        spelling = _BY_BYTE.get(int(match.group(1), 16))
        if spelling is not None:
            found.add(spelling)
    return frozenset(found)


def readings(path: bytes) -> frozenset[bytes]:
    """The path as servers could read it: decoded up to twice, each time with and without parameters
    and with backslashes as they are or as slashes; and with runs of slashes as one."""
    return _read_remembered(path) if len(path) <= _REMEMBERED_BYTES else _read(path)


def _read(path: bytes) -> frozenset[bytes]:
    found: set[bytes] = set()
    decoded = {path}
    for _ in range(3):
        new = _variants(decoded) - found
        found |= new
        # Most of the time goes here: what was decoded in the round before gives nothing new.
        decoded = {unquote_to_bytes(reading) for reading in new}
    return frozenset(found | {_SLASHES.sub(b"/", reading) for reading in found if b"//" in reading})


_read_remembered = functools.lru_cache(_REMEMBERED)(_read)


def _variants(paths: Iterable[bytes]) -> set[bytes]:
    found = set(paths)
    found |= {path.replace(b"\\", b"/") for path in found}
    found |= {_PARAMETERS.sub(b"", path) for path in found if b";" in path}
    return found | {path.replace(b"\\", b"/") for path in found}


def _is_plain(reading: bytes) -> bool:
    return (
        _DOT_SEGMENT.search(reading) is None
        and _CONTROLS.search(reading) is None
        and _OVERLONG_BYTES.search(reading) is None
    )
