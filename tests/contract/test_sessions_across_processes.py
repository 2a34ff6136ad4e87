"""Two gateways on one Redis: what one does holds for the other, and Redis learns nothing of use."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bff.clock import SystemClock
from bff.model import LoginTransaction, Session, Tokens
from bff.sessions.cookie import SessionCookie
from bff.sessions.redis.store import RedisStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.single_use import LoginTransactions
from tests.contract.conftest import PATIENT
from tests.parts.record_owner import OWNER
from tests.parts.redis_server import RedisServer
from tests.polling import until

SECRET = "a secret of at least 32 bytes, or some more"
OP = "https://op.example"
POLICY = SessionPolicy(idle_seconds=600, absolute_seconds=3600, cache_seconds=900)


class Gateways:
    """Processes of one deployment, as far as sessions go."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self._namespace = uuid.uuid4().hex
        self._opened: list[Sessions] = []

    def store(self, url: str = "") -> RedisStore:
        url = url or self.server.url
        return RedisStore(url, SystemClock(), namespace=self._namespace, limits=PATIENT)

    async def open(self) -> Sessions:
        sessions = Sessions(self.store(), Keyring([SECRET], OWNER), SystemClock(), POLICY)
        await sessions.start()
        self._opened.append(sessions)
        await until(lambda: sessions.watching)
        return sessions

    async def open_deaf(self) -> Sessions:
        """One that may do everything but subscribe."""
        self.server.command(
            "ACL", "SETUSER", "deaf", "on", ">pw", "~*", "&*", "+@all", "-subscribe"
        )
        url = self.server.url.replace("unix://", "unix://deaf:pw@")
        sessions = Sessions(self.store(url), Keyring([SECRET], OWNER), SystemClock(), POLICY)
        await sessions.start()
        self._opened.append(sessions)
        return sessions

    async def close(self) -> None:
        for sessions in self._opened:
            await sessions.close()


@pytest.fixture
async def gateways(own_redis: RedisServer) -> AsyncIterator[Gateways]:
    opened = Gateways(own_redis)
    yield opened
    await opened.close()


def tokens(name: str = "1") -> Tokens:
    now = time.time()
    return Tokens(f"eyJhbGciOi.access.{name}", now, now + 300, f"eyJhbGciOi.refresh.{name}")


async def create(sessions: Sessions, sub: str = "alice@example.com") -> Session:
    key = SessionCookie("bff", [SECRET]).issue().key
    return await sessions.create(
        key, issuer=OP, sub=sub, sid="sid-at-op", tokens=tokens(), claims={"name": "Alice Liddell"}
    )


async def cached_in(sessions: Sessions, created: Session) -> None:
    assert await sessions.load(created.key) is not None
    await until(lambda: sessions.cached(created.key) is not None)


async def dropped(sessions: Sessions, created: Session) -> None:
    """By the news: by itself the cache would keep it for longer than this test waits."""
    await until(lambda: sessions.cached(created.key) is None)


@pytest.mark.rule("SE-06")
async def test_a_logout_holds_everywhere_at_once(gateways: Gateways) -> None:
    """The other process's cache drops the session, and its streams hear why."""
    here, there = await gateways.open(), await gateways.open()
    heard: list[tuple[str, str]] = []
    there.observe(on_ended=lambda key, reason: heard.append((key, reason)))
    created = await create(here)
    await cached_in(there, created)
    ended = await here.end(created.key, "logout")
    assert ended is not None
    assert ended.tokens == created.tokens
    await dropped(there, created)
    assert await there.load(created.key) is None
    assert await here.load(created.key) is None
    await until(lambda: heard == [(created.key, "logout")])


async def test_a_refresh_is_seen_everywhere(gateways: Gateways) -> None:
    """Spent tokens leave the other process's cache; the writer keeps what it wrote."""
    here, there = await gateways.open(), await gateways.open()
    created = await create(here)
    await cached_in(there, created)
    written = await here.replace(replace(created, tokens=tokens("2")))
    assert written is not None
    await dropped(there, created)
    loaded = await there.load(created.key)
    assert loaded is not None
    assert (loaded.version, loaded.tokens) == (2, written.tokens)
    assert here.cached(created.key) == written, "the echo of an own write dropped it"


async def test_one_of_many_logouts_in_two_processes_gets_the_session(gateways: Gateways) -> None:
    """Exactly one revokes the tokens."""
    here, there = await gateways.open(), await gateways.open()
    created = await create(here)
    ended = await asyncio.gather(
        *((here, there)[n % 2].end(created.key, "logout") for n in range(50))
    )
    assert sum(session is not None for session in ended) == 1
    assert await there.of_subject(OP, created.sub) == []


async def test_activity_elsewhere_keeps_a_session_alive(gateways: Gateways) -> None:
    """Touches of one process move the expiry that the other one reads."""
    here, there = await gateways.open(), await gateways.open()
    created = await create(here)
    [name] = gateways.server.command("KEYS", "*:s:*")
    gateways.server.command("PEXPIRE", name.decode(), 60_000)
    late = await here.load_fresh(created.key)
    assert late is not None
    assert late.idle_expires_at < time.time() + 61
    here.touch(late)

    async def is_moved() -> bool:
        seen = await there.load_fresh(created.key)
        return seen is not None and seen.idle_expires_at > time.time() + 590

    await until(is_moved)


