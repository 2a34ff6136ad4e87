"""One request of a browser, from its head to the last byte of the answer.

The gate decides; this carries it out. Bodies pass through in both directions as they come, with
back-pressure and without being kept, except for the beginning of a request that may have to be sent
again. Once an answer's head is out, a failure aborts the browser's connection, so that a cut
answer never looks complete.

RFC 9110 sections 7.8 (upgrade), 9.2.2 (retries), 10.1.1 (100-continue); RFC 9112 section 6.
"""

import asyncio
import time

from bff.errors import (
    BffError,
    BodyTooLarge,
    UpstreamError,
    UpstreamTimeout,
    UpstreamWantsNonce,
)
from bff.gate.outcome import Answer, Decision, Wait
from bff.proxy import messages
from bff.proxy.exchange.phases import (
    ANSWERING,
    CONNECTING,
    DECIDING,
    EXCHANGE,
    OVER,
    RENEWING,
    SENT,
    TUNNEL,
    WAITING,
)
from bff.proxy.exchange.renewal import (
    UNAUTHORIZED,
    another_decision,
    asks_for_another_token,
    step_up_for,
)
from bff.proxy.exchange.upgrade import UpgradableExchange
from bff.proxy.phases import phase_seconds
from bff.proxy.transport import PhaseDeadline
from bff.proxy.upstream.answer_head import AnswerHead
from bff.proxy.upstream.challenge import wants_nonce
from bff.proxy.upstream.connection import UpstreamConnection
from bff.proxy.upstream.destination import Destination

_SECONDS = phase_seconds(EXCHANGE, None)


