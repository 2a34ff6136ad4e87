"""What an upstream's connection tells the exchange that waits for an answer."""

from typing import Protocol

from bff.errors import UpstreamError
from bff.proxy.answer_head import AnswerHead


class Receiver(Protocol):
    """What waits for an answer. None of these may block; `answer_breaks` may not raise either."""

    def answer_interim(self, head: AnswerHead) -> None:
        """An answer before the answer (RFC 9110 section 15.2), but 100, which the gateway gives by
        itself, and 101."""

    def answer_begins(self, head: AnswerHead) -> None: ...

    def answer_body(self, data: bytes) -> None: ...

    def answer_read(self) -> None:
        """All that came in one go has been told; the answer goes on."""

    def answer_ends(self) -> None:
        """The connection is free again, or closed."""

    def answer_fails(self, error: UpstreamError, *, unanswered: bool) -> None:
        """The connection is gone. `unanswered`: not one byte came back."""

    def answer_breaks(self, error: Exception) -> None:
        """A fault of the gateway's own, unforeseen, has ended the connection: a request may not be
        left without an answer because of it."""

    def answer_late(self) -> None:
        """Nothing has passed for as long as the route allows."""

    def protocol_switched(self, head: AnswerHead, rest: bytes) -> None:
        """101 (RFC 9110 section 15.2.2): no HTTP from here on, beginning with `rest`."""

    def tunnel_data(self, data: bytes) -> None:
        """What came after the switch."""

    def upstream_full(self, *, full: bool) -> None:
        """Whether to send no more of the body for now."""
