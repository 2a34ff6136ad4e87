"""JSON of the OP: one reading or none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.provider.strict_json import MAX_DEPTH, JsonRefused, parse_json

REFUSED = {
    "empty": b"",
    "html": b"<html></html>",
    "duplicate_names": b'{"sub":"a","sub":"b"}',
    "duplicate_names_inside": b'[{"a":{"b":1,"b":1}}]',
    "duplicate_by_escape": b'{"sub":1,"su\\u0062":2}',
    "nan": b'{"exp":NaN}',
    "infinity": b'{"exp":-Infinity}',
    "overflow": b'{"exp":1e999}',
    "not_utf8": b'{"a":"\xff"}',
    "utf16": json.dumps({"a": 1}).encode("utf-16"),
    "byte_order_mark": b'\xef\xbb\xbf{"a":1}',
    "lone_surrogate": b'{"sub":"\\ud800"}',
    "lone_surrogate_name": b'{"\\udfff":1}',
    "too_deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "too_deep_objects": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "depth_bomb": b"[" * 500_000,
    "digit_bomb": b"9" * 100_000,
    "two_values": b"{} {}",
}


@pytest.mark.rule("TK-04")
@pytest.mark.rule("ID-16")
@pytest.mark.parametrize("kind", REFUSED)
def test_ambiguous_or_hostile_json_is_refused_with_one_error(kind: str) -> None:
    """RFC 7493, RFC 8259 section 8.1; and the error never quotes what was sent."""
    with pytest.raises(JsonRefused) as caught:
        parse_json(REFUSED[kind])
    assert str(caught.value).isascii()
    assert "sub" not in str(caught.value)


def test_ordinary_json_is_read() -> None:
    text = '{"a":[1,-2.5,true,null,"\\ud83d\\ude00"],"b":{"a":1e3}}'
    assert parse_json(text.encode()) == json.loads(text)
    assert parse_json(b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1)) != []


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = parse_json(data)
    except JsonRefused:
        return
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")


def test_a_value_may_be_nested_so_deep_and_no_deeper() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    most = MAX_DEPTH - 1
    assert parse_json(b'{"a":' * most + b"{}" + b"}" * most)
    with pytest.raises(JsonRefused, match="too deep"):
        parse_json(b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH)


def test_a_refusal_says_what_is_wrong() -> None:
    for text, why in (
        (b'{"a":1,"a":2}', "duplicate member name"),
        (b"1e999", "number out of range"),
        (b"NaN", "not a JSON number"),
        (b"x", "not JSON"),
    ):
        with pytest.raises(JsonRefused, match=why):
            parse_json(text)
