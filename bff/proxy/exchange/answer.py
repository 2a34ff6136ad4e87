"""An answer on its way to a browser: framed for it, and sent in as few writes as it comes in.

RFC 9112 sections 6.3 (where a body ends) and 9.3; RFC 9110 section 8.6 (no length with 204).
"""

from typing import Protocol

from bff.gate.head import Field
from bff.gate.problem import Problem
from bff.proxy import messages
from bff.proxy.upstream.answer_head import AnswerHead


class Browser(Protocol):
    """The connection a request came on."""

    @property
    def is_full(self) -> bool:
        """Whether the browser takes no more for now."""

    @property
    def is_draining(self) -> bool:
        """Whether each answer is to be the last on its connection."""

    def write(self, data: bytes) -> None: ...

    def hold(self, *, on: bool) -> None:
        """Whether to read no more of the request for now."""

    def exchange_over(self, *, keep_alive: bool, unread: bool) -> None:
        """All has been written. Unless `keep_alive`, nothing more will be, and what may still
        come, `unread`, is drained."""

    def abort(self) -> None:
        """Cut the connection."""


NO_LENGTH_STATUS = 204


class Writable(Protocol):
    def write(self, data: bytes) -> None: ...


class AnswerWriter:
    """`is_http10`: the browser knows no chunks; `keep_alive`: the connection can serve another
    request after it; `is_until_close`: the end of the body is that of the connection; `sent_bytes`
    is how much of the answer has gone to the browser."""

    __slots__ = (
        "_browser", "_is_chunked", "_out", "is_http10", "is_until_close", "keep_alive",
        "sent_bytes", "status",
    )  # fmt: skip

    def __init__(self, browser: Writable, *, is_http10: bool, keep_alive: bool) -> None:
        self.is_http10 = is_http10
        self.keep_alive = keep_alive
        self.status = 0
        self.sent_bytes = 0
        self._browser = browser
        self.is_until_close = False
        self._is_chunked = False
        self._out: list[bytes] = []

    def begin(self, head: AnswerHead, fields: list[Field]) -> None:
        """Take a head."""
        if head.status == NO_LENGTH_STATUS and head.length is not None:
            fields = [item for item in fields if item[0].lower() != b"content-length"]
        elif head.has_body and head.length is None:
            if self.is_http10:
                self.is_until_close = True
                self.keep_alive = False
            else:
                self._is_chunked = True
                fields.append(messages.CHUNKED)
        fields += self._connection_fields()
        self._out.append(messages.response_head(head.status, head.reason, fields))
        self.status = head.status

    def add(self, data: bytes) -> None:
        """Some of the body."""
        self._out.append(messages.chunk(data) if self._is_chunked else data)

    def end(self) -> None:
        """The body is complete."""
        if self._is_chunked:
            self._out.append(messages.LAST_CHUNK)

    def flush(self) -> bool:
        """Send what has come, if anything has."""
        out = self._out
        if not out:
            return False
        data = b"".join(out)
        out.clear()
        self.sent_bytes += len(data)
        self._browser.write(data)
        return True

    def refuse(self, problem: Problem, date: Field, *, head_only: bool) -> None:
        """Send an answer of the gateway's own, as a whole."""
        fields = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        fields += [(b"Content-Length", b"%d" % len(problem.body)), date]
        fields += self._connection_fields()
        self.status = problem.status
        head = messages.response_head(problem.status, messages.reason_of(problem.status), fields)
        self._browser.write(head if head_only else head + problem.body)

    def take_back(self) -> None:
        """Nothing of it was sent; there will be another answer."""
        self._out.clear()
        self.is_until_close = self._is_chunked = False

    def _connection_fields(self) -> tuple[Field, ...]:
        """What the browser must know of the connection."""
        if not self.keep_alive:
            return (messages.CLOSE,)
        return (messages.KEEP_ALIVE,) if self.is_http10 else ()
