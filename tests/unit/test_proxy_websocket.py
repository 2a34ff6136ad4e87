"""Where one WebSocket frame ends, and what a handshake must look like."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.errors import BadHandshake
from bff.gate.framing import is_websocket_upgrade, require_handshake
from bff.gate.head import scan
from bff.proxy.exchange.websocket import FrameBoundary, accept_value, accepts_handshake, close_frame

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    b"Connection": b"keep-alive, Upgrade",
    b"Upgrade": b"websocket",
    b"Sec-WebSocket-Version": b"13",
    b"Sec-WebSocket-Key": KEY,
}


def frame(payload_bytes: int, *, masked: bool) -> bytes:
    mask = 0x80 if masked else 0
    if payload_bytes < 126:
        length = bytes([mask | payload_bytes])
    elif payload_bytes < 1 << 16:
        length = bytes([mask | 126]) + payload_bytes.to_bytes(2)
    else:
        length = bytes([mask | 127]) + payload_bytes.to_bytes(8)
    return b"\x82" + length + (b"mask" if masked else b"") + b"x" * payload_bytes


SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])


@given(
    frames=st.lists(st.tuples(SIZES, st.booleans()), max_size=4),
    cuts=st.lists(st.integers(0, 300_000), max_size=8),
)
def test_a_boundary_is_where_a_frame_ends_and_nowhere_else(
    frames: Sequence[tuple[int, bool]], cuts: Sequence[int]
) -> None:
    encoded = [frame(size, masked=masked) for size, masked in frames]
    stream, ends, total = b"".join(encoded), {0}, 0
    for one in encoded:
        total += len(one)
        ends.add(total)
    boundary, at = FrameBoundary(), 0
    for cut in sorted({*(cut for cut in cuts if cut <= len(stream)), len(stream)}):
        boundary.feed(stream[at:cut])
        at = cut
        assert boundary.is_at_one == (cut in ends)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_the_next_frame_begins_where_the_payload_ends(size: int, *, masked: bool) -> None:
    boundary, whole = FrameBoundary(), frame(size, masked=masked)
    boundary.feed(whole[:-1])
    assert not boundary.is_at_one
    boundary.feed(whole[-1:] + whole)
    assert boundary.is_at_one


def test_each_byte_of_the_longest_length_counts() -> None:
    """RFC 6455 section 5.2: eight bytes. What is taken for a boundary would get a close frame."""
    for exponent in range(0, 63, 8):
        boundary = FrameBoundary()
        boundary.feed(b"\x82\x7f" + (1 << exponent).to_bytes(8))
        assert not boundary.is_at_one


def test_a_head_is_followed_byte_by_byte() -> None:
    boundary = FrameBoundary()
    whole = frame(65_536, masked=True)[:14]
    for byte in whole:
        boundary.feed(bytes([byte]))
        assert not boundary.is_at_one
    boundary.feed(b"x" * 65_536)
    assert boundary.is_at_one


def test_the_close_frame_says_code_and_reason() -> None:
    assert close_frame(4401, b"logout") == b"\x88\x08" + (4401).to_bytes(2) + b"logout"


def test_the_accept_value_is_that_of_the_specification() -> None:
    """RFC 6455 section 1.3."""
    assert accept_value(KEY) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_a_handshake_gives_its_key() -> None:
    assert require_handshake("GET", scan(GOOD.items())) == KEY


@pytest.mark.rule("PX-17")
@pytest.mark.parametrize(
    "change",
    [
        {b"Connection": b"keep-alive"},
        {b"Sec-WebSocket-Version": b"8"},
        {b"Sec-WebSocket-Key": b"short"},
        {b"Sec-WebSocket-Key": KEY[:-3] + b"B=="},
        {b"Sec-WebSocket-Key": b""},
        {b"Content-Length": b"5"},
        {b"Transfer-Encoding": b"chunked"},
    ],
)
def test_a_handshake_with_a_second_reading_is_refused(change: dict[bytes, bytes]) -> None:
    with pytest.raises(BadHandshake):
        require_handshake("GET", scan((GOOD | change).items()))


def test_a_handshake_is_a_get_with_one_key() -> None:
    with pytest.raises(BadHandshake):
        require_handshake("POST", scan(GOOD.items()))
    with pytest.raises(BadHandshake):
        require_handshake("GET", scan([*GOOD.items(), (b"sec-websocket-key", KEY)]))


@pytest.mark.rule("PX-17")
@pytest.mark.parametrize(
    ("upgrade", "is_one"),
    [
        ([b"websocket"], True),
        ([b"WebSocket"], True),
        ([b"h2c"], False),
        ([b"websocket, h2c"], False),
        ([b"h2c", b"websocket"], False),
        ([], False),
    ],
)
def test_no_other_protocol_is_let_through(upgrade: list[bytes], *, is_one: bool) -> None:
    assert is_websocket_upgrade(upgrade) is is_one


def test_a_101_counts_only_as_the_answer_to_our_key() -> None:
    good = [(b"Upgrade", b"websocket"), (b"Sec-WebSocket-Accept", accept_value(KEY))]
    assert accepts_handshake(good, KEY)
    assert not accepts_handshake(good, None)
    assert not accepts_handshake(good[:1], KEY)
    assert not accepts_handshake([*good, good[1]], KEY)
    assert not accepts_handshake([(b"Upgrade", b"h2c"), good[1]], KEY)
    assert not accepts_handshake([good[0], (b"Sec-WebSocket-Accept", b"x")], KEY)
