"""One request of a browser, from its head to the last byte of the answer.

The gate decides; this carries it out. Bodies pass through in both directions as they come, with
back-pressure and without being kept, except for the beginning of a request that may have to be sent
again. Once an answer's head is out, a failure aborts the browser's connection, so that a cut
answer never looks complete.

RFC 9110 sections 9.2.2 (retries), 10.1.1 (100-continue); RFC 9112 section 6.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Protocol

import structlog

from bff.errors import (
    BffError,
    BodyTooLarge,
    InternalError,
    UpstreamError,
    UpstreamMalformed,
    UpstreamTimeout,
)
from bff.gate.head import Field, RequestHead
from bff.gate.outcome import Answer, Decision, Wait
from bff.proxy import messages
from bff.proxy.request_body import KEPT_BYTES, RequestBody
from bff.proxy.shared import Shared
from bff.proxy.trip import Trip
from bff.proxy.upstream import AnswerHead, UpstreamConnection

log = structlog.get_logger("bff.front")

# RFC 9110 section 9.2.2: doing it twice is as good as doing it once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
NO_LENGTH_STATUS = 204  # RFC 9110 section 8.6


class Browser(Protocol):
    """The connection a request came on. `is_stopping`: it serves no further request."""

    is_stopping: bool

    def write(self, data: bytes) -> None: ...

    def hold(self, *, on: bool) -> None:
        """Whether to read no more of the request for now."""

    def exchange_over(self, *, keep_alive: bool) -> None:
        """All has been written. Unless `keep_alive`, nothing more will be."""

    def abort(self) -> None:
        """Cut the connection."""


class Exchange:
    """`fault`: the head is refused whatever the gate says."""

    __slots__ = (
        "_answer_begun", "_answer_chunked", "_answer_status", "_browser", "_browser_full",
        "_is_http10", "_keep_alive", "_let_go", "_out", "_over", "_retried", "_shared", "_started",
        "_task", "_trip", "_upstream", "body", "body_complete", "fault", "head",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        browser: Browser,
        head: RequestHead,
        *,
        keep_alive: bool,
        is_http10: bool,
        fault: BffError | None,
    ) -> None:
        self._shared = shared
        self._browser = browser
        self.head = head
        self.fault = fault
        self.body: RequestBody | None = None
        self.body_complete = False
        self._keep_alive = keep_alive
        self._is_http10 = is_http10
        self._trip: Trip | None = None
        self._upstream: UpstreamConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._let_go: Callable[[], None] | None = None
        self._out: list[bytes] = []
        self._answer_begun = False  # some of it is on its way to the browser
        self._answer_status = 0
        self._answer_chunked = False
        self._browser_full = False
        self._started = False
        self._retried = False
        self._over = False

    # --- the decision

    def start(self) -> None:
        """Carry it out."""
        self._started = True
        if self.fault is not None:
            self.refuse(self.fault)
            return
        if not self.body_complete and self.body is None:
            self.body = RequestBody(self.head.fields)
        if self.body is not None and self.body.exceeds(self._shared.limits.max_body_bytes):
            self._keep_alive = False  # however much of it has come already
            self.refuse(BodyTooLarge())
            return
        try:
            decision = self._shared.admission.decide(self.head)
            if isinstance(decision, Wait):
                self._spawn(self._settle(decision))
            else:
                self._act(decision)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self._refuse_unforeseen(error)

    async def _settle(self, wait: Wait) -> None:
        self._act(await self._shared.admission.settle(self.head, wait))

    def _act(self, decision: Decision) -> None:
        if isinstance(decision, Answer):
            self.refuse(decision.error, decision.identity.request_id, clear=decision.clear_cookie)
            return
        if isinstance(decision, Wait):
            raise TypeError("a settled decision waits for nothing")
        self._trip = trip = self._shared.trip(decision, self.head)
        connection = trip.take()
        if connection is None:
            self._spawn(self._connect(trip))
        else:
            self._send(trip, connection)

    async def _connect(self, trip: Trip) -> None:
        self._send(trip, await trip.connect())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except BffError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self._refuse_unforeseen(error)

    # --- the request's body, told by the browser's connection

    def body_data(self, data: bytes) -> None:
        body = self.body
        if body is None:
            body = self.body = RequestBody(self.head.fields)
        body.add(data)
        if self._over or not self._started:  # those before it are answered first
            return
        if body.exceeds(self._shared.limits.max_body_bytes):
            self._fail(BodyTooLarge())
        elif self._upstream is not None:
            self._upstream.send(body.framed(data))
            body.let_go()
        elif body.seen_bytes > KEPT_BYTES:
            self._browser.hold(on=True)

    def body_end(self) -> None:
        self.body_complete = True
        if self.body is None:
            return
        rest = self.body.end()
        if self._upstream is not None:
            self._upstream.request_sent = True
            if rest:
                self._upstream.send(rest)

    def body_fails(self, error: BffError) -> None:
        """There will be no more of it."""
        self._fail(error)

    # --- the request on its way

    def _send(self, trip: Trip, connection: UpstreamConnection) -> None:
        if self._over:
            connection.close()
            return
        body = self.body
        is_head = self.head.method == "HEAD"
        self._upstream = connection
        if body is None:
            connection.begin(self, trip.head(connection, ()), head_only=is_head)
            connection.request_sent = True
            return
        framing = (messages.CHUNKED,) if body.is_chunked else ()
        data = trip.head(connection, framing) + body.from_the_start()
        connection.begin(self, data, head_only=is_head)
        connection.request_sent = body.complete
        body.let_go()
        if not body.complete:
            if body.expects_continue and body.seen_bytes == 0 and not self._is_http10:
                self._browser.write(messages.CONTINUE)
            self._browser.hold(on=False)

    def upstream_full(self, *, full: bool) -> None:
        if not self.body_complete:
            self._browser.hold(on=full)

    # --- the answer

    def answer_begins(self, head: AnswerHead) -> None:
        trip = self._trip
        if trip is None:
            raise TypeError("nobody has asked")
        self._answer_status = head.status
        fields = trip.answer_fields(head)
        if not self.body_complete:
            self._keep_alive = False  # nobody waits for the rest of the body
        if head.status == NO_LENGTH_STATUS and head.length is not None:
            fields = [item for item in fields if item[0].lower() != b"content-length"]
        elif head.has_body and head.length is None:
            if self._is_http10:
                self._keep_alive = False  # the end of the connection is the end of the body
            else:
                self._answer_chunked = True
                fields.append(messages.CHUNKED)
        fields += self._connection_fields()
        self._out.append(messages.response_head(head.status, head.reason, fields))

    def answer_body(self, data: bytes) -> None:
        self._out.append(messages.chunk(data) if self._answer_chunked else data)

    def answer_read(self) -> None:
        self._flush()
        if self._answer_begun and self._let_go is None and self._trip is not None:
            session = self._trip.session
            if session is not None:
                # An answer still under way is cut when its session ends: no stream outlives it.
                self._let_go = self._shared.bonds.hold(session, lambda _: self._browser.abort())

    def answer_ends(self) -> None:
        self._upstream = None
        if self._answer_chunked:
            self._out.append(messages.LAST_CHUNK)
        self._flush()
        self._finish()

    def answer_fails(self, error: UpstreamError, *, unanswered: bool) -> None:
        connection, self._upstream = self._upstream, None
        trip = self._trip
        if trip is None or connection is None:
            return
        if unanswered and connection.served > 1 and self._may_send_again():
            # It was closed while it lay idle, and we had not heard of it yet.
            self._retried = True
            self._spawn(self._connect(trip))
            return
        trip.over(error)
        self._fail(error)

    def answer_late(self) -> None:
        upstream = self._upstream
        if upstream is None:
            return
        if self._browser_full:
            self._browser.abort()  # it is the browser who takes nothing
        elif not self.body_complete and not upstream.is_full:
            upstream.wait_longer()  # for a body that is still on its way; that has its own limit
        else:
            upstream.abort()
            self.answer_fails(UpstreamTimeout("silence"), unanswered=False)

    def protocol_switched(self, head: AnswerHead, rest: bytes) -> None:
        self._fail(UpstreamMalformed("101 without having been asked"))

    def browser_full(self, *, full: bool) -> None:
        """Whether the browser takes no more for now."""
        self._browser_full = full
        if self._upstream is not None:
            if full:
                self._upstream.pause_reading()
            else:
                self._upstream.resume_reading()

    # --- the end

    def refuse(self, error: BffError, request_id: str = "", *, clear: bool = False) -> None:
        """Answer in the gateway's own name."""
        request_id = request_id or secrets.token_hex(16)
        problem = self._shared.refusals.problem(error, self.head.fields, request_id, clear=clear)
        if not self.body_complete:
            self._keep_alive = False
        fields: list[Field] = [
            (name.encode(), value.encode()) for name, value in problem.headers.items()
        ]
        fields.append((b"Content-Length", b"%d" % len(problem.body)))
        fields.append(self._shared.date())
        fields += self._connection_fields()
        head = messages.response_head(problem.status, messages.reason_of(problem.status), fields)
        self._answer_begun = True
        self._browser.write(head if self.head.method == "HEAD" else head + problem.body)
        self._finish()

    def cancel(self) -> None:
        """The browser is gone: nobody waits any more."""
        self._over = True
        self._release()

    def _fail(self, error: BffError) -> None:
        if self._over:
            return
        if self._answer_begun:
            self._over = True
            self._release()
            self._browser.abort()
            return
        self._out.clear()
        self._release()
        self.refuse(error, self._trip.request_id if self._trip is not None else "")

    def _refuse_unforeseen(self, error: Exception) -> None:
        log.error("unhandled", error=type(error).__name__, exc_info=error)
        self._fail(InternalError())

    def _finish(self) -> None:
        self._over = True
        self._release()
        self._browser.exchange_over(keep_alive=self._keep_alive)

    def _release(self) -> None:
        if self._let_go is not None:
            self._let_go()
            self._let_go = None
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        if self._trip is not None:
            self._trip.over(None)

    def _flush(self) -> None:
        out = self._out
        if out:
            if not self._answer_begun and self._trip is not None:
                self._answer_begun = True
                self._shared.metrics.answered(self._trip.kind, self._answer_status)
            self._browser.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def _connection_fields(self) -> tuple[Field, ...]:
        if not self._keep_alive or self._browser.is_stopping:
            return (messages.CLOSE,)
        return (messages.KEEP_ALIVE,) if self._is_http10 else ()

    def _may_send_again(self) -> bool:
        return (
            not self._retried
            and self.head.method in IDEMPOTENT
            and (self.body is None or self.body.is_kept)
        )
