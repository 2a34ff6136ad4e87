"""Requests: what browsers send, good, bad and damaged, several on a connection."""

import asyncio
from random import Random

from tests.wire.client import Wire, wired
from tests.wire.fuzz import pieces
from tests.wire.fuzz.upstream import Forwarded, JudgingUpstream
from tests.wire.reading import Answer, Read, Request, read_answers, read_requests

# Enough to end any connection: a request to close it, or, within a head, bytes no head holds.
ENDING = "GET /api/end HTTP/1.1\r\n{ours}Connection: close\r\n\r\n\0\r\n\r\n"
REFUSED = 400
UNFORESEEN = 500
STILL_TURNS = 5
TURN_SECONDS = 0.02
TURNS = 100  # of the event loop: one that stood still has not gone on meanwhile

# What the gateway adds to a request by itself.
ADDED = frozenset(
    b"authorization host via x-forwarded-for x-forwarded-host x-forwarded-prefix x-forwarded-proto "
    b"x-request-id content-length transfer-encoding".split()
)


def case(random: Random, ours: str, host: str) -> bytes:
    """What is sent on one connection."""
    messages = [pieces.request(random, ours) for _ in range(random.choice((1, 1, 1, 2, 3)))]
    data = b"".join(messages).replace(b"HOST", host.encode())
    return pieces.damaged(random, data) if random.random() < 0.5 else data


async def run(
    random: Random, port: int, upstream: JudgingUpstream, user: str, ours: str, host: str
) -> list[str]:
    """Send one case; what is wrong with what came of it. No two at a time for the same user."""
    data = case(random, ours, host) + ENDING.replace("{ours}", ours).encode()
    async with wired(port) as wire:
        await wire.send_split(pieces.split(random, data))
        try:
            received = await _everything(wire)
        except TimeoutError:
            return [f"hang: {data!r}"]
    wrong = judge(data, upstream.of(user), received) + upstream.unread
    upstream.unread = []
    return [f"{what}: {data!r} -> {received!r}" for what in wrong]


async def _everything(wire: Wire) -> bytes:
    """All that comes. When nothing happens any more, the gateway waits for the rest of a body;
    then we hang up. All parts share this event loop, so a few of its turns are enough to see."""
    still, seen = 0, -1
    while still < STILL_TURNS:
        try:
            return await wire.until_end(seconds=TURN_SECONDS)
        except TimeoutError:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            still = still + 1 if len(wire.received) == seen else 0
            seen = len(wire.received)
    wire.half_close()
    return await wire.until_end()


def judge(sent: bytes, forwarded: list[Forwarded], received: bytes) -> list[str]:
    """What h11 says against it."""
    read = read_requests(sent)
    methods = [request.method.decode() for request in read.messages]
    if read.broken and not (read.messages and not read.messages[-1].whole):
        methods.append("HEAD" if read.rest.startswith(b"HEAD ") else "GET")
    answers = read_answers(received, methods)
    wrong = _miscounted(read.messages, answers.messages)
    if any(answer.status == UNFORESEEN for answer in answers.messages):
        wrong.append("crash")
    if any(answer.status >= REFUSED and not _is_ours(answer) for answer in answers.messages):
        wrong.append("refused in another server's words")
    if not _is_complete(answers, methods):
        wrong.append("answered with what is no answer")
    return wrong + _misread(read.messages, forwarded, answers.messages)


def _misread(sent: list[Request], forwarded: list[Forwarded], answers: list[Answer]) -> list[str]:
    """Each forwarded request is one that was sent, in order, and answered in its place."""
    places = {
        int(number): position
        for position, answer in enumerate(answers)
        for number in answer.values(b"x-number")
    }
    at = 0
    for one in forwarded:
        if one.number in places:
            found = range(places[one.number], min(places[one.number] + 1, len(sent)))
        else:
            found = range(at, len(sent))
        at = next((place for place in found if place >= at and _is(one.request, sent[place])), -1)
        if at < 0:
            return [f"forwarded what was not sent ({one.request})"]
        at += 1
        places.pop(one.number, None)
    return [f"answers to what was not forwarded {places}"] if places else []


def _is_complete(read: Read[Answer], methods: list[str]) -> bool:
    """Whether there is nothing but whole answers. The last one may have a body although it is for
    HEAD: a message that can't be read has no method."""
    last = len(read.messages) - 1
    is_head = 0 <= last < len(methods) and methods[last] == "HEAD"
    is_refusal = is_head and read.messages[last].values(b"connection") == [b"close"]
    is_clean = is_refusal or not (read.broken or read.rest)
    return is_clean and all(answer.whole for answer in read.messages)


def _is_ours(answer: Answer) -> bool:
    """Whether a refusal is one of the gateway's, and not of a library in it."""
    is_problem = answer.values(b"content-type") == [b"application/problem+json"]
    return is_problem and answer.values(b"cache-control") == [b"no-store"]


def _miscounted(sent: list[Request], answers: list[Answer]) -> list[str]:
    wrong = []
    closing = bool(answers) and answers[-1].values(b"connection") == [b"close"]
    if len(answers) > len(sent) + 1 or (len(answers) > len(sent) and not closing):
        wrong.append(f"{len(answers)} answers to {len(sent)} requests")
    if len(answers) < sum(request.whole for request in sent) and not closing:
        wrong.append(f"only {len(answers)} answers to {len(sent)} requests")
    return wrong


def _is(forwarded: Request, sent: Request) -> bool:
    """Whether a forwarded request is what became of this one."""
    return (
        forwarded.method == sent.method
        and forwarded.target == _target(sent.target)
        and sent.body.startswith(forwarded.body)
        and (not forwarded.whole or (sent.whole and forwarded.body == sent.body))
        and all(item in sent.fields for item in forwarded.fields if item[0] not in ADDED)
    )


def _target(sent: bytes) -> bytes:
    """The route's mapping of a target."""
    if not sent.startswith(b"/"):
        sent = b"/" + sent.partition(b"://")[2].partition(b"/")[2]
    rest = sent.removeprefix(b"/api")
    return b"/v1/" + rest if rest.startswith(b"?") else b"/v1" + rest
