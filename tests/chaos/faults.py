"""Faults of an OpenID provider, as middleware around its token endpoint, and a ledger beside them.

A fault strikes refreshes only. What it does to the answer and what the OP then believes to have
happened are two things: `rotates` says whether the token is spent.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum

from aiohttp import web

from spa_demo.op.records import IssuedToken
from spa_demo.op.state import OpState
from tests.chaos.ledger import Refresh

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Fault(StrEnum):
    """What may happen to an answer. The first four leave the refresh token alone or deliver."""

    NONE = "none"
    SLOW = "slow"
    ERROR = "error"
    GARBAGE = "garbage"
    DROP = "drop"


class Faults:
    """The fault of the moment, the ledger, and the middleware. `grace_seconds`: for so long after
    its first use a token may be used again, as at OPs that allow for lost answers."""

    def __init__(self, state: OpState) -> None:
        self.state = state
        self.kind = Fault.NONE
        self.seconds = 0.0
        self.grace_seconds = 0.0
        self.ledger: list[Refresh] = []
        self._spent_at: dict[int, float] = {}
        self._strikes = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Around every request of the OP."""
        if request.path != "/token":
            return await handler(request)
        value = str((await request.post()).get("refresh_token", ""))
        token = self.state.token(value)
        if token is None:
            return await handler(request)
        arrived_at = time.time()
        digest = hashlib.sha256(value.encode()).hexdigest()[:16]
        port = int(request.transport.get_extra_info("peername")[1]) if request.transport else 0
        was_spent = token.spent
        response, said = await self._answer(request, handler, token)
        self.ledger.append(
            Refresh(
                sub=token.family.sub,
                token=digest,
                port=port,
                arrived_at=arrived_at,
                answered_at=time.time(),
                rotated=token.spent and not was_spent,
                said=said,
            )
        )
        return response

    async def _answer(
        self, request: web.Request, handler: Handler, token: IssuedToken
    ) -> tuple[web.StreamResponse, bool]:
        """The response, and whether it says what the OP meant."""
        kind = self.kind
        if kind is Fault.ERROR:
            return web.json_response({"error": "server_error"}, status=500), False
        if kind is Fault.GARBAGE:
            return self._garbage(request), False
        if kind is Fault.SLOW:
            await asyncio.sleep(self.seconds)
        if time.time() - self._spent_at.get(id(token), 0.0) < self.grace_seconds:
            token.spent = False
        response = await handler(request)
        self._spent_at.setdefault(id(token), time.time())
        if kind is Fault.DROP:
            _cut(request)
            return response, False
        return response, True

    def _garbage(self, request: web.Request) -> web.Response:
        """In turns: JSON that ends too early, an answer that does, and a page."""
        self._strikes += 1
        match self._strikes % 3:
            case 0:
                return web.Response(body=b'{"access_token": "eyJ', content_type="application/json")
            case 1:
                _cut(request, b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + b'{"access_')
                return web.Response()
            case _:
                return web.Response(text="<h1>Welcome to nginx!</h1>", content_type="text/html")


def _cut(request: web.Request, first: bytes = b"") -> None:
    """Close the connection, after some bytes."""
    transport = request.transport
    if isinstance(transport, asyncio.Transport):
        transport.write(first)
        transport.close()
