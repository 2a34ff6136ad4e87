"""The heartbeats of this process, sent like any write, and those of all processes, received on the
stream of changes. Says how far the stream can be relied on.

Must never vouch for changes by a heartbeat that came another way than the changes do.
"""

import asyncio
import dataclasses
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import suppress

import structlog

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.sessions.messages import (
    LEAVING,
    Heartbeat,
    decode_heartbeat,
    encode_heartbeat,
)
from bff.sessions.redis.client import RedisClient
from bff.sessions.store import StoreListener
from bff.tasks import BackgroundTask

log = structlog.get_logger("bff.sessions")

EVERY_SECONDS = 1.0
UNKNOWN = "-"


class OwnHeartbeats:
    """Of this process: which heartbeat is on its way, and which has come back in all parts."""

    def __init__(self) -> None:
        self.process = secrets.token_hex(8)
        self.heard = 0
        self._number = LEAVING
        self._sent_at = 0.0
        self._missing: set[int] = set()

    def begin_anew(self) -> None:
        """The stream was taken up again: what is on its way may never come."""
        self.heard = 0
        self._missing = set()

    def next(self, now: float) -> int:
        """The number of one that is about to be sent; the one before it counts no more."""
        self._number += 1
        self._sent_at = now
        self._missing = set()
        return self._number

    def sending(self, parts: int) -> None:
        """It goes out in so many parts."""
        self._missing = set(range(parts))

    def came_back(self, heartbeat: Heartbeat) -> float | None:
        """When it was sent, once all of it is back: every change before that has been told."""
        if heartbeat.number != self._number or heartbeat.part not in self._missing:
            return None
        self._missing.discard(heartbeat.part)
        if self._missing:
            return None
        self.heard = heartbeat.number
        return self._sent_at


class Heartbeats:
    """Sends a heartbeat a second while the stream is followed, and tells `listeners` of those that
    come in."""

    def __init__(
        self, client: RedisClient, channel: str, clock: Clock, listeners: Sequence[StoreListener]
    ) -> None:
        self.channel = channel
        self._client = client
        self._clock = clock
        self._listeners = listeners
        self._own = OwnHeartbeats()
        self._configuration = UNKNOWN
        self._saved = True
        self._following = False
        self._due = asyncio.Event()
        self._task = BackgroundTask(self._run)

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        """Take leave, so that no process waits for this one."""
        await self._task.close()
        if self._following:
            with suppress(StoreUnavailable):
                await self._send(LEAVING)

    def say_saved(self, *, saved: bool) -> None:
        """What others are told from now on."""
        self._saved = saved
        if saved:
            self._due.set()

    # --- told by the stream of changes

    def gained(self) -> None:
        """From now on heartbeats come in. Listeners have heard of it already."""
        self._following = True
        self._own.begin_anew()
        # That of the stream: the client may learn of a new one before the stream has moved there.
        self._configuration = self._configuration_now()
        self._due.set()

    def lost(self) -> None:
        self._following = False

    def hear(self, message: object) -> None:
        """A message on `channel`."""
        heartbeat = decode_heartbeat(message)
        if heartbeat is None or not self._following:
            return
        if heartbeat.process != self._own.process:
            agrees = heartbeat.configuration == self._known_configuration()
            for listener in self._listeners:
                listener.on_heartbeat(
                    dataclasses.replace(heartbeat, saved=heartbeat.saved and agrees)
                )
            return
        proven_at = self._own.came_back(heartbeat)
        if proven_at is not None:
            for listener in self._listeners:
                listener.on_proven(proven_at)

    # ---

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._due.wait()
            self._due.clear()
            if self._following:
                try:
                    await self._send(self._own.next(self._clock.now()))
                except StoreUnavailable:
                    continue  # then nothing is vouched for
                except Exception:  # a fault here costs speed only, and must be seen
                    log.exception("beat_failed")

    async def _send(self, number: int) -> None:
        own, saved = self._own, self._saved
        configuration = self._known_configuration()

        def messages(parts: int) -> list[str]:
            own.sending(parts)
            return [
                encode_heartbeat(
                    Heartbeat(own.process, number, own.heard, saved, configuration, n, parts)
                )
                for n in range(parts)
            ]

        await self._client.publish(self.channel, messages)

    def _known_configuration(self) -> str:
        if self._configuration == UNKNOWN:
            self._configuration = self._configuration_now()
        return self._configuration

    def _configuration_now(self) -> str:
        known = self._client.configuration
        return UNKNOWN if known is None else hashlib.sha256(known.encode()).hexdigest()[:16]
