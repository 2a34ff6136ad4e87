"""Tasks that outlive their callers: one for many, none after news, each ended at the end."""

import asyncio
import sys
from itertools import islice

import pytest

from bff.errors import StoreUnavailable
from bff.model import Session
from bff.tasks import (
    BackgroundTask,
    KeyedLock,
    PeriodicTask,
    SingleFlight,
    TaskSet,
    growing_pauses,
)
from tests.polling import HANG_SECONDS, until


class Answers:
    """A read whose answers are given by the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pending: list[asyncio.Future[Session | None]] = []

    async def read(self, key: str) -> Session | None:
        self.asked.append(key)
        self.pending.append(asyncio.get_running_loop().create_future())
        return await self.pending[-1]


class Reads(SingleFlight[Session | None]):
    """Reads in single flight."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self._answers = answers

    async def get(self, key: str) -> Session | None:
        return await self.join(key, lambda: self._answers.read(key))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_concurrent_callers_share_one_read() -> None:
    """A burst of calls costs one round trip a session."""
    answers = Answers()
    reads = Reads(answers)
    callers = [asyncio.create_task(reads.get("a")) for _ in range(20)]
    callers.append(asyncio.create_task(reads.get("b")))
    await settle()
    assert answers.asked == ["a", "b"]
    for pending in answers.pending:
        pending.set_result(None)
    assert await asyncio.gather(*callers) == [None] * 21
    last = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "b", "a"], "a finished read is not joined"
    answers.pending[-1].set_result(None)
    await last


async def test_a_read_that_has_just_finished_is_not_joined() -> None:
    """Also before the event loop has called what waits for its end."""
    answers = Answers()
    reads = Reads(answers)
    first = asyncio.create_task(reads.get("a"))
    await settle()
    answers.pending[0].set_result(None)
    second = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "a"]
    answers.pending[1].set_result(None)
    assert list(await asyncio.gather(first, second)) == [None, None]


async def test_after_news_callers_get_a_read_of_their_own() -> None:
    """A call after a logout must not get an answer from before it."""
    answers = Answers()
    reads = Reads(answers)
    early = asyncio.create_task(reads.get("a"))
    await settle()
    reads.forget("a")
    late = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "a"]
    answers.pending[0].set_result(None)
    await early
    joined = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "a"], "the end of the early read left the late one joinable"
    reads.forget_all()
    after_gap = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "a", "a"]
    for pending in answers.pending[1:]:
        pending.set_result(None)
    await asyncio.gather(late, joined, after_gap)


