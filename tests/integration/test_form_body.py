"""A form in a request's body, over a socket: bounded in size and time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from bff.endpoints.parameters import read_form
from bff.errors import BffError
from tests.parts.servers import answering
from tests.polling import HANG_SECONDS, until

START = b"POST / HTTP/1.1\r\nHost: x\r\n"
TYPE = b"Content-Type: application/x-www-form-urlencoded\r\n"
HEAD = START + TYPE


@pytest.fixture
def refusals() -> list[str]:
    """Why forms were refused, as it happens."""
    return []


@pytest.fixture
async def port(refusals: list[str]) -> AsyncIterator[int]:
    """Answers with what was read: names and values, or the error's code. A request may say how long
    its form is waited for."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            patience = float(request.query.get("patience", "60"))
            form = await read_form(request, max_bytes=100, patience_seconds=patience)
        except BffError as error:
            refusals.append(error.log_detail)
            response = web.Response(status=error.status, text=error.log_detail)
            response.force_close()
            return response
        return web.Response(text=repr(form))

    async with answering(web.Server(handle, lingering_time=0)) as port:
        yield port


async def answer(port: int, request: bytes) -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(HANG_SECONDS):
        status = int((await reader.readline()).split()[1])
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        text = (await reader.readexactly(length)).decode()
    writer.close()
    await writer.wait_closed()
    return status, text


async def test_a_form_is_read_whatever_its_framing(port: int) -> None:
    expected = (200, "{'a': '1', 'b': 'x y'}")
    plain = HEAD + b"Content-Length: 9\r\n\r\na=1&b=x+y"
    assert await answer(port, plain) == expected
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\na=1&\r\n5\r\nb=x+y\r\n0\r\n\r\n"
    assert await answer(port, chunked) == expected
    largest = HEAD + b"Content-Length: 100\r\n\r\n" + b"a=" + b"1" * 98
    assert (await answer(port, largest))[0] == 200


@pytest.mark.parametrize(
    ("types", "status"),
    [
        (b"Content-Type: Application/X-WWW-Form-URLEncoded ; charset=utf-8\r\n", 200),
        (b"", 400),
        (b"Content-Type: text/plain\r\n", 400),
        (b"Content-Type: application/x-www-form-urlencoded-not\r\n", 400),
        (TYPE + TYPE, 400),
        (TYPE + b"Content-Encoding: gzip\r\n", 400),
        (TYPE + b"Content-Encoding: identity\r\n", 400),
    ],
)
async def test_only_a_form_is_read(port: int, types: bytes, status: int) -> None:
    """RFC 9110 section 8.3: the media type's name is case-insensitive; there is one."""
    request = START + types + b"Content-Length: 3\r\n\r\na=1"
    assert (await answer(port, request))[0] == status


async def test_more_than_the_limit_is_not_read(port: int) -> None:
    """Neither what is announced nor what comes unannounced."""
    assert (await answer(port, HEAD + b"Content-Length: 101\r\n\r\n"))[0] == 413
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n65\r\n" + b"a" * 101
    assert (await answer(port, chunked))[0] == 413


async def test_a_form_that_does_not_come_is_not_waited_for(port: int) -> None:
    impatient = HEAD.replace(b"POST /", b"POST /?patience=0.1")
    status, detail = await answer(port, impatient + b"Content-Length: 9\r\n\r\na=1")
    assert (status, detail) == (400, "the form did not come in time")


async def test_a_form_that_breaks_off_is_refused(port: int, refusals: list[str]) -> None:
    """By a sender that hangs up; there is no browser left to answer, and nothing to be alarmed
    of."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"Content-Length: 9\r\n\r\na=1")
    writer.close()
    await writer.wait_closed()
    await until(lambda: refusals == ["the form broke off"])
