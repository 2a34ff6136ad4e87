"""The scripted OP with answers that have no end, or come a byte at a time."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

from tests.parts.scripted_op import Answer, ScriptedOp


@dataclass(frozen=True)
class Endless(Answer):
    """`piece` again and again, `pause_seconds` apart, until the other side hangs up."""

    piece: bytes = b" " * 65_536
    pause_seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


class HostileOp(ScriptedOp):
    """`sent_bytes` is how much of endless answers was taken."""

    sent_bytes = 0

    @property
    def port(self) -> int:
        port = urlsplit(self.issuer).port
        assert port is not None
        return port

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        if not isinstance(answer, Endless):
            return await super()._send(request, answer)
        response = web.StreamResponse(headers=answer.headers)
        response.content_type = "application/json"
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(answer.piece)
                self.sent_bytes += len(answer.piece)
                await asyncio.sleep(answer.pause_seconds)
        return response
