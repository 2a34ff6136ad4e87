"""What Redis refuses is said in words, of which none is Redis's own; and what it says of its set-up
is judged."""

import pytest
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from bff.cli.checks.store import on_facts
from bff.cli.checks.verdict import line
from bff.sessions.redis.reasons import redis_reason
from bff.sessions.redis.url import RedisUrl, parse_redis_url

PLAIN, TLS = parse_redis_url("redis://u:p@h"), parse_redis_url("rediss://h")


def wrapped(inner: BaseException) -> RedisError:
    """As redis-py has it: raised while the other was handled, without naming it as its cause."""
    error = RedisConnectionError("canary")
    error.__context__ = inner
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BusyLoadingError("canary"), "still loading"),
        (ReadOnlyError("canary"), "read-only replica"),
        (MovedError("3999 canary:6379"), "redis+cluster://"),
        (AuthenticationError("Authentication required."), "wants a password"),
        (AuthenticationWrongNumberOfArgsError("canary"), "older than Redis 6"),
        (AuthenticationError("invalid username-password pair canary"), "user name or password"),
        (NoPermissionError("no permissions to run the 'getdel' command canary"), "command getdel:"),
        (
            NoPermissionError("no permissions to access one of the canary channels"),
            "the channels (",
        ),
        (NoPermissionError("no permissions to access one of the canary keys"), "the keys (~...)"),
        (ResponseError("unknown command 'GETDEL', with args canary"), "Redis 6.2 or newer"),
        (ResponseError("MISCONF canary"), "can't save to its disk"),
        (ResponseError("NOREPLICAS canary"), "too few replicas"),
        (ResponseError("canary"), "for a reason that only its own log names"),
        (RedisConnectionError("canary"), "it may want TLS: then rediss://"),
        (wrapped(ConnectionRefusedError(111, "canary")), "nothing listens there"),
        (wrapped(TimeoutError("canary")), "no answer in time"),
    ],
)
def test_each_refusal_has_its_words(error: RedisError, words: str) -> None:
    said = redis_reason(error, PLAIN)
    assert words in said
    assert "canary" not in said


@pytest.mark.parametrize("url", [TLS, parse_redis_url("unix:///run/redis.sock")])
def test_where_tls_is_spoken_or_can_not_be_nothing_is_said_of_it(url: RedisUrl) -> None:
    assert redis_reason(RedisConnectionError("canary"), url) == "the connection was cut"


def test_a_silence_under_tls_may_be_that_of_a_plain_port() -> None:
    error = RedisTimeoutError("canary")
    error.__context__ = TimeoutError()
    assert "it speaks no TLS: then redis://" in redis_reason(error, TLS)


@pytest.mark.parametrize(
    ("facts", "starts"),
    [
        ({}, []),
        (
            {"redis_version": "7.0.15", "maxmemory_policy": "noeviction", "aof_enabled": 1},
            ["✓ store version", "✓ eviction", "✓ persistence"],
        ),
        ({"redis_version": "5.0.14"}, ["✗ store version Redis 5.0.14 is too old"]),
        ({"redis_version": "6.0.16"}, ["✗ store version Redis 6.0.16 is too old"]),
        ({"maxmemory_policy": "volatile-lru"}, ["! eviction      maxmemory-policy is"]),
        ({"aof_enabled": 0}, ["! persistence   appendonly is off"]),
        ({"redis_version": "\x1b[2J"}, []),
    ],
)
def test_the_set_up_of_redis_is_judged(facts: dict[str, object], starts: list[str]) -> None:
    """GETDEL came with 6.2; an eviction is a random logout."""
    lines = [line(verdict, "utf-8") for verdict in on_facts(facts)]
    assert len(lines) == len(starts)
    for shown, start in zip(lines, starts, strict=True):
        assert shown.startswith(start)
