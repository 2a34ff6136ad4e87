"""Logouts told by the OP where the whole installation can't be brought to it: sessions without
`sid`, and an end that fails half-way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bff.clock import ManualClock
from bff.errors import StoreUnavailable
from bff.model import Tokens
from bff.observability.metrics import Metrics
from bff.oidc.logout_token import LOGOUT_EVENT
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.sessions.memory import MemoryStore
from bff.sessions.redis.store import RedisStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.single_use import ReplayCache
from bff.sessions.store import SessionStore
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.op_logout import OpLogout
from tests.parts.record_owner import OWNER
from tests.parts.redis_server import RedisServer
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, ScriptedOp


@dataclass
class Parts:
    """What takes part in such a logout, and an OP that signs whatever it is told to."""

    op: ScriptedOp
    sessions: Sessions
    op_logout: OpLogout

    async def create(self, key: str, sid: str | None, sub: str = "alice") -> None:
        now = self.op.clock.now()
        tokens = Tokens("at", now, now + 60)
        await self.sessions.create(key, issuer=self.op.issuer, sub=sub, sid=sid, tokens=tokens)

    async def tell(self, jti: str, **named: str) -> int:
        now = int(self.op.clock.now())
        token = self.op.keys[0].sign(
            {
                "iss": self.op.issuer,
                "aud": CLIENT_ID,
                "iat": now,
                "exp": now + 120,
                "jti": jti,
                "events": {LOGOUT_EVENT: {}},
                **named,
            },
            typ="logout+jwt",
        )
        return await self.op_logout.back_channel(token, "a request")

    async def alive(self, *keys: str) -> set[str]:
        return {key for key in keys if await self.sessions.load_fresh(key) is not None}


@asynccontextmanager
async def running_parts(store: SessionStore, clock: ManualClock) -> AsyncIterator[Parts]:
    op = await ScriptedOp(clock).start()
    settings = RelyingPartySettings(
        issuer=op.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri="https://app.example.test/bff/callback",
    )
    relying_party = RelyingParty(settings, clock)
    sessions = Sessions(store, Keyring(["k" * 32], OWNER), clock, SessionPolicy(1800, 3600))
    metrics = Metrics()
    ender = SessionEnder(sessions, relying_party, metrics)
    seen = ReplayCache(store, OWNER, clock)
    op_logout = OpLogout(relying_party, sessions, ender, seen, metrics)
    await sessions.start()
    await relying_party.start()
    try:
        yield Parts(op, sessions, op_logout)
    finally:
        await op_logout.close(1)
        await ender.close(1)
        await relying_party.close()
        await sessions.close()
        await op.close()


@pytest.mark.rule("LO-11")
async def test_a_session_that_came_without_sid_may_be_the_one_meant() -> None:
    """An OP that names `sid` in logout tokens but not in ID tokens: better one session too many
    than one that outlives its logout. Without `sub` it can't be found."""
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("none", None)
        await parts.create("this", "s1")
        await parts.create("other", "s2")
        await parts.create("bobs", None, sub="bob")
        assert await parts.tell("j1", sid="s3") == 0
        assert await parts.tell("j2", sid="s1", sub="alice") == 2
        assert await parts.alive("none", "this", "other", "bobs") == {"other", "bobs"}


@pytest.mark.rule("LO-12")
async def test_an_end_that_fails_half_way_can_be_told_again(own_redis: RedisServer) -> None:
    """The token counts as used only after its effect: the next try is no replay."""
    clock = ManualClock()
    store = RedisStore(own_redis.url, clock)
    async with running_parts(store, clock) as parts:
        for key in ("one", "two"):
            await parts.create(key, "s1")
        own_redis.command("ACL", "SETUSER", "default", "-del")
        with pytest.raises(StoreUnavailable):
            await parts.tell("j1", sub="alice")
        assert await parts.alive("one", "two") == {"one", "two"}
        own_redis.command("ACL", "SETUSER", "default", "+del")
        assert await parts.tell("j1", sub="alice") == 2
        assert await parts.alive("one", "two") == set()
