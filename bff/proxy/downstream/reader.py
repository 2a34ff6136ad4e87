"""Requests read off a browser's connection by llhttp, one after the other.

Judges nothing but where a message ends: what is read is told to a `RequestReceiver`. When that
can't be found out, or another protocol begins, nothing more is read.

RFC 9112 sections 2.2 (robustness), 6.3 (where a body ends), 7.1 (chunks); RFC 9110 section 7.8.
"""

from typing import Protocol

import httptools

from bff.errors import BadRequest, BffError, HeadTooLarge, TargetTooLong
from bff.gate.framing import FRAMING_FIELDS, MAX_HEAD_BYTES, is_tunnel
from bff.gate.head import Field, RequestHead
from bff.observability.reasons import complaint_of
from bff.proxy.downstream.phases import (
    AGAIN,
    BETWEEN,
    BODY,
    HEAD,
    OVER,
    READING,
    SWITCHED,
)
from bff.proxy.messages import fields_into

_STEPS = READING.steps


class RequestReceiver(Protocol):
    """What requests are read for. None of these may raise."""

    def request_begins(self, head: RequestHead, *, keep_alive: bool) -> None:
        """A head is complete. `keep_alive`: another request can follow this one."""

    def body_data(self, data: bytes) -> None: ...

    def body_end(self) -> None:
        """Also of a request that has no body."""

    def other_protocol(self, data: bytes) -> None:
        """This follows a head after which another protocol may begin."""

    def reading_fails(self, error: BffError) -> None:
        """It can't be told where the next request would begin."""


class RequestReader:
    __slots__ = (
        "_earlier_bytes", "_fed_bytes", "_fields", "_head_at", "_heads", "_ignored_upgrade",
        "_parser", "_receiver", "_target", "_unsettled_bytes", "on_header", "peer", "phase",
    )  # fmt: skip

    def __init__(self, receiver: RequestReceiver) -> None:
        self.phase = BETWEEN
        self.peer: str | None = None
        self._receiver = receiver
        self._fields: list[Field] = []
        self.on_header = fields_into(self._fields)
        self._parser = new_parser(self)
        self._target = b""
        self._ignored_upgrade: list[Field] | None = None  # the framing of a request that had one
        self._heads = b""  # what has been read, from the beginning of a head that has no end yet
        self._head_at = 0  # where in it the request line of the next head is looked for
        self._fed_bytes = 0
        self._earlier_bytes = 0  # as many of those as may belong to a message before
        self._unsettled_bytes = 0  # of a head, a chunk's extension or a trailer that has no end yet

    def __repr__(self) -> str:
        return f"<RequestReader {self.phase.name} unsettled={self._unsettled_bytes}>"

    def feed(self, data: bytes) -> None:
        """Read on."""
        if self.phase is SWITCHED:
            self._receiver.other_protocol(data)
            return
        error: BffError | None = None
        self._fed_bytes = len(data)
        self._earlier_bytes = 0
        self._heads += data
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError:
            raise  # a fault of ours: no callback refuses anything by raising
        except httptools.HttpParserError as complaint:
            error = BadRequest(complaint_of(complaint))
        if self.phase is HEAD or self.phase is BODY:
            self._unsettled_bytes += len(data)
            if self._unsettled_bytes > MAX_HEAD_BYTES:
                error = self._overrun()
        if self.phase is not HEAD:
            self._heads, self._head_at = b"", 0
        if error is not None and self.phase is not OVER:
            self.stop()
            self._receiver.reading_fails(error)

    def stop(self) -> None:
        """Whatever else comes is not read."""
        if self.phase is not OVER:
            self.phase = _STEPS[self.phase][OVER]

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            else:
                return
            if self.phase is OVER:
                return
            if self._ignored_upgrade is None:
                self.phase = _STEPS[self.phase][SWITCHED]
                if data:
                    self._receiver.other_protocol(data)
                return
            framing, self._ignored_upgrade = self._ignored_upgrade, None
            if framing:  # llhttp has passed over the body: another one reads on, from a like head
                self._parser = new_parser(self)
                self.phase = _STEPS[self.phase][AGAIN]
                lines = b"".join(b"%b: %b\r\n" % field for field in framing)
                self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % lines)

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        if self.phase is not BETWEEN:
            return
        self.phase = _STEPS[self.phase][HEAD]
        self._unsettled_bytes = -self._earlier_bytes
        self._earlier_bytes = self._fed_bytes
        self._target = b""
        self._fields.clear()

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_headers_complete(self) -> None:
        fields = self._fields.copy()
        self._fields.clear()  # trailers, which are dropped (RFC 9110 section 6.5.1), come next
        if self.phase is not HEAD:
            if self.phase is AGAIN:
                self.phase = _STEPS[self.phase][BODY]
            return
        parser = self._parser
        method = parser.get_method()
        upgrades = parser.should_upgrade()
        version = parser.get_http_version() if self._is_http_1() else ""
        if upgrades and not is_tunnel(method, fields, version):
            upgrades = False
            self._ignored_upgrade = [item for item in fields if item[0].lower() in FRAMING_FIELDS]
        head = RequestHead(
            method.decode(),
            self._target,
            fields,
            self.peer,
            version,
            max(self._unsettled_bytes, 0) + self._fed_bytes,
        )
        self.phase = _STEPS[self.phase][BODY]
        self._unsettled_bytes = -self._fed_bytes
        # RFC 9110 sections 7.8 and 9.3.6: after CONNECT or an upgrade comes no request.
        keep_alive = parser.should_keep_alive() and not upgrades
        self._receiver.request_begins(head, keep_alive=keep_alive)

    def on_body(self, data: bytes) -> None:
        self._unsettled_bytes = -self._fed_bytes  # what came with it does not count
        if self.phase is BODY:
            self._receiver.body_data(data)

    def on_message_complete(self) -> None:
        self._earlier_bytes = self._fed_bytes
        if self.phase is BODY and not self._ignored_upgrade:  # else its body comes yet
            self.phase = _STEPS[self.phase][BETWEEN]
            self._receiver.body_end()

    # ---

    def _overrun(self) -> BffError:
        if self.phase is BODY:
            return BadRequest("no end of a chunk's extension or a trailer")
        return HeadTooLarge() if self._fields else TargetTooLong()

    def _is_http_1(self) -> bool:
        # llhttp takes RTSP and ICE as well, of any version. A read can hold thousands of heads, so
        # each is looked for behind the one before it.
        wanted = self._target + b" HTTP/1."
        at = self._heads.find(wanted, self._head_at)
        self._head_at = at + len(wanted)
        return at >= 0


def new_parser(connection: object) -> httptools.HttpRequestParser:
    """One that reads HTTP/1 of any minor version as the highest we know (RFC 9110 section 6.2)."""
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_version=True)
    return parser
