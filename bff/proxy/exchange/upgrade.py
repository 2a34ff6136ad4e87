"""An exchange that may become a WebSocket: the handshake, what is sent too early, the switch, and
the end when the gateway goes away. What passes afterwards is the business of `Tunnel`.

RFC 6455 section 4.1; RFC 9110 sections 7.8 and 15.2.2.
"""

import time

from bff.errors import BadHandshake, TooManyStreams, UpstreamMalformed
from bff.proxy.exchange.ending import EndingExchange
from bff.proxy.exchange.phases import TUNNEL
from bff.proxy.exchange.websocket import GOING_AWAY, require_room, switch_protocol
from bff.proxy.upstream.answer_head import AnswerHead
from bff.proxy.upstream.destination import Destination


class UpgradableExchange(EndingExchange):
    """Of what an upstream's connection tells, what belongs to another protocol."""

    __slots__ = ()

    def _require_possible(self, destination: Destination) -> None:
        """Whether this handshake can be passed on.

        Raises:
            BadHandshake: the browser did not wait for the answer.
            TooManyStreams: the session has as many open as it may.
        """
        if self._has_early_data:
            raise _early_data()
        require_room(self._context.bound_streams, destination.session)

    def raw_data(self, data: bytes) -> None:
        """Bytes after a head after which another protocol may begin."""
        if self._record is not None:
            self._record.bytes_in += len(data)
        if self._tunnel is not None:
            self._tunnel.from_browser(data)
        elif self._destination is None:
            self._has_early_data = True  # what it means is known with the decision
        elif self._destination.websocket_key is not None:
            self._fail(_early_data())

    def protocol_switched(self, head: AnswerHead, rest: bytes) -> None:
        """101, for which the API has taken its time."""
        destination, upstream = self._require_destination(), self._upstream
        if self._record is not None:
            self._record.answered()
        self._answered_at = time.monotonic()
        try:
            if upstream is None:
                raise UpstreamMalformed("101 that was not asked for")
            tunnel = switch_protocol(
                self._context,
                destination,
                head,
                self._browser,
                upstream,
                self._finish,
                frontend=self._frontend,
            )
        except UpstreamMalformed as error:
            destination.failed()
            self._fail(error)
            return
        except TooManyStreams as error:
            self._fail(error)
            return
        self._enter(TUNNEL)
        self._answer.status = head.status
        self._answer.keep_alive = False
        self._tunnel = tunnel
        if destination.session is not None:
            self._let_go = self._context.bound_streams.hold(destination.session, tunnel.end)
        if rest:
            tunnel.from_upstream(rest)

    def tunnel_data(self, data: bytes) -> None:
        if self._tunnel is not None:
            self._tunnel.from_upstream(data)

    def stop(self) -> None:
        """The gateway is going away: a WebSocket would not end by itself."""
        if self._tunnel is not None:
            self._tunnel.end("going away", GOING_AWAY)


def _early_data() -> BadHandshake:
    return BadHandshake("data before the answer")  # RFC 6455 section 4.1
