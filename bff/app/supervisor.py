"""Several workers as one service: starts them, starts them again, stops them together.

Knows nothing of requests and holds no connection of theirs.
"""

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from bff.app.listening import Addresses, Listening, Share, reserved
from bff.app.stopping import StopRequest
from bff.app.worker_process import WORKER_COMMAND, Assignment, WorkerProcess
from bff.config.settings import Settings
from bff.observability.metrics import forget_worker
from bff.observability.reasons import reason_of

log = structlog.get_logger("bff.app")

Announce = Callable[[Addresses], None]


MOST_DOUBLINGS = 32  # one worker may die for as long as the others live; a float ends at 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """With workers that die: one that lived for `stable_seconds` did not die of its start, and
    after `quick_deaths` in a row of every one there is no use in going on. With those that stop:
    `stop_margin_seconds` is for what is finished after the last request and the last refresh.
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
class _Seat:
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
        *,
        command: Sequence[str] = WORKER_COMMAND,
        patience: Patience | None = None,
    ) -> None:
        self._settings = settings
        self._announce = announce
        self._command = command
        self._patience = patience or Patience()
        self._seats = [_Seat(number) for number in range(1, settings.server.workers + 1)]
        self._awaited = {seat.number for seat in self._seats}
        self._request = StopRequest()
        self._over = self._request.stop

    async def run(self) -> bool:
        """Until a signal; False when workers could not be kept alive, or would not stop.

        Raises:
            OSError: an address can't be listened on.
        """
        server = self._settings.server
        with (
            self._request.by_signals(),
            TemporaryDirectory(prefix="bff-metrics-") as directory,
            reserved(server.listen) as public,
            reserved(server.admin_listen) as admin,
            _reserved_if_any(server.health_listen) as health,
            _reserved_if_any(server.auth_listen) as auth,
        ):
            share = Share(public, admin, health, auth, Path(directory))
            async with asyncio.TaskGroup() as group:
                keepers = [group.create_task(self._keep(seat, share)) for seat in self._seats]
                await self._over.wait()
                in_time = await self._stop(keepers, public)
        return in_time and not self._have_all_failed()

    async def _keep(self, seat: _Seat, share: Share) -> None:
        """Keep one seat taken until all is over."""
        loop = asyncio.get_running_loop()
        while not self._over.is_set():
            began_at = loop.time()
            await self._run_worker(seat, share)
            if self._over.is_set():
                return
            quick = loop.time() - began_at < self._patience.stable_seconds
            seat.quick_deaths = seat.quick_deaths + 1 if quick else 1
            if self._have_all_failed():
                log.critical("workers_keep_dying")
                self._over.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._patience.pause_seconds(seat.quick_deaths)):
                    await self._over.wait()

    async def _run_worker(self, seat: _Seat, share: Share) -> None:
        """From a worker's start to its end."""
        share = dataclasses.replace(share, replaces=seat.starts > 0)
        assignment = Assignment(seat.number, self._settings, share)
        seat.starts += 1
        try:
            worker = await WorkerProcess.start(self._command, assignment)
        except OSError as error:
            log.error("worker_not_started", worker=seat.number, reason=reason_of(error))
            return
        seat.worker = worker
        try:
            if self._over.is_set():
                worker.signal(signal.SIGTERM)
            if await worker.serves():
                self._note_serving(seat, share)
            exit_code = await worker.ended()
        finally:
            seat.worker = None
            worker.close()
        if share.metrics_directory is not None:
            forget_worker(share.metrics_directory, worker.pid)
        if not self._over.is_set():
            log.error("worker_died", worker=seat.number, pid=worker.pid, exit_code=exit_code)

    def _note_serving(self, seat: _Seat, share: Share) -> None:
        if self._awaited == {seat.number}:
            self._announce(share.addresses)
        self._awaited.discard(seat.number)

    def _have_all_failed(self) -> bool:
        return all(seat.quick_deaths >= self._patience.quick_deaths for seat in self._seats)

    async def _stop(self, keepers: Collection[asyncio.Task[None]], public: Listening) -> bool:
        """Let every worker finish; those that take too long are killed, and that is not well."""
        self._signal(signal.SIGTERM)
        if not self._have_all_failed():
            await self._request.wait_at_most(self._settings.server.shutdown_delay)
        public.remove_name()
        if self._request.hurry.is_set():
            self._signal(signal.SIGTERM)
        limit = self._settings.server.shutdown_timeout + self._settings.oidc.timeout
        limit += self._patience.stop_margin_seconds
        _, late = await asyncio.wait(keepers, timeout=limit)
        if late:
            log.error("workers_killed", count=len(late))
            self._signal(signal.SIGKILL)
        return not late

    def _signal(self, number: signal.Signals) -> None:
        for seat in self._seats:
            if seat.worker is not None:
                seat.worker.signal(number)


@contextlib.contextmanager
def _reserved_if_any(address: str | None) -> Iterator[Listening | None]:
    if address is None:
        yield None
        return
    with reserved(address) as listening:
        yield listening
