"""One connection to an upstream: writes requests, reads answers with llhttp, one after the other.

Knows nothing of browsers, sessions or routes. What wants an answer is a `Receiver`. An answer
that is no HTTP, or bytes that were not asked for, end the connection: it is never used again.

RFC 9112 sections 6.3 (where a body ends), 9.3 (persistence); RFC 9110 section 15.2 (1xx).
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol, cast

import httptools

from bff.errors import UpstreamError, UpstreamMalformed, UpstreamUnreachable
from bff.gate.framing import MAX_HEAD_BYTES, head_bytes
from bff.gate.head import Field
from bff.observability.reasons import complaint_of, reason_of
from bff.proxy.answer_head import (
    BODILESS,
    CONTINUE,
    END_OF_HEAD,
    LEAST_STATUS,
    SWITCHING_PROTOCOLS,
    AnswerHead,
    Unreadable,
    framing,
    has_framing,
    require_http,
    require_known_framing,
    require_text,
)
from bff.proxy.deadline import Deadline
from bff.proxy.messages import fields_into
from bff.proxy.outbox import Outbox
from bff.proxy.receiver import Receiver
from bff.proxy.turns import MUCH_BYTES, give_way


class Home(Protocol):
    """Where a connection lies between two requests."""

    def keep(self, connection: "UpstreamConnection") -> bool:
        """Take it back; False when there is no place for it."""

    def forget(self, connection: "UpstreamConnection") -> None:
        """It is closed."""


def new_parser(receiver: object) -> httptools.HttpResponseParser:
    """One that reads HTTP/1 of any minor version as the highest we know (RFC 9110 section 6.2)."""
    parser = httptools.HttpResponseParser(receiver)
    parser.set_dangerous_leniencies(lenient_version=True)
    return parser


class Phase(Enum):
    """What a connection does. Each phase has its time limit, if any, and entering one puts that
    in the place of the last one's: see `UpstreamConnection.__init__`."""

    CONNECTING = auto()
    IDLE = auto()  # at home
    ANSWERING = auto()  # a request is on its way or its answer is due
    TUNNEL = auto()  # after 101
    CLOSED = auto()


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
        self._limits = {Phase.IDLE: idle_seconds, Phase.ANSWERING: silence_seconds}
        self._deadline = Deadline(loop, self._on_deadline)
        self._phase = Phase.CONNECTING
        self._fields: list[Field] = []
        self.on_header = fields_into(self._fields)
        self._parser = new_parser(self)
        self._receiver: Receiver | None = None
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.is_full = False  # it takes no more of the request for now
        self._is_paused = False  # the receiver takes no more of the answer for now
        self.served = 0  # how many requests it was used for
        self._head_only = False
        self.request_sent = False
        self._reset()

    def _reset(self) -> None:
        self._reason = b""
        self._fields.clear()
        self._head: AnswerHead | None = None
        self._heads = b""  # what has been read, until there is a head
        self._head_at = 0  # where in it the next head begins, behind interim ones
        self._unsettled_bytes = 0  # of a head, a chunk's extension or a trailer without an end yet
        self._has_answered = False
        self._until_close = False
        self._keep_alive = False
        self._complete = False
        self._surplus = False
        self._interim = False

    # --- used by an exchange

    @property
    def is_open(self) -> bool:
        return self._phase is not Phase.CONNECTING and self._phase is not Phase.CLOSED

    @property
    def is_usable(self) -> bool:
        return self.is_open and not self.transport.is_closing()

    def begin(self, receiver: Receiver, head: bytes, *, head_only: bool) -> None:
        """Send a request head. `head_only`: the request is HEAD, so no body will come."""
        self._receiver = receiver
        self._head_only = head_only
        self.request_sent = False
        self.served += 1
        self._enter(Phase.ANSWERING)
        self._outbox.write(self.transport, head)

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
        """The silence is not the upstream's fault."""
        self._await_bytes()

    def close(self) -> None:
        """An idle one."""
        self._close()

    def __repr__(self) -> str:
        return f"<UpstreamConnection {self._phase.name} served={self.served}>"

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._enter(Phase.IDLE)

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        try:
            if receiver is None:
                self._close()  # it was not asked
                return
            if len(data) > MUCH_BYTES:
                give_way(self.transport, lambda: self._guard(self._read_on))
            if self._phase is Phase.TUNNEL:
                receiver.tunnel_data(data)
            else:
                self._read(receiver, data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request gets an answer
            self._break(receiver, error)

    def eof_received(self) -> None:
        if self._until_close and not self._complete:
            self._complete = True
            self._guard(self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(Phase.CLOSED)
        self._home.forget(self)
        reason = reason_of(exc) if exc else "it hung up"
        self._guard(lambda: self._fail(UpstreamUnreachable(reason)))

    def pause_writing(self) -> None:
        self.is_full = True
        self._guard(self._tell_full)

    def resume_writing(self) -> None:
        self.is_full = False
        self._await_bytes()
        self._guard(self._tell_full)

    def _read(self, receiver: Receiver, data: bytes) -> None:
        self._has_answered = True
        self._unsettled_bytes += len(data)
        if self._head is None:
            self._heads = self._heads + data if self._heads else data
        fault = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, Unreadable):
                raise  # a fault of ours
            fault = str(error.__context__)
        except httptools.HttpParserError as error:
            fault = complaint_of(error)
        if self._complete:
            self._surplus = self._surplus or fault is not None
            self._end()
        elif fault is not None:
            self._fail(UpstreamMalformed(fault))
        elif self._unsettled_bytes > MAX_HEAD_BYTES:
            self._fail(UpstreamMalformed("no end of a head, a chunk's extension or a trailer"))
        elif self._receiver is receiver:
            self._await_bytes()
            receiver.answer_read()

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
            raise Unreadable("head too large")
        status = self._parser.get_status_code()
        if status < LEAST_STATUS:
            raise Unreadable("no status of any class")
        self._interim = status < 200 and status != SWITCHING_PROTOCOLS
        self._head_at = require_http(self._heads, self._head_at)
        if self._interim:
            # RFC 9110 section 8.6: no length either, or llhttp hands on a body of no answer.
            if has_framing(self._fields):
                raise Unreadable("an interim answer with a body")
            require_text(self._reason)
            if status != CONTINUE and self._receiver is not None:
                head = AnswerHead(status, self._reason, self._fields.copy(), None, has_body=False)
                self._receiver.answer_interim(head)
            return  # still unsettled: there must be an end of interim answers, too
        self._unsettled_bytes = 0
        self._heads = b""
        fields = self._fields.copy()
        self._fields.clear()  # trailers, which are dropped (RFC 9110 section 6.5.1), come next
        length, codings = framing(fields)
        has_body = not self._head_only and status not in BODILESS
        self._keep_alive = self._parser.should_keep_alive()
        self._until_close = has_body and length is None and not codings
        self._head = AnswerHead(status, self._reason, fields, length, has_body)
        require_known_framing(self._parser.get_http_version(), codings)
        require_text(self._reason)
        if status == SWITCHING_PROTOCOLS and not self._parser.should_upgrade():
            raise Unreadable("101 without an upgrade")
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
            self._head_at = self._heads.index(END_OF_HEAD, self._head_at) + len(END_OF_HEAD)
        elif self._fields and has_framing(self._fields):
            # RFC 9110 section 6.5.1: too late to be believed.
            raise Unreadable("a trailer that says where the body ends")
        else:
            self._complete = True

    # ---

    def _enter(self, phase: Phase) -> None:
        """Be in a phase, with its time limit and with none of the phase before."""
        self._phase = phase
        seconds = self._limits.get(phase)
        if seconds is not None:
            self._deadline.set(seconds)
        elif phase is Phase.ANSWERING:
            self._deadline.clear()
        else:
            self._deadline.close()

    def _read_on(self) -> None:
        if self.is_open and not self._is_paused:
            self.transport.resume_reading()

    def _await_bytes(self) -> None:
        if self._phase is Phase.ANSWERING and self._silence_seconds is not None:
            self._deadline.set(self._silence_seconds)

    def _on_deadline(self) -> None:
        if self._receiver is None:
            self._close()
        else:
            self._guard(self._receiver.answer_late)

    def _tell_full(self) -> None:
        if self._receiver is not None:
            self._receiver.upstream_full(full=self.is_full)

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
            self._parser = new_parser(self)
        self._reset()
        if reusable and self._home.keep(self):
            self._enter(Phase.IDLE)
        else:
            self._close()
        if receiver is not None:
            receiver.answer_ends()

    def _switch(self, rest: bytes) -> None:
        receiver, head = self._receiver, self._head
        if receiver is None or head is None:
            self._close()
            return
        self._enter(Phase.TUNNEL)
        receiver.protocol_switched(head, rest)

    def _fail(self, error: UpstreamError) -> None:
        receiver, self._receiver = self._receiver, None
        self._fields.clear()  # of an endless head there are many
        self._close()
        if receiver is not None:
            receiver.answer_fails(error, unanswered=not self._has_answered)

    def _guard(self, step: Callable[[], None]) -> None:
        """Take a step that the event loop has asked for. It would log what is raised, and forget
        the request that waits."""
        receiver = self._receiver
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the request gets an answer
            self._break(receiver, error)

    def _break(self, receiver: Receiver | None, error: Exception) -> None:
        self._receiver = None
        self._close()
        if receiver is None:
            raise error  # no request waits; the event loop logs it
        receiver.answer_breaks(error)

    def _close(self) -> None:
        was_open = self.is_open
        self._enter(Phase.CLOSED)
        if was_open:
            self.transport.abort()
