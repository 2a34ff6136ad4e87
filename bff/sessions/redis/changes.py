"""The stream of changes: one subscription of its own, taken up again whenever it breaks.

Must never let listeners believe that they are being told when they may not be: a break, a silent
server and a message that can't be read all end in `on_watch`, which makes them drop what they know.
"""

import asyncio
import random
from collections.abc import Sequence

import structlog
from redis.asyncio.client import PubSub

from bff.sessions.messages import CHANGED, ENDED, decode_change
from bff.sessions.redis.client import FAILURES, RedisClient
from bff.sessions.redis.heartbeats import Heartbeats
from bff.sessions.store import StoreListener
from bff.tasks import BackgroundTask, growing_pauses

log = structlog.get_logger("bff.sessions")

# A server that says nothing for this long is asked; one that then says nothing again is gone.
HEALTH_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.5  # all processes should be back at about the same time


class _Silent(TimeoutError):
    """The server did not answer a ping on the subscription."""


class ChangeStream:
    """Tells `listeners` of every write by any process."""

    def __init__(
        self,
        client: RedisClient,
        channel: str,
        listeners: Sequence[StoreListener],
        heartbeats: Heartbeats,
    ) -> None:
        self._client = client
        self._channel = channel
        self._listeners = listeners
        self._heartbeats = heartbeats
        self._heartbeat_channel = heartbeats.channel.encode()
        self._watching = False
        self._task = BackgroundTask(self._run)

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        await self._task.close()

    async def _run(self) -> None:
        pauses = growing_pauses(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while True:
            try:
                await self._subscribe()
            except FAILURES as error:
                if self._watching:
                    log.warning("changes_lost", detail=self._client.reason(error))
                    pauses = growing_pauses(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
            except Exception:  # no fault may leave listeners believing that they are told
                log.exception("changes_failed")
            finally:
                self._tell_watching(watching=False)
            await asyncio.sleep(next(pauses) * random.uniform(0.5, 1))  # noqa: S311 - jitter

    async def _subscribe(self) -> None:
        redis = await self._client.subscriber()
        try:
            async with redis.pubsub() as pubsub:
                await pubsub.subscribe(self._channel, self._heartbeats.channel)
                await self._follow(pubsub)
        finally:
            await redis.aclose()

    async def _follow(self, pubsub: PubSub) -> None:
        """Returns never; raises one of `FAILURES`."""
        asked = False
        while True:
            message = await pubsub.get_message(timeout=HEALTH_SECONDS)
            if message is not None:
                asked = False
                self._handle(message["type"], message["channel"], message["data"])
            elif asked:
                raise _Silent
            else:
                asked = True
                await pubsub.ping()

    def _handle(self, kind: str, channel: object, data: object) -> None:
        is_heartbeat = channel == self._heartbeat_channel
        if kind == "subscribe" and is_heartbeat:  # the second of the two
            self._tell_watching(watching=True)
        elif kind == "message" and is_heartbeat:
            self._heartbeats.hear(data)
        elif kind == "message":
            self._tell_change(data)

    def _tell_change(self, data: object) -> None:
        change = decode_change(data)
        for listener in self._listeners:
            if change is None:
                listener.on_watch(watching=True)  # it may have meant anything
            elif change.kind == ENDED:
                listener.on_ended(change.key, change.detail)
            else:
                listener.on_changed(
                    change.key, version=change.version if change.kind == CHANGED else None
                )

    def _tell_watching(self, *, watching: bool) -> None:
        if watching != self._watching:
            self._watching = watching
            if not watching:
                self._heartbeats.lost()
            for listener in self._listeners:
                listener.on_watch(watching=watching)
            if watching:
                self._heartbeats.gained()
