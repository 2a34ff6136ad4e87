"""Which master to believe in while Sentinels disagree, and the watch that asks them."""

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from structlog.testing import capture_logs

from bff.sessions.redis.failover import Address, FailoverWatch, NewestSentinel, Opinion, newest
from tests.polling import until

OLD, NEW = ("10.0.0.1", 6379), ("10.0.0.2", 6379)

CASES: dict[str, tuple[list[Opinion], Address | None]] = {
    "no Sentinel answers": ([], None),
    "all agree": ([Opinion(3, OLD)] * 3, OLD),
    "one answers": ([Opinion(3, OLD)], OLD),
    "the newest configuration wins over a majority": (
        [Opinion(3, OLD), Opinion(3, OLD), Opinion(4, NEW)],
        NEW,
    ),
    "one of them can't reach it": ([Opinion(3, None), Opinion(3, OLD)], OLD),
    "the new master is down, and the old one is back": ([Opinion(3, OLD), Opinion(4, None)], None),
    "a failover is under way, and the old master is back": (
        [Opinion(3, OLD), Opinion(3, None, leads_failover=True)],
        None,
    ),
    "a replica has been promoted": (
        [Opinion(3, OLD), Opinion(3, NEW, leads_failover=True), Opinion(3, OLD)],
        NEW,
    ),
}


@pytest.mark.parametrize(("opinions", "master"), CASES.values(), ids=CASES.keys())
def test_the_newest_configuration_counts(opinions: list[Opinion], master: Address | None) -> None:
    assert newest(opinions) == master
    assert newest(opinions[::-1]) == master


async def test_the_watch_goes_on_after_an_unforeseen_fault() -> None:
    """In looking, or in what follows from it: the next failover must be noticed as well."""
    answers: list[str | None] = ["1", "2", "broken", None, "2", "3"]
    noticed: list[str | None] = []

    async def look() -> str | None:
        found = answers.pop(0) if answers else "3"
        if found == "broken":
            raise ZeroDivisionError
        return found

    async def on_failover() -> None:
        noticed.append(watch.known)
        if watch.known == "2":
            raise AttributeError

    watch = FailoverWatch(look, on_failover)
    with capture_logs() as logs:
        watch.start()
        await until(lambda: noticed == ["2", "3"])
    await watch.close()
    faults = [entry for entry in logs if entry["event"] == "failover_watch_failed"]
    assert len(faults) == 2
    assert all(entry["exc_info"] for entry in faults)


class SentinelThatSays:
    """A client of a Sentinel that names one master, `main`."""

    def __init__(self, promoted: Address | None = None, **state: object) -> None:
        self._promoted = promoted
        self._state = state

    async def sentinel_masters(self) -> dict[str, dict[str, object]]:
        usual = {"flags": {"master"}, "is_master": True, "is_sdown": False, "is_odown": False}
        where = {"ip": OLD[0], "port": OLD[1], "config-epoch": 3}
        return {"main": {**usual, **where, **self._state}}

    async def sentinel_get_master_addr_by_name(self, _name: str) -> Address | None:
        return self._promoted


class SentinelThatFails(SentinelThatSays):
    async def sentinel_masters(self) -> dict[str, dict[str, object]]:
        raise OSError


def of(*sentinels: SentinelThatSays) -> NewestSentinel:
    asked = NewestSentinel([])  # type: ignore[no-untyped-call]
    asked.sentinels = list(sentinels)  # type: ignore[arg-type]
    return asked


UNDER_WAY = {"flags": {"master", "failover_in_progress"}}


@pytest.mark.parametrize(
    ("sentinel", "opinion"),
    [
        (SentinelThatSays(), Opinion(3, OLD)),
        (SentinelThatSays(is_master=False), Opinion(3, None)),
        (SentinelThatSays(is_sdown=True), Opinion(3, None)),
        (SentinelThatSays(is_odown=True), Opinion(3, None)),
        (SentinelThatSays(None, **UNDER_WAY), Opinion(3, None, leads_failover=True)),
        (SentinelThatSays(OLD, **UNDER_WAY), Opinion(3, None, leads_failover=True)),
        (SentinelThatSays(NEW, **UNDER_WAY), Opinion(3, NEW, leads_failover=True)),
    ],
)
async def test_what_a_sentinel_says_is_read(sentinel: SentinelThatSays, opinion: Opinion) -> None:
    assert await of(sentinel, SentinelThatFails()).opinions("main") == [opinion]
    assert await of(sentinel).opinions("another") == []


async def test_without_a_master_there_is_nothing_to_connect_to() -> None:
    assert await of(SentinelThatSays()).discover_master("main") == OLD
    for sentinel in (SentinelThatSays(is_sdown=True), SentinelThatFails()):
        with pytest.raises(MasterNotFoundError):
            await of(sentinel).discover_master("main")


async def test_another_master_is_another_configuration() -> None:
    """That no Sentinel answers says nothing of the master."""
    before = await of(SentinelThatSays(), SentinelThatFails()).configuration("main")
    after = await of(SentinelThatSays(NEW, **UNDER_WAY)).configuration("main")
    assert before is not None
    assert after not in (None, before)
    assert await of(SentinelThatFails()).configuration("main") is None
