"""The certified OP (npm oidc-provider, `op/server.mjs`) as a process on loopback.

Owns starting it, reading what it says and stopping it, by the process that was started. What it
issues is made up, so its tokens may be looked at here.
"""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import pytest
from joserfc.jwk import KeySetSerialization

from tests.parts.command import Command, running_command
from tests.polling import HANG_SECONDS

FOLDER = Path(__file__).parent / "op"
# Characters that `client_secret_basic` must form-encode (RFC 6749 section 2.3.1).
CLIENT_SECRET = "interop-secret-0123456789+/=% interop"
API_AUDIENCE = "urn:interop:api"

Event = dict[str, Any]


def require_program() -> str:
    """The path of node; fails the test when it or the OP's packages are missing."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("these tests need node (Debian: nodejs)")
    if not (FOLDER / "node_modules" / "oidc-provider").is_dir():
        pytest.fail(
            "these tests need `npm ci` in tests/interop/op; `make test` and `make interop` run it"
        )
    return node


class CertifiedOp:
    """A running OP. Every line it printed is in `events`, in the order things happened."""

    def __init__(self, issuer: str, http: aiohttp.ClientSession) -> None:
        self.issuer = issuer
        self.events: list[Event] = []
        self._http = http
        self._news = asyncio.Condition()
        self._marks = 0

    async def read(self, process: Command) -> None:
        """Take in what it prints until it ends."""
        async for line in process.lines():
            if line.startswith("{"):  # the library has notices of its own
                self.events.append(json.loads(line))
                async with self._news:
                    self._news.notify_all()

    def happened(self, event: str, **fields: object) -> list[Event]:
        """The events of that name and with these fields, as far as they have been read."""
        return [
            found
            for found in self.events
            if found["event"] == event
            and all(found.get(name) == value for name, value in fields.items())
        ]

    def issued(self, grant_type: str, **fields: object) -> list[Event]:
        return self.happened("token_issued", grant_type=grant_type, **fields)

    def troubles(self) -> list[Event]:
        """What tells of a token spent twice, a grant that is gone or a request that was refused."""
        signs = {"refresh_reused", "token_refused", "grant_revoked", "request_refused"}
        return [found for found in self.events if found["event"] in signs]

    async def wait_for(self, event: str, count: int = 1, **fields: object) -> list[Event]:
        """Wait until that has happened `count` times."""
        await self._until(lambda: len(self.happened(event, **fields)) >= count)
        return self.happened(event, **fields)

    async def catch_up(self) -> None:
        """Return when all that the OP has said up to now has been read."""
        self._marks += 1
        mark = f"{self._marks}"
        await self._control(f"mark?{mark}")
        await self.wait_for("mark", mark=mark)

    async def hold_refreshes(self) -> None:
        """From now on refreshes take effect, but their answers wait for `release_refreshes`."""
        await self._control("hold")

    async def release_refreshes(self) -> None:
        await self._control("release")

    async def introspect(self, token: str) -> dict[str, Any]:
        """What the OP tells an API about a token (RFC 7662)."""
        form = {"token": token, "client_id": "api", "client_secret": CLIENT_SECRET}
        async with self._http.post(f"{self.issuer}/token/introspection", data=form) as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def revoke(self, token: str, *, client_id: str) -> None:
        """Revoke a refresh token behind the gateway's back; the OP revokes its whole grant."""
        credentials = aiohttp.encode_basic_auth(client_id, quote_plus(CLIENT_SECRET))
        async with self._http.post(
            f"{self.issuer}/token/revocation",
            data={"token": token},
            headers={"Authorization": credentials},
        ) as answer:
            assert answer.status == 200, await answer.text()

    async def jwks(self) -> KeySetSerialization:
        """The keys with which it signs."""
        async with self._http.get(f"{self.issuer}/jwks") as answer:
            found: KeySetSerialization = await answer.json()
            return found

    async def _control(self, command: str) -> None:
        async with self._http.get(f"{self.issuer}/control/{command}") as answer:
            assert answer.status == 204

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_SECONDS), self._news:
            await self._news.wait_for(condition)


@asynccontextmanager
async def running_op(
    *,
    port: int,
    gateway: str,
    access_token_seconds: int = 60,
    refresh_token_seconds: int = 3600,
    rotate: bool = True,
    client_jwks: str = "",
    fapi: bool = False,
    dpop_nonces: bool = False,
) -> AsyncIterator[CertifiedOp]:
    """Run the OP for the gateway of that origin until the block ends. `client_jwks`: the public
    keys of its clients with keys. `fapi`: it enforces FAPI 2.0, for clients of that name only.
    `dpop_nonces`: it wants them in proofs."""
    environment = {
        "PORT": f"{port}",
        "GATEWAY": gateway,
        "AT_TTL": f"{access_token_seconds}",
        "RT_TTL": f"{refresh_token_seconds}",
        "ROTATE": f"{rotate:d}",
        "CLIENT_JWKS": client_jwks,
        "FAPI": f"{fapi:d}",
        "DPOP_NONCES": f"{dpop_nonces:d}",
    }
    command = [require_program(), str(FOLDER / "server.mjs")]
    async with aiohttp.ClientSession() as http:
        op = CertifiedOp(f"http://127.0.0.1:{port}", http)
        # It ends when its stdin does, and so with this process.
        async with running_command(command, environment=environment, stdin=PIPE) as process:
            reader = asyncio.create_task(op.read(process))
            try:
                await _started(op, reader, process)
                yield op
            finally:
                process.terminate()
                async with asyncio.timeout(HANG_SECONDS):
                    await reader
    assert op.happened("server_error") == []


async def _started(op: CertifiedOp, reader: "asyncio.Task[None]", process: Command) -> None:
    ready = asyncio.create_task(op.wait_for("ready"))
    await asyncio.wait({ready, reader}, timeout=HANG_SECONDS, return_when="FIRST_COMPLETED")
    if not ready.done() or ready.exception() is not None:
        ready.cancel()
        raise RuntimeError(f"the OP did not start:\n{process.errors()}")
