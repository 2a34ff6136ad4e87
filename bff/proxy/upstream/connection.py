"""One connection to an upstream: writes requests, reads answers with llhttp, one after the other.

Knows nothing of browsers, sessions or routes. What wants an answer is a `AnswerReceiver`. An answer
that is no HTTP, or bytes that were not asked for, end the connection: it is never used again.

RFC 9112 sections 6.3 (where a body ends), 9.3 (persistence); RFC 9110 section 15.2 (1xx).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import structlog

from bff.errors import UpstreamError, UpstreamMalformed, UpstreamUnreachable
from bff.observability.reasons import reason_of
from bff.proxy.phases import phase_seconds
from bff.proxy.transport import MUCH_BYTES, FairReads, PhaseDeadline, WriteCoalescer
from bff.proxy.upstream.answer_head import Unreadable
from bff.proxy.upstream.phases import (
    ANSWERING,
    CLOSED,
    CONNECTING,
    CONNECTION,
    IDLE,
    TUNNEL,
    Phase,
    Reading,
)
from bff.proxy.upstream.reader import AnswerReader, AnswerReceiver

log = structlog.get_logger("bff.proxy.upstream")

_NOTHING = Reading.NOTHING
_STEPS = CONNECTION.steps


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """`silence_seconds` is the longest wait for bytes while an answer is due, None for ever;
    `idle_seconds` how long a connection may lie in its pool."""

    silence_seconds: float | None
    idle_seconds: float


class ConnectionPool(Protocol):
    """Where a connection lies between two requests."""

    def keep(self, connection: "UpstreamConnection") -> bool:
        """Take it back; False when there is no place for it."""

    def forget(self, connection: "UpstreamConnection") -> None:
        """It is closed."""


class UpstreamConnection(asyncio.Protocol):
    """`is_full`: it takes no more of the request for now; `request_sent`: it has all of it;
    `served`: how many requests it was used for."""

    _transport: asyncio.Transport  # from `connection_made` on
    _reads: FairReads

    def __init__(
        self, pool: ConnectionPool, writes: WriteCoalescer, limits: UpstreamLimits
    ) -> None:
        self.phase = CONNECTING
        self.is_full = False
        self.request_sent = False
        self.served = 0
        self._loop = asyncio.get_running_loop()
        self._pool = pool
        self._writes = writes
        self._silence_seconds = limits.silence_seconds
        self._deadline = PhaseDeadline(
            self._loop,
            lambda: self._guard(self._on_deadline),
            phase_seconds(CONNECTION, limits),
        )
        self._reader = AnswerReader()
        self._peer: object = None
        self._made_at = self._loop.time()

    def __repr__(self) -> str:
        return (
            f"<UpstreamConnection {self.phase.name} peer={self._peer} "
            f"age={self._loop.time() - self._made_at:.1f}s served={self.served} {self._reader!r}>"
        )

    # --- used by an exchange

    @property
    def is_open(self) -> bool:
        return self.phase is not CLOSED and self.phase is not CONNECTING

    @property
    def is_usable(self) -> bool:
        return self.is_open and not self._transport.is_closing()

    def begin(self, receiver: AnswerReceiver, head: bytes, *, head_only: bool) -> None:
        """Send a request head. `head_only`: the request is HEAD, so no body will come."""
        self._reader.expect(receiver, head_only=head_only)
        self.request_sent = False
        self.served += 1
        self._enter(ANSWERING)
        self._writes.write(self._transport, head)

    def send(self, data: bytes) -> None:
        """More of the request, framed as its head said."""
        self._writes.write(self._transport, data)
        self._await_bytes()

    def abort(self) -> None:
        """Give up on the answer; the receiver hears no more."""
        self._reader.give_up()
        self._close()

    def pause_reading(self) -> None:
        if self.is_open:
            self._reads.want(on=False)

    def resume_reading(self) -> None:
        if self.is_open:
            self._reads.want(on=True)
            self._await_bytes()

    def close(self) -> None:
        """An idle one."""
        self._close()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._reads = FairReads(self._transport, self._guard)
        self._peer = transport.get_extra_info("peername")  # a closed one can't be asked
        self._enter(IDLE)

    def data_received(self, data: bytes) -> None:
        receiver = self._reader.receiver
        try:
            if receiver is None:
                self._close()  # it was not asked
                return
            if len(data) > MUCH_BYTES:
                self._reads.give_way()
            if self.phase is TUNNEL:
                receiver.tunnel_data(data)
            else:
                self._read(receiver, data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request gets an answer
            self._break(receiver, error)

    def eof_received(self) -> None:
        if self._reader.end_of_stream():
            self._guard(self._end)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        reason = reason_of(exc) if exc else "it hung up"
        self._guard(lambda: self._fail(UpstreamUnreachable(reason)))

    def pause_writing(self) -> None:
        self.is_full = True
        self._guard(self._tell_full)

    def resume_writing(self) -> None:
        self.is_full = False
        self._await_bytes()
        self._guard(self._tell_full)

    def _read(self, receiver: AnswerReceiver, data: bytes) -> None:
        reader = self._reader
        try:
            after_switch = reader.feed(data)
        except Unreadable as error:
            self._fail(UpstreamMalformed(str(error)))
            return
        if after_switch is not None:
            self._switch(after_switch)
        elif reader.is_over:
            self._end()
        elif reader.receiver is receiver:
            self._await_bytes()
            receiver.answer_read()

    # ---

    def _enter(self, phase: Phase) -> None:
        """Be in a phase, with its time limit and with none of the phase before."""
        self.phase = _STEPS[self.phase][phase]
        self._deadline.follow(phase)

    def _await_bytes(self) -> None:
        seconds = self._silence_seconds
        if seconds is not None and self.phase is ANSWERING:
            self._deadline.set(seconds)

    def _on_deadline(self) -> None:
        log.debug("upstream_late", connection=repr(self))
        if self._reader.receiver is None:
            self._close()
        else:
            self._reader.receiver.answer_late()

    def _tell_full(self) -> None:
        if self._reader.receiver is not None:
            self._reader.receiver.upstream_full(full=self.is_full)

    def _end(self) -> None:
        receiver, self._reader.receiver = self._reader.receiver, None
        is_reusable = self._reader.reset() and self.request_sent and self.phase is ANSWERING
        if is_reusable and self._pool.keep(self):
            self._enter(IDLE)
        else:
            self._close()
        if receiver is not None:
            receiver.answer_ends()

    def _switch(self, after_switch: bytes) -> None:
        receiver, head = self._reader.receiver, self._reader.head
        if receiver is None or head is None:
            self._close()
            return
        self._enter(TUNNEL)
        receiver.protocol_switched(head, after_switch)

    def _fail(self, error: UpstreamError) -> None:
        receiver = self._reader.receiver
        self._reader.give_up()
        self._close()
        if receiver is not None:
            receiver.answer_fails(error, unanswered=self._reader.phase is _NOTHING)

    def _guard(self, step: Callable[[], None]) -> None:
        """Take a step that the event loop has asked for. It would log what is raised, and forget
        the request that waits."""
        receiver = self._reader.receiver
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the request gets an answer
            self._break(receiver, error)

    def _break(self, receiver: AnswerReceiver | None, error: Exception) -> None:
        self._reader.give_up()
        self._close()
        if receiver is None:
            raise error  # no request waits; the event loop logs it
        receiver.answer_breaks(error)

    def _close(self) -> None:
        if self.phase is not CLOSED:
            was_open = self.is_open
            self._enter(CLOSED)
            self._deadline.close()
            if was_open:
                self._transport.abort()
