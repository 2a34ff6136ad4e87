"""What a head says of itself and of what follows it (RFC 9112 sections 5 and 6, RFC 6455 4.2.1)."""

import pytest

from bff.errors import BadHandshake, BadRequest, BffError, BodyTooLarge, HeadTooLarge, TargetTooLong
from bff.gate.framing import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    asks_for_websocket,
    head_bytes,
    is_tunnel,
    is_websocket_upgrade,
    require_handshake,
    require_sound_head,
)
from bff.gate.head import RequestHead, scan
from bff.gate.paths import MAX_TARGET_BYTES

Fields = list[tuple[bytes, bytes]]

LENGTH = (b"Content-Length", b"100")
CHUNKED = (b"Transfer-Encoding", b"chunked")
KEY = (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")
VERSION = (b"Sec-WebSocket-Version", b"13")
UPGRADE = (b"Connection", b"keep-alive, Upgrade")


def judge(
    *fields: tuple[bytes, bytes],
    target: bytes = b"/",
    version: str = "1.1",
    most_bytes: int = 1 << 20,
    fault: BffError | None = None,
    max_body_bytes: int | None = None,
) -> None:
    head = RequestHead("POST", target, fields, None, version, most_bytes, fault)
    require_sound_head(head, scan(fields), max_body_bytes)


@pytest.mark.rule("SM-06")
def test_a_head_within_the_bounds_is_sound() -> None:
    judge(LENGTH, version="1.0", max_body_bytes=100)
    judge(CHUNKED, max_body_bytes=1)
    judge((b"Content-Length", b"9" * 19))
    judge(*[(b"A", b"b")] * MAX_FIELDS)
    judge(target=b"/" + b"a" * (MAX_TARGET_BYTES - 1))
    judge((b"A", b"b" * (MAX_HEAD_BYTES - 5)))


@pytest.mark.rule("SM-06")
def test_what_is_too_large_is_refused_at_the_first_byte_too_many() -> None:
    with pytest.raises(BodyTooLarge):
        judge(LENGTH, max_body_bytes=99)
    with pytest.raises(BadRequest):
        judge((b"Content-Length", b"0" * 20))
    with pytest.raises(HeadTooLarge):
        judge(*[(b"A", b"b")] * (MAX_FIELDS + 1))
    with pytest.raises(TargetTooLong):
        judge(target=b"/" + b"a" * MAX_TARGET_BYTES)
    with pytest.raises(HeadTooLarge):
        judge((b"A", b"b" * (MAX_HEAD_BYTES - 4)))
    assert head_bytes([(b"A", b"b"), (b"Accept", b"c")]) == 17


def test_a_small_head_is_not_counted() -> None:
    judge((b"A", b"b" * MAX_HEAD_BYTES), most_bytes=MAX_TARGET_BYTES)
    with pytest.raises(HeadTooLarge):
        judge((b"A", b"b" * MAX_HEAD_BYTES), most_bytes=MAX_TARGET_BYTES + 1)


@pytest.mark.rule("SM-03")
def test_only_chunked_and_only_in_http_1_1_is_a_coding() -> None:
    for fields, version in (
        ([CHUNKED], "1.0"),
        ([(b"Transfer-Encoding", b"gzip")], "1.1"),
        ([CHUNKED, CHUNKED], "1.1"),
    ):
        with pytest.raises(BadRequest):
            judge(*fields, version=version)
    for version in ("2.0", "", "0.9"):
        with pytest.raises(BadRequest):
            judge(version=version)


def test_what_a_parser_has_found_comes_first() -> None:
    with pytest.raises(BodyTooLarge):
        judge(version="0.9", fault=BodyTooLarge())


@pytest.mark.rule("PX-17")
@pytest.mark.parametrize(
    ("fields", "method", "why"),
    [
        ([KEY, VERSION, UPGRADE], "POST", "method"),
        ([KEY, VERSION], "GET", "Connection"),
        ([KEY, VERSION, (b"Connection", b"close")], "GET", "Connection"),
        ([KEY, UPGRADE], "GET", "Sec-WebSocket-Version"),
        ([KEY, VERSION, VERSION, UPGRADE], "GET", "Sec-WebSocket-Version"),
        ([KEY, (b"Sec-WebSocket-Version", b"8"), UPGRADE], "GET", "Sec-WebSocket-Version"),
        ([KEY, VERSION, UPGRADE, CHUNKED], "GET", "a body"),
        ([KEY, VERSION, UPGRADE, LENGTH], "GET", "a body"),
        ([VERSION, UPGRADE], "GET", "Sec-WebSocket-Key"),
        ([KEY, KEY, VERSION, UPGRADE], "GET", "Sec-WebSocket-Key"),
        ([(KEY[0], b"short"), VERSION, UPGRADE], "GET", "Sec-WebSocket-Key"),
        ([(KEY[0], KEY[1] + b"\n"), VERSION, UPGRADE], "GET", "Sec-WebSocket-Key"),
        ([(KEY[0], b"dGhlIHNhbXBsZSBub25jZR=="), VERSION, UPGRADE], "GET", KEY[0].decode()),
    ],
)
def test_a_handshake_that_can_be_read_in_two_ways_is_none(
    fields: Fields, method: str, why: str
) -> None:
    with pytest.raises(BadHandshake, match=f"{why}$"):
        require_handshake(method, scan(fields))


@pytest.mark.rule("PX-17")
@pytest.mark.parametrize("body", [[], [(b"Content-Length", b"0")]])
def test_a_handshake_in_order_gives_its_key(body: Fields) -> None:
    assert require_handshake("GET", scan([KEY, VERSION, UPGRADE, *body])) == KEY[1]


@pytest.mark.parametrize(
    ("upgrade", "asks", "is_it"),
    [
        ([], False, False),
        ([b"websocket"], True, True),
        ([b" WebSocket "], True, True),
        ([b"websocket/13"], True, False),
        ([b"h2c, websocket"], True, False),
        ([b"h2c", b"websocket"], True, False),
        ([b"websockets"], False, False),
        ([b"h2c/websocket"], False, False),
    ],
)
def test_a_websocket_is_asked_for_by_name_and_alone(
    upgrade: list[bytes], asks: bool, is_it: bool
) -> None:
    assert (asks_for_websocket(upgrade, "1.1"), is_websocket_upgrade(upgrade)) == (asks, is_it)


def test_after_a_tunnel_comes_something_else_than_http() -> None:
    assert is_tunnel(b"CONNECT", [], "1.0")
    assert is_tunnel(b"GET", [(b"UPGRADE", b"websocket")], "1.1")
    assert not is_tunnel(b"GET", [(b"Accept", b"websocket"), (b"Upgrade", b"h2c")], "1.1")


def test_an_upgrade_in_http_1_0_is_ignored() -> None:
    """RFC 9110 section 7.8: a server MUST ignore it."""
    assert not asks_for_websocket([b"websocket"], "1.0")
    assert not is_tunnel(b"GET", [(b"Upgrade", b"websocket")], "1.0")
