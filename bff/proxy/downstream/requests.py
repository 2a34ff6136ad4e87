"""The requests of one browser's connection, in the order in which they came: the one that is being
served, those that wait for it, the one that is still arriving, and what is no request.

Makes an exchange of each head that is read, and brings what follows a head to its exchange. Begins
none: when that may be is the connection's business.

RFC 9112 sections 9.3.2 (pipelining); RFC 6455 section 4.1 (nothing follows a handshake unanswered).
"""

from typing import Protocol

from bff.errors import BffError
from bff.gate.head import RequestHead
from bff.proxy.context import ProxyContext
from bff.proxy.exchange.answer import Browser
from bff.proxy.exchange.exchange import Exchange


class BodyReceiver(Browser, Protocol):
    """What is told of the body of the request that is being served."""

    def body_goes_on(self) -> None: ...

    def body_is_whole(self) -> None: ...


class RequestQueue:
    """What the reader tells, a `RequestReceiver`, for the connection to serve. `current` is being
    served; `waiting` come after it, `bad` after them all; `served` is how many are over."""

    __slots__ = (
        "_arriving", "_connection", "_context", "bad", "current", "served", "waiting"
    )  # fmt: skip

    def __init__(self, context: ProxyContext, connection: BodyReceiver) -> None:
        self._context = context
        self._connection = connection
        # A list, for it is nearly always empty or holds one, and each idle connection has it.
        self.waiting: list[Exchange] = []
        self._arriving: Exchange | None = None  # the one whose body is being read
        self.current: Exchange | None = None
        self.bad: BffError | None = None
        self.served = 0

    @property
    def is_arriving(self) -> bool:
        """Whether some of the current request is still to come."""
        return self._arriving is not None and self._arriving is self.current

    # --- told by the reader

    def request_begins(self, head: RequestHead, *, keep_alive: bool) -> None:
        exchange = Exchange(self._context, self._connection, head, keep_alive=keep_alive)
        self._arriving = exchange
        self.waiting.append(exchange)

    def body_data(self, data: bytes) -> None:
        arriving = self._arriving
        if arriving is not None:
            if arriving is self.current:
                self._connection.body_goes_on()
            arriving.body_data(data)

    def body_end(self) -> None:
        arriving, self._arriving = self._arriving, None
        if arriving is not None:
            if arriving is self.current:
                self._connection.body_is_whole()
            arriving.body_end()

    def other_protocol(self, data: bytes) -> None:
        last = self.waiting[-1] if self.waiting else self.current
        if last is not None:
            last.raw_data(data)

    def reading_fails(self, error: BffError) -> None:
        if self._arriving is None:
            self.bad = error
        elif self._arriving is self.current:
            self.current.body_fails(error)
        else:
            self._arriving.head.fault = error

    # --- asked for by the connection

    def next(self) -> Exchange:
        """The first that waits is the current one now."""
        self.current = exchange = self.waiting.pop(0)
        return exchange

    def refusal(self, error: BffError, peer: str | None) -> Exchange:
        """The answer to what is no request is the current one now, and the last."""
        self.bad = None
        head = RequestHead("GET", b"", (), peer, fault=error)
        self.current = exchange = Exchange(self._context, self._connection, head, keep_alive=False)
        return exchange

    def over(self) -> None:
        """The current one is."""
        self.current = None
        self.served += 1

    def drop_waiting(self, ending: str) -> None:
        """They are not to be answered. `ending` is what the access log says of them."""
        self.bad = None
        while self.waiting:
            self.waiting.pop(0).cancel(ending)

    def drop(self, ending: str) -> Exchange | None:
        """None is to be answered; the current one, which is to be told."""
        self._arriving = None
        self.drop_waiting(ending)
        current, self.current = self.current, None
        return current
