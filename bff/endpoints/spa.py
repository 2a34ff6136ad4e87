"""The application's static files with the SPA fallback. Never outside the root, never a dotfile."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aiohttp import web

from bff.endpoints.hashed_names import is_hashed, matches_any
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


class Spa:
    """Serves `root`. A path without a file is one of the application's own pages and gets
    `index.html` when the browser navigates to it; for anything else it must have no dot in its last
    segment, so that a script or image that is missing is told so.

    `immutable` are patterns of paths whose files never change; None: by what their names look like.
    """

    def __init__(
        self,
        root: Path,
        content_security_policy: str | None = None,
        immutable: Sequence[str] | None = None,
    ) -> None:
        self._root = root.resolve()
        self._policy = content_security_policy or DEFAULT_CONTENT_SECURITY_POLICY
        self._immutable = immutable

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        found = await asyncio.to_thread(
            self._find, local.target.path, is_page=is_navigation(local.fields)
        )
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
