"""One connection to an upstream: writes requests, reads answers with llhttp, one after the other.

Knows nothing of browsers, sessions or routes. Whoever wants an answer is a `Receiver`. An answer
that is no HTTP, or bytes nobody asked for, end the connection: it is never used again.

RFC 9112 sections 6.3 (where a body ends), 9.3 (persistence); RFC 9110 section 15.2 (1xx).
"""

import asyncio
import functools
import re
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol, cast

import httptools

from bff.errors import UpstreamError, UpstreamMalformed, UpstreamUnreachable
from bff.gate.head import Field
from bff.observability.reasons import complaint_of, reason_of
from bff.proxy.deadline import Deadline
from bff.proxy.messages import MAX_HEAD_BYTES, fields_into, head_bytes
from bff.proxy.outbox import Outbox
from bff.proxy.turns import MUCH_BYTES, give_way

LEAST_STATUS = 100
SWITCHING_PROTOCOLS = 101
BODILESS = frozenset({204, 304})
_REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*\Z")  # RFC 9112 section 4; llhttp lets all pass


@dataclass(slots=True)
class AnswerHead:
    """`length` is the announced Content-Length, None without one. `has_body` is False where no
    body follows whatever the fields say (RFC 9112 section 6.3)."""

    status: int
    reason: bytes
    fields: list[Field] = field(repr=False)
    length: int | None
    has_body: bool


class Receiver(Protocol):
    """Whoever waits for an answer. None of these may raise or block."""

    def answer_begins(self, head: AnswerHead) -> None: ...

    def answer_body(self, data: bytes) -> None: ...

    def answer_read(self) -> None:
        """All that came in one go has been told; the answer goes on."""

    def answer_ends(self) -> None:
        """The connection is free again, or closed."""

    def answer_fails(self, error: UpstreamError, *, unanswered: bool) -> None:
        """The connection is gone. `unanswered`: not one byte came back."""

    def answer_late(self) -> None:
        """Nothing has passed for as long as the route allows."""

    def protocol_switched(self, head: AnswerHead, rest: bytes) -> None:
        """101 (RFC 9110 section 15.2.2): no HTTP from here on, beginning with `rest`."""

    def tunnel_data(self, data: bytes) -> None:
        """What came after the switch."""

    def upstream_full(self, *, full: bool) -> None:
        """Whether to send no more of the body for now."""


class Home(Protocol):
    """Where a connection lies between two requests."""

    def keep(self, connection: "UpstreamConnection") -> bool:
        """Take it back; False when there is no place for it."""

    def forget(self, connection: "UpstreamConnection") -> None:
        """It is closed."""


