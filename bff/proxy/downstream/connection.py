"""One browser's connection: begins the requests that are read on it, one after the other, in the
order in which they came.

Bytes that are no HTTP are answered once, without being repeated, and the connection is closed; it
is closed as well after an answer whose request was not read to its end, so that a body can never be
read as a request.

RFC 9112 sections 9.3 (persistence, pipelining), 9.6 (tear-down); RFC 6585 section 5 (431).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

import structlog

from bff.errors import BffError, RequestTimeout, TooManyConnections
from bff.gate.head import RequestHead
from bff.gate.refusals import unforeseen
from bff.proxy.context import ProxyContext
from bff.proxy.downstream.phases import (
    BEGINNING,
    BLOCKED,
    CLOSED,
    CLOSING,
    CONNECTION,
    ENDS,
    HEAD,
    HELD,
    IDLE,
    LINGERING,
    NEW,
    QUEUED,
    RECEIVING,
    SERVING,
    Phase,
    Reading,
)
from bff.proxy.downstream.reader import RequestReader
from bff.proxy.downstream.untaken import UntakenBytes, has_unread_bytes
from bff.proxy.exchange.access import BROWSER_GONE, CUT
from bff.proxy.exchange.exchange import Exchange
from bff.proxy.phases import WrongPhase
from bff.proxy.transport import MUCH_BYTES, Deadline, FairReads, reset

log = structlog.get_logger("bff.proxy.downstream")

MOST_AT_ONCE = 32  # requests of one browser that are begun in one turn of the event loop
NEW_SECONDS = 2.0  # how long after it was made a connection may be without its first request

_FOLLOWING, _LIMITS = CONNECTION.following, CONNECTION.limits
_READING_HEAD, _READ_NO_MORE = Reading.HEAD, Reading.OVER  # looking them up takes long


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
    """`asyncio.Protocol`, what the reader tells, and what an exchange asks of it. `is_full`: the
    browser takes no more of the answers for now."""

    def __init__(self, context: ProxyContext, connections: Connections) -> None:
        loop = asyncio.get_running_loop()
        self.phase = NEW
        self.is_full = False
        self._context = context
        self._connections = connections
        self._limits = context.limits
        self._writes = context.writes
        self._reader = RequestReader(self)
        self._deadline = Deadline(loop, lambda: self._guard(self._on_deadline))
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._reads: FairReads = cast("FairReads", None)
        self._untaken: UntakenBytes | None = None
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._arriving: Exchange | None = None  # the one whose body is being read
        self._bad: BffError | None = None  # what to answer after those
        self._served = 0
        self._made_at = loop.time()
        self._linger_until = 0.0

    def __repr__(self) -> str:
        age_seconds = asyncio.get_running_loop().time() - self._made_at
        return (
            f"<DownstreamConnection {self.phase.name} peer={self._reader.peer} "
            f"age={age_seconds:.1f}s served={self._served} waiting={len(self._waiting)}>"
        )

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._reads = FairReads(self._transport)
        name = transport.get_extra_info("peername")
        self._reader.peer = name[0] if isinstance(name, tuple) else None
        is_stopping = self._connections.is_stopping  # it waited to be accepted meanwhile
        self._deadline.set(NEW_SECONDS if is_stopping else self._limits.head_seconds)
        self._guard(self._open)

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(CLOSED)
        self._deadline.close()
        if self._untaken is not None:
            self._untaken.close()
        self._connections.closed(self)
        self._reader.stop()
        self._arriving = None
        self._drop_waiting(BROWSER_GONE)
        current, self._current = self._current, None
        if current is not None:
            self._guard(current.cancel)

    def data_received(self, data: bytes) -> None:
        try:
            if len(data) > MUCH_BYTES:
                self._reads.give_way()
            if self._reader.phase is not _READ_NO_MORE:
                self._reader.feed(data)
                self._advance()
            elif self.phase is LINGERING:
                self._linger_on()
            elif self._current is not None:
                self._current.raw_data(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, a request gets an answer
            self._break(error)

    def eof_received(self) -> bool:
        """A browser that hangs up, even by half, no longer waits for an answer."""
        return False

    def pause_writing(self) -> None:
        self.is_full = True
        self._watch_untaken()
        self._guard(self._tell_full)

    def resume_writing(self) -> None:
        self.is_full = False
        if self._untaken is not None and self.phase is not CLOSING:  # which waits for the last byte
            self._untaken.stop()
        self._guard(self._tell_full)

    # --- told by the reader

    def request_begins(self, head: RequestHead, *, keep_alive: bool) -> None:
        exchange = Exchange(self._context, self, head, keep_alive=keep_alive)
        self._arriving = exchange
        self._waiting.append(exchange)

    def body_data(self, data: bytes) -> None:
        if self._arriving is not None:
            if self.phase is RECEIVING:
                self._deadline.set(self._limits.body_seconds)
            self._arriving.body_data(data)

    def body_end(self) -> None:
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            if self.phase is RECEIVING:
                self._enter(SERVING)
            arriving.body_end()

    def reading_fails(self, error: BffError) -> None:
        if self._arriving is None:
            self._bad = error
        elif self._arriving is self._current:
            self._current.body_fails(error)
        else:
            self._arriving.head.fault = error

    # --- what an exchange asks for

    @property
    def is_draining(self) -> bool:
        return self._connections.is_draining

    def write(self, data: bytes) -> None:
        self._writes.write(self._transport, data)

    def hold(self, *, on: bool) -> None:
        if on and self.phase in (RECEIVING, SERVING, BEGINNING):
            self._enter(HELD)
        elif not on and self.phase in (RECEIVING, HELD):
            self._enter(self._serving_phase())
        self._read_or_not()

    def exchange_over(self, *, keep_alive: bool, unread: bool) -> None:
        self._current = None
        self._served += 1
        if not keep_alive:
            self._read_no_more()
            self._close(unread=unread)
        else:
            self._advance()

    def abort(self) -> None:
        reset(self._transport)

    # --- used by the listener

    def close_when_idle(self) -> None:
        """Finish what is being served, or has been sent, and serve nothing after it."""
        if self._current is not None:
            self._current.stop()
        else:
            self._advance()

    # --- from one phase to the next

    def _enter(self, phase: Phase) -> None:
        """Be in a phase, with its time limit and with none of the phase before."""
        if phase not in _FOLLOWING[self.phase]:
            raise WrongPhase(self.phase, phase)
        self.phase = phase
        limit = _LIMITS[phase]
        if limit:
            self._deadline.set(getattr(self._limits, limit))
        else:
            self._deadline.clear()

    def _open(self) -> None:
        if not self._connections.opened(self):
            self._reader.stop()
            if not self._transport.is_closing():
                self._answer_bad(TooManyConnections())

    def _advance(self) -> None:
        """Begin what can begin. A read can hold thousands of small requests, so not by recursion,
        and not all before other connections have had a turn and what was written is sent."""
        if self.phase is BEGINNING:
            return  # the loop below goes on
        left = MOST_AT_ONCE
        while self._current is None and self._waiting and not self.is_full and left:
            left -= 1
            self._begin(self._waiting.popleft())
        if self._current is None and self.phase not in ENDS and not self._transport.is_closing():
            if not self._waiting:
                self._rest()
            elif self.is_full:
                self._enter(BLOCKED)
            else:
                self._enter(QUEUED)
                asyncio.get_running_loop().call_soon(self._guard, self._advance)
        self._read_or_not()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._enter(BEGINNING)
        try:
            exchange.start()
        finally:
            if self.phase is BEGINNING and self._current is exchange:
                self._enter(self._serving_phase())
        is_last = self._current is exchange and not self._waiting
        if self._reader.rest and is_last:
            exchange.raw_data(self._reader.rest)

    def _serving_phase(self) -> Phase:
        is_arriving = self._arriving is not None and self._arriving is self._current
        return RECEIVING if is_arriving else SERVING

    def _rest(self) -> None:
        """Nothing is being served."""
        if self._bad is not None:
            self._answer_bad(self._bad)
        elif self._reader.phase is _READ_NO_MORE:
            self._close(unread=False)
        elif self._reader.phase is _READING_HEAD:
            if self.phase is not HEAD:
                self._enter(HEAD)
        elif self._connections.is_stopping:
            self._close_unless_asked()
        else:
            self._enter(IDLE)

    def _close_unless_asked(self) -> None:
        """Nothing was read of a request, but one may be here: closing would lose it, and a proxy in
        front does not send a POST again (RFC 9110 section 9.2.2)."""
        age_seconds = asyncio.get_running_loop().time() - self._made_at
        if self.phase is not NEW:
            self._enter(IDLE)  # or what was held back for the request before stays unread
        if has_unread_bytes(self._transport):
            self._deadline.set(self._limits.head_seconds)
        elif self.phase is NEW and age_seconds < NEW_SECONDS:
            self._deadline.set(NEW_SECONDS - age_seconds)
        else:
            self._close(unread=False)

    def _on_deadline(self) -> None:
        log.debug("connection_late", connection=repr(self))
        if self.phase in ENDS or self._transport.is_closing():
            self._transport.abort()
        elif self.phase is BLOCKED:
            self.abort()  # it takes none of the answers that came before
        elif self._current is not None:
            self._current.body_fails(RequestTimeout())
        elif self.phase is HEAD:
            self._reader.stop()
            self._answer_bad(RequestTimeout())
        else:
            self._close(unread=False)

    def _answer_bad(self, error: BffError) -> None:
        """Answer what is no request."""
        self._bad = None
        head = RequestHead("GET", b"", (), self._reader.peer, fault=error)
        self._begin(Exchange(self._context, self, head, keep_alive=False))

    def _close(self, *, unread: bool) -> None:
        """After what was written has been taken, as slowly as the browser likes. With bytes unread,
        closing at once would reset the connection and take the answer away (RFC 9112 section
        9.6): they are drained for as long as they come, within a limit."""
        if self._transport.is_closing():
            return
        self._writes.flush(self._transport)
        if not unread:
            self._enter(CLOSING)
            self._transport.close()
            self._watch_untaken()
            return
        self._enter(LINGERING)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._linger_until = asyncio.get_running_loop().time() + self._limits.linger_most_seconds
        self._linger_on()
        self._read_or_not()

    def _linger_on(self) -> None:
        left = self._linger_until - asyncio.get_running_loop().time()
        self._deadline.set(min(self._limits.linger_seconds, left))

    def _read_no_more(self) -> None:
        self._reader.stop()
        self._bad = None
        self._drop_waiting(CUT)

    def _drop_waiting(self, ending: str) -> None:
        while self._waiting:
            self._waiting.popleft().cancel(ending)

    # --- faults of the gateway's own

    def _guard(self, step: Callable[[], None]) -> None:
        """Take a step that the event loop has asked for. It would log what is raised, and forget
        the request that waits."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it is, a request gets an answer
            self._break(error)

    def _break(self, error: Exception) -> None:
        """After a fault of our own nothing more is read; what is being served is answered."""
        self._read_no_more()
        if self._current is not None:
            self._current.breaks(error)
            return
        answer = unforeseen(error)
        if self.phase in ENDS or self._transport.is_closing():
            self._transport.abort()
        else:
            self._answer_bad(answer)

    # --- the flow of bytes

    def _tell_full(self) -> None:
        if self._current is not None:
            self._current.browser_full(full=self.is_full)
        elif not self.is_full:
            self._advance()

    def _watch_untaken(self) -> None:
        if self._untaken is None:
            seconds = self._limits.body_seconds
            self._untaken = UntakenBytes(self._transport, seconds, self.abort)
        self._untaken.watch()

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        is_held = self.phase is HELD or (bool(self._waiting) and self.phase is not LINGERING)
        self._reads.want(on=not is_held)
