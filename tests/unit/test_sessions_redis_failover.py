"""Which master to believe in while Sentinels disagree, and the watch that asks them."""

import pytest
from structlog.testing import capture_logs

from bff.sessions.redis.failover import Address, FailoverWatch, Opinion, newest
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
