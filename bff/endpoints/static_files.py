"""A file as an answer: in the coding that the browser takes, conditionally, and in parts.

A file may have siblings that a build tool has compressed, `app.js.br` and `app.js.gz`. Which one is
sent is the browser's choice; each is a representation of its own, with an ETag of its own. The ETag
is a hash of the content: the same on all replicas, and another one for a new build whose files all
have one date, as images of containers have them.

RFC 9110 sections 8.8.3 (ETag), 12.5.3 (Accept-Encoding), 12.5.5 (Vary), 13.1 and 13.2.2
(preconditions), 14 (ranges).
"""

import asyncio
import hashlib
import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from bff.errors import NotFound

SIBLINGS = {"br": ".br", "gzip": ".gz"}  # by content coding, the smaller one first
CHUNK_BYTES = 65_536  # what a file is read in, for each browser that takes it
REMEMBERED_FILES = 4096
WEB_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".json": "application/json",
    ".map": "application/json",
    ".ts": "text/plain",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}

IDENTITY = "identity"

# Section 12.4.2: a weight is between 0 and 1, with at most three decimals.
_ITEM = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?"
)
_SAME = {"x-gzip": "gzip"}  # section 8.4.1.3

Part = slice  # of a file: from `start` to before `stop`

_CHARSET = "; charset=utf-8"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)
_ETAGS = re.compile(r'(W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Representation:
    """One of the forms of a file. `varies`: there are others."""

    path: Path
    coding: str
    varies: bool
    etag: str
    size_bytes: int
    modified_at: float

    @property
    def fields(self) -> dict[str, str]:
        """Those that tell it from others, of a 304 as well (RFC 9110 section 15.4.5)."""
        found = {"ETag": self.etag, "Last-Modified": formatdate(self.modified_at, usegmt=True)}
        return found | {"Vary": "Accept-Encoding"} if self.varies else found


async def file_response(
    request: web.BaseRequest, path: Path, headers: Mapping[str, str]
) -> web.StreamResponse:
    """The answer to a GET or HEAD of a regular file; `headers` go with it.

    Raises:
        NotFound: the file is gone, or can't be read.
    """
    wanted = request.headers.get("Range", "") if request.method == "GET" else ""
    accepted = "" if wanted else ", ".join(request.headers.getall("Accept-Encoding", []))
    try:
        found = await asyncio.to_thread(_choose, path, accepted)
        fields = {**headers, **found.fields}
        status = precondition(request.headers, found)
        if status is not None:
            return web.Response(status=status, headers=fields)
        part: Part | None = slice(0, found.size_bytes)
        if is_same_as_before(request.headers.get("If-Range"), found):
            part = requested_part(wanted, found.size_bytes)
        fields["Content-Type"] = content_type(path)
        return _answer(found, fields, part)
    except OSError:
        raise NotFound from None


def content_type(path: Path) -> str:
    """By the name alone, the same on every machine for what the web is made of."""
    known = WEB_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name, strict=False)[0]
    kind = known or "application/octet-stream"
    return kind + _CHARSET if kind.startswith("text/") or kind == "image/svg+xml" else kind


def precondition(headers: Mapping[str, str], found: Representation) -> HTTPStatus | None:
    """304 or 412, or None for the answer itself, in the order of RFC 9110 section 13.2.2. The dates
    are looked at only without the lists of ETags."""
    modified_at = int(found.modified_at)
    if (listed := headers.get("If-Match")) is not None:
        if not _lists(listed, found.etag, weak=False):
            return HTTPStatus.PRECONDITION_FAILED
    elif (date := _epoch(headers.get("If-Unmodified-Since"))) is not None and modified_at > date:
        return HTTPStatus.PRECONDITION_FAILED
    if (listed := headers.get("If-None-Match")) is not None:
        return HTTPStatus.NOT_MODIFIED if _lists(listed, found.etag, weak=True) else None
    date = _epoch(headers.get("If-Modified-Since"))
    return HTTPStatus.NOT_MODIFIED if date is not None and modified_at <= date else None


def is_same_as_before(if_range: str | None, found: Representation) -> bool:
    """Whether a part fits to those that the browser has (RFC 9110 section 13.1.5)."""
    if if_range is None:
        return True
    if if_range.startswith(("W/", '"')):
        return if_range == found.etag
    return _epoch(if_range) == int(found.modified_at)


