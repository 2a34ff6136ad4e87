"""A WebSocket between a browser and an API, byte for byte, for as long as the session lives.

The API ends its frames wherever it likes; what we add ourselves, a close frame at the session's
end, goes in between two of them (RFC 6455 section 5.5.1). Silence is no reason to close: that is
what the protocol's own pings are for. Back-pressure and hang-ups are the exchange's business.
"""

from collections.abc import Callable, Iterable

from bff.errors import TooManyStreams, UpstreamMalformed
from bff.gate.head import Field
from bff.model import Session
from bff.proxy import messages
from bff.proxy.answer_head import AnswerHead
from bff.proxy.answer_writer import Writable
from bff.proxy.shared import Shared
from bff.proxy.trip import Trip, UpstreamTrip
from bff.proxy.upstream.connection import UpstreamConnection
from bff.proxy.websocket import SESSION_ENDED, FrameBoundary, accept_value, close_frame
from bff.sessions.bound_streams import BoundStreams

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
    shared: Shared,
    trip: Trip,
    head: AnswerHead,
    browser: Writable,
    upstream: UpstreamConnection,
    over: Callable[[], None],
) -> Tunnel:
    """Pass a 101 on to the browser.

    Raises:
        UpstreamMalformed: it was not asked for, or accepts another handshake.
        TooManyStreams: others were under way as well, and there is no more room.
    """
    if not accepts_handshake(head.fields, trip.websocket_key):
        raise UpstreamMalformed("101 that was not asked for")
    require_room(shared.bound_streams, trip.session)
    shared.metrics.answered(UpstreamTrip.kind, head.status)
    fields = [*trip.answer_fields(head), *messages.UPGRADE]
    browser.write(messages.response_head(head.status, head.reason, fields))
    return Tunnel(browser, upstream, over)
