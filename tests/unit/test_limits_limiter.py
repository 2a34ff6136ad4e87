"""One kind of event, at so many in a period for each client: what passes, and what a store that is
away changes."""

import asyncio

import pytest

from bff.clock import ManualClock
from bff.errors import RateLimited, StoreUnavailable
from bff.limits.calls import CallLimit
from bff.limits.limiter import Limiter, Rate
from bff.observability.metrics import Metrics
from tests.parts.scripted_store import ScriptedStore
from tests.parts.written_log import written_log
from tests.polling import until

THREE_A_MINUTE = Rate(3, 60.0)


@pytest.fixture
def limiter(store: ScriptedStore, clock: ManualClock, metrics: Metrics) -> Limiter:
    return Limiter("login", THREE_A_MINUTE, store, clock, metrics)


async def refused_seconds(limiter: Limiter, who: str = "a") -> int:
    with pytest.raises(RateLimited) as refused:
        await limiter.take(who)
    retry_after = refused.value.retry_after
    assert retry_after is not None
    return retry_after


async def test_so_many_pass_and_then_one_each_share_of_the_period(
    limiter: Limiter, clock: ManualClock
) -> None:
    """A client that is refused is told when to come again, and then passes."""
    for _ in range(3):
        await limiter.take("a")
    assert await refused_seconds(limiter) == 20
    clock.advance(19.5)
    assert await refused_seconds(limiter) == 1
    await limiter.take("b")
    clock.advance(0.5)
    await limiter.take("a")
    assert await refused_seconds(limiter) == 20


