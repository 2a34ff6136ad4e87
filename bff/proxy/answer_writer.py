"""An answer on its way to a browser: framed for it, and sent in as few writes as it comes in.

RFC 9112 sections 6.3 (where a body ends) and 9.3; RFC 9110 section 8.6 (no length with 204).
"""

from typing import Protocol

from bff.gate.head import Field
from bff.gate.problem import Problem
from bff.proxy import messages
from bff.proxy.answer_head import AnswerHead

NO_LENGTH_STATUS = 204


class Writable(Protocol):
    def write(self, data: bytes) -> None: ...


class AnswerWriter:
    """`is_sent`: some of it is on its way to the browser, so that there can be no other answer."""

    __slots__ = ("_browser", "_is_chunked", "_is_http10", "_out", "is_sent", "status")

    def __init__(self, browser: Writable, *, is_http10: bool) -> None:
        self._browser = browser
        self._is_http10 = is_http10
        self._is_chunked = False
        self._out: list[bytes] = []
        self.is_sent = False
        self.status = 0

    def begin(self, head: AnswerHead, fields: list[Field], *, keep_alive: bool) -> bool:
        """Take a head; whether the connection can serve another request afterwards."""
        if head.status == NO_LENGTH_STATUS and head.length is not None:
            fields = [item for item in fields if item[0].lower() != b"content-length"]
        elif head.has_body and head.length is None:
            if self._is_http10:
                keep_alive = False  # the end of the connection is the end of the body
            else:
                self._is_chunked = True
                fields.append(messages.CHUNKED)
        fields += self.connection_fields(keep_alive=keep_alive)
        self._out.append(messages.response_head(head.status, head.reason, fields))
        self.status = head.status
        return keep_alive

    def add(self, data: bytes) -> None:
        """Some of the body."""
        self._out.append(messages.chunk(data) if self._is_chunked else data)

    def end(self) -> None:
        """The body is complete."""
        if self._is_chunked:
            self._out.append(messages.LAST_CHUNK)

    def flush(self) -> bool:
        """Send what has come; True for the first of it."""
        out = self._out
        if not out:
            return False
        self._browser.write(out[0] if len(out) == 1 else b"".join(out))
        out.clear()
        was_sent, self.is_sent = self.is_sent, True
        return not was_sent

    def refuse(self, problem: Problem, date: Field, *, head_only: bool, keep_alive: bool) -> None:
        """Send an answer of the gateway's own, as a whole."""
        fields = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        fields += [(b"Content-Length", b"%d" % len(problem.body)), date]
        fields += self.connection_fields(keep_alive=keep_alive)
        head = messages.response_head(problem.status, messages.reason_of(problem.status), fields)
        self._browser.write(head if head_only else head + problem.body)

    def take_back(self) -> None:
        """Nothing of it was sent; there will be another answer."""
        self._out.clear()
        self._is_chunked = False

    def connection_fields(self, *, keep_alive: bool) -> tuple[Field, ...]:
        """What the browser must know of the connection."""
        if not keep_alive:
            return (messages.CLOSE,)
        return (messages.KEEP_ALIVE,) if self._is_http10 else ()
