"""A restart without a gap: a new process of the same command takes over the sockets of the one that
runs, and is ready before that one lets go. Where it does not get ready, the old one goes on. A
reload is such a restart, after the running process has found the new configuration to be good.

The process that was started first stays as the parent of all that come after it, so that its
process id, which a service manager knows, remains good: it passes signals on, and ends with the
last of them. Descendants whose own parent has ended become its children (prctl(2),
PR_SET_CHILD_SUBREAPER). Each process that takes over tells it its own id, so that a signal goes to
the one that serves and not by way of one that is just ending.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog

from bff.admin.reloads import ReloadOutcome
from bff.app.held_addresses import HeldAddress, HeldAddresses
from bff.app.reloading import Reloads, tell
from bff.app.stopping import RELOAD_SIGNAL, StopRequest, first_of
from bff.app.successors import LOOKING_SECONDS, PID_BYTES, Successors
from bff.config.sources.environment import PREDECESSOR_VARIABLE
from bff.exit_codes import ADDRESS_UNAVAILABLE, CONFIG_UNUSABLE, INCOMPATIBLE, NOT_READY
from bff.observability.reasons import reason_of

log = structlog.get_logger("bff.app")

READY = b"r"
VERSION = 1  # of the message to a successor, which may be of another version of the program
READY_SECONDS = 120.0  # for a new process to be ready: it may meet a machine that is busy
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

WHY_NOT = {
    NOT_READY: "it did not get ready",
    CONFIG_UNUSABLE: "its configuration is not valid",
    ADDRESS_UNAVAILABLE: "it can't listen on an address",
    INCOMPATIBLE: "its version can't take over from this one: stop this one and start the other",
}


class Incompatible(Exception):
    """The running process is of a version that this one can't take over from."""


STOPPED = "the gateway was told to stop"
UNDER_WAY = "a restart or another reload was under way, and is followed by one more reload"


