"""Answers read off an upstream's connection by llhttp, one after the other.

RFC 9112 section 6.3 (where a body ends); RFC 9110 sections 6.5.1 (trailers) and 15.2 (1xx).
"""

from typing import Protocol

import httptools

from bff.errors import UpstreamError
from bff.gate.framing import MAX_HEAD_BYTES, head_bytes
from bff.gate.head import Field
from bff.observability.reasons import complaint_of
from bff.proxy.messages import fields_into
from bff.proxy.upstream.answer_head import (
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
from bff.proxy.upstream.phases import (
    BODY,
    HEAD,
    INTERIM,
    NOTHING,
    READING,
    SURPLUS,
    SWITCH,
    UNTIL_CLOSE,
    WHOLE,
)

_STEPS = READING.steps


class AnswerReceiver(Protocol):
    """What waits for an answer. None of these may block; `answer_breaks` may not raise either."""

    def answer_interim(self, head: AnswerHead) -> None:
        """An answer before the answer (RFC 9110 section 15.2), but 100, which the gateway gives by
        itself, and 101."""

    def answer_begins(self, head: AnswerHead) -> None: ...

    def answer_body(self, data: bytes) -> None: ...

    def answer_read(self) -> None:
        """All that came in one go has been told; the answer goes on."""

    def answer_ends(self) -> None:
        """The connection is free again, or closed."""

    def answer_fails(self, error: UpstreamError, *, unanswered: bool) -> None:
        """The connection is gone. `unanswered`: not one byte came back."""

    def answer_breaks(self, error: Exception) -> None:
        """A fault of the gateway's own, unforeseen, has ended the connection: a request may not be
        left without an answer because of it."""

    def answer_late(self) -> None:
        """Nothing has passed for as long as the route allows."""

    def protocol_switched(self, head: AnswerHead, rest: bytes) -> None:
        """101 (RFC 9110 section 15.2.2): no HTTP from here on, beginning with `rest`."""

    def tunnel_data(self, data: bytes) -> None:
        """What came after the switch."""

    def upstream_full(self, *, full: bool) -> None:
        """Whether to send no more of the body for now."""


class AnswerReader:
    """`receiver` is told what comes, None: nothing is. `head` is the last final one, `keep_alive`
    whether another answer can follow its own."""

    def __init__(self) -> None:
        self.phase = NOTHING
        self.receiver: AnswerReceiver | None = None
        self._fields: list[Field] = []
        self.on_header = fields_into(self._fields)
        self._parser = new_parser(self)
        self._head_only = False
        self.head: AnswerHead | None = None
        self.keep_alive = False
        self._reason = b""
        self._heads = b""  # what has been read, until there is a head
        self._head_at = 0  # where in it the next head begins, behind interim ones
        self._unsettled_bytes = 0  # of a head, a chunk's extension or a trailer without an end yet

    def __repr__(self) -> str:
        return f"<AnswerReader {self.phase.name} unsettled={self._unsettled_bytes}>"

    def expect(self, receiver: AnswerReceiver, *, head_only: bool) -> None:
        """The next answer is for this one. `head_only`: it has no body, whatever its head says."""
        self.receiver = receiver
        self._head_only = head_only

    def feed(self, data: bytes) -> bytes | None:
        """Read on; what comes after a switch of protocols, None without one.

        Raises:
            Unreadable: this can't be passed on. Bytes after a whole answer are SURPLUS instead.
        """
        if self.phase is NOTHING:
            self.phase = _STEPS[self.phase][HEAD]
        self._unsettled_bytes += len(data)
        if self.head is None:
            self._heads = self._heads + data if self._heads else data
        fault = ""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, Unreadable):
                raise  # a fault of ours
            fault = str(error.__context__)
        except httptools.HttpParserError as error:
            fault = complaint_of(error)
        if fault:
            if not self.is_over:
                raise Unreadable(fault)
            self._more_than_whole()
        elif self._unsettled_bytes > MAX_HEAD_BYTES and not self.is_over:
            raise Unreadable("no end of a head, a chunk's extension or a trailer")
        return None

    @property
    def is_over(self) -> bool:
        """Whether the answer has come to its end."""
        return self.phase is WHOLE or self.phase is SURPLUS

    def end_of_stream(self) -> bool:
        """There will be no more bytes; whether that ends the answer."""
        if self.phase is UNTIL_CLOSE:
            self.phase = _STEPS[self.phase][WHOLE]
            return True
        return False

    def reset(self) -> bool:
        """Be ready for another answer; whether the connection can have one."""
        is_reusable = self.keep_alive and self.phase is WHOLE
        if self._head_only:  # llhttp still waits for the body that HEAD does not get
            self._parser = new_parser(self)
        self.phase = _STEPS[self.phase][NOTHING]
        self._fields.clear()
        self.head = None
        self.keep_alive = False
        self._reason = self._heads = b""
        self._head_at = self._unsettled_bytes = 0
        return is_reusable

    def give_up(self) -> None:
        """Nothing more is wanted; of an endless head there are many fields."""
        self.receiver = None
        self._fields.clear()

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        self._more_than_whole()  # or it is the first one

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_headers_complete(self) -> None:
        if self.phase is not HEAD:
            self._more_than_whole()
            return
        is_large = self._unsettled_bytes > MAX_HEAD_BYTES  # or only what follows it
        if is_large and head_bytes(self._fields) > MAX_HEAD_BYTES:
            raise Unreadable("head too large")
        status = self._parser.get_status_code()
        if status < LEAST_STATUS:
            raise Unreadable("no status of any class")
        self._head_at = require_http(self._heads, self._head_at)
        if status < 200 and status != SWITCHING_PROTOCOLS:
            self._interim_head(status)
        else:
            self._final_head(status)

    def on_body(self, data: bytes) -> None:
        self._unsettled_bytes = 0
        if self.is_over:
            self._more_than_whole()
        elif self.receiver is not None:
            self.receiver.answer_body(data)

    def on_message_complete(self) -> None:
        if self.phase is INTERIM:
            self._reason = b""
            self._fields.clear()
            self._head_at = self._heads.index(END_OF_HEAD, self._head_at) + len(END_OF_HEAD)
            self.phase = _STEPS[self.phase][HEAD]
        elif self._fields and has_framing(self._fields):
            # RFC 9110 section 6.5.1: too late to be believed.
            raise Unreadable("a trailer that says where the body ends")
        elif self.phase is BODY or self.phase is UNTIL_CLOSE:
            self.phase = _STEPS[self.phase][WHOLE]

    def _interim_head(self, status: int) -> None:
        self.phase = _STEPS[self.phase][INTERIM]
        # RFC 9110 section 8.6: no length either, or llhttp hands on a body of no answer.
        if has_framing(self._fields):
            raise Unreadable("an interim answer with a body")
        require_text(self._reason)
        if status != CONTINUE and self.receiver is not None:
            head = AnswerHead(status, self._reason, self._fields.copy(), None, has_body=False)
            self.receiver.answer_interim(head)
        # Still unsettled: there must be an end of interim answers, too.

    def _final_head(self, status: int) -> None:
        self._unsettled_bytes = 0
        self._heads = b""
        fields = self._fields.copy()
        self._fields.clear()  # trailers, which are dropped (RFC 9110 section 6.5.1), come next
        length, codings = framing(fields)
        has_body = not self._head_only and status not in BODILESS
        self.head = AnswerHead(status, self._reason, fields, length, has_body)
        require_known_framing(self._parser.get_http_version(), codings)
        require_text(self._reason)
        if status == SWITCHING_PROTOCOLS:
            if not self._parser.should_upgrade():
                raise Unreadable("101 without an upgrade")
            self.phase = _STEPS[self.phase][SWITCH]
            return
        if has_body and length is None and not codings:
            self.phase = _STEPS[self.phase][UNTIL_CLOSE]
        else:
            self.keep_alive = self._parser.should_keep_alive()
            self.phase = _STEPS[self.phase][BODY]
        if self.receiver is not None:
            self.receiver.answer_begins(self.head)
            if self._head_only:
                self.phase = _STEPS[self.phase][WHOLE]

    # ---

    def _more_than_whole(self) -> None:
        if self.phase is WHOLE:
            self.phase = _STEPS[self.phase][SURPLUS]


def new_parser(receiver: object) -> httptools.HttpResponseParser:
    """One that reads HTTP/1 of any minor version as the highest we know (RFC 9110 section 6.2)."""
    parser = httptools.HttpResponseParser(receiver)
    parser.set_dangerous_leniencies(lenient_version=True)
    return parser
