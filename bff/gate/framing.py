"""What a request's head says of itself and of what follows it: version, size, the end of the body,
and whether another protocol begins. One reading, or none.

RFC 9112 sections 2.3 (version), 5 (size) and 6 (body); RFC 9110 sections 7.8 (upgrade) and 15.5.14;
RFC 6455 section 4.2.1 (WebSocket handshake); RFC 6585 section 5 (431).
"""

import re
from collections.abc import Iterable

from bff.errors import BadHandshake, BadRequest, BodyTooLarge, HeadTooLarge, TargetTooLong
from bff.gate.head import Field, RequestHead, ScannedFields, connection_options
from bff.gate.paths import MAX_TARGET_BYTES

FRAMING_FIELDS = (b"content-length", b"transfer-encoding")  # which say where a body ends
MAX_HEAD_BYTES = 65_536
MAX_FIELDS = 200
MOST_LENGTH_DIGITS = 19  # of a Content-Length: what has more is larger than 2**63, or padded

# Sixteen bytes in base64: the last digit before the padding holds two bits only.
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==\Z")


def require_sound_head(
    head: RequestHead, fields: ScannedFields, max_body_bytes: int | None
) -> None:
    """Refuse a head after which it can't be told, or is not wanted, what follows on the connection.
    `max_body_bytes` None is no limit.

    Raises:
        BadRequest: it is not HTTP/1, or the end of its body could be found in two ways.
        HeadTooLarge: too many fields, or too large ones.
        TargetTooLong: its target is longer than any that is served.
        BodyTooLarge: it announces a body over the limit.
        BffError: what the parser has found, `head.fault`.
    """
    if head.fault is not None:
        raise head.fault
    if not head.version.startswith("1."):
        raise BadRequest("not HTTP/1")
    if len(head.fields) > MAX_FIELDS:
        raise HeadTooLarge
    if head.most_bytes > MAX_TARGET_BYTES:  # else there is no need to count
        if len(head.target) > MAX_TARGET_BYTES:
            raise TargetTooLong
        if head_bytes(head.fields) > MAX_HEAD_BYTES:
            raise HeadTooLarge
    if b"content-length" in fields.places or b"transfer-encoding" in fields.places:
        _require_sound_body(head.version, fields, max_body_bytes)


def _require_sound_body(version: str, fields: ScannedFields, max_bytes: int | None) -> None:
    lengths = fields.values(b"content-length")
    for length in lengths:
        if len(length) > MOST_LENGTH_DIGITS:
            raise BadRequest("a Content-Length of too many digits")
    codings = fields.values(b"transfer-encoding")
    if codings and (_lower(codings) != [b"chunked"] or version == "1.0"):
        # RFC 9112 section 6.1. A parser may let pass whatever ends in chunked, in any version.
        raise BadRequest("a transfer coding other than chunked, or in HTTP/1.0")
    if max_bytes is not None and lengths and int(lengths[0]) > max_bytes:
        raise BodyTooLarge


def head_bytes(fields: Iterable[Field]) -> int:
    """About how large a head with these fields is."""
    return sum(len(name) + len(value) + 4 for name, value in fields)


def is_tunnel(method: bytes, fields: Iterable[Field], version: str) -> bool:
    """Whether what follows this head may be something else than HTTP."""
    upgrade = [value for name, value in fields if name.lower() == b"upgrade"]
    return method == b"CONNECT" or asks_for_websocket(upgrade, version)


def asks_for_websocket(upgrade: list[bytes], version: str) -> bool:
    """Whether WebSocket is among the protocols offered. Any other Upgrade is as good as none: a
    server may ignore it, and some clients offer h2c with each request (RFC 9110 section 7.8)."""
    if version == "1.0":  # section 7.8: a server MUST ignore Upgrade there
        return False
    offered = (one for value in upgrade for one in value.split(b","))
    return any(one.partition(b"/")[0].strip().lower() == b"websocket" for one in offered)


def is_websocket_upgrade(upgrade: list[bytes]) -> bool:
    """Whether this is the one protocol that is let through, and no choice of several."""
    return len(upgrade) == 1 and upgrade[0].strip().lower() == b"websocket"


def require_handshake(method: str, fields: ScannedFields) -> bytes:
    """The `Sec-WebSocket-Key`.

    Raises:
        BadHandshake: an upstream could read it in another way than we do.
    """
    if method != "GET":
        raise BadHandshake("method")
    if b"upgrade" not in connection_options(fields.values(b"connection")):
        raise BadHandshake("Connection")
    if fields.values(b"sec-websocket-version") != [b"13"]:
        raise BadHandshake("Sec-WebSocket-Version")
    if fields.values(b"transfer-encoding") or fields.values(b"content-length") not in ([], [b"0"]):
        raise BadHandshake("a body")
    keys = fields.values(b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.match(keys[0]):
        raise BadHandshake("Sec-WebSocket-Key")
    return keys[0]


def _lower(values: Iterable[bytes]) -> list[bytes]:
    return [value.strip().lower() for value in values]
