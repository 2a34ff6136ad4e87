"""Refresh leases in Redis.

A grant whose answer is lost would make every process wait for a holder that does not know of it.
Each try therefore carries a claim of its own, which is what is stored: a try that is repeated, as
redis-py does after a broken connection, gets its own grant again, and one that failed is taken back
as soon as the server answers. A process that tries anew names the claims that failed, and a grant
of theirs passes to the new one, which nothing that is still on its way can take back. A lease whose
release failed is taken back in the same way.
"""

import asyncio
import secrets

import structlog

from bff.bounded_map import BoundedMap
from bff.errors import StoreUnavailable
from bff.sessions.messages import RELEASED, Change, encode_change
from bff.sessions.redis import scripts
from bff.sessions.redis.client import RedisClient
from bff.sessions.store import Lease
from bff.tasks import BackgroundTask

log = structlog.get_logger("bff.sessions")

UNANSWERED_ENTRIES = 10_000
UNANSWERED_CLAIMS = 8  # of one name, the newest
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 0.5
AT_ONCE = 16


class RedisLeases:
    """The lease methods of a `SessionStore`; `prefix` and `channel` are the store's."""

    def __init__(self, client: RedisClient, *, prefix: str, channel: str) -> None:
        self._client = client
        self._prefix = prefix
        self._channel = channel
        self._unanswered: BoundedMap[str, tuple[str, ...]] = BoundedMap(UNANSWERED_ENTRIES)
        self._taking_back = BackgroundTask(self._take_back_all)

    async def close(self) -> None:
        await self._taking_back.close()

    async def acquire(self, name: str, *, ttl_seconds: float) -> Lease | None:
        claims = (secrets.token_hex(8), *self._unanswered.pop(name, ())[: UNANSWERED_CLAIMS - 1])
        try:
            is_granted = await self._client.run(
                scripts.ACQUIRE, [self._key(name)], _ms(ttl_seconds), *claims
            )
        except (StoreUnavailable, asyncio.CancelledError):
            self._take_back_later(name, claims)
            raise
        return Lease(name, claims[0]) if is_granted else None

    async def renew(self, lease: Lease, *, ttl_seconds: float) -> bool:
        keys = [self._key(lease.name)]
        return bool(await self._client.run(scripts.RENEW, keys, lease.holder, _ms(ttl_seconds)))

    async def release(self, lease: Lease) -> None:
        message = encode_change(Change(RELEASED, lease.name))
        try:
            await self._client.run(
                scripts.RELEASE, [self._key(lease.name)], lease.holder, self._channel, message
            )
        except (StoreUnavailable, asyncio.CancelledError):
            self._take_back_later(lease.name, (lease.holder,))
            raise

    def _key(self, name: str) -> str:
        return f"{self._prefix}l:{{{name}}}"

    def _take_back_later(self, name: str, claims: tuple[str, ...]) -> None:
        self._unanswered[name] = claims
        self._taking_back.start()

    async def _take_back_all(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._unanswered:
            await asyncio.sleep(pause)
            batch = list(self._unanswered.items())[:AT_ONCE]
            done = await asyncio.gather(*(self._take_back(*item) for item in batch))
            pause = 0.0 if all(done) else min(max(pause, 0.05) * 2, LONGEST_PAUSE_SECONDS)

    async def _take_back(self, name: str, claims: tuple[str, ...]) -> bool:
        try:
            # Once the server answers this, it has done what it was sent before; a command that it
            # found waiting after a pause may be done in any order with the next.
            await self._client.call("EXISTS", self._key(name))
            message = encode_change(Change(RELEASED, name))
            await self._client.run(
                scripts.TAKE_BACK, [self._key(name)], self._channel, message, *claims
            )
        except StoreUnavailable:
            return False
        except Exception:  # it lapses by itself, and others must not be kept from being taken back
            log.exception("lease_not_taken_back")
        if self._unanswered.get(name) == claims:
            del self._unanswered[name]
        return True


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
