"""`python -m tests.wire.mixup`: which answer each user gets, under load and while browsers hang up.

Many users share few connections to an API that answers each with a stream of its own name, taken
from the token that came along. Both sides abort at random, wherever they are. A byte of another
name in a user's answer is a finding; so is an answer that ends early and looks whole.
"""

import argparse
import asyncio
import logging
import secrets
import sys
import time
from dataclasses import dataclass, field
from random import Random

import structlog
import uvloop

from tests.parts.raw_upstream import RawUpstream, Received, Responder, raw_upstream, read_body
from tests.polling import HANG_SECONDS, until
from tests.wire.client import End, Wire, wired
from tests.wire.reading import Answer, read_answers
from tests.wire.users import Users, a_gateway_for_users

AT_A_TIME = 40
MOST_REPEATS = 4000


@dataclass(slots=True)
class Tally:
    """What has become of all requests."""

    whole: int = 0
    cut: int = 0
    refused: int = 0
    left: int = 0
    findings: list[str] = field(default_factory=list)


async def mix(users: int, requests: int, seed: int) -> Tally:
    """Send so many requests from so many users."""
    random = Random(seed)  # noqa: S311 - the same again from the same seed
    tally = Tally()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: tally.findings.append(f"crash: {context}")
    )
    async with raw_upstream() as upstream:
        upstream.responder = _named(upstream, random, tally)
        async with a_gateway_for_users(upstream.port) as gateway:
            heads = {f"user{n}": await gateway.log_in(f"user{n}") for n in range(users)}
            waiting = iter(range(requests))

            async def work() -> None:
                for _ in waiting:
                    name = random.choice(list(heads))
                    await _visit(gateway, name, heads[name], random, tally)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_A_TIME):
                    tasks.create_task(work())
    return tally


def _line(name: bytes) -> bytes:
    return b"<%b>" % name


def _named(upstream: RawUpstream, random: Random, tally: Tally) -> Responder:
    """Answers with the name in the token, again and again; hangs up now and then."""

    async def respond(
        request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(request, reader)
        (token,) = request.values(b"authorization")
        line = _line(token.removeprefix(b"Bearer token-of-"))
        if request.body not in (b"", line):
            tally.findings.append(f"{line!r} came with {request.body!r}")
        upstream.received.clear()
        chunked = random.random() < 0.5
        body = line * random.choice((1, 1, 20, 400, MOST_REPEATS))
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        answer = b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing
        answer += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        fate = random.random()
        if fate < 0.1:
            answer = answer[: random.randrange(len(answer))]
        for at in range(0, len(answer), 16_384):
            writer.write(answer[at : at + 16_384])
            await writer.drain()
        if fate < 0.15:  # with or without an answer that is whole
            writer.close() if random.random() < 0.5 else writer.transport.abort()

    return respond


async def _visit(gateway: Users, name: str, head: str, random: Random, tally: Tally) -> None:
    """One to four requests of one user on one connection, left at some point."""
    line = _line(name.encode()).decode()
    post = f"POST /api/x HTTP/1.1\r\nHost: {gateway.host}\r\n{head}Content-Length: {len(line)}\r\n"
    get = f"GET /api/x HTTP/1.1\r\nHost: {gateway.host}\r\n{head}"
    count = random.choice((1, 1, 2, 4))
    messages = [
        get + "\r\n" if random.random() < 0.7 else f"{post}\r\n{line}" for _ in range(count)
    ]
    messages[-1] = messages[-1].replace("X-CSRF: 1\r\n", "X-CSRF: 1\r\nConnection: close\r\n")
    async with wired(gateway.port) as wire:
        wire.send("".join(messages).encode())
        if random.random() < 0.2:
            await _leave(wire, random)
            tally.left += 1
        else:
            try:
                await wire.until_end(seconds=HANG_SECONDS)
            except TimeoutError:
                tally.findings.append(f"{name} waits for ever")
        _count(name, count, wire, tally)


async def _leave(wire: Wire, random: Random) -> None:
    """Be gone after some of the answer, or before there is any."""
    wanted = random.choice((0, 1, 100, 10_000))
    await until(lambda: len(wire.received) >= wanted or wire.end is not End.OPEN, every=0.001)
    wire.abort()


def _count(name: str, count: int, wire: Wire, tally: Tally) -> None:
    read = read_answers(bytes(wire.received), ended=wire.end is End.CLOSED)
    if len(read.messages) > count:
        tally.findings.append(f"{name} got {len(read.messages)} answers to {count} requests")
    for answer in read.messages:
        _judge(name, answer, tally)


def _judge(name: str, answer: Answer, tally: Tally) -> None:
    if answer.status >= 500:
        tally.refused += 1
        return
    line = _line(name.encode())
    if answer.body != (line * (len(answer.body) // len(line) + 1))[: len(answer.body)]:
        tally.findings.append(f"{name} got {answer.body[:100]!r}")
    if not answer.whole:
        tally.cut += 1
    elif len(answer.body) % len(line) or not answer.body:
        tally.findings.append(f"{name} got an end that was none")
    else:
        tally.whole += 1


def main() -> int:
    """The long form."""
    options = argparse.ArgumentParser(prog="python -m tests.wire.mixup")
    options.add_argument("--users", type=int, default=1000)
    options.add_argument("--requests", type=int, default=50_000)
    options.add_argument("--seed", type=int, default=secrets.randbelow(1 << 31))
    chosen = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    began = time.monotonic()
    tally = uvloop.run(mix(chosen.users, chosen.requests, chosen.seed))
    seconds = time.monotonic() - began
    sys.stdout.write(f"seed {chosen.seed}, {seconds:.0f} s; {tally}\n")
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