class Predecessor:
    """The process that ran before, as its successor sees it. `lifeline` is closed by the end of
    the very first one."""

    def __init__(
        self, control: socket.socket, passed: list[HeldAddress], lifeline: socket.socket
    ) -> None:
        self._control = control
        self.passed = passed
        self.lifeline = lifeline

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Predecessor | None":
        """None for a process that was started by anything else. The variable is taken out.

        Raises:
            Incompatible: the running process is of another version.
        """
        number = environment.pop(PREDECESSOR_VARIABLE, "")
        if not number.isdecimal():
            return None
        control = socket.socket(fileno=int(number))
        with control.makefile("rb") as lines:
            message: dict[str, Any] = json.loads(lines.readline())
        if message["version"] != VERSION:
            raise Incompatible(
                "this version can't take over from the running one: stop that one, then start this"
            )
        control.set_inheritable(False)
        passed = [HeldAddress.from_json(one) for one in message["held"]]
        lifeline = socket.socket(fileno=message["lifeline"])
        for sock in (lifeline, *(sock for held in passed for sock in held.sockets)):
            sock.set_inheritable(False)
        return cls(control, passed, lifeline)

    def ready(self) -> None:
        """Everything is served here: it may let go, and signals are for this process from now on.
        One that has ended meanwhile need not know."""
        with contextlib.suppress(OSError):
            self.lifeline.send(os.getpid().to_bytes(PID_BYTES))
            self._control.send(READY)
            self._control.close()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of a new process: it serves, or there is a reason."""

    pid: int | None = None
    reason: str = ""
    exit_code: int | None = None


class Succession:
    """Whether, and by what, this process is succeeded. `held` are the addresses that it passes on.

    `why_not` says why there can be no successor, if there can't.
    """

    def __init__(
        self,
        held: HeldAddresses,
        predecessor: Predecessor | None,
        reloads: Reloads,
        why_not: str,
    ) -> None:
        self._held = held
        self._predecessor = predecessor
        self._reloads = reloads
        self._why_not = why_not
        self._successors: Successors | None = None  # of the first of all
        self._passed_end: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether another process serves now."""
        return self._process is not None

    async def until_over(self, request: StopRequest) -> bool:
        """Wait for the end of this process's turn: True when another one has taken over, False
        when it is to stop."""
        async with self._reloads.watching():
            return await self._until_over(request)

    async def _until_over(self, request: StopRequest) -> bool:
        while True:
            event = await first_of(request.stop, request.restart, self._reloads.asked)
            if event is request.stop:
                return False
            attempt = self._restart if event is request.restart else self._reload
            if await attempt(request):
                request.pass_on(self.pass_on)
                self._pass_on_reload()
                if self._successors is not None:
                    ending = self._end_with_the_last(self._successors, request)
                    self._watch = asyncio.create_task(ending)
                return True

    def _pass_on_reload(self) -> None:
        """One that was asked for meanwhile: the new process may have read what was there before."""
        if self._process is not None and self._reloads.asked.is_set():
            tell(self._reloads.begin(), ReloadOutcome(problems=(UNDER_WAY,)))
            self._process.send_signal(RELOAD_SIGNAL)

    def pass_on(self, number: int, _frame: object = None) -> None:
        """As the first of all, send a signal to those that came after. Any other process leaves
        that to the first."""
        if self._successors is not None:
            self._successors.send(number)

    async def _end_with_the_last(self, successors: Successors, request: StopRequest) -> None:
        """What goes on here does not keep a service up that serves no more."""
        while not successors.none_serves():  # noqa: ASYNC110 - the kernel's processes
            await asyncio.sleep(LOOKING_SECONDS)
        request.stop.set()
        request.hurry.set()

    def accompany(self) -> None:
        """As the first of all, stay until the last of those that came after has ended, and end as
        it did. Any other ends at once."""
        if self._process is None:
            return
        if self._successors is None:
            self._process.returncode = 0  # or `Popen` would take its exit code from the first
            return
        sys.exit(self._successors.wait())

    async def _restart(self, request: StopRequest) -> bool:
        if self._why_not:
            log.error("restart_refused", reason=self._why_not)
            request.restart.clear()
            return False
        done = await self._attempt(request, lambda pid: log.info("restart_begun", pid=pid))
        if done.pid is not None:
            log.info("restarted", pid=done.pid)
            return True
        if not request.stop.is_set():
            log.error("restart_failed", reason=done.reason, exit_code=done.exit_code)
        request.restart.clear()  # what was asked for meanwhile was this very attempt
        return False

    async def _reload(self, request: StopRequest) -> bool:
        waiting = self._reloads.begin()
        outcome = await self._reloads.judge()
        if outcome.problems:
            log.error("reload_refused", problems=list(outcome.problems))
            self._reloads.over(waiting, outcome)
            return False
        changed = list(outcome.changed)
        done = await self._attempt(request, lambda pid: log.info("reload_begun", pid=pid))
        if done.pid is None:
            if not request.stop.is_set():
                log.error("reload_failed", reason=done.reason, exit_code=done.exit_code)
            self._reloads.over(waiting, ReloadOutcome(problems=(done.reason,)))
            return False
        log.info("reloaded", pid=done.pid, changed=changed)
        self._reloads.over(waiting, outcome)
        return True

    async def _attempt(self, request: StopRequest, begun: Callable[[int], object]) -> _Attempt:
        try:
            process, control = self._start()
        except OSError as error:
            return _Attempt(reason=reason_of(error))
        begun(process.pid)
        waiting = asyncio.create_task(_says_ready(control))
        stopping = asyncio.create_task(request.stop.wait())
        try:
            await asyncio.wait(
                {waiting, stopping}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if waiting.done() and waiting.result():
                self._process = process
                return _Attempt(process.pid)
            if not waiting.done():  # else it is ending by itself, with an exit code that says why
                process.terminate()
            code = await asyncio.to_thread(_end_of, process)
            reason = STOPPED if request.stop.is_set() else _why(code)
            return _Attempt(reason=reason, exit_code=code)
        finally:
            for task in (waiting, stopping):
                task.cancel()
            control.close()

    def _start(self) -> tuple["subprocess.Popen[bytes]", socket.socket]:
        """The same command once more: it reads its configuration, and its own code, anew."""
        _become_subreaper()
        ours, theirs = socket.socketpair()
        lifeline = self._lifeline()
        message = {
            "version": VERSION,
            "held": self._held.as_json(),
            "lifeline": lifeline.fileno(),
        }
        with theirs:
            try:
                process = subprocess.Popen(  # noqa: S603 - our own command
                    sys.orig_argv,
                    pass_fds=[theirs.fileno(), lifeline.fileno(), *self._held.descriptors],
                    env={**os.environ, PREDECESSOR_VARIABLE: str(theirs.fileno())},
                    process_group=0,  # Ctrl-C goes to the first process alone, which passes it on
                )
            except OSError:
                ours.close()
                raise
        ours.sendall(json.dumps(message).encode() + b"\n")
        ours.setblocking(False)
        return process, ours

    def _lifeline(self) -> socket.socket:
        """What the successor gets; its other end stays with the very first process."""
        if self._predecessor is not None:
            return self._predecessor.lifeline
        if self._passed_end is None:
            told, self._passed_end = socket.socketpair()
            self._successors = Successors(told)
        return self._passed_end


async def _says_ready(control: socket.socket) -> bool:
    try:
        return await asyncio.get_running_loop().sock_recv(control, 1) == READY
    except OSError:
        return False


def _end_of(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(READY_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _why(code: int) -> str:
    if code < 0:
        return f"it was ended by {signal.Signals(-code).name}"
    return WHY_NOT.get(code, f"it ended with exit code {code}")


def _become_subreaper() -> None:
    if sys.platform != "linux":
        raise OSError("this system can't keep the process id of a service over a restart")
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
