"""Which of a browser's fields an upstream may see (RFC 9110 section 7.6.1, RFC 9700 4.13)."""

from itertools import permutations

import pytest

from bff.gate.head import FieldReader, is_ours, scan

KEPT = [
    (b"Accept", b"*/*"),
    (b"Content-Type", b"application/json"),
    (b"If-None-Match", b'"x"'),
    (b"X-Custom_Header", b"1"),
    (b"traceparent", b"00-1-1-01"),
    (b"Origin", b"https://app.example"),
]


def passed(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return scan(fields, frozenset()).passed


@pytest.mark.rule("PX-06")
@pytest.mark.parametrize(
    "name",
    [
        b"Authorization",
        b"AUTHORIZATION",
        b"Authorization_".rstrip(b"_"),
        b"DPoP",
        b"Proxy-Authorization",
        b"Proxy_Authorization",
        b"Cookie",
        b"X-Forwarded-For",
        b"X_Forwarded_For",
        b"X-Forwarded_User",
        b"x_forwarded_user",
        b"X-Forwarded-Anything",
        b"X_FORWARDED_PREFIX",
        b"X-Auth-Request-User",
        b"X_Auth_Request_Email",
        b"X-User-Id",
        b"X_User",
        b"X-Remote-User",
        b"Remote_User",
        b"X-Original-URL",
        b"X_Original_URI",
        b"X-Rewrite-URL",
        b"X-HTTP-Method-Override",
        b"Forwarded",
        b"Via",
        b"X-Real-IP",
        b"X_Real_IP",
        b"X-Request-ID",
        b"X_Request_Id",
        b"Host",
        b"Expect",
    ],
)
def test_what_speaks_for_the_gateway_never_passes_in_any_spelling(name: bytes) -> None:
    assert passed([*KEPT, (name, b"forged"), (name, b"again")]) == KEPT
    assert is_ours(name)


@pytest.mark.rule("PX-07")
@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Connection",
        b"TE",
        b"Trailer",
        b"Transfer-Encoding",
        b"Transfer_Encoding",
        b"Upgrade",
        b"HTTP2-Settings",
    ],
)
def test_hop_by_hop_fields_never_pass(name: bytes) -> None:
    assert passed([*KEPT, (name, b"x")]) == KEPT


@pytest.mark.rule("PX-07")
def test_fields_that_connection_names_are_dropped() -> None:
    fields = [(b"Connection", b"close, X-Foo"), (b"X-Foo", b"1"), (b"x-foo", b"2"), *KEPT]
    assert passed(fields) == KEPT


@pytest.mark.rule("PX-07")
def test_connection_cannot_strip_what_describes_the_body() -> None:
    fields = [(b"Connection", b"content-type, content-length"), (b"Content-Length", b"5"), *KEPT]
    assert passed(fields) == [(b"Content-Length", b"5"), *KEPT]


def test_a_repeated_field_has_no_single_value() -> None:
    scanned = scan([(b"Origin", b"a"), (b"origin", b"b"), (b"Sec-Fetch-Site", b" x ")], frozenset())
    assert scanned.single(b"origin") is None
    assert scanned.values(b"origin") == [b"a", b"b"]
    assert scanned.single(b"sec-fetch-site") == b"x"
    assert scanned.single(b"absent") is None


def test_what_is_remembered_of_names_is_bounded() -> None:
    """Heads with ever new names, and with ever new orders of a few, cost no memory in the end; what
    is not remembered is sorted all the same."""
    reader = FieldReader()
    for number in range(10_000):
        fields = [(b"X-%d" % number, b"1"), (b"Cookie", b"a"), (b"Accept", b"*/*")]
        assert reader.scan(fields).passed == [fields[0], fields[2]]
    assert len(reader) <= 2 * 1024
    reader = FieldReader()
    names = [b"Accept", b"Origin", b"Cookie", b"Referer", b"Priority", b"DNT", b"Pragma", b"Host"]
    for order in permutations(names):
        assert (b"Cookie", b"1") not in reader.scan([(name, b"1") for name in order]).passed
    assert len(reader) <= len(names) + 1024
