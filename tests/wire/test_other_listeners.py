"""The listeners for administrators and for proxies that ask: bounded as the public one is.

Their peers are programs, which are cut off without a word.
"""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.abuse.crowd import crowd
from tests.abuse.measures import Process
from tests.flows.apis import an_api
from tests.parts.servers import free_port
from tests.polling import until
from tests.wire.client import End, wired
from tests.wire.loops import ON_UVLOOP
from tests.wire.reading import read_answers
from tests.wire.test_slow_browsers import dripping

pytestmark = ON_UVLOOP

MOST = 40
HEAD = b"Host: localhost\r\n" + b"X: y\r\n" * 99


@dataclass(frozen=True, slots=True)
class Other:
    """A listener, something to ask there, and how that is answered. So many answers, `fills`, are
    more than the kernel takes for a peer that reads nothing."""

    port: int
    question: bytes
    answer: bytes
    fills: int


@contextlib.asynccontextmanager
async def a_listener(name: str, keepalive: str) -> AsyncIterator[Other]:
    port = free_port()
    server = f'''
head_timeout = "500ms"
body_timeout = "500ms"
keepalive_timeout = "{keepalive}"
max_connections = {MOST}
auth_listen = "127.0.0.1:{port}"
trusted_proxies = ["127.0.0.1/32"]
'''
    async with an_api(server=server, user=None) as api:
        if name == "auth":
            described = (
                f"Host: {api.host}\r\nX-Forwarded-Method: GET\r\n"
                "X-Forwarded-Proto: http\r\nX-Forwarded-Uri: /api/x\r\n\r\n"
            )
            question = f"GET /bff/auth HTTP/1.1\r\n{described}".encode()
            yield Other(port, question, b"HTTP/1.1 401 ", 1000)
        else:
            question = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
            yield Other(api.stack.ports.admin, question, b"HTTP/1.1 200 ", 100)


@pytest.fixture(params=["admin", "auth"])
async def listener(request: pytest.FixtureRequest) -> AsyncIterator[Other]:
    async with a_listener(request.param, "60s") as found:
        yield found


@pytest.fixture(params=["admin", "auth"])
async def impatient(request: pytest.FixtureRequest) -> AsyncIterator[Other]:
    """It keeps no connection for long."""
    async with a_listener(request.param, "1s") as found:
        yield found


@pytest.mark.rule("SM-06")
@pytest.mark.parametrize("begun", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nX: y"])
async def test_a_head_that_does_not_come_ends_the_connection(listener: Other, begun: bytes) -> None:
    async with wired(listener.port) as wire:
        wire.send(begun)
        assert await wire.until_end() == b""


@pytest.mark.rule("SM-06")
@pytest.mark.parametrize("after_another", [False, True])
async def test_a_head_that_drips_ends_the_connection(
    listener: Other, *, after_another: bool
) -> None:
    async with wired(listener.port) as wire:
        if after_another:
            wire.send(listener.question)
            await wire.until_received(listener.answer)
        await dripping(wire, b"GET /metrics HTTP/1.1\r\n" + HEAD, every=0.05)
        received = await wire.until_end()
    assert received.count(b"HTTP/1.1 ") == after_another


@pytest.mark.rule("SM-06")
async def test_a_connection_without_a_further_question_ends(impatient: Other) -> None:
    async with wired(impatient.port) as wire:
        wire.send(impatient.question)
        assert (await wire.until_end()).startswith(impatient.answer)


@pytest.mark.rule("SM-06")
async def test_a_body_without_an_end_ends_with_the_answer(listener: Other) -> None:
    head = listener.question.replace(b"\r\n\r\n", b"\r\nContent-Length: 99\r\n\r\n")
    async with wired(listener.port) as wire:
        wire.send(head)
        await dripping(wire, b"x" * 98, every=0.05)
        assert (await wire.until_end()).startswith(listener.answer)


@pytest.mark.rule("SM-06")
async def test_further_connections_are_closed(listener: Other) -> None:
    """Those that are there are served, and so are others when they are gone."""
    async with contextlib.AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(wired(listener.port)) for _ in range(MOST)]
        for wire in wires:
            wire.send(listener.question)
            await wire.until_received(listener.answer)
        async with wired(listener.port) as one_more:
            one_more.send(listener.question)
            assert await one_more.until_end() == b""
        wires[0].abort()
        await until(lambda: _is_answered(listener))


async def _is_answered(listener: Other) -> bool:
    async with wired(listener.port) as wire:
        wire.send(listener.question)
        await until(lambda: wire.end is not End.OPEN or listener.answer in wire.received)
        return wire.end is End.OPEN


@pytest.mark.rule("SM-06")
@pytest.mark.parametrize("last", ["goes on", "close"])
async def test_a_peer_that_takes_no_answer_is_cut_off(impatient: Other, last: str) -> None:
    """However little of it is left to take."""
    end = b"\r\nConnection: close\r\n\r\n" if last == "close" else b"\r\n\r\n"
    process = Process(os.getpid())
    async with crowd(impatient.port, MOST, deaf=True) as takers:
        for number, taker in enumerate(takers):
            count = impatient.fills // MOST * number
            taker.send(impatient.question * count + impatient.question.replace(b"\r\n\r\n", end))
        await until(lambda: process.connections(impatient.port) == 0, every=0.05)


@pytest.mark.rule("SM-06")
async def test_a_request_of_too_many_fields_that_a_proxy_asks_about_is_431() -> None:
    """As at the public listener: the same gate judges the head."""
    async with a_listener("auth", "60s") as listener:
        head = listener.question.replace(b"\r\n\r\n", b"\r\n" + b"X-A: b\r\n" * 200 + b"\r\n")
        async with wired(listener.port) as wire:
            wire.send(head)
            await wire.until_received(b"head_too_large")
            assert wire.received.startswith(b"HTTP/1.1 431 ")


@pytest.mark.rule("HD-04")
@pytest.mark.parametrize("field", ["Content-Length: x", "Host: y"])
async def test_what_the_parser_refuses_is_refused_in_our_words(listener: Other, field: str) -> None:
    head = listener.question.replace(b"\r\n\r\n", f"\r\n{field}\r\n\r\n".encode())
    async with wired(listener.port) as wire:
        wire.send(head)
        (answer,) = read_answers(await wire.until_end()).messages
    assert (answer.status, answer.values(b"server")) == (400, [b"bff"])
    assert answer.values(b"content-type") == [b"application/problem+json"]
    assert answer.values(b"cache-control") == [b"no-store"]
    assert field.encode() not in answer.body
