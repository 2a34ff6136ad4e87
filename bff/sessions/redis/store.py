"""Sessions in Redis or Valkey: for several workers and replicas.

Keys, all in the namespace (`bff:` by default): `s:{key}` a session, `l:{name}` a lease;
`i:index` the sessions of an index, by absolute expiry; `t:state` a login transaction, `b:browser`
those of one browser; `r:key` what has been seen; `q:key` a bucket;
`a:name` a stream of audit records. Channels: `changes` and `beats`.
What spans slots is done in steps that may be repeated, in an order that leaves at worst an entry
pointing nowhere.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from bff.clock import Clock
from bff.errors import InternalError, StoreUnavailable
from bff.sessions.messages import CHANGED, ENDED, Change, encode_change
from bff.sessions.redis import scripts
from bff.sessions.redis.changes import ChangeStream
from bff.sessions.redis.client import Observe, RedisClient, RedisLimits
from bff.sessions.redis.heartbeats import Heartbeats
from bff.sessions.redis.leases import RedisLeases
from bff.sessions.redis.url import parse_redis_url
from bff.sessions.store import Lease, NewRecord, StoredRecord, StoreListener


class RedisStore:
    """A `SessionStore`; see there for the rules. `url` is as `parse_redis_url` reads it. All keys
    and channels begin with `namespace` and a colon; it holds no colon, nor any of `*?[]{}\\`."""

    gather_seconds = 0.1

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        limits: RedisLimits | None = None,
        namespace: str = "bff",
        observe: Observe = lambda *_: None,
    ) -> None:
        self._client = RedisClient(parse_redis_url(url), limits or RedisLimits(), observe)
        self._clock = clock
        self._prefix = prefix = f"{namespace}:"
        self._channel = f"{prefix}changes"
        self._leases = RedisLeases(self._client, prefix=prefix, channel=self._channel)
        self._listeners: list[StoreListener] = []
        # Processes of earlier releases, which share the store during an update, know this name.
        heartbeats = f"{prefix}beats"
        self._heartbeats = Heartbeats(self._client, heartbeats, clock, self._listeners)
        self._changes = ChangeStream(self._client, self._channel, self._listeners, self._heartbeats)

    async def start(self) -> None:
        self._client.start()
        self._changes.start()
        self._heartbeats.start()

    async def close(self) -> None:
        await self._heartbeats.close()
        await self._changes.close()
        await self._leases.close()
        await self._client.close()

    async def ping(self) -> None:
        await self._client.call("PING")

    async def facts(self) -> Mapping[str, Mapping[str, object]]:
        """What each server that takes writes says of itself (`INFO`), by its address, or by an
        empty name where there is one only. Raises `StoreUnavailable`, for a user without the right
        as well."""
        return await self._client.info()

    def watch(self, listener: StoreListener) -> None:
        self._listeners.append(listener)

    def say_saved(self, *, saved: bool) -> None:
        self._heartbeats.say_saved(saved=saved)

    # --- sessions

    async def create(self, key: str, record: NewRecord) -> None:
        now, end = self._now_ms(), _ms(record.expires_at)
        for index in record.indexes:
            await self._client.run(scripts.INDEX, [self._name("i", index)], key, end, now)
        ttl = min(_ms(record.idle_seconds), end - now)
        step = scripts.CREATE, [self._session(key)], record.sealed, end, ttl
        if not await self._client.run(*step):
            raise InternalError("the session's key is taken")

    async def load(self, key: str) -> StoredRecord | None:
        return self._stored(await self._client.run(scripts.LOAD, [self._session(key)]))

    async def replace(self, key: str, sealed: bytes, *, expected_version: int) -> bool:
        version = expected_version + 1
        return bool(
            await self._client.run(
                scripts.REPLACE,
                [self._session(key)],
                expected_version,
                version,
                sealed,
                self._channel,
                encode_change(Change(CHANGED, key, str(version))),
            )
        )

    async def touch(self, key: str, *, idle_seconds: float) -> bool:
        return not await self._touch({key: idle_seconds})

    async def touch_all(self, idle_seconds: Mapping[str, float]) -> frozenset[str]:
        if not self._client.has_slots:
            return await self._touch(idle_seconds)
        gone = await asyncio.gather(*(self._touch({k: s}) for k, s in idle_seconds.items()))
        return frozenset().union(*gone)

    async def _touch(self, idle_seconds: Mapping[str, float]) -> frozenset[str]:
        """One step; in a cluster for one key only."""
        keys = list(idle_seconds)
        gone = await self._client.run(
            scripts.TOUCH,
            [self._session(key) for key in keys],
            self._now_ms(),
            *map(_ms, idle_seconds.values()),
        )
        return frozenset(keys[place - 1] for place in gone)

    async def delete(
        self,
        key: str,
        *,
        reason: str,
        indexes: Sequence[str] = (),
        expected_version: int | None = None,
    ) -> StoredRecord | None:
        answer = await self._client.run(
            scripts.DELETE,
            [self._session(key)],
            self._channel,
            encode_change(Change(ENDED, key, reason)),
            expected_version if expected_version is not None else "",
        )
        if answer is None and expected_version is not None:
            return None  # it may well be there, and must stay where a logout looks for it
        # The session is gone; an entry that points nowhere falls out by its score.
        with suppress(StoreUnavailable):
            for index in indexes:
                await self._client.call("ZREM", self._name("i", index), key)
        return self._stored(answer)

    async def members(self, index: str) -> tuple[str, ...]:
        found = await self._client.call(
            "ZRANGEBYSCORE", self._name("i", index), f"({self._now_ms()}", "+inf"
        )
        return tuple(member.decode() for member in found)

    async def scan(self) -> AsyncIterator[tuple[str, ...]]:
        pattern = self._session("*")
        before, after = pattern.split("*")
        async for names in self._client.scan(pattern):
            found = (name.decode() for name in names)
            yield tuple(name.removeprefix(before).removesuffix(after) for name in found)

    # --- refresh leases

    async def acquire_lease(self, name: str, *, ttl_seconds: float) -> Lease | None:
        return await self._leases.acquire(name, ttl_seconds=ttl_seconds)

    async def renew_lease(self, lease: Lease, *, ttl_seconds: float) -> bool:
        return await self._leases.renew(lease, ttl_seconds=ttl_seconds)

    async def release_lease(self, lease: Lease) -> None:
        await self._leases.release(lease)

    # --- login transactions

    async def put_login(
        self, state_key: str, sealed: bytes, *, browser_key: str, ttl_seconds: float, cap: int
    ) -> bytes | None:
        ttl = _ms(ttl_seconds)
        # The browser stays beside the bytes, so that taking one makes room under the cap.
        record = browser_key.encode() + b":" + sealed
        before = await self._client.call(
            "SET", self._name("t", state_key), record, "PX", ttl, "GET", get=True
        )
        dropped = await self._client.run(
            scripts.OPEN_LOGIN,
            [self._name("b", browser_key)],
            state_key,
            self._now_ms(),
            ttl,
            cap,
        )
        for oldest in dropped:
            await self._client.call("DEL", self._name("t", oldest.decode()))
        return None if before is None else _parted(before)[1]

    async def take_login(self, state_key: str) -> bytes | None:
        record = await self._client.call("GETDEL", self._name("t", state_key))
        if record is None:
            return None
        browser_key, sealed = _parted(record)
        with suppress(StoreUnavailable):  # at worst a place under the cap stays taken for a while
            await self._client.call("ZREM", self._name("b", browser_key.decode()), state_key)
        return sealed

    async def load_login(self, state_key: str) -> bytes | None:
        record = await self._client.call("GET", self._name("t", state_key))
        return None if record is None else _parted(record)[1]

    # --- what has been seen

    async def remember(self, key: str, *, ttl_seconds: float) -> None:
        await self._client.call("SET", self._name("r", key), "", "PX", _ms(ttl_seconds))

    async def is_remembered(self, key: str) -> bool:
        return bool(await self._client.call("EXISTS", self._name("r", key)))

    # --- how often

    async def fill(
        self, key: str, *, seconds: float, size_seconds: float, to_the_brim: bool = False
    ) -> float:
        before = await self._client.run(
            scripts.FILL,
            [self._name("q", key)],
            _us(seconds),
            _us(size_seconds),
            1 if to_the_brim else 0,
        )
        return int(before) / 1_000_000

    # --- audit records

    async def append(self, stream: str, lines: Sequence[str], most: int) -> None:
        """Add lines to a stream that keeps about `most` of them, the newest. Raises:
        StoreUnavailable: they may have been added."""
        await self._client.run(scripts.APPEND, [self._name("a", stream)], most, *lines)

    # --- within

    def _name(self, kind: str, name: str) -> str:
        return f"{self._prefix}{kind}:{name}"

    def _session(self, key: str) -> str:
        return self._name("s", f"{{{key}}}")

    def _now_ms(self) -> int:
        return _ms(self._clock.now())

    def _stored(self, answer: tuple[bytes, bytes, int] | None) -> StoredRecord | None:
        if answer is None:
            return None
        version, sealed, ttl = answer
        return StoredRecord(int(version), sealed, self._clock.now() + ttl / 1000)


def _parted(record: bytes) -> tuple[bytes, bytes]:
    """The browser of a login transaction, and what is sealed of it."""
    browser_key, _, sealed = bytes(record).partition(b":")
    return browser_key, sealed


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
