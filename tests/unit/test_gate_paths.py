"""The request target has one reading, or none (RFC 9112 section 3.2, RFC 3986 section 6.2.2)."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import AmbiguousPath, BadRequest, BffError, TargetTooLong
from bff.gate.paths import (
    MAX_TARGET_BYTES,
    is_authority,
    read_target,
    require_canonical_path,
)
from tests.canonical_target import parse_target

AMBIGUOUS = [
    b"/api/../admin",
    b"/api/..",
    b"/..",
    b"/api/./x",
    b"/.",
    b"/api/%2e%2e/admin",
    b"/api/%2E./admin",
    b"/api/.%2e/admin",
    b"/api/..%2fadmin",
    b"/api/..%5cadmin",
    b"/api/..\\admin",
    b"/api\\..\\admin",
    b"/api/%252e%252e/admin",
    b"/api/%25",
    b"/api/a%2fb",
    b"/api/a%2Fb",
    b"/api/a%5cb",
    b"/api/a%00b",
    b"/api/a\x00b",
    b"/api/a%0d%0aX: y",
    b"/api/a%7f",
    b"/api/a%09",
    b"/api/a%",
    b"/api/a%2",
    b"/api/a%zz",
    b"/api/a%2%66",
    b"/api/%61dmin",
    b"/%61pi/x",
    b"/api/%41",
    b"/api/%7euser",
    b"/api/.;/admin",
    b"/api/..;/admin",
    b"/api/a;b=c/d",
    b"/api/a%3bb",
    b"//api/x",
    b"/api//x",
    b"/api/x//",
    b"/api/secret#/bar",
    b"/api/a b",
    b"/api/a\tb",
    "/api/ä".encode(),
    b"/api/\xff",
    b'/api/"x"',
    b"/api/<x>",
    b"/api/{x}",
    b"/api/`x",
    b"/api/^x",
]

CANONICAL = [
    b"/",
    b"/api",
    b"/api/",
    b"/api/a/b/c",
    b"/api/...",
    b"/api/.well-known/x",
    b"/api/a..b",
    b"/api/..a",
    b"/api/%20",
    b"/api/%C3%A4",
    b"/api/%c3%a4",
    b"/api/a%23b",
    b"/api/a%3fb",
    b"/api/a%3Ab",
    b"/api/x:y@z",
    b"/api/@evil",
    b"/api/a,b;".rstrip(b";"),
    b"/api/!$&'()*+,=~_-",
    b"/api/[1]|x",
]


@pytest.mark.rule("PX-02")
@pytest.mark.parametrize("path", AMBIGUOUS)
def test_a_path_with_a_second_reading_is_refused(path: bytes) -> None:
    with pytest.raises(AmbiguousPath):
        parse_target(path)


@pytest.mark.rule("PX-03")
@pytest.mark.parametrize("path", CANONICAL)
def test_a_canonical_path_is_kept_byte_for_byte(path: bytes) -> None:
    assert parse_target(path).path == path


@pytest.mark.rule("PX-03")
@pytest.mark.parametrize(
    "query",
    [b"", b"q=a+b&r=%2f&s=a%20b&t=%2B&u&v=", b"?", b"a=b?c=d", b"x=../..", b"a=%00&b=;", b"'\"<>"],
)
def test_a_query_is_kept_byte_for_byte(query: bytes) -> None:
    target = parse_target(b"/api/x?" + query)
    assert (target.path, target.query, target.suffix) == (b"/api/x", query, b"?" + query)


def test_no_query_is_not_an_empty_query() -> None:
    assert parse_target(b"/x").query is None
    assert parse_target(b"/x").suffix == b""


@pytest.mark.parametrize("query", [b"a b", b"a\x00", b"a#b", b"\xff", b"a\tb", b"a\x7f"])
def test_bytes_no_query_holds_are_refused(query: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_target(b"/x?" + query)


@pytest.mark.rule("SM-05")
@pytest.mark.parametrize(
    ("raw", "authority", "path"),
    [
        (b"http://evil/api/x", b"evil", b"/api/x"),
        (b"HTTP://App.Example:8080/x", b"app.example:8080", b"/x"),
        (b"http://[::1]:80/x", b"[::1]:80", b"/x"),
        (b"http://app", b"app", b"/"),
        (b"http://app?x=1", b"app", b"/"),
    ],
)
def test_an_absolute_target_names_its_authority(raw: bytes, authority: bytes, path: bytes) -> None:
    target = parse_target(raw)
    assert (target.authority, target.path) == (authority, path)


@pytest.mark.rule("SM-05")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"api/x",
        b"evil:443",
        b"ftp://evil/",
        b"http:///x",
        b"http://user@evil/x",
        b"http://evil:port/x",
        b"http:/evil/x",
        b"javascript:alert(1)",
    ],
)
def test_other_target_forms_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_target(raw)


@pytest.mark.rule("SM-06")
def test_a_target_over_the_limit_is_refused() -> None:
    parse_target(b"/" + b"a" * (MAX_TARGET_BYTES - 1))
    with pytest.raises(TargetTooLong):
        parse_target(b"/" + b"a" * MAX_TARGET_BYTES)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"app.example", True),
        (b"app.example:443", True),
        (b"[::1]:8080", True),
        (b"127.0.0.1:1", True),
        (b"", False),
        (b"a b", False),
        (b"a/b", False),
        (b"u@h", False),
        (b"a:b", False),
        (b"a,b", False),
        (b"a:123456", False),
        (b"a\r\nb", False),
    ],
)
def test_a_host_value_is_a_host_and_a_port(value: bytes, *, valid: bool) -> None:
    assert is_authority(value) is valid


@pytest.mark.rule("PX-02")
@given(
    st.lists(
        st.sampled_from(
            [b"/", b".", b"..", b"%2e", b"%2f", b"%5c", b"\\", b";", b"%25", b"a", b"%00", b"%61"]
        ),
        max_size=12,
    )
)
def test_what_is_accepted_stays_in_place_however_often_it_is_decoded(parts: list[bytes]) -> None:
    """No number of decodings, nor reading a backslash as a slash, moves an accepted path."""
    raw = b"/api/" + b"".join(parts)
    try:
        path = parse_target(raw).path
    except BffError:
        return
    for _ in range(3):
        segments = path.replace(b"\\", b"/").split(b"/")[1:]
        assert segments[0] == b"api"
        assert not {b".", b".."} & {segment.partition(b";")[0] for segment in segments}
        path = unquote_to_bytes(path)


@given(st.binary(max_size=64))
def test_no_bytes_make_the_parser_fail_otherwise(raw: bytes) -> None:
    try:
        target = parse_target(raw)
    except BffError:
        return
    assert target.path.startswith(b"/")
    assert not target.path.startswith(b"//")


@pytest.mark.parametrize(
    "raw", [b"/a b", b"/a\\b", b"/a#b", b"/a\x7f", b"/\xc3\xa4", b"http://a/b c"]
)
def test_bytes_that_no_path_holds_are_refused_at_once(raw: bytes) -> None:
    with pytest.raises(AmbiguousPath):
        read_target(raw)


def test_a_configured_path_has_one_reading() -> None:
    require_canonical_path(b"/a/b")
    for path in (b"/a//b", b"/a/../b", b"/%61"):
        with pytest.raises(AmbiguousPath):
            require_canonical_path(path)
