"""`/bff/client/`: the browser client, as the package has it, so that it is the gateway's own.

Its address says no version. A browser asks for it each time, and mostly gets a 304: after an update
of the gateway no page goes on with the former one.
"""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from bff.endpoints.static_files import file_response
from bff.errors import NotFound
from bff.gate.outcome import Local

FOLDER = Path(__file__).parents[1] / "client"


def client_files() -> Mapping[str, Path]:
    """The client's modules and their types for TypeScript, by name."""
    return {path.name: path for path in FOLDER.iterdir() if path.suffix in {".js", ".ts"}}


class Client:
    """Serves these files and nothing else, whatever a path says."""

    def __init__(self) -> None:
        self._files = client_files()

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        name = local.target.path.rpartition(b"/")[2].decode("ascii", "replace")
        if name not in self._files:
            raise NotFound
        return await file_response(request, self._files[name], {"Cache-Control": "no-cache"})
