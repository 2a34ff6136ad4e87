"""The parts of an exchange, and the ways in which it ends: with an answer of the gateway's own, by
cutting the browser off where an answer has begun, or because the browser has gone.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine

import structlog

from bff.errors import BffError
from bff.gate.head import RequestHead
from bff.gate.outcome import Decision
from bff.gate.refusals import unforeseen
from bff.proxy.context import ProxyContext
from bff.proxy.exchange.access import BROWSER_GONE, CUT
from bff.proxy.exchange.answer import AnswerWriter, Browser
from bff.proxy.exchange.phases import ANSWERING, EXCHANGE, OVER, TUNNEL, WAITING, Phase
from bff.proxy.exchange.request import RequestStream
from bff.proxy.exchange.websocket import Tunnel
from bff.proxy.transport import PhaseDeadline
from bff.proxy.upstream.connection import UpstreamConnection
from bff.proxy.upstream.destination import Destination


class GuardedTask:
    """Begun at once. `fails` is told of an error that has an answer, `breaks` of any other, and of
    a cancellation that is not that of `cancel`."""

    __slots__ = ("_breaks", "_fails", "_is_cancelled", "_task")

    def __init__(
        self,
        work: Callable[[], Coroutine[None, None, None]],
        fails: Callable[[BffError], None],
        breaks: Callable[[BaseException], None],
    ) -> None:
        self._fails = fails
        self._breaks = breaks
        self._is_cancelled = False
        # Not a coroutine: one that is cancelled before its first step would be left behind.
        self._task = asyncio.get_running_loop().create_task(self._guarded(work))

    def cancel(self) -> None:
        """Unless it is the task itself that does it: that one goes on to its end."""
        if self._task is not asyncio.current_task():
            self._is_cancelled = True
            self._task.cancel()

    async def _guarded(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            try:
                await work()
            except BffError as error:
                self._fails(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self._breaks(error)
        except asyncio.CancelledError as error:
            if not self._is_cancelled:  # what it waited for was
                self._breaks(error)
            raise


log = structlog.get_logger("bff.proxy.exchange")

_STEPS = EXCHANGE.steps


class EndingExchange:
    """What every exchange has. `keep_alive`: the connection can serve another request after it."""

    __slots__ = (
        "_answer",
        "_answered_at",
        "_began_at",
        "_browser",
        "_client_address",
        "_context",
        "_deadline",
        "_destination",
        "_frontend",
        "_has_early_data",
        "_let_go",
        "_record",
        "_request",
        "_request_id",
        "_retries_left",
        "_sent_at",
        "_task",
        "_tunnel",
        "_upstream",
        "head",
        "phase",
    )  # fmt: skip

    def __init__(
        self, context: ProxyContext, browser: Browser, head: RequestHead, *, keep_alive: bool
    ) -> None:
        self.phase = WAITING
        self.head = head
        self._context = context
        self._record = record = context.access_record(browser, head)
        self._browser = browser = record if record is not None else browser
        self._request = RequestStream(browser, head, context.limits.max_body_bytes)
        self._answer = AnswerWriter(browser, is_http10=head.version == "1.0", keep_alive=keep_alive)
        self._began_at = time.monotonic()
        self._sent_at = 0.0  # until it is sent to an upstream
        self._answered_at = 0.0  # until the head of an answer has come
        self._request_id = ""  # until the gate has given it one
        self._client_address = ""  # until the gate has looked for it
        self._frontend = ""  # until the gate has found the one it has come for
        self._has_early_data = False  # of another protocol, before there was a decision
        self._retries_left = 1
        self._destination: Destination | None = None
        self._upstream: UpstreamConnection | None = None
        self._tunnel: Tunnel | None = None
        self._task: GuardedTask | None = None
        self._deadline: PhaseDeadline | None = None  # until a route is known that has one
        self._let_go: Callable[[], None] | None = None

    def __repr__(self) -> str:
        peer = self._context.shown_address(self.head.peer)
        return (
            f"<Exchange {self.phase.name} {self.head.method} peer={peer} "
            f"age={time.monotonic() - self._began_at:.1f}s received={self._request.seen_bytes} "
            f"sent={self._answer.sent_bytes}>"
        )

    @property
    def ends_with_connection(self) -> bool:
        """Whether an answer is under way whose end is that of the connection."""
        return self.phase is ANSWERING and self._answer.is_until_close

    def _note_identity(self, decision: Decision) -> None:
        """The answer and the logs name the request as the upstream is told."""
        self._request_id = decision.identity.request_id
        self._frontend = decision.identity.frontend
        self._client_address = decision.identity.client_address
        if self._record is not None:
            self._record.decided(decision)

    def _need_request_id(self) -> None:
        """Where the gate has given it none, the log and the answer still name it alike."""
        if not self._request_id:
            self._request_id = secrets.token_hex(16)

    # --- how it ends

    def _refuse(self, error: BffError, *, clear: bool = False) -> None:
        """Answer in the gateway's own name."""
        self._need_request_id()
        if self._record is not None:
            self._record.refused(error.code, self._request_id)
        problem = self._context.frontends[self._frontend].refusals.problem(
            error,
            self.head.fields,
            self._request_id,
            method=self.head.method,
            route=self._context.admission.route_of(self.head),
            address=self._client_address,
            clear=clear,
        )
        if not self._request.is_complete or self._browser.is_draining:
            self._answer.keep_alive = False
        self._answer.refuse(problem, self._context.date(), head_only=self.head.method == "HEAD")
        self._finish()

    def cancel(self, ending: str = BROWSER_GONE) -> None:
        """There is no answer to give any more."""
        if self.phase is not OVER:
            if self.phase is not ANSWERING and self.phase is not TUNNEL:
                self._answer.status = 0  # nothing of one has gone to the browser
            self._enter(OVER)
        try:
            self._release()
        finally:
            if self._record is not None:
                self._record.over(ending)

    def _fail(self, error: BffError) -> None:
        if self.phase is OVER:
            return
        log.debug("exchange_failed", exchange=repr(self), code=error.code)
        if self.phase is ANSWERING or self.phase is TUNNEL:
            self._enter(OVER)
            self._release()
            self._browser.abort()
            return
        self._answer.take_back()
        self._release()
        self._refuse(error)

    def breaks(self, error: BaseException) -> None:
        """A fault of our own that no rule foresees: 500, or the end of the connection where no
        answer can be given any more. Never raises."""
        self._need_request_id()
        answer = unforeseen(error, self._request_id)
        try:
            if self.phase is not OVER:
                self._fail(answer)
                return
        except Exception as further:  # noqa: BLE001 - the same fault again, on the way to the answer
            unforeseen(further, self._request_id)
        try:
            self.cancel(CUT)
        except Exception as further:  # noqa: BLE001 - nor may it keep the connection open
            unforeseen(further, self._request_id)
        self._browser.abort()

    def _finish(self) -> None:
        if self.phase is OVER:
            return
        unread = not self._request.is_complete or self.phase is TUNNEL
        self._enter(OVER)
        self._release()
        self._browser.exchange_over(keep_alive=self._answer.keep_alive, unread=unread)

    def _enter(self, phase: Phase) -> None:
        """Be in a phase. The time limit, if the route has one, runs on or ends; a request that is
        over is counted."""
        self.phase = _STEPS[self.phase][phase]
        if self._deadline is not None:
            self._deadline.follow(phase)
        if phase is OVER and self._context.request_figures is not None:
            to = self._destination
            self._context.request_figures.over(  # arguments by name would take longer
                self._frontend,
                self._route_without_destination() if to is None else to.route,
                self.head.method,
                self._answer.status,
                self._began_at,
                self._sent_at,
                self._answered_at,
            )

    def _route_without_destination(self) -> str:
        return self._context.admission.route_of(self.head) if self._frontend else ""

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._task = GuardedTask(work, self._fail, self.breaks)

    def _release(self) -> None:
        if self._deadline is not None:
            self._deadline.close()
        if self._task is not None:
            self._task.cancel()
        self._release_upstream()
        let_go, self._let_go = self._let_go, None
        if let_go is not None:
            let_go()

    def _release_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        if self._destination is not None:
            self._destination.over()

    def _require_destination(self) -> Destination:
        if self._destination is None:
            raise TypeError("no request is on its way")
        return self._destination
