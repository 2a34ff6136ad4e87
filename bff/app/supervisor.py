"""Several workers as one service: starts them, starts them again, stops them together.

Knows nothing of requests and holds no connection of theirs.
"""

import asyncio
import contextlib
import dataclasses
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from bff.app import wiring
from bff.app.auditing import audit_of, reload_event
from bff.app.held_addresses import HeldAddresses
from bff.app.listening import Addresses, ProcessSetup
from bff.app.reloading import Reloads
from bff.app.stopping import (
    HANDED_OVER_SECONDS,
    RESTART_SIGNAL,
    StopRequest,
    stopped_by,
    work_until,
)
from bff.app.succession import Succession
from bff.app.worker_process import WORKER_COMMAND, Assignment, WorkerProcess
from bff.audit.audit import OFF
from bff.clock import SystemClock
from bff.config.settings import Settings
from bff.observability.metrics import Metrics, forget_worker
from bff.observability.reasons import reason_of
from bff.sessions.store import SessionStore

log = structlog.get_logger("bff.app")

Announce = Callable[[Addresses], None]


AUDIT_CLOSING_SECONDS = 3.0

MOST_DOUBLINGS = 32  # one worker may die for as long as the others live; a float ends at 1024


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """A worker that ends before it has run for `stable_seconds` has died quickly; once each of them
    has done so `quick_deaths` times in a row, the supervisor gives up. `stop_margin_seconds` is
    what workers have, beyond the configured timeouts, to finish when they are stopped.
    """

    stable_seconds: float = 10.0
    quick_deaths: int = 5
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    stop_margin_seconds: float = 15.0

    def pause_seconds(self, quick_deaths: int) -> float:
        """Before the next start: none after one death, then longer each time."""
        if quick_deaths <= 1:
            return 0.0
        doublings = min(quick_deaths - 2, MOST_DOUBLINGS)
        return min(self.first_pause_seconds * 2.0**doublings, self.longest_pause_seconds)


@dataclass(slots=True)
class _Slot:
    """The place of one worker, which another takes after it has died."""

    number: int
    worker: WorkerProcess | None = None
    starts: int = 0
    quick_deaths: int = 0