async def test_a_caller_who_hangs_up_does_not_cancel_the_others() -> None:
    """Browsers come and go."""
    answers = Answers()
    reads = Reads(answers)
    first, second = (asyncio.create_task(reads.get("a")) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert first.cancelled()
    answers.pending[0].set_result(None)
    assert await second is None


async def test_a_failure_reaches_every_caller() -> None:
    """And is not joined by the next."""
    answers = Answers()
    reads = Reads(answers)
    callers = [asyncio.create_task(reads.get("a")) for _ in range(3)]
    await settle()
    answers.pending[0].set_exception(StoreUnavailable("down"))
    for caller in callers:
        with pytest.raises(StoreUnavailable):
            await caller
    again = asyncio.create_task(reads.get("a"))
    await settle()
    answers.pending[1].set_result(None)
    assert await again is None


async def test_a_failure_without_a_waiting_caller_is_silent() -> None:
    """No 'exception was never retrieved' in the log when all have hung up."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    answers = Answers()
    reads = Reads(answers)
    caller = asyncio.create_task(reads.get("a"))
    await settle()
    caller.cancel()
    await settle()
    answers.pending[0].set_exception(StoreUnavailable("down"))
    await settle()
    del caller, answers
    assert complaints == []


async def test_closing_ends_what_is_read() -> None:
    """No task outlives the gateway."""
    answers = Answers()
    reads = Reads(answers)
    caller = asyncio.create_task(reads.get("a"))
    await settle()
    await reads.cancel()
    await settle()
    assert caller.cancelled()


async def test_a_flight_has_an_age_while_it_runs() -> None:
    answers = Answers()
    reads = Reads(answers)
    assert (reads.is_running("a"), reads.age_seconds("a")) == (False, 0)
    caller = asyncio.create_task(reads.get("a"))
    await settle()
    assert reads.is_running("a")
    await until(lambda: reads.age_seconds("a") > 0)
    answers.pending[0].set_result(None)
    await caller
    assert (reads.is_running("a"), reads.age_seconds("a")) == (False, 0)


async def test_a_key_has_one_holder_and_the_others_come_in_their_order() -> None:
    """Whatever becomes of one of them; another key is held beside it."""
    lock, held, release = KeyedLock(), [], asyncio.Event()

    async def hold(key: str, name: str) -> None:
        async with lock.held(key):
            held.append(name)
            await release.wait()

    tasks = [asyncio.create_task(hold("a", name)) for name in ("1", "2", "3")]
    tasks.append(asyncio.create_task(hold("b", "other")))
    await settle()
    assert held == ["1", "other"]
    tasks[0].cancel()
    await settle()
    assert held == ["1", "other", "2"]
    tasks[1].cancel()
    release.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert held == ["1", "other", "2", "3"]
    await hold("a", "later")
    assert held[-1] == "later"


async def test_what_has_ended_is_not_joined_by_the_next() -> None:
    """Not even by one that comes before the event loop has told of the end."""
    reads: SingleFlight[int] = SingleFlight()

    async def one() -> int:
        return 1

    async def two() -> int:
        return 2

    first = reads.start("a", one)
    await asyncio.wait([first])
    assert reads.start("a", two) is not first
    assert await reads.join("a", two) == 2


async def test_a_drain_waits_for_what_runs_but_not_for_ever() -> None:
    tasks: TaskSet[None] = TaskSet()
    never = asyncio.Event()
    short = tasks.start(asyncio.sleep(0))
    long = tasks.start(_wait_for(never))
    await tasks.drain(0.01)
    assert (short.done(), long.done(), len(tasks)) == (True, False, 1)
    never.set()
    await tasks.drain(HANG_SECONDS)
    assert (long.done(), len(tasks)) == (True, 0)


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_drain_of_shared_tasks_waits_for_them_and_for_nothing_else() -> None:
    answers = Answers()
    reads = Reads(answers)
    await reads.drain(HANG_SECONDS)
    caller = asyncio.create_task(reads.get("a"))
    await settle()
    drained = asyncio.create_task(reads.drain(HANG_SECONDS))
    await settle()
    assert not drained.done()
    answers.pending[0].set_result(None)
    await drained
    assert await caller is None


async def test_what_was_cancelled_has_ended_by_then() -> None:
    """It may still have to close what it uses, which takes it some turns."""
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            ended.append("closed")

    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    tasks: TaskSet[None] = TaskSet()
    tasks.start(work())
    await settle()
    await tasks.cancel()
    await settle()
    assert (ended, len(tasks), said) == (["closed"], 0, [])


async def test_a_background_task_runs_once_at_a_time() -> None:
    began: list[int] = []
    go_on = asyncio.Event()

    async def work() -> None:
        began.append(1)
        await go_on.wait()

    task = BackgroundTask(work)
    assert not task.is_running
    task.start()
    task.start()
    await settle()
    assert (began, task.is_running) == ([1], True)
    go_on.set()
    await until(lambda: not task.is_running)
    task.start()
    await until(lambda: len(began) == 2)
    await task.close()


async def test_a_background_task_that_was_closed_is_not_started_again() -> None:
    """By a caller that is a little late: its end would not be waited for."""
    began: list[int] = []

    async def work() -> None:
        began.append(1)

    task = BackgroundTask(work)
    await task.close()
    task.start()
    await settle()
    assert (began, task.is_running) == ([], False)


async def test_a_background_task_ends_although_it_swallows_a_cancellation() -> None:
    """As redis-py may do."""
    swallowed: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.sleep(HANG_SECONDS)
        except asyncio.CancelledError:
            swallowed.append(True)
        await asyncio.sleep(HANG_SECONDS)

    task = BackgroundTask(work)
    task.start()
    await settle()
    await task.close()
    assert (swallowed, task.is_running) == ([True], False)
    await task.close()


async def test_a_periodic_task_goes_on_after_a_failure() -> None:
    times: list[int] = []
    failures: list[object] = []

    async def work() -> None:
        times.append(1)
        if len(times) == 1:
            raise ValueError("once")

    task = PeriodicTask(
        work, every_seconds=0.001, on_failure=lambda: failures.append(sys.exc_info()[0])
    )
    task.start()
    await until(lambda: len(times) > 2)
    await task.close()
    assert failures == [ValueError]


def test_pauses_grow_up_to_the_longest() -> None:
    assert list(islice(growing_pauses(0.25, 1.5), 5)) == [0.25, 0.5, 1, 1.5, 1.5]
