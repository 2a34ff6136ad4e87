"""A WebSocket between a browser and an API, byte for byte, for as long as the session lives.

The API ends its frames wherever it likes; what we add ourselves, a close frame at the session's
end, goes in between two of them. Silence is no reason to close: that is what the protocol's own
pings are for. Back-pressure and hang-ups are the exchange's business.

RFC 6455 sections 1.3 (the accept value), 4.1, 5.2 (framing), 5.5.1 and 7.4.2 (close codes).
"""

import base64
import hashlib
from collections.abc import Callable, Iterable

from bff.errors import TooManyStreams, UpstreamMalformed
from bff.gate.head import Field
from bff.model import Session
from bff.proxy import messages
from bff.proxy.context import ProxyContext
from bff.proxy.exchange.answer import Writable
from bff.proxy.upstream.answer_head import AnswerHead
from bff.proxy.upstream.connection import UpstreamConnection
from bff.proxy.upstream.destination import Destination, UpstreamDestination
from bff.sessions.bound_streams import BoundStreams

SESSION_ENDED = 4401
GOING_AWAY = 1001

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LENGTH_16 = 126
_LENGTH_64 = 127


def accept_value(key: bytes) -> bytes:
    """What a server must answer to a `Sec-WebSocket-Key` (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def close_frame(code: int, reason: bytes = b"") -> bytes:
    """An unmasked close frame; `reason` has at most 123 bytes."""
    payload = code.to_bytes(2) + reason
    return bytes((0x88, len(payload))) + payload


class FrameBoundary:
    """Follows one direction of a stream, in whatever pieces it comes. Payload is not looked at."""

    __slots__ = ("_head", "_skip_bytes")

    def __init__(self) -> None:
        self._head = b""
        self._skip_bytes = 0

    @property
    def is_at_one(self) -> bool:
        """Whether the next byte begins a frame."""
        return not self._head and self._skip_bytes == 0

    def feed(self, data: bytes) -> None:
        """The next piece of the stream."""
        at = 0
        while at < len(data):
            if self._skip_bytes:
                step = min(self._skip_bytes, len(data) - at)
                self._skip_bytes -= step
                at += step
                continue
            wanted = _head_bytes(self._head) - len(self._head)
            self._head += data[at : at + wanted]
            at += wanted
            if len(self._head) >= 2 and len(self._head) == _head_bytes(self._head):
                self._skip_bytes = _payload_bytes(self._head)
                self._head = b""


def _head_bytes(head: bytes) -> int:
    """How long a frame's head is, as far as its beginning tells."""
    if len(head) < 2:
        return 2
    masked, length = head[1] & 0x80, head[1] & 0x7F
    extended = {_LENGTH_16: 2, _LENGTH_64: 8}.get(length, 0)
    return 2 + extended + (4 if masked else 0)


def _payload_bytes(head: bytes) -> int:
    length = head[1] & 0x7F
    if length == _LENGTH_16:
        return int.from_bytes(head[2:4])
    if length == _LENGTH_64:
        return int.from_bytes(head[2:10])
    return length


LONGEST_REASON_BYTES = 123
MOST_STREAMS = 512  # of a session, in one process: twice as many WebSockets as a browser opens


def accepts_handshake(fields: Iterable[Field], key: bytes | None) -> bool:
    """Whether a 101 answers this `Sec-WebSocket-Key` (RFC 6455 section 4.1, client's checks)."""
    if key is None:
        return False
    upgrade, accept = [], []
    for name, value in fields:
        lower = name.lower()
        if lower == b"upgrade":
            upgrade.append(value.strip().lower())
        elif lower == b"sec-websocket-accept":
            accept.append(value.strip())
    return upgrade == [b"websocket"] and accept == [accept_value(key)]


def require_room(streams: BoundStreams, session: Session | None) -> None:
    """Raises: TooManyStreams: the session has as many open as it may."""
    if session is not None and streams.count(session.key) >= MOST_STREAMS:
        raise TooManyStreams


class Tunnel:
    """`over` is called once it was ended from here."""

    __slots__ = ("_boundary", "_browser", "_over", "_upstream")

    def __init__(
        self, browser: Writable, upstream: UpstreamConnection, over: Callable[[], None]
    ) -> None:
        self._browser = browser
        self._upstream = upstream
        self._over = over
        self._boundary = FrameBoundary()

    def from_browser(self, data: bytes) -> None:
        self._upstream.send(data)

    def from_upstream(self, data: bytes) -> None:
        self._boundary.feed(data)
        self._browser.write(data)

    def end(self, reason: str, code: int = SESSION_ENDED) -> None:
        """Hang up on both sides, and tell the browser why if a frame can begin here."""
        if self._boundary.is_at_one:
            self._browser.write(close_frame(code, reason.encode()[:LONGEST_REASON_BYTES]))
        self._over()


def switch_protocol(
    context: ProxyContext,
    destination: Destination,
    head: AnswerHead,
    browser: Writable,
    upstream: UpstreamConnection,
    over: Callable[[], None],
    *,
    frontend: str,
) -> Tunnel:
    """Pass a 101 on to the browser; its upstream works, whether or not there is room for a tunnel.
    `frontend` is the application that is spoken to.

    Raises:
        UpstreamMalformed: it was not asked for, or accepts another handshake.
        TooManyStreams: others were under way as well, and there is no more room.
    """
    if not accepts_handshake(head.fields, destination.websocket_key):
        raise UpstreamMalformed("101 that was not asked for")
    destination.answered()
    require_room(context.bound_streams, destination.session)
    context.metrics.answered(UpstreamDestination.kind, head.status, frontend=frontend)
    fields = [*destination.answer_fields(head), *messages.UPGRADE]
    browser.write(messages.response_head(head.status, head.reason, fields))
    return Tunnel(browser, upstream, over)
