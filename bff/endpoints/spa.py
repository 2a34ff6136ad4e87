"""The application's static files with the SPA fallback. Never outside the root, never a dotfile."""

import asyncio
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aiohttp import web

from bff.errors import NotFound
from bff.gate.fetch_metadata import is_navigation
from bff.gate.outcome import Local

DEFAULT_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)


CHUNK_BYTES = 65_536  # what a file is read in, for each who takes it


class Spa:
    """Serves `root`. A path without a file is one of the application's own pages and gets
    `index.html` when the browser navigates to it; for anything else it must have no dot in its last
    segment, so that a script or image that is missing is told so."""

    def __init__(self, root: Path, content_security_policy: str | None = None) -> None:
        self._root = root.resolve()
        self._policy = content_security_policy or DEFAULT_CONTENT_SECURITY_POLICY

    async def __call__(self, _request: web.BaseRequest, local: Local) -> web.StreamResponse:
        found = await asyncio.to_thread(
            self._find, local.target.path, is_page=is_navigation(local.fields)
        )
        if found is None:
            raise NotFound
        return web.FileResponse(
            found,
            chunk_size=CHUNK_BYTES,
            headers={"Cache-Control": "no-cache", "Content-Security-Policy": self._policy},
        )

    def _find(self, path: bytes, *, is_page: bool) -> Path | None:
        name = unquote_to_bytes(path).decode("utf-8", "replace").lstrip("/")
        if name.startswith("."):
            return None
        if not any(part.startswith(".") for part in name.split("/")):
            wanted = (self._root / name).resolve()
            if wanted.is_relative_to(self._root) and wanted.is_file():
                return wanted
        if "." in name.rpartition("/")[2] and not is_page:
            return None
        index = self._root / "index.html"
        return index if index.is_file() else None
