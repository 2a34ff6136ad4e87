"""The beats of this process, sent like any write, and those of all that come in on the stream of
changes. Says how far the stream can be relied on.

Must never vouch for changes by a beat that came another way than they do.
"""

import asyncio
import dataclasses
import hashlib
from collections.abc import Sequence
from contextlib import suppress

import structlog

from bff.clock import Clock
from bff.errors import StoreUnavailable
from bff.sessions.beats import LEAVING, Beat, OwnBeats, decode_beat, encode_beat
from bff.sessions.redis_client import RedisClient
from bff.sessions.redis_task import LastingTask
from bff.sessions.store import StoreListener

log = structlog.get_logger("bff.sessions")

EVERY_SECONDS = 1.0
UNKNOWN = "-"


class Pulse:
    """Sends a beat a second while the stream is followed. `listeners` hear what comes of it."""

    def __init__(
        self, client: RedisClient, channel: str, clock: Clock, listeners: Sequence[StoreListener]
    ) -> None:
        self.channel = channel
        self._client = client
        self._clock = clock
        self._listeners = listeners
        self._own = OwnBeats()
        self._configuration = UNKNOWN
        self._saved = True
        self._following = False
        self._due = asyncio.Event()
        self._task = LastingTask(self._run)

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        """Take leave, so that nobody waits for us."""
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
        """From now on beats come in. Listeners have heard of it already."""
        self._following = True
        self._own.begin_anew()
        # That of the stream: the client may learn of a new one before the stream has moved there.
        self._configuration = self._configuration_now()
        self._due.set()

    def lost(self) -> None:
        self._following = False

    def hear(self, message: object) -> None:
        """A message on `channel`."""
        beat = decode_beat(message)
        if beat is None or not self._following:
            return
        if beat.process != self._own.process:
            agrees = beat.configuration == self._known_configuration()
            for listener in self._listeners:
                listener.on_beat(dataclasses.replace(beat, saved=beat.saved and agrees))
            return
        proven_at = self._own.came_back(beat)
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
                encode_beat(Beat(own.process, number, own.heard, saved, configuration, n, parts))
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
