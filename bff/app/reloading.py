"""A reload: what asks for it, and the judgement of the new configuration before anything is done.

What is judged well is taken over by a new process, as in any restart: see `succession`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from bff.admin.reloads import ReloadOutcome
from bff.app.watched_files import WatchedFiles
from bff.config.changes import changed_keys, reload_problems
from bff.config.load import Loaded
from bff.config.problems import ConfigError
from bff.config.settings import Settings

log = structlog.get_logger("bff.app")

IN_MEMORY = "sessions are in memory and would be lost: it needs a Redis store"

Waiting = list["asyncio.Future[ReloadOutcome]"]


class Reloads:
    """Of one process. `asked` is set by a signal, by a change of the `watched` files, and by a
    call, which waits for the outcome. `load` reads the configuration as a new process would."""

    def __init__(
        self,
        running: Settings,
        load: Callable[[], Loaded],
        watched: WatchedFiles | None = None,
    ) -> None:
        self._running = running
        self._load = load
        self._watched = watched
        self._waiting: Waiting = []
        self._observers: list[Callable[[ReloadOutcome], None]] = []
        self.asked = asyncio.Event()

    async def __call__(self) -> ReloadOutcome:
        """Ask for one, and wait for what comes of it."""
        outcome: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(outcome)
        self.asked.set()
        return await outcome

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Heed the files until the block ends."""
        if self._watched is None:
            yield
            return
        watch = asyncio.create_task(self._watched.watch(self.asked.set))
        try:
            yield
        finally:
            watch.cancel()

    def begin(self) -> Waiting:
        """The callers that the reload which begins now is for. What is asked for from now on may be
        about a file that has changed since, and so is another one."""
        self.asked.clear()
        waiting, self._waiting = self._waiting, []
        return waiting

    def observe(self, observer: Callable[[ReloadOutcome], None]) -> None:
        """Have it called with the outcome of each."""
        self._observers.append(observer)

    def over(self, waiting: Waiting, outcome: ReloadOutcome) -> None:
        """One is over that `begin` began."""
        for observer in self._observers:
            observer(outcome)
        tell(waiting, outcome)

    async def judge(self) -> ReloadOutcome:
        """What would change, or every problem. Does not fail: the old configuration goes on."""
        if self._running.session.is_in_memory:
            return ReloadOutcome(problems=(IN_MEMORY,))
        try:
            loaded = await asyncio.to_thread(self._load)
        except ConfigError as error:
            return ReloadOutcome(problems=tuple(map(str, error.problems)))
        except Exception as error:  # a fault of ours must not end a gateway that serves
            log.exception("reload_failed", reason=type(error).__name__)
            return ReloadOutcome(problems=("the configuration could not be read",))
        problems = reload_problems(self._running, loaded)
        if problems:
            return ReloadOutcome(problems=tuple(map(str, problems)))
        return ReloadOutcome(changed_keys(self._running, loaded.settings))


def tell(waiting: Waiting, outcome: ReloadOutcome) -> None:
    """Some of the callers may have gone."""
    for one in waiting:
        if not one.done():
            one.set_result(outcome)
