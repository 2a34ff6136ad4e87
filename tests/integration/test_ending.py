"""Ending many sessions at once: gone at once, without overrunning the OP, and none forgotten."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from bff.admin.sessions import AdminSessions, AdminSessionSettings
from bff.clock import ManualClock, SystemClock
from bff.model import Tokens
from bff.observability.metrics import Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.sessions.expiry import IDLE, LOOK_EVERY_SECONDS
from bff.sessions.memory import MemoryStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.tokens.ending_sessions import REVOCATIONS_AT_ONCE, REVOCATIONS_WAITING, SessionEnder
from tests.movable_loop import later, on_a_movable_loop
from tests.parts.record_owner import OWNER
from tests.parts.servers import free_port, serving
from tests.polling import HANG_SECONDS, until

MANY = 3 * REVOCATIONS_AT_ONCE
CLOCK = SystemClock()
NOWHERE = RelyingPartySettings(
    issuer="http://127.0.0.1",
    client_id="spa",
    client_secret="secret",
    redirect_uri="http://localhost/bff/callback",
)


class SlowOp:
    """Keeps every revocation waiting until it is released, and counts them."""

    def __init__(self, issuer: str) -> None:
        self.waiting = self.most = 0
        self.revoked: set[str] = set()
        self.released = asyncio.Event()
        self.application = web.Application()
        self.application.router.add_get("/.well-known/openid-configuration", self._metadata)
        self.application.router.add_post("/revoke", self._revoke)
        self._issuer = issuer

    async def _metadata(self, _request: web.Request) -> web.Response:
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint")
        endpoints = {name: f"{self._issuer}/{name}" for name in names}
        endpoints["revocation_endpoint"] = f"{self._issuer}/revoke"
        return web.json_response({"issuer": self._issuer, **endpoints})

    async def _revoke(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.released.wait()
        self.waiting -= 1
        self.revoked.add(str(form["token"]))
        return web.Response()


@dataclass(frozen=True, slots=True)
class Installation:
    """Sessions "0" to `MANY` less one, each with tokens of its own."""

    op: SlowOp
    store: MemoryStore
    sessions: Sessions
    ender: SessionEnder

    async def end_all(self) -> int:
        endings = (self.ender.end(str(number), "admin") for number in range(MANY))
        return sum(session is not None for session in await asyncio.gather(*endings))


@asynccontextmanager
async def many_sessions(
    metrics: Metrics, waiting: int = REVOCATIONS_WAITING, *, revoke: bool = True
) -> AsyncIterator[Installation]:
    port = free_port()
    op = SlowOp(f"http://127.0.0.1:{port}")
    settings = RelyingPartySettings(
        issuer=f"http://127.0.0.1:{port}",
        client_id="spa",
        client_secret="secret",
        redirect_uri="http://localhost/bff/callback",
        revocation_timeout_seconds=30,
        revoke_on_logout=revoke,
    )
    relying_party = RelyingParty(settings, CLOCK)
    policy = SessionPolicy(idle_seconds=600, absolute_seconds=600)
    store = MemoryStore(CLOCK)
    sessions = Sessions(store, Keyring(["s" * 32], OWNER), CLOCK, policy)
    ender = SessionEnder(
        sessions, RelyingParties([relying_party]), metrics, revocations_waiting=waiting
    )
    now = CLOCK.now()
    async with serving(op.application, port):
        await relying_party.start()
        await sessions.start()
        for number in range(MANY):
            tokens = Tokens(f"at-{number}", now, now + 60, refresh_token=f"rt-{number}")
            await sessions.create(str(number), issuer="i", sub="s", sid=None, tokens=tokens)
        try:
            yield Installation(op, store, sessions, ender)
        finally:
            op.released.set()
            await ender.close(20)
            await relying_party.close()
            await sessions.close()


@pytest.mark.rule("SE-08")
async def test_the_op_is_not_overrun_by_revocations_and_gets_them_all() -> None:
    async with many_sessions(Metrics()) as there:
        assert await there.end_all() == MANY  # without waiting for the OP
        await until(lambda: there.op.waiting == REVOCATIONS_AT_ONCE)
        there.op.released.set()
        await there.ender.close(20)
        assert {f"rt-{number}" for number in range(MANY)} <= there.op.revoked
        assert there.op.most == REVOCATIONS_AT_ONCE


async def test_what_an_op_can_not_keep_up_with_is_left_to_expire() -> None:
    """Memory is bounded, and what was not revoked is counted."""
    metrics = Metrics()
    async with many_sessions(metrics, waiting=5) as there:
        assert await there.end_all() == MANY
        there.op.released.set()
        await there.ender.close(20)
        assert len(there.op.revoked) == 2 * 5  # a refresh and an access token each
        left = metrics.registry.get_sample_value("bff_revocations_failed_total")
        assert left == MANY - 5


async def test_where_logouts_do_not_revoke_no_revocation_fails() -> None:
    """Busy as the OP may be with those of others: none is left out that was to be made."""
    metrics = Metrics()
    async with many_sessions(metrics, waiting=0, revoke=False) as there:
        assert await there.end_all() == MANY
        assert metrics.registry.get_sample_value("bff_revocations_failed_total") == 0


@on_a_movable_loop
async def test_a_session_that_ends_by_itself_is_counted_and_logged() -> None:
    """As any other end; there is no one to revoke its tokens, which end with it."""
    metrics, clock = Metrics(), ManualClock()
    policy = SessionPolicy(idle_seconds=600, absolute_seconds=3600)
    sessions = Sessions(MemoryStore(clock), Keyring(["s" * 32], OWNER), clock, policy)
    SessionEnder(sessions, RelyingParties([FaultyRelyingParty(NOWHERE, clock)]), metrics)
    await sessions.start()
    tokens = Tokens("at", clock.now(), clock.now() + 60, refresh_token="rt")
    await sessions.create("k" * 64, issuer="i", sub="s", sid=None, tokens=tokens)
    with capture_logs() as entries:
        await later(0)
        clock.advance(601)
        await later(LOOK_EVERY_SECONDS)
        labels = {"reason": IDLE}
        assert metrics.registry.get_sample_value("bff_sessions_ended_total", labels) == 1
    assert [entry["reason"] for entry in entries if entry["event"] == "session_ended"] == [IDLE]
    await sessions.close()


class FaultyRelyingParty(RelyingParty):
    """One with a fault that no rule foresees."""

    async def revoke(self, tokens: Tokens) -> str | None:
        raise ZeroDivisionError


async def test_a_fault_of_a_revocation_is_logged_and_counted() -> None:
    """The session is gone, and no caller waits for what follows."""
    metrics = Metrics()
    policy = SessionPolicy(idle_seconds=600, absolute_seconds=600)
    sessions = Sessions(MemoryStore(CLOCK), Keyring(["s" * 32], OWNER), CLOCK, policy)
    ender = SessionEnder(sessions, RelyingParties([FaultyRelyingParty(NOWHERE, CLOCK)]), metrics)
    tokens = Tokens("at", CLOCK.now(), CLOCK.now() + 60, refresh_token="rt")
    session = await sessions.create("k", issuer="i", sub="s", sid=None, tokens=tokens)
    with capture_logs() as entries:
        assert await ender.end(session, "logout") is not None
        await ender.close(20)
    assert "revocation_aborted" in [entry["event"] for entry in entries]
    assert metrics.registry.get_sample_value("bff_revocations_failed_total") == 1


@pytest.mark.rule("SE-08")
async def test_everybody_is_ended_even_when_a_pass_over_the_store_forgets_some() -> None:
    """After a fail-over the new server does not know where the old one's scan was."""
    async with many_sessions(Metrics()) as there:
        passes = 0

        async def forgetful() -> AsyncIterator[tuple[str, ...]]:
            nonlocal passes
            passes += 1
            async for keys in there.store.scan():
                yield keys[: MANY // 3]

        settings = AdminSessionSettings(issuers=("i",), own_name="127.0.0.1")
        admin = AdminSessions(there.sessions, forgetful, there.ender, settings)
        application = web.Application()
        application.router.add_delete("/sessions", admin.end)
        port = free_port()
        async with (
            serving(application, port),
            aiohttp.ClientSession() as http,
            http.delete(f"http://127.0.0.1:{port}/sessions?all=true") as answer,
        ):
            assert await answer.json() == {"ended": MANY, "foreign": 0}
        assert await there.sessions.of_subject("i", "s") == []
        assert passes == 4  # the last finds no session


async def test_each_end_is_counted_once_by_its_reason() -> None:
    metrics = Metrics()
    async with many_sessions(metrics) as there:
        endings = [there.ender.end("0", "logout", revoke=False) for _ in range(3)]
        assert [one is None for one in await asyncio.gather(*endings)].count(True) == 2
        session = await there.sessions.load("1")
        assert session is not None
        assert await there.ender.end(session, "grant_rejected", only_version=2) is None
        assert await there.ender.end(session, "grant_rejected", only_version=1) is not None
        registry = metrics.registry
        for reason in ("logout", "grant_rejected"):
            labels = {"reason": reason}
            assert registry.get_sample_value("bff_sessions_ended_total", labels) == 1
        there.op.released.set()
        await there.ender.close(HANG_SECONDS)
        assert there.op.revoked == {"at-1", "rt-1"}


async def test_a_caller_that_hangs_up_does_not_stop_an_end_that_has_begun() -> None:
    """A tab that is closed right after its logout leaves no tokens unrevoked."""
    async with many_sessions(Metrics()) as there:
        there.op.released.set()
        caller = asyncio.create_task(there.ender.end("0", "logout"))
        await asyncio.sleep(0)
        caller.cancel()
        await there.ender.close(HANG_SECONDS)
        assert await there.sessions.load_fresh("0") is None
        assert there.op.revoked == {"at-0", "rt-0"}


async def test_closing_waits_for_revocations_no_longer_than_it_may() -> None:
    async with many_sessions(Metrics()) as there:
        await there.ender.end("0", "logout")
        async with asyncio.timeout(HANG_SECONDS):
            await there.ender.close(0.01)
        assert there.op.revoked == set()