class Supervisor:
    """`announce` is told the addresses once every worker serves."""

    def __init__(
        self,
        settings: Settings,
        announce: Announce,
        held: HeldAddresses,
        *,
        succession: Succession | None = None,
        reloads: Reloads | None = None,
        succeeds: bool = False,
        command: Sequence[str] = WORKER_COMMAND,
        restarts: RestartPolicy | None = None,
    ) -> None:
        self._settings = settings
        self._announce = announce
        self._held = held
        self._succession = succession
        self._reloads = reloads
        self._succeeds = succeeds
        self._command = command
        self._restarts = restarts or RestartPolicy()
        self._slots = [_Slot(number) for number in range(1, settings.server.workers + 1)]
        self._not_serving_yet = {slot.number for slot in self._slots}
        self._request = StopRequest(reloads.asked if reloads is not None else None)
        self._stopping = self._request.stop
        self._audit = OFF
        self._store: SessionStore | None = None

    async def run(self, lifeline: socket.socket | None = None) -> bool:
        """Until a signal, or until another process has taken over; False when workers could not be
        kept alive, or would not stop. The end of `lifeline` stops it as well."""
        with (
            self._request.by_signals(),
            stopped_by(lifeline, self._request),
            TemporaryDirectory(prefix="bff-metrics-") as directory,
        ):
            await self._open_audit()
            setup = self._held.setup(Path(directory), succeeds=self._succeeds)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._keep(slot, setup)) for slot in self._slots]
                is_handed_over = await self._until_over()
                in_time = await self._stop(tasks, is_handed_over=is_handed_over)
            await self._close_audit()
        return in_time and not self._has_given_up()

    async def _open_audit(self) -> None:
        """For reloads, which the supervisor judges."""
        if self._reloads is None or not self._settings.audit.sinks:
            return
        clock = SystemClock()
        self._store = wiring.session_store(self._settings, clock)
        self._audit = audit = audit_of(self._settings, self._store, clock, Metrics())
        self._reloads.observe(lambda outcome: audit.report(reload_event(outcome)))
        await audit.open()

    async def _close_audit(self) -> None:
        await self._audit.close(AUDIT_CLOSING_SECONDS)
        if self._store is not None:
            await self._store.close()

    async def _until_over(self) -> bool:
        if self._succession is None:
            await self._stopping.wait()
            return False
        is_handed_over = await self._succession.until_over(self._request)
        self._stopping.set()
        return is_handed_over

    async def _keep(self, slot: _Slot, setup: ProcessSetup) -> None:
        """Keep a worker in one slot until the supervisor stops."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began_at = loop.time()
            await self._run_worker(slot, setup)
            if self._stopping.is_set():
                return
            quick = loop.time() - began_at < self._restarts.stable_seconds
            slot.quick_deaths = slot.quick_deaths + 1 if quick else 1
            if self._has_given_up():
                log.critical("workers_keep_dying")
                self._stopping.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._restarts.pause_seconds(slot.quick_deaths)):
                    await self._stopping.wait()

    async def _run_worker(self, slot: _Slot, setup: ProcessSetup) -> None:
        """Start a worker and wait for its end."""
        setup = dataclasses.replace(setup, replaces=slot.starts > 0)
        assignment = Assignment(slot.number, self._settings, setup)
        slot.starts += 1
        try:
            worker = await WorkerProcess.start(self._command, assignment)
        except OSError as error:
            log.error("worker_not_started", worker=slot.number, reason=reason_of(error))
            return
        slot.worker = worker
        answering: asyncio.Task[None] | None = None
        try:
            if self._stopping.is_set():
                worker.signal(signal.SIGTERM)
            if await worker.serves():
                self._note_serving(slot, setup)
                if self._reloads is not None:
                    answering = asyncio.create_task(worker.answer_reloads(self._reloads))
            exit_code = await worker.ended()
        finally:
            slot.worker = None
            if answering is not None:
                answering.cancel()
            worker.close()
        if setup.metrics_directory is not None:
            forget_worker(setup.metrics_directory, worker.pid)
        if not self._stopping.is_set():
            log.error("worker_died", worker=slot.number, pid=worker.pid, exit_code=exit_code)

    def _note_serving(self, slot: _Slot, setup: ProcessSetup) -> None:
        if self._not_serving_yet == {slot.number}:
            self._announce(setup.addresses)
        self._not_serving_yet.discard(slot.number)

    def _has_given_up(self) -> bool:
        """Before another process lets go, one worker that dies is enough: that process goes on."""
        if self._succeeds and self._not_serving_yet:
            return any(slot.quick_deaths for slot in self._slots)
        return all(slot.quick_deaths >= self._restarts.quick_deaths for slot in self._slots)

    async def _stop(self, tasks: Collection[asyncio.Task[None]], *, is_handed_over: bool) -> bool:
        """Let every worker finish; those that take too long are killed, and that is not well."""
        delay = self._settings.server.shutdown_delay
        if is_handed_over:
            delay = max(delay, HANDED_OVER_SECONDS)
        self._signal(RESTART_SIGNAL if is_handed_over else signal.SIGTERM)
        if not self._has_given_up():
            await self._request.wait_at_most(delay)
        if not is_handed_over:
            self._held.remove_public_name()
        else:
            await work_until(
                asyncio.wait(tasks, timeout=self._settings.server.handover_timeout),
                self._request.hurry,
            )
        if self._request.hurry.is_set():
            self._signal(signal.SIGTERM)
        limit = self._settings.server.shutdown_timeout + self._settings.op_timeout
        limit += self._restarts.stop_margin_seconds
        _, late = await asyncio.wait(tasks, timeout=limit)
        if late:
            log.error("workers_killed", count=len(late))
            self._signal(signal.SIGKILL)
        return not late

    def _signal(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.signal(number)
