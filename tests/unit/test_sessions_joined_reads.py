"""Joined reads: one for many, none after news, cancelled by nobody who hangs up."""

import asyncio

import pytest

from bff.errors import StoreUnavailable
from bff.model import Session
from bff.sessions.reader import JoinedReads


class Answers:
    """A read whose answers are given by the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pending: list[asyncio.Future[Session | None]] = []

    async def read(self, key: str) -> Session | None:
        self.asked.append(key)
        self.pending.append(asyncio.get_running_loop().create_future())
        return await self.pending[-1]


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_concurrent_callers_share_one_read() -> None:
    """A burst of calls costs one round trip a session."""
    answers = Answers()
    reads = JoinedReads(answers.read)
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


async def test_after_news_callers_get_a_read_of_their_own() -> None:
    """Who asks after a logout must not get an answer from before it."""
    answers = Answers()
    reads = JoinedReads(answers.read)
    early = asyncio.create_task(reads.get("a"))
    await settle()
    reads.close_to_joiners("a")
    late = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "a"]
    answers.pending[0].set_result(None)
    await early
    joined = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "a"], "the end of the early read left the late one joinable"
    reads.close_all_to_joiners()
    after_gap = asyncio.create_task(reads.get("a"))
    await settle()
    assert answers.asked == ["a", "a", "a"]
    for pending in answers.pending[1:]:
        pending.set_result(None)
    await asyncio.gather(late, joined, after_gap)


async def test_a_caller_who_hangs_up_does_not_cancel_the_others() -> None:
    """Browsers come and go."""
    answers = Answers()
    reads = JoinedReads(answers.read)
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
    reads = JoinedReads(answers.read)
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


async def test_a_failure_nobody_waits_for_is_silent() -> None:
    """No 'exception was never retrieved' in the log when all have hung up."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    answers = Answers()
    reads = JoinedReads(answers.read)
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
    reads = JoinedReads(answers.read)
    caller = asyncio.create_task(reads.get("a"))
    await settle()
    await reads.cancel()
    await settle()
    assert caller.cancelled()
