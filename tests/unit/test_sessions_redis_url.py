"""The URLs of Redis stores, as a table."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.sessions.redis.url import RedisUrl, parse_redis_url


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("redis://h", RedisUrl("single", (("h", 6379),))),
        ("redis://h:1/2", RedisUrl("single", (("h", 1),), db=2)),
        ("redis://h?db=3", RedisUrl("single", (("h", 6379),), db=3)),
        ("redis://[::1]:1", RedisUrl("single", (("::1", 1),))),
        ("redis://:p%40ss@h", RedisUrl("single", (("h", 6379),), password="p@ss")),
        ("redis://u:p@h", RedisUrl("single", (("h", 6379),), username="u", password="p")),
        ("redis://u:a@b@h", RedisUrl("single", (("h", 6379),), username="u", password="a@b")),
        (
            "rediss://h?ssl_ca_certs=/ca.pem",
            RedisUrl("single", (("h", 6379),), tls=True, options={"ssl_ca_certs": "/ca.pem"}),
        ),
        ("unix:///run/r.sock", RedisUrl("unix", path="/run/r.sock")),
        ("unix://u:p@/r%20s?db=1", RedisUrl("unix", path="/r s", db=1, username="u", password="p")),
        (
            "redis+sentinel://a,b:2/main/3?sentinel_password=s",
            RedisUrl(
                "sentinel",
                (("a", 26379), ("b", 2)),
                service="main",
                db=3,
                options={"sentinel_password": "s"},
            ),
        ),
        ("rediss+sentinel://a/main", RedisUrl("sentinel", (("a", 26379),), "", "main", tls=True)),
        ("redis+cluster://a:1,b:2", RedisUrl("cluster", (("a", 1), ("b", 2)))),
        ("rediss+cluster://u:p@a", RedisUrl("cluster", (("a", 6379),), "", "", 0, True, "u", "p")),
    ],
)
def test_a_url_names_its_parts(url: str, parsed: RedisUrl) -> None:
    """All four kinds, credentials percent-decoded."""
    assert parse_redis_url(url) == parsed


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "must begin with"),
        ("memory://", "must begin with"),
        ("http://h", "must begin with"),
        ("redis://", "no host"),
        ("redis://:p@", "no host"),
        ("redis://h:0x1", "port"),
        ("redis://h:99999", "port"),
        ("redis://h/x", "must be a number"),
        ("redis://h/-1", "must be a number"),
        ("redis://h/1/2", "too many parts"),
        ("redis://h/1?db=2", "too many parts"),
        ("redis://a,b", "several hosts"),
        ("redis://h#1", "unknown option"),
        ("redis://h?socket_timeout=99", "unknown option"),
        ("redis://h?ssl_cert_reqs=none", "unknown option"),
        ("redis://h?ssl_cert_reqs=", "unknown option"),
        ("redis://h?db=", "must be a number"),
        ("redis://[::1", "malformed"),
        ("unix://run/r.sock", "three slashes"),
        ("unix://", "no socket"),
        ("unix:///", "no socket"),
        ("redis+sentinel://a", "service"),
        ("redis+sentinel://a,,b/main", "no host"),
        ("redis+sentinel://a/main/x", "must be a number"),
        ("redis+cluster://a/1", "database 0"),
    ],
)
def test_a_wrong_url_is_refused(url: str, complaint: str) -> None:
    """At start, not at the first login; verification can't be switched off by an option."""
    with pytest.raises(ValueError, match=complaint):
        parse_redis_url(url)


@given(st.text())
def test_garbage_is_refused(text: str) -> None:
    """With ValueError only."""
    for url in (text, f"redis://u:{text}@h:port"):
        with contextlib.suppress(ValueError):
            parse_redis_url(url)


def test_an_error_does_not_repeat_the_url() -> None:
    """It may hold a password."""
    with pytest.raises(ValueError, match="port") as caught:
        parse_redis_url("redis://user:password@host:port")
    assert "password" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_no_repr_shows_a_password() -> None:
    """Neither the server's nor Sentinel's."""
    url = "redis+sentinel://u:hidden1@a/main?sentinel_password=hidden2"
    assert "hidden" not in repr(parse_redis_url(url))
