"""The application's static files with the SPA fallback. Never outside the root, never a dotfile."""

import asyncio
from pathlib import Path
from urllib.parse import unquote_to_bytes

from aiohttp import web

from bff.errors import NotFound
from bff.gate.outcome import Local

DEFAULT_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
)


CHUNK_BYTES = 65_536  # what a file is read in, for each who takes it


class Spa:
    """Serves `root`. A path without a file and without a dot in its last segment is one of the
    application's own routes and gets `index.html`."""

    def __init__(self, root: Path, content_security_policy: str | None = None) -> None:
        self._root = root.resolve()
        self._policy = content_security_policy or DEFAULT_CONTENT_SECURITY_POLICY

    async def __call__(self, _request: web.BaseRequest, local: Local) -> web.StreamResponse:
        found = await asyncio.to_thread(self._find, local.target.path)
        if found is None:
            raise NotFound
        return web.FileResponse(
            found,
            chunk_size=CHUNK_BYTES,
            headers={"Cache-Control": "no-cache", "Content-Security-Policy": self._policy},
        )

    def _find(self, path: bytes) -> Path | None:
        name = unquote_to_bytes(path).decode("utf-8", "replace").lstrip("/")
        if any(part.startswith(".") for part in name.split("/")):
            return None
        wanted = (self._root / name).resolve()
        if not wanted.is_relative_to(self._root):
            return None
        if wanted.is_file():
            return wanted
        if "." in name.rpartition("/")[2]:
            return None
        index = self._root / "index.html"
        return index if index.is_file() else None
