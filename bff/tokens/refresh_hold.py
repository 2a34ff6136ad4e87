"""Holding refreshes back after trouble with the store, until other processes have saved what they
hold.

While the store was out of reach, or after it went back in time, another process may have got tokens
from the OP that the store does not have; its lease may have lapsed meanwhile. The record still
names the spent token, and a process that used it now would make an OP that detects reuse end the
whole grant (RFC 9700 section 4.14.2). So after trouble a process waits until every other process
that was there says, on the store as it is now, that it has saved all it holds.

A break in the stream of changes holds back all sessions. A command that failed for one session
holds back that session. The others wait only until two heartbeats of this process have come back:
the failed command may be the first sign of a failover that the stream has not shown yet. Where
commands go on to fail, as at one shard of a cluster, the others wait after the first one only.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bff.sessions.messages import LEAVING, Heartbeat
from bff.tokens.lease import ChangeWaiters

# For processes that were not heard of yet to make themselves heard.
SETTLE_SECONDS = 2.0
# A process that stays silent for that long is gone, and what it held with it.
LONGEST_SECONDS = 8.0
# A process that was heard this long before the trouble was there when it began.
PRESENT_SECONDS = 5.0
# Own heartbeats that must come back after a failed command; the second one was sent after it.
PROOFS = 2
NUMBERS_KEPT = 16
NEVER, FOR_EVER = float("-inf"), float("inf")


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class _Peer:
    """Another process. `saved_as_of`: what it got from the OP before then is in the store."""

    heard_at: float
    numbers: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=NUMBERS_KEPT))
    saved_as_of: float = NEVER


class RefreshHold:
    """Told of trouble with the store and of heartbeats; says how long a refresh has to wait.

    `waiters` are woken when they need not wait any more. `time` is in seconds.
    """

    def __init__(self, waiters: ChangeWaiters, time: Callable[[], float] = _loop_time) -> None:
        self._waiters = waiters
        self._time = time
        self._peers: dict[str, _Peer] = {}
        self._watching = False
        self._has_watched = False
        self._store_failed_at: float | None = None
        self._session_failed_at: OrderedDict[str, float] = OrderedDict()  # the oldest first
        self._command_failed_at = NEVER
        self._unproven_since = NEVER  # the first of the commands that failed since the last proof
        self._proofs_missing = 0
        self._has_proof = False

    def session_failed(self, key: str) -> None:
        """The store did not answer a command of this session's refresh."""
        now = self._time()
        if not self._proofs_missing or now - self._command_failed_at >= LONGEST_SECONDS:
            self._unproven_since = now
        self._command_failed_at = self._session_failed_at[key] = now
        self._session_failed_at.move_to_end(key)
        self._proofs_missing = PROOFS
        self._has_watched = True  # to follow the stream from now on is to follow it again
        self._forget_what_is_over(now)

    def on_watch(self, watching: bool) -> None:
        """The stream of changes was lost or gained; gaining it for the first time is no trouble."""
        now = self._time()
        if not watching or self._has_watched:
            if self._watching:
                self._peers = {n: peer for n, peer in self._peers.items() if self._is_there(peer)}
            for peer in self._peers.values():
                peer.heard_at = now  # as far as can be known: an outage may be long
            self._store_failed_at = now
        self._watching = watching
        self._has_watched = True

    def on_proven(self) -> None:
        """A heartbeat of this process has come back."""
        self._has_proof = True
        if self._proofs_missing:
            self._proofs_missing -= 1
            if not self._proofs_missing:
                self._waiters.wake_all()

    def on_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Of another process.

        It has saved what it held at a time at which we heard a heartbeat of it that has come back
        to it as well: from then on it is told what we are told, and has been asked what it holds.
        """
        if heartbeat.number == LEAVING:
            peer = self._peers.pop(heartbeat.process, None)
            if peer is not None:
                self._wake_those_held_by(peer, until=FOR_EVER)
            return
        now = self._time()
        self._forget_what_is_over(now)
        peer = self._peers.get(heartbeat.process) or self._met(heartbeat.process, now)
        peer.heard_at = now
        if not self._watching:
            return
        if not peer.numbers or peer.numbers[-1][0] != heartbeat.number:
            peer.numbers.append((heartbeat.number, now))
        if heartbeat.saved:
            came_back = (at for number, at in peer.numbers if number <= heartbeat.heard)
            self._wake_those_held_by(peer, until=max(came_back, default=NEVER))

    def remaining_seconds(self, key: str) -> float:
        """Zero when a refresh of this session may begin."""
        now = self._time()
        remaining = max(
            self._remaining_since(self._store_failed_at, now),
            self._remaining_since(self._session_failed_at.get(key), now),
            self._unproven_seconds(now),
        )
        if remaining == 0:
            self._session_failed_at.pop(key, None)
            if self._watching:
                self._store_failed_at = None
        return remaining

    def _forget_what_is_over(self, now: float) -> None:
        failures = self._session_failed_at
        while failures and now - next(iter(failures.values())) >= LONGEST_SECONDS:
            failures.popitem(last=False)

    def _met(self, process: str, now: float) -> _Peer:
        for name, known in tuple(self._peers.items()):  # those that were killed take no leave
            if now - known.heard_at > PRESENT_SECONDS + LONGEST_SECONDS:
                del self._peers[name]
        peer = self._peers[process] = _Peer(now)
        return peer

    def _remaining_since(self, failed_at: float | None, now: float) -> float:
        if failed_at is None:
            return 0.0
        elapsed = now - failed_at
        if elapsed < SETTLE_SECONDS:
            return SETTLE_SECONDS - elapsed
        if elapsed < LONGEST_SECONDS and self._holds_any(failed_at):
            return LONGEST_SECONDS - elapsed
        return 0.0

    def _unproven_seconds(self, now: float) -> float:
        if not self._proofs_missing:
            return 0.0
        longest = LONGEST_SECONDS if self._has_proof else SETTLE_SECONDS
        return max(0.0, longest - (now - self._unproven_since))

    def _holds_any(self, failed_at: float) -> bool:
        """Some process may hold what it got before then."""
        return any(_may_hold(peer, failed_at) for peer in self._peers.values())

    def _is_there(self, peer: _Peer) -> bool:
        """Heard of late, or waited for still."""
        now = self._time()
        failed_at = self._store_failed_at
        is_awaited = (
            failed_at is not None
            and now - failed_at < LONGEST_SECONDS
            and _may_hold(peer, failed_at)
        )
        return is_awaited or now - peer.heard_at < PRESENT_SECONDS

    def _wake_those_held_by(self, peer: _Peer, *, until: float) -> None:
        """It has saved what it held until then, or is gone."""
        before, peer.saved_as_of = peer.saved_as_of, max(peer.saved_as_of, until)
        failed_at = self._store_failed_at
        if failed_at is not None and before <= failed_at < until and not self._holds_any(failed_at):
            self._waiters.wake_all()
        for key, failed_at in self._session_failed_at.items():
            if before <= failed_at < until and not self._holds_any(failed_at):
                self._waiters.wake(key)


def _may_hold(peer: _Peer, failed_at: float) -> bool:
    return peer.heard_at >= failed_at - PRESENT_SECONDS and peer.saved_as_of <= failed_at
