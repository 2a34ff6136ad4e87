"""Which of a browser's fields an upstream may see (RFC 9110 section 7.6.1, RFC 9700 4.13)."""

import re
from itertools import permutations
from pathlib import Path

import pytest

from bff.gate.field_names import TABLE, Meaning
from bff.gate.head import FieldReader, is_ours, scan, without

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


DOCUMENT = Path(__file__).parents[2] / "docs" / "forwarding.md"


def test_the_document_lists_the_names_that_are_stripped_and_no_others() -> None:
    """One row for each of the table's, in its order."""
    meanings = "|".join(meaning.value for meaning in Meaning)
    row = re.compile(rf"^\| ({meanings}) \| ([^|]+) \| (`[^|]+`) \|$", re.MULTILINE)
    rows = row.findall(DOCUMENT.read_text())
    assert rows == [
        (one.meaning.value, one.by, ", ".join(f"`{name}`" for name in one.names.split()))
        for one in TABLE
    ]


def test_every_name_of_the_table_is_stripped_in_every_spelling() -> None:
    names = [name for one in TABLE for name in one.names.split()]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        whole = name.replace("*", "x").encode()
        for spelled in (whole, whole.lower(), whole.upper(), whole.replace(b"-", b"_")):
            assert passed([*KEPT, (spelled, b"forged")]) == KEPT, spelled


@pytest.mark.parametrize(
    "name",
    [b"X-User-Timezone", b"X_User_Timezone", b"X-Original-Filename", b"X-Users", b"X-API-Key"],
)
def test_names_that_an_application_made_up_pass(name: bytes) -> None:
    assert passed([(name, b"1")]) == [(name, b"1")]


def test_what_was_stripped_is_known_by_its_name() -> None:
    sent = [(b"Host", b"x"), (b"Cookie", b"a=b"), (b"OIDC_CLAIM_sub", b"1"), (b"Accept", b"*/*")]
    scanned = scan([*sent, (b"X-User-Id", b"7"), (b"Via", b"1.1 x"), (b"Sec_Fetch_Site", b"x")])
    assert scanned.stripped == (b"OIDC_CLAIM_sub", b"X-User-Id", b"Sec_Fetch_Site")


def test_a_route_strips_more_in_every_spelling() -> None:
    scanned = scan([(b"X-Tenant-Id", b"1"), (b"x_tenant.id", b"2"), (b"X-Tenant", b"3")])
    less = without(scanned, {b"x-tenant-id"})
    assert less.passed == [(b"X-Tenant", b"3")]
    assert less.stripped == (b"X-Tenant-Id", b"x_tenant.id")
    assert without(scanned, {b"x-other"}) is scanned


@pytest.mark.parametrize(
    ("values", "single"),
    [([], None), ([b" a "], b"a"), ([b" "], None), ([b""], None), ([b"a", b"a"], None)],
)
def test_a_field_that_is_repeated_or_empty_has_no_value(
    values: list[bytes], single: bytes | None
) -> None:
    assert scan([(b"Accept", value) for value in values]).single(b"accept") == single
