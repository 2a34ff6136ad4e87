"""One browser's connection: begins the requests that are read on it, one after the other, in the
order in which they came.

Bytes that are no HTTP are answered once, without being repeated, and the connection is closed; it
is closed as well after an answer whose request was not read to its end, so that a body can never be
read as a request.

RFC 9112 sections 9.3 (persistence, pipelining), 9.6 (tear-down); RFC 6585 section 5 (431).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

import structlog

from bff.errors import BffError, RequestTimeout, TooManyConnections
from bff.gate.refusals import unforeseen
from bff.proxy.context import ProxyContext
from bff.proxy.downstream.phases import (
    BEGINNING,
    BLOCKED,
    CLOSED,
    CLOSING,
    CONNECTION,
    ENDS,
    HEAD_DUE,
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
from bff.proxy.downstream.requests import RequestQueue
from bff.proxy.downstream.untaken import UntakenBytes, has_unread_bytes
from bff.proxy.exchange.access import BROWSER_GONE, CUT
from bff.proxy.exchange.exchange import Exchange
from bff.proxy.phases import phase_seconds
from bff.proxy.transport import MUCH_BYTES, FairReads, PhaseDeadline, reset

log = structlog.get_logger("bff.proxy.downstream")

MOST_AT_ONCE = 32  # requests of one browser that are begun in one turn of the event loop
NEW_SECONDS = 2.0  # how long after it was made a connection may be without its first request

_STEPS = CONNECTION.steps
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
    """`asyncio.Protocol`, and what an exchange asks of it. `is_full`: the browser takes no more of
    the answers for now."""

    __slots__ = (
        "_connections", "_context", "_deadline", "_limits", "_linger_until", "_loop", "_made_at",
        "_reader", "_reads", "_requests", "_traffic", "_transport", "_untaken", "_writes",
        "is_full", "phase",
    )  # fmt: skip

    _transport: asyncio.Transport  # from `connection_made` on
    _reads: FairReads

    def __init__(self, context: ProxyContext, connections: Connections) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self.phase = NEW
        self.is_full = False
        self._context = context
        self._connections = connections
        self._limits = context.limits
        self._writes = context.writes
        self._traffic = context.traffic
        self._requests = RequestQueue(context, self)
        self._reader = RequestReader(self._requests)
        self._deadline = PhaseDeadline(
            loop,
            lambda: self._guard(self._on_deadline),
            phase_seconds(CONNECTION, context.limits),
        )
        self._untaken: UntakenBytes | None = None
        self._made_at = loop.time()
        self._linger_until = 0.0

    def __repr__(self) -> str:
        peer = self._context.shown_address(self._reader.peer)
        return (
            f"<DownstreamConnection {self.phase.name} peer={peer} "
            f"age={self._loop.time() - self._made_at:.1f}s "
            f"served={self._requests.served} waiting={len(self._requests.waiting)}>"
        )

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._reads = FairReads(self._transport, self._guard)
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
        current = self._requests.drop(BROWSER_GONE)
        if current is not None:
            self._guard(current.cancel)

    def data_received(self, data: bytes) -> None:
        self._traffic.received_bytes += len(data)
        try:
            if len(data) > MUCH_BYTES:
                self._reads.give_way()
            if self._reader.phase is not _READ_NO_MORE:
                self._reader.feed(data)
                self._advance()
            elif self.phase is LINGERING:
                self._linger_on()
        except Exception as error:  # noqa: BLE001 - whatever it is, a request gets an answer
            self._break(error)

    def eof_received(self) -> bool:
        """A browser that hangs up, even by half, no longer waits for an answer. It may be reading
        all the same, and must not take the end of the connection for that of the answer."""
        current = self._requests.current
        if current is not None and current.ends_with_connection:
            self.abort()
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

    # --- told of the request that is being served

    def body_goes_on(self) -> None:
        if self.phase is RECEIVING:
            self._deadline.set(self._limits.body_seconds)

    def body_is_whole(self) -> None:
        if self.phase is RECEIVING:
            self._enter(SERVING)

    # --- what an exchange asks for

    @property
    def is_draining(self) -> bool:
        return self._connections.is_draining

    def write(self, data: bytes) -> None:
        self._traffic.sent_bytes += len(data)
        self._writes.write(self._transport, data)

    def hold(self, *, on: bool) -> None:
        if on and self.phase in (RECEIVING, SERVING, BEGINNING):
            self._enter(HELD)
        elif not on and self.phase in (RECEIVING, HELD):
            self._enter(self._serving_phase())
        self._read_or_not()

    def exchange_over(self, *, keep_alive: bool, unread: bool) -> None:
        self._requests.over()
        if not keep_alive:
            self._read_no_more()
            self._close(unread=unread)
        else:
            self._advance()

    def abort(self) -> None:
        if self.phase is not CLOSED:
            reset(self._transport)

    # --- used by the listener

    @property
    def exchange(self) -> Exchange | None:
        """Of the request that is being served."""
        return self._requests.current

    def close_when_idle(self) -> None:
        """Finish what is being served, or has been sent, and serve nothing after it."""
        if self._requests.current is None:
            self._advance()

    # --- from one phase to the next

    def _enter(self, phase: Phase) -> None:
        """Be in a phase, with its time limit and with none of the phase before."""
        self.phase = _STEPS[self.phase][phase]
        self._deadline.follow(phase)

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
        requests, left = self._requests, MOST_AT_ONCE
        while requests.current is None and requests.waiting and not self.is_full and left:
            left -= 1
            self._begin(requests.next())
        if requests.current is None and self.phase not in ENDS:
            if self._transport.is_closing():
                return
            if not requests.waiting:
                self._rest()
            elif self.is_full:
                self._enter(BLOCKED)
            else:
                self._enter(QUEUED)
                self._loop.call_soon(self._guard, self._advance)
        self._read_or_not()

    def _begin(self, exchange: Exchange) -> None:
        """Serve the current one."""
        self._enter(BEGINNING)
        try:
            exchange.start()
        finally:
            if self.phase is BEGINNING and self._requests.current is exchange:
                self._enter(self._serving_phase())

    def _serving_phase(self) -> Phase:
        return RECEIVING if self._requests.is_arriving else SERVING

    def _rest(self) -> None:
        """Nothing is being served."""
        if self._requests.bad is not None:
            self._answer_bad(self._requests.bad)
        elif self._reader.phase is _READ_NO_MORE:
            self._close(unread=False)
        elif self._reader.phase is _READING_HEAD:
            if self.phase is not HEAD_DUE:
                self._enter(HEAD_DUE)
        elif self._connections.is_stopping:
            self._close_unless_asked()
        else:
            self._enter(IDLE)

    def _close_unless_asked(self) -> None:
        """Nothing was read of a request, but one may be here: closing would lose it, and a proxy in
        front does not send a POST again (RFC 9110 section 9.2.2)."""
        age_seconds = self._loop.time() - self._made_at
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
            self._end()
        elif self.phase is BLOCKED:
            self.abort()  # it takes none of the answers that came before
        elif self._requests.current is not None:
            self._requests.current.body_fails(RequestTimeout())
        elif self.phase is HEAD_DUE:
            self._reader.stop()
            self._answer_bad(RequestTimeout())
        else:
            self._close(unread=False)

    def _answer_bad(self, error: BffError) -> None:
        """Answer what is no request."""
        self._begin(self._requests.refusal(error, self._reader.peer))

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
        self._linger_until = self._loop.time() + self._limits.linger_most_seconds
        self._linger_on()
        self._read_or_not()

    def _linger_on(self) -> None:
        left = self._linger_until - self._loop.time()
        self._deadline.set(min(self._limits.linger_seconds, left))

    def _end(self) -> None:
        """What was written and has not been sent by now is lost; the browser must not take what it
        got for all of it."""
        if self._transport.get_write_buffer_size():
            self.abort()
        else:
            self._transport.abort()

    def _read_no_more(self) -> None:
        self._reader.stop()
        self._requests.drop_waiting(CUT)

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
        if self._requests.current is not None:
            self._requests.current.breaks(error)
            return
        answer = unforeseen(error)
        if self.phase in ENDS or self._transport.is_closing():
            self._end()
        else:
            self._answer_bad(answer)

    # --- the flow of bytes

    def _tell_full(self) -> None:
        if self._requests.current is not None:
            self._requests.current.browser_full(full=self.is_full)
        elif not self.is_full:
            self._advance()

    def _watch_untaken(self) -> None:
        if self._untaken is None:
            seconds = self._limits.body_seconds
            self._untaken = UntakenBytes(self._transport, seconds, self.abort, self._guard)
        self._untaken.watch()

    def _read_or_not(self) -> None:
        if self._transport.is_closing():
            return
        is_held = self.phase is HELD or (
            bool(self._requests.waiting) and self.phase is not LINGERING
        )
        self._reads.want(on=not is_held)
