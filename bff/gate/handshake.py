"""What makes a request a WebSocket handshake: one reading, or none. RFC 6455 section 4.2.1."""

import re

from bff.errors import BadHandshake
from bff.gate.head import ScannedFields, connection_options

# Sixteen bytes in base64: the last digit before the padding holds two bits only.
_KEY = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==\Z")


def asks_for_websocket(upgrade: list[bytes]) -> bool:
    """Whether WebSocket is among the protocols offered. Any other Upgrade is as good as none: a
    server may ignore it, and some clients offer h2c with each request (RFC 9110 section 7.8)."""
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
