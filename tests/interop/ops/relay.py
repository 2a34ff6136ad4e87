"""What stands between an OP and everything else: its address on loopback, and a witness.

The OP is known by the relay's address. So what goes to its token endpoint can be counted in the
same way for every OP, and the OP can go away and come back without losing what it knows. It judges
nothing and changes nothing.
"""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.parts.servers import Server

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class Grant:
    """One request to the token endpoint that was granted. `spent` is the refresh token it gave."""

    grant_type: str
    spent: str | None = field(repr=False)
    answer: dict[str, Any] = field(repr=False)
    asked_at: float
    answered_at: float

    @property
    def expires_at(self) -> float:
        return self.answered_at + float(self.answer["expires_in"])

    @property
    def access_token(self) -> str:
        return str(self.answer["access_token"])

    @property
    def refresh_token(self) -> str:
        return str(self.answer["refresh_token"])


class Relay:
    """`grants` are in the order of their answers; `refused` are the token endpoint's refusals, and
    `revoked` the tokens that the OP was asked to revoke."""

    def __init__(self, op_origin: str, http: aiohttp.ClientSession) -> None:
        self._op_origin = op_origin
        self._http = http
        self.grants: list[Grant] = []
        self.refused: list[tuple[int, bytes]] = []
        self.revoked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        asked_at, body = time.time(), await request.read()
        url = URL(f"{self._op_origin}{request.raw_path}", encoded=True)
        async with self._http.request(
            request.method,
            url,
            headers=_end_to_end(request.headers),
            data=body or None,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
        if request.method == "POST":
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            if "grant_type" in form:
                self._note_grant(form, answer.status, content, asked_at)
            elif "token" in form and answer.status == 200:
                self.revoked.append(form["token"])
        return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=content)

    def _note_grant(
        self, form: Mapping[str, str], status: int, content: bytes, asked_at: float
    ) -> None:
        if status != 200:
            self.refused.append((status, content))
            return
        spent, answer = form.get("refresh_token"), json.loads(content)
        self.grants.append(Grant(form["grant_type"], spent, answer, asked_at, time.time()))


def _end_to_end(headers: "CIMultiDict[str] | Any") -> CIMultiDict[str]:
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP
    )


@asynccontextmanager
async def relaying(port: int, op_origin: str) -> AsyncIterator[tuple[Relay, Server]]:
    """The relay at that port, and the server that can be stopped and started again."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),  # none that the OP is about to close
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        relay = Relay(op_origin, http)
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", relay.handle)
        server = Server(application, port)
        await server.start()
        try:
            yield relay, server
        finally:
            await server.close()