async def test_news_missed_in_a_gap_is_not_missed(gateways: Gateways) -> None:
    """After a lost subscription nothing is served from memory, and observers are told."""
    here = await gateways.open()
    watched: list[bool] = []
    here.observe(on_watch=watched.append)
    created = await create(here)
    await cached_in(here, created)
    gateways.server.command("CLIENT", "KILL", "TYPE", "pubsub")
    await until(lambda: watched == [False, True])
    assert here.cached(created.key) is None
    assert await here.load(created.key) is not None


async def test_a_process_without_news_still_works(gateways: Gateways) -> None:
    """It reads every time, and its own observers hear of its own writes at once."""
    here, there = await gateways.open_deaf(), await gateways.open()
    news: list[object] = []
    here.observe(on_changed=news.append, on_ended=lambda key, reason: news.append((key, reason)))
    created = await create(here)
    written = await here.replace(replace(created, tokens=tokens("2")))
    assert news == [created.key]
    assert here.cached(created.key) is None
    assert written is not None
    for sessions in (here, there):
        loaded = await sessions.load(created.key)
        assert loaded is not None
        assert loaded.tokens == written.tokens
    assert await there.end(created.key, "logout") is not None
    assert await here.load(created.key) is None
    second = await create(here)
    await here.end(second, "logout")
    assert news == [created.key, (second.key, "logout")]
    assert not here.watching


@pytest.mark.rule("SE-09")
async def test_redis_learns_nothing_of_use(gateways: Gateways) -> None:
    """No token, name, subject, issuer, sid, state or verifier in any key or value."""
    here = await gateways.open()
    created = await create(here)
    await here.replace(replace(created, tokens=tokens("2")))
    await here.leases.acquire_lease(created.key, ttl_seconds=60)
    store = gateways.store()
    login = LoginTransaction(OP, "verifier", "nonce", "0f" * 32, "/deep/link", time.time())
    logins = LoginTransactions(
        store, Keyring([SECRET], OWNER), SystemClock(), ttl_seconds=600, cap=10
    )
    await logins.put("the-state", login)
    await store.close()
    everything = gateways.server.everything()
    kinds = {name.split(b":")[1] for name in gateways.server.command("KEYS", "*")}
    assert kinds == {b"s", b"i", b"l", b"t", b"b"}
    for secret in (
        *(b"eyJ", b"access", b"refresh", b"alice", b"Alice", b"op.example", b"sid-at-op"),
        *(b"the-state", b"verifier", b"nonce", b"deep"),
    ):
        assert secret not in everything


@pytest.mark.rule("SE-09")
async def test_swapped_ciphertexts_fail_closed(gateways: Gateways) -> None:
    """Write access to Redis does not make one user another."""
    here, there = await gateways.open(), await gateways.open()
    one, two = await create(here, "one"), await create(here, "two")
    names = [k.decode() for k in gateways.server.command("KEYS", "*:s:*")]
    first, second = (gateways.server.command("HGET", name, "d") for name in names)
    gateways.server.command("HSET", names[0], "d", second)
    gateways.server.command("HSET", names[1], "d", first)
    assert await there.load(one.key) is None
    assert await there.load(two.key) is None
    assert len(gateways.server.command("KEYS", "*:s:*")) == 2, "and nothing is deleted for it"


@pytest.mark.rule("SE-03")
async def test_unknown_ids_leave_no_trace(gateways: Gateways) -> None:
    """Neither asking for a session nor ending it creates a key."""
    here = await gateways.open()
    await create(here)
    before = gateways.server.command("DBSIZE")
    for _ in range(50):
        key = SessionCookie("bff", [SECRET]).issue().key
        assert await here.load(key) is None
        assert await here.end(key, "logout") is None
    assert gateways.server.command("DBSIZE") == before


async def test_nothing_is_resurrected_under_load(gateways: Gateways) -> None:
    """Refreshes, activity, reads and a logout at once, from two processes: the session ends."""
    here, there = await gateways.open(), await gateways.open()

    async def refresh(sessions: Sessions, key: str) -> None:
        for n in range(10):
            current = await sessions.load(key)
            if current is not None:
                sessions.touch(current)
                await sessions.replace(replace(current, tokens=tokens(str(n))))

    async def log_out(sessions: Sessions, key: str) -> Session | None:
        for _ in range(random.randrange(20)):  # noqa: S311 - any moment will do
            await asyncio.sleep(0.001)
        return await sessions.end(key, "logout")

    for _ in range(15):
        created = await create(here)
        await asyncio.gather(
            *(refresh(sessions, created.key) for sessions in (here, there, here, there)),
            log_out(there, created.key),
        )
        for sessions in (here, there):
            await dropped(sessions, created)
            assert await sessions.load(created.key) is None
    assert gateways.server.command("KEYS", "*:s:*") == []


@pytest.mark.rule("SE-06")
async def test_a_store_that_goes_back_in_time_revives_no_session(gateways: Gateways) -> None:
    """A failover may lose the last write, a logout for instance. A process that heard of it answers
    for it, and deletes the record again."""
    here, there = await gateways.open(), await gateways.open()
    created = await create(here)
    [name] = [key for key in gateways.server.command("KEYS", "*") if b"s:{" in key]
    record = gateways.server.command("DUMP", name)
    await here.end(created.key, "logout")
    await until(lambda: there.end_reason(created.key) == "logout")
    for sessions in (here, there):
        gateways.server.command("RESTORE", name, 100_000, record)
        assert await sessions.load(created.key) is None
        assert not gateways.server.command("EXISTS", name)
