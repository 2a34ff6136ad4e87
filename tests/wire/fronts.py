"""What stands in front of the recording upstream: the gateway, or nginx; and what they make of a
vector. Both are asked in the same way, so that their outcomes can be compared."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.flows.apis import an_api
from tests.parts.nginx_server import running_nginx
from tests.parts.raw_upstream import RawUpstream, Received, Responder, raw_upstream, read_body
from tests.parts.servers import free_port
from tests.polling import until
from tests.wire.client import End, everything, wired
from tests.wire.reading import Answer, read_answers, statuses
from tests.wire.vectors import Outcome, RequestVector, ResponseVector, as_bytes, violations

OPTIONS = 'max_body = "64KiB"'
OWN_BODY = b"the second one's own answer"
OWN = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OWN_BODY), OWN_BODY)
NGINX = """
    client_max_body_size 64k;
    upstream api { server 127.0.0.1:UPSTREAM; keepalive 8; }
    server {
        listen 127.0.0.1:PORT;
        location / { return 404; }
        location /api/ {
            proxy_pass http://api/v1/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 300ms;
        }
    }
"""
PROBE = "GET /api/probe HTTP/1.1\r\n{ours}Connection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Front:
    """`session`: the fields that make a request a logged-in user's."""

    port: int
    host: str
    session: str
    upstream: RawUpstream

    def text(self, text: str) -> bytes:
        """A table's text with this front's host and session."""
        return as_bytes(text, host=self.host, session=self.session)

    async def outcome(self, vector: RequestVector) -> Outcome:
        """Send the vector and, without waiting, one more request: is that read as one?"""
        self.upstream.received.clear()
        message = self.text(vector.send)
        received, _ = await everything(self.port, message + self.text(PROBE))
        methods = [line.split(" ")[0] for line in vector.upstream]
        answers = read_answers(received, methods).messages
        arrived = self.upstream.received
        goes_on = bool(arrived) and arrived[-1].request_line.startswith(b"GET /v1/probe ")
        if goes_on:
            arrived, answers = arrived[:-1], answers[:-1]
        first = pairs_of(arrived[0]) if arrived else []
        wrong = violations(vector.has, vector.lacks, first) if arrived else []
        if answers:
            found = violations(vector.answer_has, vector.answer_lacks, answers[0].fields)
            wrong += [item.replace(" ", " answer ", 1) for item in found]
        return Outcome(
            {
                "answers": statuses(answers),
                "upstream": [_shown(request) for request in arrived],
                "goes_on": goes_on,
                "violates": wrong,
            }
        )

    async def answered(self, vector: ResponseVector) -> Outcome:
        """Have the upstream answer so, to one user; then another request must get its own."""
        upstream = self.upstream
        upstream.received.clear()
        upstream.answer = OWN
        upstream.responder = self._once(as_bytes(vector.send), closes=vector.then == "close")
        request = self.text(f"{vector.method} /api/x HTTP/{vector.version}\r\n{{ours}}\r\n")
        async with wired(self.port) as wire:
            wire.send(request)
            await until(lambda: upstream.received != [])
            connections = upstream.connections
            probe = self.text(PROBE)
            if vector.version != "1.0":  # nginx would reset the connection that it was to close
                wire.send(probe)  # after it, in case the connection goes on
            received = await wire.until_end()
            read = read_answers(received, [vector.method], ended=wire.end is not End.RESET)
        answers = read.messages
        if answers and answers[-1].body == OWN_BODY:
            answers.pop()
            again = b""
        else:
            again, _ = await everything(self.port, probe)
        assert not again or again.endswith(OWN_BODY)
        first = answers[0] if answers else Answer(0, [])
        is_ours = first.status >= 500
        wrong = [] if is_ours else violations(vector.has, vector.lacks, first.fields)
        wrong += violations(vector.interim_has, vector.interim_lacks, first.before)
        return Outcome(
            {
                "answers": statuses(answers),
                "body": "" if is_ours else first.body.decode("latin-1"),
                "whole": first.whole and not read.broken,
                "reused": upstream.connections == connections,
                "asked": len(upstream.received) - 1,
                "violates": wrong,
            }
        )

    def _once(self, answer: bytes, *, closes: bool) -> Responder:
        async def respond(
            request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            self.upstream.responder = None
            await read_body(request, reader)
            writer.write(answer)
            await writer.drain()
            if closes:
                writer.close()

        return respond

    def expected(self, vector: RequestVector, *, by_nginx: bool = False) -> Outcome:
        """What the table says, with its repetitions written out."""
        told = Outcome.expected(vector, by_nginx=by_nginx).seen
        lines = told["upstream"]
        assert isinstance(lines, list)
        return Outcome(told | {"upstream": [self.text(line).decode("latin-1") for line in lines]})


def pairs_of(request: Received) -> list[tuple[bytes, bytes]]:
    """The fields of a request, names in lower case."""
    pairs = (line.partition(b":") for line in request.lines[1:])
    return [(name.lower(), value.strip()) for name, _, value in pairs]


def _shown(request: Received) -> str:
    method, target, version = request.request_line.split(b" ")
    assert version == b"HTTP/1.1"
    body = b"|" + request.body if request.body else b""
    return (method + b" " + target + body).decode("latin-1")


@contextlib.asynccontextmanager
async def the_gateway(route: str = 'timeout = "1s"', server: str = OPTIONS) -> AsyncIterator[Front]:
    """With one logged-in user. `route` and `server` are further lines of the configuration."""
    async with an_api(route, server) as api:
        cookie = api.browser.cookies.get("bff")
        session = f"Cookie: bff={cookie}\r\nX-CSRF: 1\r\n"
        yield Front(api.stack.ports.gateway, api.host, session, api.upstream)


@contextlib.asynccontextmanager
async def an_nginx(folder: Path) -> AsyncIterator[Front]:
    """With the fields a logged-in user would send to us."""
    async with raw_upstream() as upstream:
        port = free_port()
        http = NGINX.replace("UPSTREAM", str(upstream.port)).replace("PORT", str(port))
        with running_nginx(folder, http, port):
            session = "Cookie: bff=x\r\nX-CSRF: 1\r\n"
            yield Front(port, f"127.0.0.1:{port}", session, upstream)
        await until(lambda: upstream.closed == upstream.connections)
