"""Ends sessions at the OP and tells the clients: OIDC Back-Channel Logout 1.0.

The POSTs run in the background with a timeout, once each; what came of them is counted. A client
that is down never delays the user's logout.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from spa_demo.op.records import OpSession
from spa_demo.op.settings import OpSettings
from spa_demo.op.state import OpState
from spa_demo.op.tokens import TokenIssuer

log = logging.getLogger("spa_demo.op")

POST_TIMEOUT_SECONDS = 5


class BackChannel:
    """Closes sessions in the state and posts logout tokens to the clients that used them."""

    def __init__(self, settings: OpSettings, state: OpState, tokens: TokenIssuer) -> None:
        self._settings = settings
        self._state = state
        self._tokens = tokens
        self._http: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """Open the connection pool for the application's life (a `cleanup_ctx`)."""
        timeout = aiohttp.ClientTimeout(total=POST_TIMEOUT_SECONDS)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=jar) as self._http:
            yield
            await self.settle()

    def end_session(self, session: OpSession) -> None:
        """End one session: its clients get a logout token with its `sid`."""
        self._state.close_session(session)
        for client_id in sorted(session.client_ids):
            self._notify(client_id, session.user.sub, session.sid)

    def end_everywhere(self, sub: str) -> None:
        """End every session and every grant of a user: one logout token a client, by `sub`."""
        sessions = self._state.sessions(sub)
        self._state.revoke_user(sub, "signed out everywhere")
        for session in sessions:
            self._state.close_session(session)
        for client_id in sorted({name for session in sessions for name in session.client_ids}):
            self._notify(client_id, sub, None)

    async def settle(self) -> None:
        """Wait until every logout token under way has arrived or failed."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _notify(self, client_id: str, sub: str, sid: str | None) -> None:
        client = self._state.clients.find(client_id)
        if client is None or client.backchannel_logout_uri is None:
            return
        token = self._tokens.logout_token(client_id, sub, sid)
        task = asyncio.create_task(self._post(client.backchannel_logout_uri, client_id, token))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _post(self, uri: str, client_id: str, token: str) -> None:
        if self._http is None:
            raise RuntimeError("the application is not running")
        try:
            form = {"logout_token": token}
            async with self._http.post(uri, data=form, allow_redirects=False) as response:
                outcome = "delivered" if response.status in {200, 204} else "refused"
        except (aiohttp.ClientError, TimeoutError):
            outcome = "failed"
        self._state.counters.logout_tokens[outcome] += 1
        log.info("logout token for %s: %s", client_id, outcome)
