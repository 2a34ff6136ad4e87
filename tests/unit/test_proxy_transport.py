"""What every connection does with its transport: time limits, fair reads, and writes that are sent
together."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from bff.proxy.transport import (
    LARGE_BYTES,
    Deadline,
    FairReads,
    WriteCoalescer,
    reset,
)
from tests.polling import until

SOON, LATER, FAR = 0.01, 0.05, 3600.0
ROUNDING = 0.003  # of timers, in seconds


class Recorder(asyncio.Transport):
    """A transport that writes down what is asked of it. One that `fails` can't be written to."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.asked: list[object] = []
        self.is_ended = False
        self._fails = fails

    def write(self, data: Any) -> None:
        if self._fails:
            raise ValueError("a fault of the transport")
        self.asked.append(data)

    def pause_reading(self) -> None:
        self.asked.append("pause")

    def resume_reading(self) -> None:
        self.asked.append("resume")

    def abort(self) -> None:
        self.is_ended = True

    def is_closing(self) -> bool:
        return self.is_ended


async def passed(*seconds: float) -> None:
    """As many turns of the event loop as timers of so many seconds take."""
    for each in seconds or (0.0,):
        await asyncio.sleep(each)


# --- time limits


async def test_a_deadline_passes_once_and_not_before_its_time() -> None:
    loop, moments = asyncio.get_running_loop(), list[float]()
    deadline = Deadline(loop, lambda: moments.append(loop.time()))
    began = loop.time()
    deadline.set(SOON)
    await until(lambda: bool(moments))
    assert moments[0] >= began + SOON - ROUNDING
    await passed(SOON, LATER)
    assert len(moments) == 1
    deadline.set(SOON)  # it can be used again
    await until(lambda: len(moments) == 2)


@pytest.mark.parametrize(("first", "then"), [(SOON, LATER), (FAR, SOON), (LATER, SOON)])
async def test_the_moment_that_was_set_last_counts(first: float, then: float) -> None:
    loop, moments = asyncio.get_running_loop(), list[float]()
    deadline = Deadline(loop, lambda: moments.append(loop.time()))
    deadline.set(first)
    began = loop.time()
    deadline.set(then)
    await until(lambda: bool(moments))
    assert moments[0] >= began + then - ROUNDING
    await passed(LATER, LATER)
    assert len(moments) == 1


async def test_a_deadline_may_be_moved_as_often_as_bytes_come() -> None:
    loop, moments = asyncio.get_running_loop(), list[float]()
    deadline = Deadline(loop, lambda: moments.append(loop.time()))
    for _ in range(3):
        deadline.set(LATER)
        last = loop.time()
        await passed(SOON)
    await until(lambda: bool(moments))
    assert moments[0] >= last + LATER - ROUNDING


@pytest.mark.parametrize("end", [Deadline.clear, Deadline.close])
async def test_a_deadline_that_is_given_up_does_not_pass(end: Callable[[Deadline], None]) -> None:
    loop, moments = asyncio.get_running_loop(), list[float]()
    deadline = Deadline(loop, lambda: moments.append(loop.time()))
    end(deadline)  # nothing was set
    deadline.set(SOON)
    end(deadline)
    await passed(LATER)
    assert moments == []
    deadline.set(SOON)
    await until(lambda: bool(moments))


@pytest.mark.parametrize("seconds", [[FAR], [FAR, FAR + 1], [FAR + 1, FAR]])
async def test_a_deadline_that_is_closed_is_not_kept_by_the_event_loop(
    seconds: list[float],
) -> None:
    """Its timer would keep the connection in memory until its time has come."""

    class Holder:
        def passes(self) -> None: ...

    holder = Holder()
    left = weakref.ref(holder)
    deadline = Deadline(asyncio.get_running_loop(), holder.passes)
    for each in seconds:
        deadline.set(each)
    del holder
    deadline.close()
    del deadline
    gc.collect()
    assert left() is None


# --- writes


async def test_what_is_written_in_one_turn_is_sent_together_at_its_end() -> None:
    writes, one, other = WriteCoalescer(), Recorder(), Recorder()
    for _ in range(2):  # in the next turn as well
        writes.write(one, b"a")
        writes.write(other, b"x")
        writes.write(one, b"b")
        assert one.asked == other.asked == []
        await passed()
        assert (one.asked, other.asked) == ([b"ab"], [b"x"])
        one.asked.clear()
        other.asked.clear()


async def test_what_is_large_is_sent_at_once_behind_what_was_written_before() -> None:
    writes, transport = WriteCoalescer(), Recorder()
    writes.write(transport, b"a")
    writes.write(transport, b"b" * LARGE_BYTES)
    assert transport.asked == []
    writes.write(transport, b"c" * (LARGE_BYTES + 1))
    assert transport.asked == [b"a" + b"b" * LARGE_BYTES + b"c" * (LARGE_BYTES + 1)]
    writes.write(transport, b"d")
    writes.flush(transport)
    assert transport.asked[1:] == [b"d"]
    writes.flush(transport)
    await passed()
    assert len(transport.asked) == 2


async def test_nothing_is_written_to_a_connection_that_is_closing() -> None:
    writes, transport = WriteCoalescer(), Recorder()
    writes.write(transport, b"a")
    transport.abort()
    await passed()
    writes.write(transport, b"a")
    writes.flush(transport)
    assert transport.asked == []


async def test_a_connection_that_cannot_be_written_to_keeps_none_of_the_others_waiting() -> None:
    writes, broken, sound = WriteCoalescer(), Recorder(fails=True), Recorder()
    writes.write(broken, b"a")
    writes.write(sound, b"b")
    await passed()
    assert (sound.asked, sound.is_ended) == ([b"b"], False)
    assert broken.is_ended


# --- reads


def guarded(step: Callable[[], None]) -> None:
    step()


async def test_a_transport_is_paused_and_resumed_once_each() -> None:
    transport = Recorder()
    reads = FairReads(transport, guarded)
    for on in (True, False, False, True, True):
        reads.want(on=on)
    assert transport.asked == ["pause", "resume"]
    reads.want(on=False)
    transport.abort()
    reads.want(on=True)
    assert transport.asked == ["pause", "resume", "pause"]


async def test_a_connection_that_gives_way_is_read_in_the_next_turn() -> None:
    transport = Recorder()
    reads = FairReads(transport, guarded)
    reads.give_way()
    assert transport.asked == ["pause"]
    await passed()
    assert transport.asked == ["pause", "resume"]


@pytest.mark.parametrize("is_ended", [False, True])
async def test_unless_it_is_not_to_be_read_by_then(*, is_ended: bool) -> None:
    transport = Recorder()
    reads = FairReads(transport, guarded)
    reads.give_way()
    if is_ended:
        transport.abort()
    else:
        reads.want(on=False)
    await passed()
    assert "resume" not in transport.asked


# --- the end


async def test_a_transport_without_a_socket_can_be_cut_too() -> None:
    transport = Recorder()
    reset(transport)
    assert transport.is_ended