class Exchange(UpgradableExchange):
    """`start` begins it; what happens on either side is told by the two connections."""

    __slots__ = ()

    # --- the decision

    def start(self) -> None:
        """Carry it out."""
        try:
            self._enter(DECIDING)
            self._decide()
        except BffError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self.breaks(error)

    def _decide(self) -> None:
        self._request.begin()
        if self._request.is_too_large and self.head.fault is None:
            self.head.fault = BodyTooLarge()  # so that the request is not admitted first
        decision = self._context.admission.decide(self.head)
        if isinstance(decision, Wait):
            self._spawn(lambda: self._settle(decision))
        else:
            self._act(decision)

    async def _settle(self, wait: Wait) -> None:
        self._act(await self._context.admission.settle(self.head, wait))

    def _act(self, decision: Decision) -> None:
        self._note_identity(decision)
        if isinstance(decision, Answer):
            if decision.ends_connection:
                self._answer.keep_alive = False
            self._refuse(decision.error, clear=decision.clear_cookie)
            return
        if isinstance(decision, Wait):
            raise TypeError("a settled decision waits for nothing")
        self._destination = destination = self._context.destination(decision, self.head)
        if destination.websocket_key is not None:
            self._require_possible(destination)
        if destination.total_seconds:
            loop = asyncio.get_running_loop()
            self._deadline = PhaseDeadline(loop, self._on_total_timeout, _SECONDS)
            self._deadline.set(destination.total_seconds)
        self._set_out(destination)

    def _set_out(self, destination: Destination) -> None:
        connection = destination.take()
        if connection is None:
            self._enter(CONNECTING)
            self._spawn(lambda: self._connect(destination))
        else:
            self._send(destination, connection)

    async def _connect(self, destination: Destination) -> None:
        self._send(destination, await destination.connect())

    # --- what the browser sends after the head, told by its connection

    def body_data(self, data: bytes) -> None:
        if self._record is not None:
            self._record.bytes_in += len(data)
        if self.phase is OVER:
            return
        self._request.add(data)
        if self._request.is_too_large and self.phase is not WAITING:
            self._fail(BodyTooLarge())
        elif self.phase is not WAITING:
            self._request.pass_on(data, self._upstream)

    def body_end(self) -> None:
        self._request.end(self._upstream)

    def body_fails(self, error: BffError) -> None:
        """There will be no more of it."""
        self._fail(error)

    def browser_full(self, *, full: bool) -> None:
        """Whether the browser takes no more for now."""
        if self._upstream is not None:
            if full:
                self._upstream.pause_reading()
            else:
                self._upstream.resume_reading()

    # --- the request on its way

    def _send(self, destination: Destination, connection: UpstreamConnection) -> None:
        if self.phase is OVER:
            connection.close()
            return
        self._enter(SENT)
        self._upstream = connection
        if self._record is not None:
            self._record.sent()
        if not destination.is_own:
            self._sent_at = self._sent_at or time.monotonic()
            self._answered_at = 0.0  # what came before, if it is sent again, is not the answer
        head_of = lambda framing: destination.head(connection, framing)  # noqa: E731
        self._request.send(head_of, connection, self, with_continue=not self._answer.is_http10)

    def upstream_full(self, *, full: bool) -> None:
        if not self._request.is_complete or self._tunnel is not None:
            self._browser.hold(on=full)

    # --- the answer, told by the upstream's connection

    def answer_interim(self, head: AnswerHead) -> None:
        if not self._answer.is_http10:  # RFC 9110 section 15.2: it knows none
            fields = self._require_destination().interim_fields(head)
            self._browser.write(messages.interim_head(head.status, head.reason, fields))

    def answer_begins(self, head: AnswerHead) -> None:
        destination = self._require_destination()
        destination.answered()
        if self._record is not None:
            self._record.answered()
        self._answered_at = time.monotonic()
        if destination.is_bound and self._proves_again(head, destination):
            return
        if head.status == UNAUTHORIZED:
            rules = self._context.frontends[self._frontend].step_up
            step_up = step_up_for(head, destination, rules)
            if step_up is not None:
                self._fail(step_up)
                return
        if not self._request.is_complete or self._browser.is_draining:
            self._answer.keep_alive = False  # the rest of the body is not read
        self._answer.begin(head, destination.answer_fields(head))
        if asks_for_another_token(head, destination) and self._may_send_again:
            self._enter(RENEWING)
            self._spawn(lambda: self._renew(destination))

    def answer_body(self, data: bytes) -> None:
        self._answer.add(data)

    def answer_read(self) -> None:
        if self.phase is RENEWING:
            if self._upstream is not None:
                self._upstream.pause_reading()
            return
        self._flush()
        if self.phase is ANSWERING and self._let_go is None:
            session = self._require_destination().session
            if session is not None:
                # An answer still under way is cut when its session ends: no stream outlives it.
                self._let_go = self._context.bound_streams.hold(
                    session, lambda _: self._browser.abort()
                )

    def answer_ends(self) -> None:
        self._upstream = None
        self._answer.end()
        if self.phase is not RENEWING:
            self._flush()
            self._finish()

    def answer_fails(self, error: UpstreamError, *, unanswered: bool) -> None:
        connection, self._upstream = self._upstream, None
        if self.phase is TUNNEL:
            self._finish()  # the API has hung up
            return
        destination = self._require_destination()
        if unanswered and connection is not None and connection.served > 1 and self._may_retry():
            # It was closed while it lay idle, and we had not heard of it yet.
            self._retries_left -= 1
            self._enter(CONNECTING)
            self._spawn(lambda: self._connect(destination))
            return
        destination.failed()
        self._fail(error)

    def answer_breaks(self, error: Exception) -> None:
        self.breaks(error)

    def answer_late(self) -> None:
        upstream = self._upstream
        if upstream is None:
            return
        is_sending = not self._request.is_complete and not upstream.is_full
        if self.phase is RENEWING or self._browser.is_full or is_sending:
            return  # the others have limits of their own, and what they do next sets this one anew
        upstream.abort()
        self.answer_fails(UpstreamTimeout("silence"), unanswered=False)

    def _on_total_timeout(self) -> None:
        try:
            self._fail(UpstreamTimeout("total"))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must fail closed and be seen
            self.breaks(error)

    def _flush(self) -> None:
        if self._answer.flush() and self.phase is SENT:
            self._enter(ANSWERING)
            kind = self._destination.kind if self._destination is not None else None
            if kind is not None:
                self._context.metrics.answered(kind, self._answer.status, frontend=self._frontend)

    # --- an upstream that wants a nonce in the proof of our key

    def _proves_again(self, head: AnswerHead, destination: Destination) -> bool:
        """Whether the answer is that wish. The request is sent once more if it can be: it was
        refused before anything was done for it (RFC 9449 section 9)."""
        has_another = destination.keep_nonce(head)
        if head.status != UNAUTHORIZED or not wants_nonce(head.fields):
            return False
        if has_another and destination.may_prove_again and self._may_send_again:
            destination.may_prove_again = False
            self._enter(RENEWING)
            self._spawn(lambda: self._prove_again(destination))
        else:
            self._fail(UpstreamWantsNonce())
        return True

    async def _prove_again(self, destination: Destination) -> None:
        """To the same upstream, whose nonce it is."""
        self._answer.take_back()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        self._set_out(destination)

    # --- an upstream that refuses our token

    async def _renew(self, destination: Destination) -> None:
        """Send the request once more if there is a better token; else the 401 is the answer."""
        decision = await another_decision(
            self._context.admission, self.head, destination.session, destination.access_token
        )
        if decision is None:
            self._let_through()
            return
        self._answer.take_back()
        self._release_upstream()
        self._note_identity(decision)
        self._destination = again = self._context.destination(decision, self.head)
        again.may_renew = False
        self._set_out(again)

    def _let_through(self) -> None:
        self._enter(SENT)
        self._flush()
        if self._upstream is None:
            self._finish()
        elif not self._browser.is_full:  # else it goes on when the browser has taken some
            self._upstream.resume_reading()

    # ---

    @property
    def _may_send_again(self) -> bool:
        """Whether all of it has come, and is still there."""
        return self._request.is_complete and self._request.is_replayable

    def _may_retry(self) -> bool:
        return self._retries_left > 0 and self._request.may_be_repeated