def requested_part(wanted: str, size_bytes: int) -> Part | None:
    """All of it without a Range, or for one that is not understood or has several parts, which may
    be ignored (RFC 9110 section 14.2); None for one that lies outside."""
    match = _RANGE.fullmatch(wanted)
    if match is None or not (match[1] or match[2]):
        return slice(0, size_bytes)
    if not match[1]:
        start, end = max(0, size_bytes - int(match[2])), size_bytes
    else:
        start = int(match[1])
        end = min(int(match[2]) + 1, size_bytes) if match[2] else size_bytes
        if match[2] and int(match[2]) < start:
            return slice(0, size_bytes)
    return slice(start, end) if start < end else None


def _lists(listed: str, etag: str, *, weak: bool) -> bool:
    if listed.strip() == "*":
        return True
    return any(tag == etag and (weak or not mark) for mark, tag in _ETAGS.findall(listed))


def _epoch(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except (ValueError, OverflowError):
        return None


def _choose(path: Path, accepted: str) -> Representation:
    siblings = {
        coding: sibling
        for coding, suffix in SIBLINGS.items()
        if (sibling := path.with_name(path.name + suffix)).is_file() and not sibling.is_symlink()
    }
    coding = preferred_coding(accepted, [*siblings])
    chosen = siblings.get(coding, path)
    found = chosen.stat()
    content = _hash_of(chosen, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
    etag = f'"{content}"' if coding == IDENTITY else f'"{content}-{coding}"'
    return Representation(chosen, coding, bool(siblings), etag, found.st_size, found.st_mtime)


@lru_cache(maxsize=REMEMBERED_FILES)
def _hash_of(path: Path, *_state: int) -> str:
    """Asked for anew as soon as anything of the file's state has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _answer(found: Representation, fields: dict[str, str], part: Part | None) -> web.Response:
    if part is None:
        fields["Content-Range"] = f"bytes */{found.size_bytes}"
        return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=fields)
    status = HTTPStatus.OK
    if found.coding != IDENTITY:
        fields["Content-Encoding"] = found.coding
    else:
        fields["Accept-Ranges"] = "bytes"
        if part != slice(0, found.size_bytes):
            status = HTTPStatus.PARTIAL_CONTENT
            fields["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{found.size_bytes}"
    return web.Response(status=status, headers=fields, body=_Part(found.path, part))


class _Part(Payload):
    """Some of a file, read as it is taken. A file that has become shorter meanwhile ends in an
    error, so that the answer is cut off and does not look complete."""

    def __init__(self, path: Path, part: Part) -> None:
        super().__init__(path)
        self._part = part
        self._size = part.stop - part.start

    async def write(self, writer: AbstractStreamWriter) -> None:
        left = self._part.stop - self._part.start
        file = await asyncio.to_thread(self._open)
        try:
            while left:
                chunk = await asyncio.to_thread(file.read, min(left, CHUNK_BYTES))
                if not chunk:
                    raise EOFError
                left -= len(chunk)
                await writer.write(chunk)
        finally:
            file.close()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a file is not a text")

    def _open(self) -> BinaryIO:
        file: BinaryIO = self._value.open("rb")
        file.seek(self._part.start)
        return file


def preferred_coding(accepted: str, offered: Sequence[str]) -> str:
    """The one of `offered` with the greatest weight, the first of several; or identity, where none
    is accepted or identity has a greater weight. `accepted` is an Accept-Encoding; an item of it
    that can't be read accepts nothing."""
    weights = _weights(accepted)
    other = weights.get("*", 0.0)
    best, greatest = IDENTITY, 0.0
    for coding in offered:
        weight = weights.get(coding, other)
        if weight > greatest:
            best, greatest = coding, weight
    # Identity is always acceptable unless excluded; named, it competes.
    return IDENTITY if weights.get(IDENTITY, 0.0) > greatest else best


def _weights(accepted: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for item in accepted.split(","):
        match = _ITEM.fullmatch(item)
        if match is not None:
            name = match[1].lower()
            found[_SAME.get(name, name)] = float(match[2]) if match[2] else 1.0
    return found
