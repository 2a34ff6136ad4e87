"""Which master to believe in while Sentinels disagree."""

import pytest

from bff.sessions.redis.failover import Address, Opinion, newest

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