class UpstreamConnection(asyncio.Protocol):
    """`silence_seconds` is the longest wait for bytes while an answer is due, None for ever;
    `idle_seconds` how long it may lie at `home`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        home: Home,
        outbox: Outbox,
        *,
        silence_seconds: float | None,
        idle_seconds: float,
    ) -> None:
        self._home = home
        self._outbox = outbox
        self._silence_seconds = silence_seconds
        self._idle_seconds = idle_seconds
        self._deadline = Deadline(loop, self._on_deadline)
        self._fields: list[Field] = []
        self.on_header = fields_into(self._fields)
        self._parser = httptools.HttpResponseParser(self)
        self._receiver: Receiver | None = None
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.is_open = False
        self.is_full = False  # it takes no more of the request for now
        self._is_paused = False  # the receiver takes no more of the answer for now
        self._is_tunnel = False
        self.served = 0  # how many requests it was used for
        self._head_only = False
        self.request_sent = False
        self._reset()

    def _reset(self) -> None:
        self._reason = b""
        self._fields.clear()
        self._head: AnswerHead | None = None
        self._unsettled_bytes = 0  # of a head, a chunk's extension or a trailer without an end yet
        self._has_answered = False
        self._until_close = False
        self._keep_alive = False
        self._complete = False
        self._surplus = False
        self._interim = False

    # --- used by whoever has a request

    @property
    def is_usable(self) -> bool:
        return self.is_open and not self.transport.is_closing()

    def begin(self, receiver: Receiver, head: bytes, *, head_only: bool) -> None:
        """Send a request head. `head_only`: the request is HEAD, so no body will come."""
        self._receiver = receiver
        self._head_only = head_only
        self.request_sent = False
        self.served += 1
        self._outbox.write(self.transport, head)
        self._await_bytes()

    def send(self, data: bytes) -> None:
        """More of the request, framed as its head said."""
        self._outbox.write(self.transport, data)
        self._await_bytes()

    def abort(self) -> None:
        """Give up on the answer; the receiver hears no more."""
        self._receiver = None
        self._close()

    def pause_reading(self) -> None:
        self._is_paused = True
        if self.is_open:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if self.is_open:
            self.transport.resume_reading()
            self._await_bytes()

    def wait_longer(self) -> None:
        """The silence is nobody's fault here."""
        self._await_bytes()

    def close(self) -> None:
        """An idle one."""
        self._close()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            self._close()  # nobody asked
            return
        if len(data) > MUCH_BYTES:
            give_way(self.transport, self._read_on)
        if self._is_tunnel:
            receiver.tunnel_data(data)
            return
        self._has_answered = True
        self._unsettled_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            if not self._complete:
                self._fail(UpstreamMalformed(complaint_of(error)))
                return
            self._surplus = True
        if self._complete:
            self._end()
        elif self._unsettled_bytes > MAX_HEAD_BYTES:
            self._fail(UpstreamMalformed("no end of a head, a chunk's extension or a trailer"))
        elif self._receiver is receiver:
            self._await_bytes()
            receiver.answer_read()

    def eof_received(self) -> None:
        if self._until_close and not self._complete:
            self._complete = True
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._receiver is not None:
            self._fail(UpstreamUnreachable(reason_of(exc) if exc else "it hung up"))
        self._deadline.close()
        self._home.forget(self)

    def pause_writing(self) -> None:
        self.is_full = True
        if self._receiver is not None:
            self._receiver.upstream_full(full=True)

    def resume_writing(self) -> None:
        self.is_full = False
        if self._receiver is not None:
            self._await_bytes()
            self._receiver.upstream_full(full=False)

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True  # the beginning of a second answer

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_headers_complete(self) -> None:
        if self._complete:
            self._surplus = True
            return
        is_large = self._unsettled_bytes > MAX_HEAD_BYTES  # or only what follows it
        if is_large and head_bytes(self._fields) > MAX_HEAD_BYTES:
            raise ValueError("head too large")
        status = self._parser.get_status_code()
        if status < LEAST_STATUS:
            raise ValueError("no status of any class")
        self._interim = status < 200 and status != SWITCHING_PROTOCOLS
        if self._interim:
            # RFC 9110 section 8.6: no length either, or llhttp hands on a body of no answer.
            length, codings = _framing(self._fields)
            if length or codings or not _REASON.match(self._reason):
                raise ValueError("an interim answer with a body, or no text")
            return  # still unsettled: there must be an end of interim answers, too
        self._unsettled_bytes = 0
        fields = self._fields.copy()
        self._fields.clear()  # trailers, which are dropped (RFC 9110 section 6.5.1), come next
        length, codings = _framing(fields)
        has_body = not self._head_only and status not in BODILESS
        self._keep_alive = self._parser.should_keep_alive()
        self._until_close = has_body and length is None and not codings
        self._head = AnswerHead(status, self._reason, fields, length, has_body)
        if self._is_unreadable(codings) or not _REASON.match(self._reason):
            raise ValueError("framing that can't be passed on")
        if status == SWITCHING_PROTOCOLS and not self._parser.should_upgrade():
            raise ValueError("101 without an upgrade")
        if status != SWITCHING_PROTOCOLS and self._receiver is not None:
            self._receiver.answer_begins(self._head)
            if self._head_only:
                self._complete = True

    def on_body(self, data: bytes) -> None:
        self._unsettled_bytes = 0
        if self._complete:
            self._surplus = True
        elif self._receiver is not None:
            self._receiver.answer_body(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._reason = b""
            self._fields.clear()
        elif self._fields and _framing_places(tuple(map(_name_of, self._fields))):
            raise ValueError("a trailer that says where the body ends")  # too late: RFC 9110 6.5.1
        else:
            self._complete = True

    # ---

    def _read_on(self) -> None:
        if self.is_open and not self._is_paused:
            self.transport.resume_reading()

    def _is_unreadable(self, codings: list[bytes]) -> bool:
        # RFC 9112 sections 6.1, 6.3: a coding we don't know, or one in HTTP/1.0. llhttp lets any
        # version from 0.9 to 2.0 pass.
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            return True
        return bool(codings) and (codings != [b"chunked"] or version == "1.0")

    def _await_bytes(self) -> None:
        if self._silence_seconds is not None and self._receiver is not None and not self._is_tunnel:
            self._deadline.set(self._silence_seconds)

    def _on_deadline(self) -> None:
        if self._receiver is None:
            self._close()
        else:
            self._receiver.answer_late()

    def _end(self) -> None:
        receiver, self._receiver = self._receiver, None
        reusable = (
            self._keep_alive
            and self.request_sent
            and not self._until_close
            and not self._surplus
            and self.is_open
        )
        if self._head_only:  # llhttp still waits for the body that HEAD does not get
            self._parser = httptools.HttpResponseParser(self)
        self._reset()
        if reusable and self._home.keep(self):
            self._deadline.set(self._idle_seconds)
        else:
            self._close()
        if receiver is not None:
            receiver.answer_ends()

    def _switch(self, rest: bytes) -> None:
        receiver, head = self._receiver, self._head
        if receiver is None or head is None:
            self._close()
            return
        self._is_tunnel = True
        self._deadline.close()
        receiver.protocol_switched(head, rest)

    def _fail(self, error: UpstreamError) -> None:
        receiver, self._receiver = self._receiver, None
        self._fields.clear()  # of an endless head there are many
        self._close()
        if receiver is not None:
            receiver.answer_fails(error, unanswered=not self._has_answered)

    def _close(self) -> None:
        self._deadline.close()
        if self.is_open:
            self.is_open = False
            self.transport.abort()


def _framing(fields: list[Field]) -> tuple[int | None, list[bytes]]:
    """Content-Length, which llhttp has checked, and the transfer codings in lower case."""
    length: int | None = None
    codings: list[bytes] = []
    for at in _framing_places(tuple(map(_name_of, fields))):
        name, value = fields[at]
        if len(name) == _LENGTH_SIZE:
            length = int(value)
        else:
            # Spaces only: llhttp takes no coding with a tab beside it for chunked.
            codings += [coding.strip(b" ").lower() for coding in value.split(b",")]
    return length, codings


_LENGTH_SIZE = len(b"content-length")
_FRAMING = (b"content-length", b"transfer-encoding")
_name_of = itemgetter(0)


@functools.lru_cache(maxsize=256)  # an API sends the same names again and again
def _framing_places(names: tuple[bytes, ...]) -> tuple[int, ...]:
    return tuple(at for at, name in enumerate(names) if name.lower() in _FRAMING)
