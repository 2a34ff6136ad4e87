"""The one object that call sites report audit events to.

To report costs no waiting: an event goes into the queues of the sinks. Without a sink it goes
nowhere.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bff.audit.caps import INTERVAL_SECONDS, Caps
from bff.audit.delivery import Delivery, DeliveryLimits
from bff.audit.event import Event, Origin
from bff.audit.sinks import Sink
from bff.clock import Clock, SystemClock
from bff.observability.access_log import shown_address, timestamp
from bff.observability.metrics import Metrics

LONGEST_USER_AGENT = 256
TRUNCATED_USER_AGENT = 64


@dataclass(frozen=True, slots=True)
class KeptOfRequests:
    """How much of a client's address and User-Agent is kept: `full`, `truncated` or `off`."""

    address: str = "truncated"
    user_agent: str = "truncated"


class Audit:
    """`sinks` empty: no audit log is kept."""

    def __init__(
        self,
        sinks: Sequence[Sink] = (),
        metrics: Metrics | None = None,
        clock: Clock | None = None,
        kept: KeptOfRequests | None = None,
        *,
        limits: DeliveryLimits | None = None,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._clock = clock or SystemClock()
        self._kept = kept or KeptOfRequests()
        limits = limits or DeliveryLimits()
        self._deliveries = [Delivery(sink, metrics or Metrics(), limits) for sink in sinks]
        self._caps = Caps(self._deliver, interval_seconds)

    async def open(self) -> None:
        """Raises: OSError: a sink can't be opened."""
        for delivery in self._deliveries:
            await delivery.open(self._now())

    def report(self, event: Event | None) -> None:
        """Something has happened; None for what needs no event of its own. Never waits."""
        if self._deliveries and event is not None:
            self._caps.add(replace(event, origin=self._kept_of(event.origin)), self._now())

    async def close(self, seconds: float) -> None:
        """Deliver what has been reported, for at most `seconds`."""
        self._caps.flush()
        now = self._now()
        await asyncio.gather(*(one.close(seconds, now) for one in self._deliveries))

    def _deliver(self, event: Event, at: str) -> None:
        for delivery in self._deliveries:
            delivery.add(event, at)

    def _now(self) -> str:
        return timestamp(self._clock.now())

    def _kept_of(self, origin: Origin) -> Origin:
        return replace(
            origin,
            address=shown_address(origin.address, self._kept.address) or "",
            user_agent=shown_user_agent(origin.user_agent, self._kept.user_agent),
        )


def shown_user_agent(user_agent: str, kept: str) -> str:
    """A User-Agent as far as it is kept, in printable ASCII: of `full` ones 256 characters too, for
    a browser may send any number."""
    if kept == "off":
        return ""
    longest = LONGEST_USER_AGENT if kept == "full" else TRUNCATED_USER_AGENT
    return "".join(char for char in user_agent[:longest] if " " <= char <= "~")


OFF = Audit()  # for parts that are built where no audit log is kept
