"""Rates, which addresses count as one client, and buckets in memory."""

import pytest

from bff.clock import ManualClock
from bff.errors import RateLimited
from bff.limits.calls import CallLimit
from bff.limits.limiter import REFUSED_ENTRIES, Limiter, Rate, client_of, retry_after
from bff.observability.metrics import Metrics
from bff.sessions.expiring import MemoryBuckets
from bff.sessions.memory import MemoryStore


@pytest.mark.rule("AZ-16")
@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, client: str) -> None:
    """A host may take any address of its /64, and an IPv4 host may come on an IPv6 socket."""
    assert client_of(address) == client


def test_a_rate_is_that_many_at_once_and_then_one_at_a_time() -> None:
    rate = Rate(30, 60.0)
    assert rate.each_seconds == 2.0
    assert rate.wait_seconds(0) == 0
    assert rate.wait_seconds(58.0) == 0
    assert rate.wait_seconds(59.0) == 1.0
    assert rate.wait_seconds(60.0) == 2.0


def test_retry_after_is_never_too_early_and_never_zero() -> None:
    assert [retry_after(seconds) for seconds in (0.001, 1.0, 1.2, 59.9)] == [1, 1, 2, 60]


@pytest.mark.rule("AZ-16")
def test_empty_buckets_are_forgotten() -> None:
    """A flood from many addresses leaves nothing behind once it is over."""
    clock = ManualClock()
    buckets = MemoryBuckets(clock)
    for number in range(10_000):
        buckets.fill(f"login:{number}", seconds=1, size_seconds=60, to_the_brim=False)
        clock.advance(0.01)
    assert len(buckets) <= 110
    clock.advance(60)
    for _ in range(100):
        buckets.fill("login:one", seconds=1, size_seconds=60, to_the_brim=False)
    assert len(buckets) == 1


def test_a_bucket_that_is_filled_again_is_not_forgotten() -> None:
    clock = ManualClock()
    buckets = MemoryBuckets(clock)
    for _ in range(100):
        buckets.fill("one", seconds=1, size_seconds=60, to_the_brim=False)
        clock.advance(0.9)
    assert buckets.fill("one", seconds=0, size_seconds=60, to_the_brim=False) == pytest.approx(10.0)


async def test_two_processes_come_to_share_what_they_let_through() -> None:
    """Never less than the rate together, and no more once they have told each other."""
    clock = ManualClock()
    store = MemoryStore(clock)
    rate = Rate(100, 3600.0)
    one, other = (CallLimit(rate, store, clock, Metrics()) for _ in range(2))
    assert [one("s") for _ in range(60)] == [None] * 60
    await one.share()
    assert [other("s") for _ in range(10)] == [None] * 10
    await other.share()
    passed = sum(other("s") is None for _ in range(100))
    assert passed == 30
    await other.share()


async def test_less_than_a_tenth_of_the_rate_is_not_worth_a_command() -> None:
    """So that a call costs a fraction of one, however slowly calls come."""
    clock = ManualClock()
    store = MemoryStore(clock)
    limit = CallLimit(Rate(100, 3600.0), store, clock, Metrics())
    told = []
    for _ in range(30):
        limit("s")
        await limit.share()
        told.append(await store.fill("api_call:s", seconds=0, size_seconds=3600))
    assert told == [0.0] * 9 + [360.0] * 10 + [720.0] * 10 + [1080.0]


async def test_calls_that_leaked_away_are_forgotten() -> None:
    """A session that has gone quiet takes no memory."""
    clock = ManualClock()
    limit = CallLimit(Rate(60, 60.0), MemoryStore(clock), clock, Metrics())
    for number in range(100):
        limit(f"{number}")
    assert len(limit) == 100
    clock.advance(1.01)
    await limit.share()
    assert len(limit) == 0


async def test_a_client_that_was_refused_is_remembered_within_bounds() -> None:
    """The one refused first is forgotten first, and asked about in the store again."""
    clock = ManualClock()
    limiter = Limiter("login", Rate(1, 3600.0), MemoryStore(clock), clock, Metrics())
    for number in range(REFUSED_ENTRIES + 1):
        await limiter.take(str(number))
        with pytest.raises(RateLimited):
            await limiter.take(str(number))
    limiter.require_not_refused("0")
    with pytest.raises(RateLimited):
        limiter.require_not_refused("1")
    with pytest.raises(RateLimited):
        await limiter.take("0")