async def test_what_was_refused_is_known_without_the_store(
    limiter: Limiter, store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    """A flood costs it nothing; each refusal is counted."""
    for _ in range(3):
        await limiter.take("a")
    await refused_seconds(limiter)
    calls = store.calls["fill"]
    for _ in range(10):
        await refused_seconds(limiter)
    with pytest.raises(RateLimited):
        limiter.require_not_refused("a")
    limiter.require_not_refused("b")
    assert store.calls["fill"] == calls
    assert b'kind="login"} 12.0' in metrics.exposition()
    assert 19 < limiter.refused_seconds("a") <= 20
    assert limiter.refused_seconds("b") == 0
    clock.advance(20)
    assert limiter.refused_seconds("a") == 0
    limiter.require_not_refused("a")


async def test_a_refused_event_does_not_count(limiter: Limiter, clock: ManualClock) -> None:
    """A client that keeps trying is not kept out for ever."""
    for _ in range(3):
        await limiter.take("a")
    for _ in range(20):
        clock.advance(0.9)
        await refused_seconds(limiter)
    clock.advance(2)
    await limiter.take("a")


async def test_asking_for_room_takes_none(limiter: Limiter, clock: ManualClock) -> None:
    """And failures that have happened count, whether they fit or not."""
    for _ in range(10):
        await limiter.require_room("a")
        await limiter.require_room("c")
    for _ in range(3):
        await limiter.take("c")
    for _ in range(5):
        await limiter.count("a")
    with pytest.raises(RateLimited):
        await limiter.require_room("a")
    await limiter.require_room("b")
    clock.advance(20)
    await limiter.require_room("a")
    await limiter.count("a")
    with pytest.raises(RateLimited):
        await limiter.require_room("a")


async def test_kinds_do_not_share_their_counts(
    limiter: Limiter, store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    other = Limiter("refresh", THREE_A_MINUTE, store, clock, metrics)
    for _ in range(3):
        await limiter.take("a")
    for _ in range(3):
        await other.take("a")


async def test_without_a_rate_nothing_is_asked(
    store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    unlimited = Limiter("login", None, store, clock, metrics)
    for _ in range(100):
        await unlimited.take("a")
        await unlimited.require_room("a")
        await unlimited.count("a")
    assert store.calls["fill"] == 0


@pytest.mark.rule("SE-10")
async def test_a_store_that_is_away_lets_pass_unless_it_is_strict(
    limiter: Limiter, store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    """Counting never fails, strict or not: what it would count has happened already."""
    strict = Limiter("login", THREE_A_MINUTE, store, clock, metrics, strict=True)
    store.faults["fill"] = [StoreUnavailable("away") for _ in range(5)]
    await limiter.take("a")
    await limiter.require_room("a")
    await limiter.count("a")
    await strict.count("a")
    with pytest.raises(StoreUnavailable):
        await strict.take("a")
    assert not store.faults["fill"]
    for _ in range(3):  # nothing of it was counted
        await strict.take("a")


async def test_calls_that_come_while_the_store_is_told_are_not_lost(
    store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    """They are in this process's bucket only, and stay there."""
    limit = CallLimit(Rate(10, 600.0), store, clock, metrics)
    answer = store.hold("fill")
    assert [limit("s") for _ in range(3)] == [None] * 3
    sharing = asyncio.create_task(limit.share())
    await until(lambda: store.calls["fill"] == 1)
    assert [limit("s") for _ in range(3)] == [None] * 3
    answer.set()
    await sharing
    assert [limit("s") for _ in range(5)].count(None) == 4
    await limit.share()
    assert await store.fill("api_call:s", seconds=0, size_seconds=600) == pytest.approx(600)


async def test_what_has_happened_fills_the_bucket_to_the_brim(
    limiter: Limiter, store: ScriptedStore, clock: ManualClock
) -> None:
    """Half an event does not fit, and is counted as far as it does."""
    await store.fill("login:a", seconds=50, size_seconds=60)
    await limiter.count("a")
    assert await store.fill("login:a", seconds=0, size_seconds=60) == 60
    await store.fill("login:b", seconds=50, size_seconds=60)
    with pytest.raises(RateLimited):
        await limiter.take("b")
    assert await store.fill("login:b", seconds=0, size_seconds=60) == 50


@pytest.mark.parametrize("wait", [0.5, 1.0])
async def test_a_wait_of_less_than_a_second_is_one_as_well(
    limiter: Limiter, store: ScriptedStore, clock: ManualClock, wait: float
) -> None:
    """For calls as for events; it is forgotten when it is over, to the second."""
    await store.fill("login:a", seconds=40 + wait, size_seconds=60)
    assert await refused_seconds(limiter) == 1
    with pytest.raises(RateLimited) as again:
        limiter.require_not_refused("a")
    assert again.value.retry_after == 1
    assert limiter.refused_seconds("a") == pytest.approx(wait)
    clock.advance(wait / 2)
    assert limiter.refused_seconds("a") == pytest.approx(wait / 2)
    clock.advance(wait / 2)
    assert limiter.refused_seconds("a") == 0
    await limiter.take("a")


async def test_a_call_is_refused_for_a_fraction_of_a_second(
    store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    limit = CallLimit(Rate(2, 1.0), store, clock, metrics)
    assert [limit("s") for _ in range(3)] == [None, None, 0.5]
    assert b'kind="api_call"} 1.0' in metrics.exposition()
    clock.advance(0.5)
    assert limit("s") is None


async def test_a_small_rate_is_shared_call_by_call_and_an_empty_bucket_is_forgotten_at_once(
    store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    limit = CallLimit(Rate(5, 5.0), store, clock, metrics)
    limit("s")
    await limit.share()
    assert await store.fill("api_call:s", seconds=0, size_seconds=5) == 1
    clock.advance(1)
    await limit.share()
    assert len(limit) == 0


async def test_what_others_let_through_counts_to_the_brim(
    store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    """Together more than the rate: the shared bucket is full, and never fuller."""
    limit = CallLimit(Rate(10, 10.0), store, clock, metrics)
    await store.fill("api_call:s", seconds=7, size_seconds=10)
    assert [limit("s") for _ in range(5)] == [None] * 5
    await limit.share()
    assert await store.fill("api_call:s", seconds=0, size_seconds=10) == 10
    assert limit("s") == 1.0
    clock.advance(1)
    assert limit("s") is None
    assert limit("s") == 1.0


async def test_calls_are_shared_in_the_background_whatever_the_store_answers(
    store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    """Until the limit is closed. A store that is away does not end it; nor does a fault, which is
    told as one."""
    with written_log() as log:
        limit = CallLimit(Rate(10, 100.0), store, clock, metrics)
        store.faults["fill"] = [StoreUnavailable("away"), ZeroDivisionError()]
        limit("s")
        limit.start()
        await until(lambda: store.calls["fill"] == 3)
        await limit.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await store.fill("api_call:s", seconds=0, size_seconds=100) == 10
    assert [entry["event"] for entry in log.entries] == ["limit_not_counted", "calls_not_shared"]


def test_what_rounding_leaves_over_refuses_nothing() -> None:
    """A hundredth of an event, and no more."""
    rate = Rate(1, 100.0)
    assert [rate.wait_seconds(fullness) for fullness in (0.75, 1.0, 1.25)] == [0, 0, 1.25]


async def test_what_others_let_through_adds_to_the_calls_that_come_meanwhile(
    store: ScriptedStore, clock: ManualClock, metrics: Metrics
) -> None:
    limit = CallLimit(Rate(10, 600.0), store, clock, metrics)
    await store.fill("api_call:s", seconds=240, size_seconds=600)
    answer = store.hold("fill")
    asked = store.calls["fill"]
    assert [limit("s") for _ in range(3)] == [None] * 3
    sharing = asyncio.create_task(limit.share())
    await until(lambda: store.calls["fill"] > asked)
    assert [limit("s") for _ in range(2)] == [None] * 2
    answer.set()
    await sharing
    assert [limit("s") for _ in range(5)].count(None) == 1
