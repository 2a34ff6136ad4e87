"""The application's static files with the SPA fallback. Never outside the root, never a dotfile."""

import asyncio
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aiohttp import web

from bff.endpoints.static_files import file_response
from bff.errors import NotFound
from bff.gate.fetch_metadata import is_navigation
from bff.gate.outcome import Local

DEFAULT_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)

NOT_KEPT = "no-cache"  # asked for each time, and mostly answered 304
KEPT = "public, max-age=31536000, immutable"  # RFC 8246

_SUFFIXES = r"(?:\.[a-z0-9]+){1,3}"  # .js, .chunk.css, .js.map
_PAGES = (".html", ".htm")

_HEXADECIMAL = re.compile(rf"[.-](?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{{8,64}}{_SUFFIXES}$")
_BASE32 = re.compile(rf"-([A-Z2-7]{{8}}){_SUFFIXES}$")
_BASE64URL = re.compile(rf"(?:^|/)assets/(?:.*/)?[^/]*-([A-Za-z0-9_-]{{8}}){_SUFFIXES}$")
_RUNS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[_-]")  # AppStore: 2; 1024x768: 3; DVoHNO1Y: 6


class Spa:
    """Serves `root`. A path without a file is one of the application's own pages and gets
    `index.html` when the browser navigates to it; for anything else it must have no dot in its last
    segment, so that a script or image that is missing is told so.

    `immutable` are patterns of paths whose files never change; None: by what their names look like.
    `base_path` is what all paths begin with, and no file's name.
    """

    def __init__(
        self,
        root: Path,
        content_security_policy: str | None = None,
        immutable: Sequence[str] | None = None,
        base_path: str = "",
    ) -> None:
        self._root = root.resolve()
        self._policy = content_security_policy or DEFAULT_CONTENT_SECURITY_POLICY
        self._immutable = immutable
        self._base_path = base_path

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        path = local.target.path[len(self._base_path) :]
        if not path:  # else what the page names relative to itself would be beside the base path
            home = f"{self._base_path}/{local.target.suffix.decode('ascii')}"
            return web.Response(status=302, headers={"Location": home})
        found = await asyncio.to_thread(self._find, path, is_page=is_navigation(local.fields))
        if found is None:
            raise NotFound
        kept = KEPT if self._is_immutable(found) else NOT_KEPT
        headers = {"Cache-Control": kept, "Content-Security-Policy": self._policy}
        return await file_response(request, found, headers)

    def _is_immutable(self, found: Path) -> bool:
        path = found.relative_to(self._root).as_posix()
        if self._immutable is None:
            return is_hashed(path)
        return matches_any(path, self._immutable)

    def _find(self, path: bytes, *, is_page: bool) -> Path | None:
        name = unquote_to_bytes(path).decode("utf-8", "replace").lstrip("/")
        if name.startswith("."):
            return None
        if not any(part.startswith(".") for part in name.split("/")):
            found = self._file(name)
            if found is not None:
                return found
        if "." in name.rpartition("/")[2] and not is_page:
            return None
        index = self._root / "index.html"
        return index if index.is_file() else None

    def _file(self, name: str) -> Path | None:
        """The file of that name, if there is one and it is below the root."""
        try:
            wanted = (self._root / name).resolve()
            return wanted if wanted.is_relative_to(self._root) and wanted.is_file() else None
        except (OSError, RuntimeError):  # too long for a file's name, or links in a circle
            return None


def is_hashed(path: str) -> bool:
    """Whether the name of a file changes with its content, so that it may be kept, by what build
    tools write. `path` is one below the root, such as `assets/index-DVoHNO1Y.js`.

    A wrong yes is worse than a wrong no. A file that is kept for a year although it changes can't
    be called back from browsers; one that is asked for again costs a 304. So what people write is
    no hash: words, dates, sizes and versions.

    | tool | writes |
    |---|---|
    | Vite, Rollup | `assets/index-DVoHNO1Y.js`: eight of base64url |
    | webpack, Create React App, Parcel | `main.8c8b8b1d.js`, `787.28cb0dcd.chunk.js`: hexadecimal |
    | Angular | `main-5UYT7BK3.js`: eight of base32 |
    """
    if path.endswith(_PAGES):
        return False
    if _HEXADECIMAL.search(path):
        return True
    base32, base64url = _BASE32.search(path), _BASE64URL.search(path)
    if base32 is not None and len(_RUNS.findall(base32[1])) >= 3:
        return True
    if base64url is None or base64url[1].lower() == base64url[1]:
        return False
    return len(_RUNS.findall(base64url[1])) >= 4


def matches_any(path: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns, such as `/assets/*`, fits; pages are never meant."""
    return not path.endswith(_PAGES) and any(fnmatchcase(f"/{path}", one) for one in patterns)
