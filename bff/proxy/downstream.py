"""One browser's connection: reads requests with llhttp, answers them in the order they came.

Bytes that are no HTTP are answered once, without being repeated, and the connection is closed; it
is closed as well after an answer whose request was not read to its end, so that a body can never be
read as a request.

RFC 9112 sections 2.2 (robustness), 6.3, 9.3 (persistence, pipelining), 9.6 (tear-down); RFC 6585
section 5 (431).
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import httptools

from bff.errors import (
    BadRequest,
    BffError,
    HeadTooLarge,
    RequestTimeout,
    TargetTooLong,
    TooManyConnections,
)
from bff.gate.handshake import asks_for_websocket
from bff.gate.head import Field, RequestHead
from bff.gate.paths import MAX_TARGET_BYTES
from bff.observability.reasons import complaint_of
from bff.proxy.deadline import Deadline
from bff.proxy.exchange import Exchange
from bff.proxy.messages import MAX_HEAD_BYTES, MOST_LENGTH_DIGITS, fields_into, head_bytes
from bff.proxy.refusals import unforeseen
from bff.proxy.shared import Shared
from bff.proxy.turns import MUCH_BYTES, give_way

MAX_FIELDS = 200
MOST_AT_ONCE = 32  # requests of one browser that are begun in one turn of the event loop
NEW_SECONDS = 2.0  # how long after it was made a connection may be without its first request

CONTENT_LENGTH = b"content-length"
TRANSFER_ENCODING = b"transfer-encoding"
FRAMING = (CONTENT_LENGTH, TRANSFER_ENCODING)

_CODING_SIZE = len(TRANSFER_ENCODING)
_NO_FIELDS: tuple[Field, ...] = ()
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: send nothing more


def new_parser(connection: object) -> httptools.HttpRequestParser:
    """One that reads HTTP/1 of any minor version as the highest we know (RFC 9110 section 6.2)."""
    parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_version=True)
    return parser


class Connections(Protocol):
    """Where open connections are known."""

    def opened(self, connection: "DownstreamConnection") -> bool:
        """False: there are as many as there may be. It may have been cut."""

    def closed(self, connection: "DownstreamConnection") -> None: ...

    @property
    def is_draining(self) -> bool:
        """Whether each answer is to be the last on its connection."""

    @property
    def is_stopping(self) -> bool:
        """Whether connections are closed as soon as nothing is asked on them."""


class DownstreamConnection(asyncio.Protocol):
    """`asyncio.Protocol` and the parser's callbacks; the rest is what an exchange asks of it."""

    def __init__(self, shared: Shared, connections: Connections) -> None:
        loop = asyncio.get_running_loop()
        self._shared = shared
        self._connections = connections
        self._limits = shared.limits
        self._outbox = shared.outbox
        self._deadline = Deadline(loop, lambda: self._guard(self._on_deadline))
        self._taking: Deadline | None = None  # for a browser that takes nothing of what was written
        self._untaken_bytes = 0
        self._fields: list[Field] = []
        self.on_header = fields_into(self._fields)
        self._parser = new_parser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._peer: str | None = None
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._arriving: Exchange | None = None  # the one whose body is being read
        self._target = b""
        self._reading_head = False
        self._fed_bytes = 0
        self._is_fresh_read = False  # nothing of what was just read belonged to a message before
        self._unsettled_bytes = 0  # of a head, a chunk's extension or a trailer that has no end yet
        self._after_upgrade = b""
        self._ignored_upgrade: list[Field] | None = None  # the framing of a request that had one
        self._is_replaying = False  # a head that has been read before
        self._heads = b""  # what has been read, from the beginning of a head that has no end yet
        self._head_at = 0  # where in it the request line of the next head is looked for
        self._bad: BffError | None = None
        self._advancing = False
        self._held = False
        self._paused = False
        self._is_full = False  # the browser takes no more of the answers for now
        self._head_is_timed = False
        self._is_deaf = False  # what still comes is drained, never read
        self._lingering = False
        self._linger_until = 0.0
        self._has_served = False
        self._made_at = loop.time()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._peer = name[0] if isinstance(name, tuple) else None
        is_stopping = self._connections.is_stopping  # it waited to be accepted meanwhile
        self._deadline.set(NEW_SECONDS if is_stopping else self._limits.head_seconds)
        self._guard(self._open)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.close()
        if self._taking is not None:
            self._taking.close()
        self._connections.closed(self)
        self._is_deaf = True
        self._waiting.clear()
        self._arriving = None
        current, self._current = self._current, None
        if current is not None:
            self._guard(current.cancel)

    def data_received(self, data: bytes) -> None:
        try:
            if len(data) > MUCH_BYTES:
                give_way(self._transport, lambda: self._guard(self._read_on))
            if not self._is_deaf:
                self._read(data)
            elif self._lingering:
                self._linger_on()
            elif self._current is not None:
                self._current.raw_data(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, a request gets an answer
            self._break(error)

    def _open(self) -> None:
        if not self._connections.opened(self):
            self._is_deaf = True
            if not self._transport.is_closing():
                self._answer_bad(TooManyConnections())

    def _read(self, data: bytes) -> None:
        self._fed_bytes = len(data)
        self._is_fresh_read = True
        self._heads += data
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError:
            raise  # a fault of ours: no callback refuses anything by raising
        except httptools.HttpParserError as error:
            if self._is_deaf:
                return
            self._give_up(BadRequest(complaint_of(error)))
        if not self._reading_head:
            self._heads, self._head_at = b"", 0
        if self._reading_head or self._arriving is not None:
            self._unsettled_bytes += len(data)
            if self._unsettled_bytes > MAX_HEAD_BYTES:
                self._give_up(self._overrun())
        self._advance()

    def eof_received(self) -> bool:
        """A browser that hangs up, even by half, no longer waits for an answer."""
        return False

    def pause_writing(self) -> None:
        self._is_full = True
        self._await_taking(sys.maxsize)  # how much there is to take is seen at the first look
        self._guard(self._tell_full)

    def resume_writing(self) -> None:
        self._is_full = False
        if self._taking is not None:
            self._taking.clear()
        self._guard(self._tell_full)

    def _parse(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            else:
                return
            if self._ignored_upgrade is None:
                self._is_deaf = True
                self._after_upgrade = data
                return
            framing, self._ignored_upgrade = self._ignored_upgrade, None
            if framing:  # llhttp has passed over the body: another one reads on, from a like head
                self._parser = new_parser(self)
                self._is_replaying = True
                lines = b"".join(b"%b: %b\r\n" % field for field in framing)
                self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % lines)

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        if self._is_replaying:
            return
        self._reading_head = True
        self._unsettled_bytes = 0 if self._is_fresh_read else -self._fed_bytes
        self._is_fresh_read = False
        self._target = b""
        self._fields.clear()

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_headers_complete(self) -> None:
        self._reading_head = self._head_is_timed = False
        if self._is_replaying or self._is_deaf:  # or it came with what was the last one to be read
            self._is_replaying = False
            self._fields.clear()
            return
        parser = self._parser
        version = parser.get_http_version()
        fields = self._fields.copy()
        self._fields.clear()  # trailers, which are dropped (RFC 9110 section 6.5.1), come next
        fault = self._head_fault(version, fields)
        upgrades = parser.should_upgrade()
        if upgrades and fault is None and not _is_tunnel(parser.get_method(), fields):
            upgrades = False
            self._ignored_upgrade = [item for item in fields if item[0].lower() in FRAMING]
        exchange = Exchange(
            self._shared,
            self,
            RequestHead(parser.get_method().decode(), self._target, fields, self._peer),
            # RFC 9110 sections 7.8 and 9.3.6: after CONNECT or an upgrade comes no request.
            keep_alive=fault is None and parser.should_keep_alive() and not upgrades,
            is_http10=version == "1.0",
            fault=fault,
        )
        self._unsettled_bytes = -self._fed_bytes
        self._arriving = exchange
        self._waiting.append(exchange)

    def on_body(self, data: bytes) -> None:
        self._unsettled_bytes = -self._fed_bytes  # what came with it does not count
        if self._arriving is not None:
            if self._arriving is self._current and not self._held:
                self._deadline.set(self._limits.body_seconds)
            self._arriving.body_data(data)

    def on_message_complete(self) -> None:
        self._is_fresh_read = False
        if self._ignored_upgrade:
            return  # its body comes yet
        if self._arriving is not None:
            arriving, self._arriving = self._arriving, None
            if arriving is self._current:
                self._deadline.clear()
            arriving.body_end()

    def _overrun(self) -> BffError:
        if self._arriving is not None:
            return BadRequest("no end of a chunk's extension or a trailer")
        return HeadTooLarge() if self._fields else TargetTooLong()

    def _head_fault(self, version: str, fields: list[Field]) -> BffError | None:
        if not self._is_http_1():
            return BadRequest("not HTTP/1")
        codings = []
        for name, value in fields:
            if len(name) == _CODING_SIZE and name.lower() == TRANSFER_ENCODING:
                codings.append(value)
            elif len(value) > MOST_LENGTH_DIGITS and name.lower() == CONTENT_LENGTH:
                return BadRequest("a Content-Length of too many digits")
        if codings and ([c.strip().lower() for c in codings] != [b"chunked"] or version == "1.0"):
            # RFC 9112 section 6.1. llhttp lets pass whatever ends in chunked, in any version.
            return BadRequest("a transfer coding other than chunked, or in HTTP/1.0")
        if len(fields) > MAX_FIELDS:
            return HeadTooLarge()
        if max(self._unsettled_bytes, 0) + self._fed_bytes > MAX_TARGET_BYTES:  # else: no need
            if len(self._target) > MAX_TARGET_BYTES:
                return TargetTooLong()
            if head_bytes(fields) > MAX_HEAD_BYTES:
                return HeadTooLarge()
        return None

    def _is_http_1(self) -> bool:
        # llhttp takes RTSP and ICE as well, of any version. A read can hold thousands of heads, so
        # each is looked for behind the one before it.
        wanted = self._target + b" HTTP/1."
        at = self._heads.find(wanted, self._head_at)
        self._head_at = at + len(wanted)
        return at >= 0

    # --- what an exchange asks for

    @property
    def is_draining(self) -> bool:
        return self._connections.is_draining

    def write(self, data: bytes) -> None:
        self._outbox.write(self._transport, data)

    def hold(self, *, on: bool) -> None:
        self._held = on
        if on:
            self._deadline.clear()
        elif self._arriving is not None and self._arriving is self._current:
            self._deadline.set(self._limits.body_seconds)
        self._read_or_not()

    def exchange_over(self, *, keep_alive: bool, unread: bool) -> None:
        self._current = None
        self._held = False
        self._has_served = True
        if not keep_alive:
            self._is_deaf = True
            self._waiting.clear()
            self._bad = None
            self._close(unread=unread)
            return
        self._advance()

    def abort(self) -> None:
        """By a reset: to a browser that knows no chunks, the mere end would be that of the body."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    # --- used by the listener

    def close_when_idle(self) -> None:
        """Finish what is being served, or has been sent, and serve nothing after it."""
        if self._current is not None:
            self._current.stop()
        else:
            self._advance()

    # ---

    def _advance(self) -> None:
        """Begin what can begin. A read can hold thousands of small requests, so not by recursion,
        and not all before other connections have had a turn and what was written is sent."""
        if self._advancing:
            return
        self._advancing = True
        left = MOST_AT_ONCE
        try:
            while self._current is None and self._waiting and not self._is_full and left:
                left -= 1
                self._begin(self._waiting.popleft())
        finally:
            self._advancing = False
        if self._current is None and not self._lingering and not self._transport.is_closing():
            if not self._waiting:
                self._rest()
            elif self._is_full:
                self._deadline.set(self._limits.body_seconds)  # for the browser to take something
            else:
                asyncio.get_running_loop().call_soon(self._guard, self._advance)
        self._read_or_not()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._deadline.clear()
        if exchange is self._arriving:
            self._deadline.set(self._limits.body_seconds)
        exchange.start()
        if self._after_upgrade and exchange is self._current:
            exchange.raw_data(self._after_upgrade)

    def _rest(self) -> None:
        """Nothing is being served."""
        if self._bad is not None:
            self._answer_bad(self._bad)
        elif self._is_deaf:
            self._close(unread=False)
        elif self._reading_head:
            if not self._head_is_timed:
                self._head_is_timed = True
                self._deadline.set(self._limits.head_seconds)
        elif self._connections.is_stopping:
            self._close_unless_asked()
        else:
            self._deadline.set(self._limits.keepalive_seconds)

    def _close_unless_asked(self) -> None:
        """Nothing was read of a request, but one may be here: closing would lose it, and a proxy in
        front does not send a POST again (RFC 9110 section 9.2.2)."""
        age_seconds = asyncio.get_running_loop().time() - self._made_at
        if self._kernel_bytes(termios.FIONREAD):
            self._deadline.set(self._limits.head_seconds)
        elif not self._has_served and age_seconds < NEW_SECONDS:
            self._deadline.set(NEW_SECONDS - age_seconds)
        else:
            self._close(unread=False)

    def _tell_full(self) -> None:
        if self._current is not None:
            self._current.browser_full(full=self._is_full)
        elif not self._is_full:
            self._advance()

    def _guard(self, step: Callable[[], None]) -> None:
        """Take a step that the event loop has asked for. It would log what is raised, and forget
        the request that waits."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it is, a request gets an answer
            self._break(error)

    def _break(self, error: Exception) -> None:
        """After a fault of our own nothing more is read; what is being served is answered."""
        self._is_deaf = True
        self._waiting.clear()
        self._bad = None
        if self._current is not None:
            self._current.breaks(error)
            return
        answer = unforeseen(error)
        if not self._transport.is_closing():
            self._answer_bad(answer)

    def _give_up(self, error: BffError) -> None:
        """It can't be told where the next request would begin."""
        self._is_deaf = True
        if self._arriving is None:
            self._bad = error
        elif self._arriving is self._current:
            self._current.body_fails(error)
        else:
            self._arriving.fault = error

    def _answer_bad(self, error: BffError) -> None:
        self._bad = None
        head = RequestHead("GET", b"", _NO_FIELDS, self._peer)
        exchange = Exchange(
            self._shared, self, head, keep_alive=False, is_http10=False, fault=error
        )
        self._current = exchange
        exchange.start()

    def _on_deadline(self) -> None:
        if self._lingering or self._transport.is_closing():
            self._transport.abort()
        elif self._waiting and self._current is None:
            self.abort()  # it takes none of the answers that came before
        elif self._current is not None:
            self._current.body_fails(RequestTimeout())
        elif self._reading_head:
            self._is_deaf = True
            self._answer_bad(RequestTimeout())
        else:
            self._close(unread=False)

    def _await_taking(self, untaken_bytes: int) -> None:
        if self._taking is None:
            loop = asyncio.get_running_loop()
            self._taking = Deadline(loop, lambda: self._guard(self._on_taking))
        self._untaken_bytes = untaken_bytes
        self._taking.set(self._limits.body_seconds)

    def _on_taking(self) -> None:
        """A browser may be slow; one that took nothing since the last look is cut off."""
        # The kernel has room for megabytes, and asks for more only when a third of it is free.
        in_kernel_bytes = self._kernel_bytes(termios.TIOCOUTQ)
        untaken_bytes = self._transport.get_write_buffer_size() + in_kernel_bytes
        if untaken_bytes < self._untaken_bytes:
            self._await_taking(untaken_bytes)
        else:
            self.abort()

    def _kernel_bytes(self, queue: int) -> int:
        """What the kernel holds of this connection: TIOCOUTQ not taken, FIONREAD not read."""
        sock = self._transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return 0
        held: bytes = fcntl.ioctl(sock.fileno(), queue, bytes(4))
        return int.from_bytes(held, sys.byteorder)

    def _close(self, *, unread: bool) -> None:
        """After what was written has been taken, as slowly as the browser likes. With bytes unread,
        closing at once would reset the connection and take the answer away (RFC 9112 section
        9.6): they are drained for as long as they come, within a limit."""
        if self._transport.is_closing():
            return
        self._outbox.flush(self._transport)
        if not unread:
            self._deadline.clear()
            self._transport.close()
            self._await_taking(sys.maxsize)
            return
        self._lingering = True
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._linger_until = asyncio.get_running_loop().time() + self._limits.linger_most_seconds
        self._linger_on()
        self._read_or_not()

    def _linger_on(self) -> None:
        left = self._linger_until - asyncio.get_running_loop().time()
        self._deadline.set(min(self._limits.linger_seconds, left))

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        pause = not self._lingering and (self._held or bool(self._waiting))
        if pause == self._paused:
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _read_on(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()


def _is_tunnel(method: bytes, fields: list[Field]) -> bool:
    """Whether what follows this head may be something else than HTTP."""
    upgrade = [value for name, value in fields if name.lower() == b"upgrade"]
    return method == b"CONNECT" or asks_for_websocket(upgrade)
