"""Time for others to save what they hold, before a refresh token is spent.

While the store was out of reach, or after it went back in time, another process may have got tokens
from the OP that the store does not have; its lease may have lapsed meanwhile. The record still
names the spent token, and who used it now would make an OP that detects reuse end the whole grant
(RFC 9700 section 4.14.2). So after any trouble with the store every process that was there is
waited for until it says, on the store as it is now, that it has saved all it holds.
"""

import asyncio
from collections.abc import Callable

from bff.sessions.messages import LEAVING, Heartbeat

# For processes that nobody has heard of yet to make themselves heard.
SETTLE_SECONDS = 2.0
# A process that stays silent for that long is gone, and what it held with it.
LONGEST_SECONDS = 8.0
# Who was heard this long before the trouble was there when it began.
PRESENT_SECONDS = 5.0


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Calm:
    """Told of trouble with the store and of others' heartbeats; says how long to wait.

    `on_over` is called when nobody needs to be waited for any more. `time` is in seconds.
    """

    def __init__(self, on_over: Callable[[], None], time: Callable[[], float] = _loop_time) -> None:
        self._on_over = on_over
        self._time = time
        self._since: float | None = None
        self._watching = False
        self._has_watched = False
        self._heard_at: dict[str, float] = {}
        # Those to wait for, with the first heartbeat that each was heard to send since.
        self._awaited: dict[str, int | None] = {}
        self._saved: set[str] = set()

    def troubled(self) -> None:
        """The store did not answer, or its stream of changes broke off."""
        now = self._since = self._time()
        present = [name for name, at in self._heard_at.items() if now - at < PRESENT_SECONDS]
        self._heard_at = {name: self._heard_at[name] for name in present}
        self._awaited = dict.fromkeys([*present, *self._awaited])
        self._saved.clear()

    def on_watch(self, watching: bool) -> None:
        """The stream of changes was lost or gained; gaining it for the first time is no trouble."""
        self._watching = watching
        if not watching or self._has_watched:
            self.troubled()
        self._has_watched = True

    def on_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Of another process. One heartbeat must have come back to it that we have heard as well:
        it is then told what we are told, and has been asked for what it holds."""
        if heartbeat.number == LEAVING:
            self._heard_at.pop(heartbeat.process, None)
            self._strike_off(heartbeat.process)
            return
        self._heard_at[heartbeat.process] = self._time()
        if self._since is None or not self._watching or heartbeat.process in self._saved:
            return
        first = self._awaited.get(heartbeat.process)
        if first is None:
            self._awaited[heartbeat.process] = heartbeat.number
        elif heartbeat.saved and heartbeat.heard >= first:
            self._saved.add(heartbeat.process)
            self._strike_off(heartbeat.process)

    def remaining_seconds(self) -> float:
        """Zero when nobody needs to be waited for."""
        if self._since is None:
            return 0.0
        elapsed = self._time() - self._since
        if elapsed < SETTLE_SECONDS:
            return SETTLE_SECONDS - elapsed
        if self._awaited and elapsed < LONGEST_SECONDS:
            return LONGEST_SECONDS - elapsed
        if self._watching:
            self._since = None
            self._awaited.clear()
        return 0.0

    def _strike_off(self, process: str) -> None:
        if self._awaited.pop(process, self) is not self and not self._awaited:
            self._on_over()
