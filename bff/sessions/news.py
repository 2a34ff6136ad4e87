"""News of changed and ended sessions, for event streams, sockets and waiting refreshes."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from bff.sessions.messages import Heartbeat

log = structlog.get_logger("bff.sessions")

TOLD_ENTRIES = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Observer:
    """What one observer is told of; None: nothing of that kind."""

    on_changed: Callable[[str], None] | None
    on_ended: Callable[[str, str], None] | None
    on_watch: Callable[[bool], None] | None
    on_heartbeat: Callable[[Heartbeat], None] | None = None
    on_proven: Callable[[], None] | None = None


class SessionNews:
    """Calls each in turn; one that raises is logged and does not keep the others from hearing."""

    def __init__(self) -> None:
        self._observers: list[Observer] = []
        self._told: OrderedDict[str, str] = OrderedDict()

    def add(self, observer: Observer) -> Callable[[], None]:
        """Returns the way to stop observing."""
        self._observers.append(observer)

        def remove() -> None:
            if observer in self._observers:
                self._observers.remove(observer)

        return remove

    def changed(self, key: str) -> None:
        for observer in tuple(self._observers):
            if observer.on_changed is not None:
                _call(observer.on_changed, key)

    def ended(self, key: str, reason: str) -> None:
        """Told once a key: the writer's own word and its echo from the store are one event."""
        if key in self._told:
            return
        if len(self._told) >= TOLD_ENTRIES:
            self._told.popitem(last=False)
        self._told[key] = reason
        for observer in tuple(self._observers):
            if observer.on_ended is not None:
                _call(observer.on_ended, key, reason)

    def end_reason(self, key: str) -> str | None:
        """Why a session has ended, if that was told lately."""
        return self._told.get(key)

    def watching(self, *, watching: bool) -> None:
        for observer in tuple(self._observers):
            if observer.on_watch is not None:
                _call(observer.on_watch, watching)

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        for observer in tuple(self._observers):
            if observer.on_heartbeat is not None:
                _call(observer.on_heartbeat, heartbeat)

    def proven(self) -> None:
        for observer in tuple(self._observers):
            if observer.on_proven is not None:
                _call(observer.on_proven)


def _call(callback: Callable[..., None], *arguments: object) -> None:
    try:
        callback(*arguments)
    except Exception:  # a faulty observer must not stop the stream of changes
        log.exception("observer_failed")
