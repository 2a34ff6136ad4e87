"""Logouts told by the OP where the whole installation can't be brought to it: sessions without
`sid`, and an end that fails half-way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from bff.audit.event import NO_REQUEST
from bff.clock import ManualClock
from bff.errors import LogoutTokenInvalid, StoreUnavailable
from bff.model import Tokens
from bff.observability.metrics import Metrics
from bff.oidc.jwt.logout_token import LOGOUT_EVENT
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.sessions.memory import MemoryStore
from bff.sessions.redis.store import RedisStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.single_use import ReplayCache
from bff.sessions.store import SessionStore
from bff.tokens.ending_sessions import SessionEnder
from bff.tokens.op_logout import BACK_CHANNEL, FRONT_CHANNEL, OpLogout
from tests.parts.record_owner import OWNER
from tests.parts.redis_server import RedisServer
from tests.parts.scripted_op import CLIENT_ID, CLIENT_SECRET, ScriptedOp
from tests.polling import HANG_SECONDS, until

OTHER_CLIENT = "other-client"


@dataclass
class Parts:
    """What takes part in such a logout, and an OP that signs whatever it is told to."""

    op: ScriptedOp
    sessions: Sessions
    op_logout: OpLogout
    metrics: Metrics

    async def create(
        self,
        key: str,
        sid: str | None,
        sub: str = "alice",
        scope: str = "openid",
        provider: str = "default",
    ) -> None:
        now = self.op.clock.now()
        tokens = Tokens("at", now, now + 60, f"rt of {key}", scope=scope)
        await self.sessions.create(
            key, issuer=self.op.issuer, sub=sub, sid=sid, tokens=tokens, provider=provider
        )

    async def tell(self, jti: str, **named: object) -> int:
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
        return await self.op_logout.back_channel(token, NO_REQUEST)

    async def frame(self, *providers: str, sid: str) -> int:
        meant = [(provider, self.op.issuer) for provider in providers]
        return await self.op_logout.front_channel(meant, sid, NO_REQUEST)

    def counted(self, channel: str) -> dict[str, float]:
        """How many logouts of that channel had which outcome."""
        (found,) = [m for m in self.metrics.registry.collect() if m.name == "bff_op_logouts"]
        return {
            sample.labels["outcome"]: sample.value
            for sample in found.samples
            if sample.name.endswith("_total") and sample.labels["channel"] == channel
        }

    async def alive(self, *keys: str) -> set[str]:
        return {key for key in keys if await self.sessions.load_fresh(key) is not None}


@asynccontextmanager
async def running_parts(store: SessionStore, clock: ManualClock) -> AsyncIterator[Parts]:
    """With two clients at the OP, of which most tests use one."""
    op = await ScriptedOp(clock).start()
    settings = RelyingPartySettings(
        issuer=op.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri="https://app.example.test/bff/callback",
        trusted_audiences=(CLIENT_ID, OTHER_CLIENT),
    )
    other = replace(settings, name="other", client_id=OTHER_CLIENT, revoke_on_logout=False)
    relying_parties = RelyingParties([RelyingParty(settings, clock), RelyingParty(other, clock)])
    owners = (OWNER, replace(OWNER, client_id=OTHER_CLIENT, provider="other"))
    sessions = Sessions(store, Keyring(["k" * 32], *owners), clock, SessionPolicy(1800, 3600))
    metrics = Metrics()
    ender = SessionEnder(sessions, relying_parties, metrics)
    replay_cache = ReplayCache(store, owners, clock)
    op_logout = OpLogout(relying_parties, sessions, ender, replay_cache, metrics)
    await sessions.start()
    await relying_parties.start()
    try:
        yield Parts(op, sessions, op_logout, metrics)
    finally:
        await op_logout.close(1)
        await ender.close(1)
        await relying_parties.close()
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


async def test_each_logout_is_counted_by_what_came_of_it() -> None:
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("one", "s1")
        await parts.create("two", "s2")
        assert await parts.tell("j1", sid="s1") == 1
        assert await parts.tell("j2", sid="s1") == 0
        with pytest.raises(LogoutTokenInvalid):
            await parts.tell("j1", sid="s1")
        assert await parts.frame("default", sid="s2") == 1
        assert await parts.frame("default", sid="s2") == 0
        assert parts.counted(BACK_CHANNEL) == {
            "ended": 1,
            "no_session": 1,
            LogoutTokenInvalid.code: 1,
        }
        assert parts.counted(FRONT_CHANNEL) == {"ended": 1, "no_session": 1}


async def test_what_outlives_the_session_at_the_op_is_not_revoked() -> None:
    """A refresh token with `offline_access` (OpenID Connect Back-Channel Logout section 2.7), and
    what the front channel ends, which is left to the OP."""
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("online", "s1", scope="openid")
        await parts.create("offline", "s1", scope="openid offline_access")
        await parts.create("framed", "s2")
        assert await parts.tell("j1", sid="s1") == 2
        assert await parts.frame("default", sid="s2") == 1
        await until(lambda: parts.op.count("revocation") >= 1)
    revoked = [one.form["token"] for one in parts.op.received if one.endpoint == "revocation"]
    assert "rt of online" in revoked
    assert not {"rt of offline", "rt of framed"} & set(revoked)


async def test_a_logout_that_is_told_twice_at_once_is_done_once_for_both() -> None:
    """An OP that tries again while the first try is under way is no replay of it."""
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("one", "s1")
        assert await asyncio.gather(*(parts.tell("j1", sid="s1") for _ in range(3))) == [1, 1, 1]
        assert parts.counted(BACK_CHANNEL) == {"ended": 1}


async def test_a_session_that_two_logouts_end_at_once_counts_once() -> None:
    """Both have found it, and one of them has ended it."""
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("one", "s1")
        frames = (["default"], ["default", "other"])
        ended = await asyncio.gather(*(parts.frame(*names, sid="s1") for names in frames))
        assert sorted(ended) == [0, 1]


async def test_a_logout_goes_on_without_its_caller_and_closing_waits_for_it() -> None:
    """An OP need not wait for our answer."""
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("one", "s1")
        caller = asyncio.create_task(parts.tell("j1", sid="s1"))
        await asyncio.sleep(0)
        caller.cancel()
        await parts.op_logout.close(HANG_SECONDS)
        assert await parts.alive("one") == set()


@pytest.mark.rule("LO-12")
@pytest.mark.parametrize("named", [{"sid": "s1"}, {"sub": "alice"}, {"sid": "s1", "sub": "alice"}])
async def test_a_logout_ends_the_sessions_of_the_clients_that_it_is_for(
    named: dict[str, str],
) -> None:
    """Two clients at one OP share its users and their sessions there. A token that has done its
    work at one of them has not done it at the other."""
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("one", "s1")
        await parts.create("two", "s1", provider="other")
        assert await parts.tell("j1", **named) == 1
        assert await parts.alive("one", "two") == {"two"}
        assert await parts.tell("j1", aud=[CLIENT_ID, OTHER_CLIENT], **named) == 1
        assert await parts.alive("one", "two") == set()
        with pytest.raises(LogoutTokenInvalid) as caught:
            await parts.tell("j1", aud=[CLIENT_ID, OTHER_CLIENT], **named)
        assert caught.value.check == "jti_replayed"


async def test_a_frame_ends_the_sessions_of_the_clients_that_it_is_for() -> None:
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        for provider in ("default", "other"):
            await parts.create(f"{provider} one", "s1", provider=provider)
            await parts.create(f"{provider} two", "s2", provider=provider)
        assert await parts.frame("other", sid="s1") == 1
        keys = ("default one", "default two", "other one", "other two")
        assert await parts.alive(*keys) == {"default one", "default two", "other two"}
        assert await parts.frame("default", "other", sid="s2") == 2
        assert await parts.alive(*keys) == {"default one"}


async def test_tokens_are_revoked_at_the_clients_that_want_it() -> None:
    """`revoke_on_logout` is each provider's own."""
    clock = ManualClock()
    async with running_parts(MemoryStore(clock), clock) as parts:
        await parts.create("kept", "s1", provider="other")
        await parts.create("revoked", "s1")
        assert await parts.tell("j1", sid="s1", aud=[OTHER_CLIENT]) == 1
        assert await parts.tell("j2", sid="s1") == 1
        await until(lambda: parts.op.count("revocation") >= 1)
    revoked = [one.form["token"] for one in parts.op.received if one.endpoint == "revocation"]
    assert "rt of revoked" in revoked
    assert "rt of kept" not in revoked
