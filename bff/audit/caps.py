"""How many events of one kind are written, where requests of strangers bring them about: an
attacker must not fill the disk, and what is left out is counted."""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bff.audit.event import Event, EventName

INTERVAL_SECONDS = 60.0
AT_MOST: Mapping[EventName, int] = MappingProxyType(
    {EventName.LIMIT_HIT: 20, EventName.CSRF_REFUSED: 20, EventName.OP_LOGOUT_FAILED: 20}
)

Kind = tuple[EventName, str]


@dataclass(slots=True)
class _Count:
    passed: int = 0
    held_back: tuple[Event, str] | None = None  # the newest that was not passed, and its time
    omitted: int = 0


class Caps:
    """Of each event and reason at most so many pass in an interval, as many as `AT_MOST` says. At
    its end the newest that was held back passes too, with the number of the others."""

    def __init__(
        self, passes: Callable[[Event, str], None], interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._pass = passes
        self._interval_seconds = interval_seconds
        self._counts: dict[Kind, _Count] = {}

    def add(self, event: Event, at: str) -> None:
        """Pass it, or hold it back."""
        most = AT_MOST.get(event.name)
        if most is None:
            self._pass(event, at)
            return
        kind = event.name, event.reason
        count = self._counts.get(kind)
        if count is None:
            count = self._counts[kind] = _Count()
            loop = asyncio.get_running_loop()
            loop.call_later(self._interval_seconds, self._over, kind)
        if count.passed < most:
            count.passed += 1
            self._pass(event, at)
            return
        if count.held_back is not None:
            count.omitted += 1
        count.held_back = event, at

    def flush(self) -> None:
        """Pass what is held back."""
        for kind in tuple(self._counts):
            self._over(kind)

    def _over(self, kind: Kind) -> None:
        count = self._counts.pop(kind, None)
        if count is not None and count.held_back is not None:
            event, at = count.held_back
            self._pass(dataclasses.replace(event, omitted=count.omitted), at)
