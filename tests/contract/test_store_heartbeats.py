"""Heartbeats: a process hears its own come back, and those of the others."""

import pytest

from bff.clock import SystemClock
from bff.sessions.memory import MemoryStore
from bff.sessions.messages import LEAVING
from bff.sessions.store import NewRecord
from tests.contract.conftest import Engine, Heard
from tests.polling import until


async def test_its_own_beat_proves_the_stream(engine: Engine) -> None:
    """And not only once. The memory store has no stream: what happens is told there and then."""
    heard = Heard()
    before = SystemClock().now()
    store = await engine.open(heard)
    if isinstance(store, MemoryStore):
        return
    await until(lambda: len(heard.proven) >= 2)
    first, second = heard.proven[:2]
    assert before <= first < second <= SystemClock().now()
    assert not heard.heartbeats, "those of others only"


async def test_others_hear_what_it_says(engine: Engine) -> None:
    """Whether it has saved what it holds, what it has heard itself, and at last that it leaves."""
    here, there = Heard(), Heard()
    one = await engine.open(here)
    if isinstance(one, MemoryStore):
        return
    other = await engine.open(there)
    await until(lambda: any(heartbeat.saved for heartbeat in here.heartbeats))
    other.say_saved(saved=False)
    await until(lambda: not here.heartbeats[-1].saved)
    other.say_saved(saved=True)
    await until(lambda: here.heartbeats[-1].saved and here.heartbeats[-1].heard > 1)
    assert len({heartbeat.process for heartbeat in here.heartbeats}) == 1
    await other.close()
    await until(lambda: here.heartbeats[-1].number == LEAVING)


async def test_they_name_the_nodes_where_these_may_change(
    engine: Engine, request: pytest.FixtureRequest
) -> None:
    """After a failover processes must agree on where the data is before one relies on another."""
    heard = Heard()
    one = await engine.open(heard)
    if isinstance(one, MemoryStore):
        return
    await engine.open(Heard())
    await until(lambda: bool(heard.heartbeats))
    if "redis" in request.node.callspec.id:
        assert heard.heartbeats[-1].configuration == "-"
    else:
        await until(lambda: heard.heartbeats[-1].configuration != "-")


async def test_many_touches_in_one_go(engine: Engine) -> None:
    """Each is moved by its own time; those that are gone are named."""
    store = await engine.open()
    now = SystemClock().now()
    for key in ("a", "b", "c"):
        await store.create(key, NewRecord(b"", idle_seconds=10, expires_at=now + 1000, indexes=()))
    gone = await store.touch_all({"a": 100, "x": 100, "b": 200, "y": 5, "c": 5000})
    assert gone == {"x", "y"}
    left = {}
    for key in ("a", "b", "c"):
        record = await store.load(key)
        assert record is not None
        left[key] = record.idle_expires_at - now
    assert 95 < left["a"] < 105
    assert 195 < left["b"] < 205
    assert 990 < left["c"] <= 1001, "never past the absolute expiry"
