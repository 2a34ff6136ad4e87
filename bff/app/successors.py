"""The processes that have come after the first one, as that one knows them: each tells it its id
once it serves. So a signal goes to the one that serves, not by way of one that is just ending; one
that stops reaches all, whichever of them started which; and the first one notices when none serves.

Reloads in a row leave an old process each for as long as streams go on in it. Past `MOST_OLD` the
oldest one is stopped: its streams are cut, and their browsers come back to the process that serves.
"""

import contextlib
import os
import select
import signal
import socket
import time
from pathlib import Path

from bff.app.stopping import RELOAD_SIGNAL, RESTART_SIGNAL

PID_BYTES = 4
LOOKING_SECONDS = 0.5  # between two looks at whether the process that serves has ended
MOST_OLD = 3  # processes in which something may go on, beside the first one and that which serves


class Successors:
    """`told` is where the ids come from, `PID_BYTES` each."""

    def __init__(self, told: socket.socket) -> None:
        told.setblocking(False)
        self._told = told
        self._known: dict[int, int | None] = {}  # descriptors by id; the last one serves

    def send(self, number: int) -> None:
        """Send a signal to the process that serves; one that stops it, to those as well in which
        something goes on, and to the children of this one."""
        self._note()
        pids = list(self._known)
        if number in (RESTART_SIGNAL, RELOAD_SIGNAL):
            pids = pids[-1:]
        for pid in pids:
            _send(pid, self._known[pid], number)
        if number not in (RESTART_SIGNAL, RELOAD_SIGNAL):
            for pid in set(_children()).difference(pids):
                _send(pid, None, number)

    def none_serves(self) -> bool:
        """Whether the last process that has taken over has ended."""
        self._note()
        last = next(reversed(self._known.values()), None)
        return last is not None and _has_ended(last)

    def wait(self) -> int:
        """Wait until all have ended; once none serves, they are stopped. The exit code is that of
        the last one that served, as a shell has it."""
        codes: dict[int, int] = {}
        is_over = False
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, 0 if is_over else os.WNOHANG)
                if pid:
                    codes[pid] = os.waitstatus_to_exitcode(status)
                elif self.none_serves():
                    is_over = True
                    self.send(signal.SIGTERM)
                else:
                    time.sleep(LOOKING_SECONDS)
        code = codes.get(next(reversed(self._known), 0), 0)
        return code if code >= 0 else 128 - code

    def _note(self) -> None:
        with contextlib.suppress(OSError):
            told = self._told.recv(1 << 16)
            for at in range(0, len(told), PID_BYTES):
                self._note_one(int.from_bytes(told[at : at + PID_BYTES]))

    def _note_one(self, pid: int) -> None:
        for other, descriptor in list(self._known.items()):
            if descriptor is not None and _has_ended(descriptor):
                os.close(descriptor)
                del self._known[other]
        with contextlib.suppress(ProcessLookupError):  # so has this one
            self._known[pid] = _descriptor_of(pid)
        while len(self._known) > 1 + MOST_OLD:
            oldest = next(iter(self._known))
            descriptor = self._known.pop(oldest)
            _send(oldest, descriptor, signal.SIGTERM)
            if descriptor is not None:
                os.close(descriptor)


def _descriptor_of(pid: int) -> int | None:
    """One that stays that process's when another gets its id (pidfd_open(2)); None where the system
    gives none.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return None


def _send(pid: int, descriptor: int | None, number: int) -> None:
    with contextlib.suppress(OSError):  # it has ended
        if descriptor is not None:
            signal.pidfd_send_signal(descriptor, number)
        else:
            os.kill(pid, number)


def _has_ended(descriptor: int) -> bool:
    """Of a process, whether it is a zombie or gone."""
    looking = select.poll()
    looking.register(descriptor, select.POLLIN)
    return bool(looking.poll(0))


def _children() -> list[int]:
    """The processes whose parent this one is now."""
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found
