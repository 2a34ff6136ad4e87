"""News of changed and ended sessions, for event streams, sockets and waiting refreshes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from bff.bounded_map import BoundedMap
from bff.sessions.messages import Heartbeat

log = structlog.get_logger("bff.sessions")

TOLD_ENTRIES = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Observer:
    """What one observer is told of; None: nothing of that kind. See `Sessions.observe`."""

    on_changed: Callable[[str], None] | None = None
    on_ended: Callable[[str, str], None] | None = None
    on_expired: Callable[[str, str], None] | None = None
    on_watch: Callable[[bool], None] | None = None
    on_heartbeat: Callable[[Heartbeat], None] | None = None
    on_proven: Callable[[], None] | None = None


class SessionNews:
    """Calls each in turn; one that raises is logged and does not keep the others from hearing."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self._told: BoundedMap[str, str] = BoundedMap(TOLD_ENTRIES)

    def add(self, observer: Observer) -> Callable[[], None]:
        """Returns the way to stop observing."""
        self._observers.append(observer)

        def remove() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return remove

    def changed(self, key: str) -> None:
        _call([observer.on_changed for observer in self._observers], key)

    def ended(self, key: str, reason: str) -> None:
        """Told once a key: the writer's own word and its echo from the store are one event."""
        if key not in self._told:
            self._told[key] = reason
            _call([observer.on_ended for observer in self._observers], key, reason)

    def expired(self, key: str, reason: str) -> None:
        """Not told of one that was ended while the store was asked for it."""
        if key not in self._told:
            _call([observer.on_expired for observer in self._observers], key, reason)

    def end_reason(self, key: str) -> str | None:
        """Why a session has ended, if that was told lately."""
        return self._told.get(key)

    def watching(self, *, watching: bool) -> None:
        _call([observer.on_watch for observer in self._observers], watching)

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        _call([observer.on_heartbeat for observer in self._observers], heartbeat)

    def proven(self) -> None:
        _call([observer.on_proven for observer in self._observers])


def _call(callbacks: Iterable[Callable[..., None] | None], *arguments: object) -> None:
    for callback in callbacks:
        if callback is None:
            continue
        try:
            callback(*arguments)
        except Exception:  # a faulty observer must not stop the stream of changes
            log.exception("observer_failed")
