"""One request of a browser, from its head to the last byte of the answer.

The gate decides; this carries it out. Bodies pass through in both directions as they come, with
back-pressure and without being kept, except for the beginning of a request that may have to be sent
again. Once an answer's head is out, a failure aborts the browser's connection, so that a cut
answer never looks complete.

RFC 9110 sections 7.8 (upgrade), 9.2.2 (retries), 10.1.1 (100-continue); RFC 9112 section 6.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine

from bff.errors import (
    BadHandshake,
    BffError,
    BodyTooLarge,
    SessionEnded,
    TooManyStreams,
    UpstreamError,
    UpstreamMalformed,
    UpstreamTimeout,
)
from bff.gate.head import RequestHead
from bff.gate.outcome import Answer, Decision, Wait
from bff.proxy import messages
from bff.proxy.access import BROWSER_GONE
from bff.proxy.answer_head import AnswerHead
from bff.proxy.answer_writer import AnswerWriter
from bff.proxy.browser import Browser
from bff.proxy.refusals import unforeseen
from bff.proxy.renewal import UNAUTHORIZED, another_decision, speaks_of_the_token
from bff.proxy.request_body import KEPT_BYTES, RequestBody
from bff.proxy.shared import Shared
from bff.proxy.trip import Trip, UpstreamTrip
from bff.proxy.tunnel import Tunnel, accepts_handshake
from bff.proxy.upstream import UpstreamConnection
from bff.proxy.websocket import GOING_AWAY

MOST_STREAMS = 512  # of a session, in one process: twice as many WebSockets as a browser opens

# RFC 9110 section 9.2.2: doing it twice is as good as doing it once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class Exchange:
    """`keep_alive`: the connection can serve another request after this one."""

    __slots__ = (
        "_answer", "_browser", "_is_held", "_is_http10", "_keep_alive", "_let_go",
        "_over", "_record", "_renewed", "_request_id", "_retried", "_shared", "_started", "_task",
        "_timer", "_trip", "_tunnel", "_upstream", "body", "body_complete", "head",
    )  # fmt: skip

    def __init__(
        self,
        shared: Shared,
        browser: Browser,
        head: RequestHead,
        *,
        keep_alive: bool,
    ) -> None:
        self._shared = shared
        self._record = shared.access_record(browser, head)
        if self._record is not None:
            browser = self._record
        self._browser = browser
        self.head = head
        self.body: RequestBody | None = None
        self.body_complete = False
        self._keep_alive = keep_alive
        self._is_http10 = head.version == "1.0"
        self._answer = AnswerWriter(browser, is_http10=self._is_http10)
        self._request_id = ""  # until the gate has given it one
        self._trip: Trip | None = None
        self._upstream: UpstreamConnection | None = None
        self._tunnel: Tunnel | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._let_go: Callable[[], None] | None = None
        self._is_held = False  # the answer is not sent yet: there may be a better one
        self._renewed = False
        self._retried = False
        self._started = False
        self._over = False

    # --- the decision

    def start(self) -> None:
        """Carry it out."""
        self._started = True
        try:
            self._decide()
        except BffError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self.breaks(error)

    def _decide(self) -> None:
        if not self.body_complete and self.body is None:
            self.body = RequestBody(self.head.fields)
        decision = self._shared.admission.decide(self.head)
        if self.body is not None and self.body.exceeds(self._shared.limits.max_body_bytes):
            decision = Answer(BodyTooLarge(), decision.identity, ends_connection=True)
        if isinstance(decision, Wait):
            self._spawn(lambda: self._settle(decision))
        else:
            self._act(decision)

    async def _settle(self, wait: Wait) -> None:
        self._act(await self._shared.admission.settle(self.head, wait))

    def _act(self, decision: Decision) -> None:
        self._note_identity(decision)
        if isinstance(decision, Answer):
            self._keep_alive = self._keep_alive and not decision.ends_connection
            self._refuse(decision.error, clear=decision.clear_cookie)
            return
        if isinstance(decision, Wait):
            raise TypeError("a settled decision waits for nothing")
        self._trip = trip = self._shared.trip(decision, self.head)
        if trip.websocket_key is not None:
            self._require_room(trip)
        if trip.total_seconds:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(trip.total_seconds, self._on_total_timeout)
        self._set_out(trip)

    def _note_identity(self, decision: Decision) -> None:
        """The answer and the logs name the request as the upstream is told."""
        self._request_id = decision.identity.request_id
        if self._record is not None:
            self._record.decided(decision)

    def _set_out(self, trip: Trip) -> None:
        connection = trip.take()
        if connection is None:
            self._spawn(lambda: self._connect(trip))
        else:
            self._send(trip, connection)

    async def _connect(self, trip: Trip) -> None:
        self._send(trip, await trip.connect())

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        # Not a coroutine: one that is cancelled before its first step would be left behind.
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))

    async def _guarded(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            try:
                await work()
            except BffError as error:
                self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self.breaks(error)
        except asyncio.CancelledError as error:
            if not self._over:  # `_release` has not cancelled this task: what it waited for was
                self.breaks(error)
            raise

    # --- what the browser sends after the head, told by its connection

    def body_data(self, data: bytes) -> None:
        if self._record is not None:
            self._record.bytes_in += len(data)
        if self._over:
            return
        body = self.body
        if body is None:
            body = self.body = RequestBody(self.head.fields)
        body.add(data)
        if not self._started:  # those before it are answered first
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

    def raw_data(self, data: bytes) -> None:
        """Bytes after a handshake."""
        if self._record is not None:
            self._record.bytes_in += len(data)
        if self._tunnel is not None:
            self._tunnel.from_browser(data)
        elif self._trip is not None and self._trip.websocket_key is not None:
            self._fail(BadHandshake("data before the answer"))  # RFC 6455 section 4.1

    # --- the request on its way

    def _send(self, trip: Trip, connection: UpstreamConnection) -> None:
        if self._over:
            connection.close()
            return
        body = self.body
        is_head = self.head.method == "HEAD"
        self._upstream = connection
        if self._record is not None:
            self._record.sent()
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
        if not self.body_complete or self._tunnel is not None:
            self._browser.hold(on=full)

    # --- the answer, told by the upstream's connection

    def answer_interim(self, head: AnswerHead) -> None:
        if not self._is_http10:  # RFC 9110 section 15.2: it knows none
            fields = self._require_trip().interim_fields(head)
            self._browser.write(messages.interim_head(head.status, head.reason, fields))

    def answer_begins(self, head: AnswerHead) -> None:
        trip = self._require_trip()
        trip.answered()
        if self._record is not None:
            self._record.answered()
        if not self.body_complete:
            self._keep_alive = False  # the rest of the body is not read
        keep_alive = self._keep_alive and not self._browser.is_draining
        fields = trip.answer_fields(head)
        self._keep_alive = self._answer.begin(head, fields, keep_alive=keep_alive)
        if head.status == UNAUTHORIZED and trip.may_renew and self._may_renew(head):
            self._is_held = True
            self._spawn(lambda: self._renew(trip))

    def answer_body(self, data: bytes) -> None:
        self._answer.add(data)

    def answer_read(self) -> None:
        if self._is_held:
            if self._upstream is not None:
                self._upstream.pause_reading()
            return
        self._flush()
        if self._answer.is_sent and self._let_go is None:
            session = self._require_trip().session
            if session is not None:
                # An answer still under way is cut when its session ends: no stream outlives it.
                self._let_go = self._shared.bound_streams.hold(
                    session, lambda _: self._browser.abort()
                )

    def answer_ends(self) -> None:
        self._upstream = None
        self._answer.end()
        if not self._is_held:
            self._flush()
            self._finish()

    def answer_fails(self, error: UpstreamError, *, unanswered: bool) -> None:
        connection, self._upstream = self._upstream, None
        if self._tunnel is not None:
            self._finish()  # the API has hung up
            return
        trip = self._require_trip()
        if unanswered and connection is not None and connection.served > 1 and self._may_retry():
            # It was closed while it lay idle, and we had not heard of it yet.
            self._retried = True
            self._spawn(lambda: self._connect(trip))
            return
        trip.failed()
        self._fail(error)

    def answer_breaks(self, error: Exception) -> None:
        self._upstream = None
        self.breaks(error)

    def answer_late(self) -> None:
        upstream = self._upstream
        if upstream is None:
            return
        is_sending = not self.body_complete and not upstream.is_full
        if self._is_held or self._browser.is_full or is_sending:
            upstream.wait_longer()  # for what is on its way to it, or from it: that has its limits
        else:
            upstream.abort()
            self.answer_fails(UpstreamTimeout("silence"), unanswered=False)

    def _on_total_timeout(self) -> None:
        if self._tunnel is not None:
            return
        try:
            self._fail(UpstreamTimeout("total"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self.breaks(error)

    def browser_full(self, *, full: bool) -> None:
        """Whether the browser takes no more for now."""
        if self._upstream is not None:
            if full:
                self._upstream.pause_reading()
            else:
                self._upstream.resume_reading()

    # --- an upstream that refuses our token

    def _may_renew(self, head: AnswerHead) -> bool:
        return (
            not self._renewed
            and self._is_replayable()
            and self.body_complete
            and speaks_of_the_token(head.fields)
        )

    async def _renew(self, trip: Trip) -> None:
        """Send the request once more if there is a better token; else the 401 is the answer."""
        self._renewed = True
        try:
            decision = await another_decision(self._shared.admission, self.head, trip.session)
        except SessionEnded:
            self._is_held = False
            raise
        if decision is None:
            self._let_through()
            return
        self._is_held = False
        self._answer.take_back()
        self._release_upstream()
        self._note_identity(decision)
        self._trip = again = self._shared.trip(decision, self.head)
        connection = again.take() or await again.connect()
        self._send(again, connection)

    def _let_through(self) -> None:
        self._is_held = False
        self._flush()
        if self._upstream is None:
            self._finish()
        else:
            self._upstream.resume_reading()

    # --- a WebSocket

    def protocol_switched(self, head: AnswerHead, rest: bytes) -> None:
        trip, upstream = self._require_trip(), self._upstream
        if upstream is None or not accepts_handshake(head.fields, trip.websocket_key):
            self._fail(UpstreamMalformed("101 that was not asked for"))
            return
        trip.answered()
        if self._record is not None:
            self._record.answered()
        try:
            self._require_room(trip)  # others may have been under way as well
        except TooManyStreams as error:
            self._fail(error)
            return
        self._shared.metrics.answered(UpstreamTrip.kind, head.status)
        fields = [*trip.answer_fields(head), *messages.UPGRADE]
        self._browser.write(messages.response_head(head.status, head.reason, fields))
        self._answer.is_sent = True
        self._keep_alive = False
        self._tunnel = tunnel = Tunnel(self._browser, upstream, self._finish)
        if trip.session is not None:
            self._let_go = self._shared.bound_streams.hold(trip.session, tunnel.end)
        if rest:
            tunnel.from_upstream(rest)

    def _require_room(self, trip: Trip) -> None:
        session = trip.session
        if session is not None and self._shared.bound_streams.count(session.key) >= MOST_STREAMS:
            raise TooManyStreams

    def tunnel_data(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.from_upstream(data)

    def stop(self) -> None:
        """The gateway is going away: a WebSocket would not end by itself."""
        if self._tunnel is not None:
            self._tunnel.end("going away", GOING_AWAY)

    # --- the end

    def _refuse(self, error: BffError, *, clear: bool = False) -> None:
        """Answer in the gateway's own name."""
        request_id = self._request_id or secrets.token_hex(16)
        if self._record is not None:
            self._record.refused(error.code, request_id)
        problem = self._shared.refusals.problem(
            error,
            self.head.fields,
            request_id,
            method=self.head.method,
            route=self._shared.admission.route_of(self.head),
            clear=clear,
        )
        self._keep_alive = self._keep_alive and self.body_complete and not self._browser.is_draining
        self._answer.refuse(
            problem,
            self._shared.date(),
            head_only=self.head.method == "HEAD",
            keep_alive=self._keep_alive,
        )
        self._finish()

    def cancel(self, ending: str = BROWSER_GONE) -> None:
        """There is no answer to give any more."""
        self._over = True
        self._release()
        if self._record is not None:
            self._record.over(ending)

    def _fail(self, error: BffError) -> None:
        if self._over:
            return
        if self._answer.is_sent:
            self._over = True
            self._release()
            self._browser.abort()
            return
        self._answer.take_back()
        self._release()
        self._refuse(error)

    def breaks(self, error: BaseException) -> None:
        """A fault of our own that no rule foresees: 500, or the end of the connection where no
        answer can be given any more. Never raises."""
        answer = unforeseen(error, self._request_id)
        try:
            if not self._over:
                self._fail(answer)
                return
        except Exception as further:  # noqa: BLE001 - the same fault again, on the way to the answer
            unforeseen(further)
        self._over = True
        self._browser.abort()

    def _finish(self) -> None:
        if self._over:
            return
        self._over = True
        self._release()
        unread = not self.body_complete or self._tunnel is not None
        self._browser.exchange_over(keep_alive=self._keep_alive, unread=unread)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._release_upstream()
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()

    def _release_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        if self._trip is not None:
            self._trip.over()

    def _flush(self) -> None:
        if self._answer.flush() and self._trip is not None:
            kind = self._trip.kind
            if kind is not None:
                self._shared.metrics.answered(kind, self._answer.status)

    def _require_trip(self) -> Trip:
        if self._trip is None:
            raise TypeError("no request is on its way")
        return self._trip

    def _is_replayable(self) -> bool:
        return self.body is None or self.body.is_kept

    def _may_retry(self) -> bool:
        return not self._retried and self.head.method in IDEMPOTENT and self._is_replayable()
