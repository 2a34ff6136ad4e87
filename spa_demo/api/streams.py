"""The API's streaming endpoints: an event stream, and an echo that answers while it still reads."""

import asyncio
import json

from aiohttp import web

from bff.clock import Clock
from spa_demo.api.guard import Guard
from spa_demo.api.problems import Problem
from spa_demo.api.settings import ApiSettings

CHUNK_BYTES = 64 * 1024


class StreamHandlers:
    """`/stream` and `/echo`. Neither keeps more than one chunk in memory."""

    def __init__(self, settings: ApiSettings, guard: Guard, clock: Clock) -> None:
        self._settings = settings
        self._guard = guard
        self._clock = clock
        self._stopping = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/stream", self.stream), web.post("/echo", self.echo)]

    async def stop(self, _app: web.Application) -> None:
        """End the open event streams (an `on_shutdown` handler)."""
        self._stopping.set()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """One event now and one every interval, until the client leaves."""
        token = await self._guard.require_scope(request, "api:read")
        response = web.StreamResponse(headers={"Cache-Control": "no-store"})
        response.content_type = "text/event-stream"
        await response.prepare(request)
        number = 0
        try:
            while not self._stopping.is_set():
                number += 1
                event = {"number": number, "at": self._clock.now(), "sub": token.sub}
                await response.write(f"event: tick\ndata: {json.dumps(event)}\n\n".encode())
                await self._wait(self._settings.stream_interval_seconds)
        except ConnectionResetError:
            pass  # the reader has left: the usual end of an event stream
        return response

    async def echo(self, request: web.Request) -> web.StreamResponse:
        """The body as it comes, and the names of the request's headers: never their values.

        Needs no token, so that a test can see whether one was sent.

        Raises: Problem.
        """
        length = request.content_length
        if length is not None and length > self._settings.max_echo_bytes:
            raise Problem(413, "body_too_large", "The body is too large.")
        names = ", ".join(sorted({name.lower() for name in request.headers}))
        response = web.StreamResponse(headers={"X-Echo-Header-Names": names})
        response.content_type = "application/octet-stream"
        if length is not None:
            response.content_length = length
        await response.prepare(request)
        total = 0
        async for chunk in request.content.iter_chunked(CHUNK_BYTES):
            total += len(chunk)
            if total > self._settings.max_echo_bytes:
                raise ConnectionAbortedError("echo limit")  # headers are out: only abort is left
            await response.write(chunk)
        return response

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
