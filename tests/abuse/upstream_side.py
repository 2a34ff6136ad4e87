"""An API that answers without an end, or with what must not be opened."""

import asyncio

from tests.abuse.crowd import RESET, crowd
from tests.abuse.op_side import bomb
from tests.abuse.scenario import Outcome, Scale, Scenario, at_most, per_reader
from tests.abuse.site import Site
from tests.parts.raw_upstream import Received, Responder
from tests.polling import until

PATIENCE_SECONDS = 30.0
CALLERS = 8
SAME_BYTES = 65_536


def forever(first: bytes, piece: bytes) -> Responder:
    """`piece` again and again, until the gateway hangs up."""

    async def respond(
        _request: Received, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(first)
        while True:
            writer.write(piece)
            await writer.drain()

    return respond


HEADS = {
    "fields": forever(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 1_000),
    "one field": forever(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 10_000),
    "1xx": forever(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
    "a chunk's extension": forever(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 10_000
    ),
    "a reason": forever(b"HTTP/1.1 200 ", b"x" * 10_000),
}


async def endless_heads(site: Site, scale: Scale) -> Outcome:
    """Fields, interim answers, extensions of a chunk: each has an end, by our hand."""
    callers = CALLERS * scale.repeats
    outcome = Outcome(f"endless {', '.join(HEADS)}, to {callers} callers each")
    for name, responder in HEADS.items():
        site.upstream.responder = responder
        async with crowd(site.port, callers) as users:
            users.send(_call(site, "Connection: close\r\n"))
            await users.until_over(seconds=PATIENCE_SECONDS)
            found = users.outcomes()
        strange = {answer for answer in found if answer not in ("502", "200", RESET)}
        outcome.require(not strange, f"endless {name}: {strange}")
        outcome.answers += found
    await _until_let_go(site)
    return outcome


async def gone_users(site: Site, scale: Scale) -> Outcome:
    """Users who ask for a body without an end, and leave."""
    callers = scale.readers
    outcome = Outcome(f"endless bodies, to {callers} users who leave")
    site.upstream.responder = forever(b"HTTP/1.1 200 OK\r\n\r\n", bytes(SAME_BYTES))
    async with crowd(site.port, callers) as users:
        users.send(_call(site))
        await until(lambda: all(user.received for user in users), seconds=PATIENCE_SECONDS)
    await _until_let_go(site)
    outcome.answers["left"] = callers
    return outcome


async def bombs(site: Site, scale: Scale) -> Outcome:
    """A content coding is the browser's business: passed on byte for byte, never opened."""
    callers = CALLERS * scale.repeats
    body = bomb().body
    assert isinstance(body, bytes)
    outcome = Outcome(f"a gzip of {len(body) >> 10} KiB that holds 900 MiB, to {callers} callers")
    site.upstream.responder = None
    site.upstream.answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    async with crowd(site.port, callers) as users:
        users.send(_call(site, "Connection: close\r\n"))
        await users.until_over(seconds=PATIENCE_SECONDS)
        outcome.answers = users.outcomes()
        untouched = all(bytes(user.received).endswith(b"\r\n\r\n" + body) for user in users)
    outcome.require_only("200")
    outcome.require(untouched, "an answer was changed")
    return outcome


async def _until_let_go(site: Site) -> None:
    """No browser waits for the API any more, so no connection to it is kept."""
    await until(lambda: site.upstream.closed >= site.upstream.connections, seconds=PATIENCE_SECONDS)


def _call(site: Site, more: str = "") -> bytes:
    return f"GET /hostile/x HTTP/1.1\r\n{site.lines}{more}\r\n".encode()


SCENARIOS = [
    Scenario("endless heads of an API", endless_heads, at_most(32)),
    Scenario("endless bodies of an API", gone_users, per_reader(512)),
    Scenario("bombs of an API", bombs, at_most(32)),
]
