"""Responses: what upstreams answer, good, bad and damaged, and what comes after them.

The browser sends one request, waits for what comes of it, and sends another one. The first gets
what h11 reads in the upstream's bytes, or an error of ours, or a cut; the second always gets its
own.
"""

import asyncio
from random import Random

from tests.polling import HANG_SECONDS
from tests.wire.client import End, Wire, wired
from tests.wire.fuzz import pieces
from tests.wire.fuzz.upstream import Forwarded, JudgingUpstream, Script
from tests.wire.reading import Answer, Read, read_answers

FIRST = "{method} /api/first HTTP/1.1\r\n{ours}\r\n"
SECOND = "GET /api/second HTTP/1.1\r\n{ours}Connection: close\r\n\r\n"


def case(random: Random, name: str) -> tuple[str, Script]:
    """The request's method, and how it is answered."""
    data = pieces.response(random, name)
    while random.random() < 0.2:
        data += pieces.response(random, f"{name} too")
    if random.random() < 0.5:
        data = pieces.damaged(random, data)
    method = random.choice(("GET", "GET", "POST", "HEAD"))
    meant = read_answers(data, [method])
    # What follows an answer's end has to come with it: later it would be an answer to the next
    # request on that connection, and no client in the world could tell.
    is_one = not meant.broken and not meant.rest and len(meant.messages) == 1
    split = pieces.split(random, data) if is_one else [data]
    return method, Script(split, closes=random.random() < 0.4)


async def run(
    random: Random, port: int, upstream: JudgingUpstream, user: str, ours: str, name: str
) -> list[str]:
    """Play one case; what is wrong with what came of it. No two at a time for the same user."""
    method, script = case(random, name)
    upstream.scripts[user] = script
    async with wired(port) as wire:
        try:
            wire.send(FIRST.replace("{method}", method).replace("{ours}", ours).encode())
            first = await _first(wire, method)
            wire.send(SECOND.replace("{ours}", ours).encode())
            received = await wire.until_end(seconds=HANG_SECONDS)
            if received == first:  # it was not taken any more
                async with wired(port) as again:
                    again.send(SECOND.replace("{ours}", ours).encode())
                    received += await again.until_end(seconds=HANG_SECONDS)
        except TimeoutError:
            return [f"hang: {method} {script} -> {bytes(wire.received)!r}"]
    upstream.scripts.pop(user, None)
    wrong = judge(method, script, upstream.of(user), first, wire.end, received[len(first) :])
    return [f"{what}: {method} {script} -> {received!r}" for what in wrong]


async def _first(wire: Wire, method: str) -> bytes:
    """What comes of the first request: an answer with its end, or the end of the connection."""
    seen = -1
    async with asyncio.timeout(HANG_SECONDS):
        while wire.end is End.OPEN:
            if len(wire.received) != seen:
                seen = len(wire.received)
                read = read_answers(bytes(wire.received), [method], ended=False).messages
                if read and read[0].whole:
                    break
            await asyncio.sleep(0.002)
    return bytes(wire.received)


def judge(
    method: str, script: Script, asked: list[Forwarded], first: bytes, end: End, second: bytes
) -> list[str]:
    """What h11 says against it."""
    meant = read_answers(b"".join(script.pieces), [method], ended=script.closes)
    got = read_answers(first, [method], ended=end is not End.RESET)
    wrong = []
    if len(got.messages) > 1 or (got.messages and got.messages[0].whole and got.rest):
        wrong.append("more than one answer")
    if got.messages and got.messages[0].values(b"x-number") == []:
        wrong += _misread(meant, got.messages[0])
    own = read_answers(second).messages
    number = b"%d" % asked[-1].number
    if len(own) != 1 or own[0].values(b"x-number") != [number] or own[0].body != number:
        wrong.append("the second request did not get its own answer")
    clean = bool(meant.messages) and meant.messages[0].whole and not meant.rest.strip(b"\r\n")
    if not clean and len(asked) == 2 and asked[0].connection == asked[1].connection:
        wrong.append("a spoiled connection was used again")
    return wrong


def _misread(meant: Read[Answer], got: Answer) -> list[str]:
    """What was passed on is what was meant; what had no end, has none."""
    if got.values(b"content-type") == [b"application/problem+json"]:  # ours
        return [] if got.status in (502, 504) else ["crash"]
    if not meant.messages:
        return ["passed on what is no answer"]
    origin = meant.messages[0]
    if got.status != origin.status or got.body != origin.body[: len(got.body)]:
        return ["passed on something else"]
    if got.whole and not (origin.whole and got.body == origin.body):
        return ["made an end where there was none"]
    return []
