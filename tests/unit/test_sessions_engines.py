"""What the URL of a session store tells, and the store that it names."""

import pytest

from bff.clock import ManualClock
from bff.sessions.engines import (
    IN_MEMORY,
    hosts_without_tls,
    passwords_in,
    require_store_url,
    session_store,
)
from bff.sessions.memory import MemoryStore
from bff.sessions.redis.store import RedisStore

PASSWORD = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "passwords", "in_the_clear"),
    [
        (IN_MEMORY, set(), set()),
        ("redis://redis.internal", set(), {"redis.internal"}),
        ("redis://user:s3cr3t@127.0.0.1/1", {PASSWORD}, {"127.0.0.1"}),
        ("rediss://:s3cr3t@redis.internal", {PASSWORD}, set()),
        ("unix:///run/redis.sock", set(), set()),
        (
            "redis+sentinel://:a@one,two/main?sentinel_password=b",
            {"a", "b"},
            {"one", "two"},
        ),
        ("rediss+cluster://one,two", set(), set()),
    ],
)
def test_a_url_tells_its_passwords_and_the_hosts_it_reaches_in_the_clear(
    url: str, passwords: set[str], in_the_clear: set[str], clock: ManualClock
) -> None:
    require_store_url(url)
    assert passwords_in(url) == passwords
    assert hosts_without_tls(url) == in_the_clear
    store = session_store(url, clock, namespace="bff", observe=lambda *_: None)
    assert isinstance(store, MemoryStore if url == IN_MEMORY else RedisStore)


@pytest.mark.parametrize(
    "url",
    ["", "memory", "memory://x", "redis", "postgres://u:s3cr3t@h", "redis://u:s3cr3t@h/0?x=1"],
)
def test_a_url_that_no_engine_reads_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be|unknown|malformed") as refused:
        require_store_url(url)
    assert PASSWORD not in str(refused.value)
