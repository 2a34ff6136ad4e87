"""Looks about once a second how late a process comes to that; and where other workers show the
figures of this one, reads them off for them. The figures of a process that is alone are read off
when they are asked for.
"""

import asyncio

import structlog

from bff.observability.metrics import Metrics
from bff.oidc.relying_parties import RelyingParties
from bff.proxy.context import Traffic
from bff.proxy.listener import Listener
from bff.sessions.sessions import Sessions
from bff.tasks import BackgroundTask

EVERY_SECONDS = 1.0

log = structlog.get_logger("bff.app")


class Sampler:
    """From `start` to `close`."""

    def __init__(
        self,
        metrics: Metrics,
        listener: Listener,
        traffic: Traffic,
        sessions: Sessions,
        relying_parties: RelyingParties,
    ) -> None:
        self._metrics = metrics
        self._listener = listener
        self._traffic = traffic
        self._sessions = sessions
        self._relying_parties = relying_parties
        self._task = BackgroundTask(self._run)
        metrics.sample_with(self._sample)

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        """The last figures are kept: those of a worker that ends count on."""
        await self._task.close()
        self._metrics.refresh()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due_at = loop.time() + EVERY_SECONDS
            await asyncio.sleep(EVERY_SECONDS)
            self._metrics.sampled.lag(loop.time() - due_at)
            try:
                if self._metrics.is_shared:
                    self._metrics.refresh()
            except Exception:  # figures that can't be read must not end all that would follow
                log.exception("metrics_not_refreshed")

    def _sample(self) -> None:
        sampled, under_way = self._metrics.sampled, self._listener.under_way()
        sampled.under_way(
            connections=under_way.connections,
            requests=under_way.requests,
            streams=under_way.streams,
            websockets=under_way.websockets,
        )
        sampled.carried(
            received_bytes=self._traffic.received_bytes, sent_bytes=self._traffic.sent_bytes
        )
        lookups = self._sessions.lookups
        sampled.looked_up(in_cache=lookups.in_cache, in_store=lookups.in_store)
        for party in self._relying_parties:
            if party.keys_fetched_at is not None:
                sampled.keys_fetched(party.settings.name, party.keys_fetched_at)
