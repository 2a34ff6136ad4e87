"""What a second, independent parser (h11) makes of the same bytes.

The gateway reads with llhttp; where the two agree on what was forwarded, a message has one reading.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Generic, TypeVar

import h11

MOST_HEAD_BYTES = 1 << 20
_SPACES = re.compile(rb"\A([!-~]+) +([!-~]+) +(HTTP/)")
Fields = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """One response. `interim` are the statuses of the 1xx before it, `before` their fields;
    `whole`: its end has come."""

    status: int
    fields: Fields
    body: bytes = b""
    interim: list[int] = field(default_factory=list)
    before: Fields = field(default_factory=list)
    whole: bool = False

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


@dataclass(slots=True)
class Request:
    """One request. `whole`: its end has come."""

    method: bytes
    target: bytes
    version: bytes
    fields: Fields
    body: bytes = b""
    whole: bool = False

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]


Message = TypeVar("Message")


@dataclass(slots=True)
class Read(Generic[Message]):
    """Messages in order, and what is left: `rest` are the bytes nothing could be made of, `broken`
    whether they could never become a message."""

    messages: list[Message]
    rest: bytes
    broken: bool


def read_answers(data: bytes, methods: Iterable[str] = (), *, ended: bool = True) -> Read[Answer]:
    """The responses to requests with these methods, GET for all further ones. `ended`: the
    connection was closed after `data`, which may be the end of a body. Empty lines before a
    response are passed over."""
    found: list[Answer] = []
    for method in chain(methods, repeat("GET")):
        if not data.strip(b"\r\n"):
            break
        answer, data, broken = _one_answer(data.lstrip(b"\r\n"), method, ended=ended)
        if answer is not None:
            found.append(answer)
        if broken or answer is None or not answer.whole:
            return Read(found, data, broken)
    return Read(found, data, broken=False)


def _one_answer(data: bytes, method: str, *, ended: bool) -> tuple[Answer | None, bytes, bool]:
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data)
    if ended:
        parser.receive_data(b"")
    answer: Answer | None = None
    interim: list[int] = []
    before: list[tuple[bytes, bytes]] = []
    try:
        while True:
            event = parser.next_event()
            if isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
                before += list(event.headers)
            elif isinstance(event, h11.Response):
                answer = Answer(
                    event.status_code, list(event.headers), interim=interim, before=before
                )
            elif isinstance(event, h11.Data) and answer is not None:
                answer.body += event.data
            elif isinstance(event, h11.EndOfMessage) and answer is not None:
                answer.whole = True
                return answer, parser.trailing_data[0], False
            else:  # NEED_DATA, PAUSED, ConnectionClosed: no more can be read
                return answer, parser.trailing_data[0], False
    except h11.RemoteProtocolError:
        return answer, data, answer is None or not ended


def read_requests(data: bytes) -> Read[Request]:
    """The requests in `data`, as a server would read them one after the other.

    Where h11 is stricter than it need be, it is helped: empty lines before a request (RFC 9112
    section 2.2), more spaces than one in its first line (section 3); and whether there is one Host
    is no question of framing.
    """
    found: list[Request] = []
    while data := data.lstrip(b"\r\n"):
        data = _SPACES.sub(rb"\1 \2 \3", data, count=1)
        request, rest, error = _one_request(data)
        if "Host:" in error:
            request, rest, error = _one_request(_with_one_host(data))
        if request is not None:
            found.append(request)
        if error or request is None or not request.whole:
            return Read(found, data, broken=bool(error))
        data = rest
    return Read(found, data, broken=False)


def _one_request(data: bytes) -> tuple[Request | None, bytes, str]:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
    parser.receive_data(data)
    request: Request | None = None
    try:
        while True:
            event = parser.next_event()
            if isinstance(event, h11.Request):
                fields = list(event.headers)
                request = Request(event.method, event.target, event.http_version, fields)
            elif isinstance(event, h11.Data) and request is not None:
                request.body += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                request.whole = True
                return request, parser.trailing_data[0], ""
            else:
                return request, parser.trailing_data[0], ""
    except h11.RemoteProtocolError as error:
        return request, data, str(error)


def _with_one_host(data: bytes) -> bytes:
    """The first message with a Host that says nothing."""
    head, end, rest = data.partition(b"\r\n\r\n")
    first, *fields = head.split(b"\r\n")
    others = [line for line in fields if not line.lower().startswith(b"host:")]
    return b"\r\n".join([first, b"Host: x", *others]) + end + rest


def statuses(answers: Sequence[Answer]) -> list[int]:
    """All of them in order, those of interim responses too."""
    return [status for answer in answers for status in (*answer.interim, answer.status)]
