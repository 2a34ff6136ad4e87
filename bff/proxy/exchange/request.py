"""A request's body as far as it has come: framed for the upstream, and kept while it is small, in
case the request has to be sent again. RFC 9112 sections 6.1, 6.2 and 7.1; RFC 9110 sections 9.2.2
(retries) and 10.1.1 (100-continue)."""

from collections.abc import Callable, Iterable, Sequence

from bff.gate.framing import MOST_LENGTH_DIGITS
from bff.gate.head import Field, RequestHead
from bff.proxy.exchange.answer import Browser
from bff.proxy.messages import CHUNKED, CONTINUE, LAST_CHUNK, chunk
from bff.proxy.upstream.connection import UpstreamConnection
from bff.proxy.upstream.reader import AnswerReceiver

KEPT_BYTES = 65_536  # also how much is taken in before there is an upstream to send it to

# RFC 9110 section 9.2.2: doing it twice is as good as doing it once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class RequestBody:
    """`is_chunked`, `announced_bytes` and `expects_continue` are what the head says of it."""

    __slots__ = (
        "_chunks", "_kept", "announced_bytes", "complete", "expects_continue", "is_chunked",
        "seen_bytes",
    )  # fmt: skip

    def __init__(self, fields: Iterable[Field]) -> None:
        self.is_chunked = False
        self.expects_continue = False
        self.announced_bytes = 0
        self.complete = False
        self.seen_bytes = 0
        self._chunks: list[bytes] = []
        self._kept = True
        for name, value in fields:
            lower = name.lower()
            if lower == b"content-length":
                if len(value) <= MOST_LENGTH_DIGITS:  # the gate refuses any other
                    self.announced_bytes = int(value)  # llhttp lets nothing but digits pass
            elif lower == b"transfer-encoding":
                self.is_chunked = True
            elif lower == b"expect":
                self.expects_continue = value.strip().lower() == b"100-continue"

    def add(self, data: bytes) -> None:
        """Some more of it."""
        self.seen_bytes += len(data)
        if self._kept:
            self._chunks.append(data)

    def exceeds(self, limit_bytes: int | None) -> bool:
        """Whether more has been announced, or has come, than is allowed."""
        return limit_bytes is not None and max(self.announced_bytes, self.seen_bytes) > limit_bytes

    @property
    def is_kept(self) -> bool:
        """Whether all of it could be sent again."""
        return self._kept

    def let_go(self) -> None:
        """It is on its way; keep it no longer than it is small."""
        if self.seen_bytes > KEPT_BYTES:
            self._kept = False
            self._chunks.clear()

    def framed(self, data: bytes) -> bytes:
        """A piece as the upstream gets it."""
        return chunk(data) if self.is_chunked else data

    def end(self) -> bytes:
        """What marks the end of it on the wire."""
        self.complete = True
        return LAST_CHUNK if self.is_chunked else b""

    def from_the_start(self) -> bytes:
        """All that was kept, framed, with its end if that has come."""
        parts = [self.framed(data) for data in self._chunks]
        if self.complete and self.is_chunked:
            parts.append(LAST_CHUNK)
        return b"".join(parts)


class RequestStream:
    """A request on its way from a browser to an upstream. `is_complete`: all of it has come."""

    __slots__ = ("_body", "_browser", "_head", "_most_bytes", "is_complete")

    def __init__(self, browser: Browser, head: RequestHead, most_bytes: int | None) -> None:
        self._browser = browser
        self._head = head
        self._most_bytes = most_bytes
        self._body: RequestBody | None = None  # none, or nothing of it has come yet
        self.is_complete = False

    @property
    def seen_bytes(self) -> int:
        """How much of its body has come."""
        return self._body.seen_bytes if self._body is not None else 0

    @property
    def is_too_large(self) -> bool:
        """Whether its body is over the limit, as far as is known."""
        return self._body is not None and self._body.exceeds(self._most_bytes)

    @property
    def is_replayable(self) -> bool:
        """Whether all of it could be sent again."""
        return self._body is None or self._body.is_kept

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it again changes nothing if it was read before."""
        return self._head.method in IDEMPOTENT and self.is_replayable

    def begin(self) -> None:
        """It is to be sent: a body that has not begun to come will come."""
        if not self.is_complete and self._body is None:
            self._body = RequestBody(self._head.fields)

    def add(self, data: bytes) -> None:
        """Some of its body."""
        if self._body is None:
            self._body = RequestBody(self._head.fields)
        self._body.add(data)

    def pass_on(self, data: bytes, upstream: UpstreamConnection | None) -> None:
        """What was added last goes to the upstream; without one only so much is taken in."""
        body = self._body
        if body is None:
            return
        if upstream is not None:
            upstream.send(body.framed(data))
            body.let_go()
        elif body.seen_bytes > KEPT_BYTES:
            self._browser.hold(on=True)

    def end(self, upstream: UpstreamConnection | None) -> None:
        """All of it has come."""
        self.is_complete = True
        if self._body is None:
            return
        rest = self._body.end()
        if upstream is not None:
            upstream.request_sent = True
            if rest:
                upstream.send(rest)

    def send(
        self,
        head: Callable[[Sequence[Field]], bytes],
        connection: UpstreamConnection,
        receiver: AnswerReceiver,
        *,
        with_continue: bool,
    ) -> None:
        """Send what has come of it. `head` makes the head, given the fields that frame a body."""
        body, head_only = self._body, self._head.method == "HEAD"
        if body is None:
            connection.begin(receiver, head(()), head_only=head_only)
            connection.request_sent = True
            return
        data = head((CHUNKED,) if body.is_chunked else ()) + body.from_the_start()
        connection.begin(receiver, data, head_only=head_only)
        connection.request_sent = body.complete
        body.let_go()
        if not body.complete:
            if body.expects_continue and body.seen_bytes == 0 and with_continue:
                self._browser.write(CONTINUE)
            self._browser.hold(on=connection.is_full)  # what had come may fill it already
