"""A message has one reading or is refused, by whichever of its parsers the server uses.

RFC 9112 sections 2.2, 3, 5.1, 5.2, 6.1, 6.3 and 7.1.
"""

import asyncio
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.flows.apis import Api, an_api, status_of
from tests.flows.served import a_served_gateway
from tests.parts.configuration import free_ports
from tests.parts.raw_upstream import raw_upstream
from tests.polling import HANG_SECONDS

ROOT = Path(__file__).parents[2]
CONTROLS = [*range(0x20), 0x7F]
CR, LF, TAB = 0x0D, 0x0A, 0x09


def refusal_of(answer: bytes) -> str:
    """What is wrong with how a bad message was answered: nothing, if it was refused and closed."""
    if not answer:
        return ""  # closed without a word
    if status_of(answer) not in (400, 413, 505):
        return f"answered {status_of(answer)}"
    return "" if answer.count(b"HTTP/1.") == 1 else "answered twice"


async def passed(api: Api, messages: dict[str, bytes]) -> dict[str, str]:
    """The messages that were not refused; each is followed by a request that must not count."""
    found = {}
    for name, message in messages.items():
        found[name] = refusal_of(await api.raw(message + api.head("GET /api/smuggled HTTP/1.1")))
    lines = b"\n".join(request.request_line for request in api.upstream.received)
    assert b"smuggled" not in lines
    return {name: wrong for name, wrong in found.items() if wrong}


def in_place(api: Api, start: bytes, field: bytes) -> bytes:
    """A request with raw bytes in its first line or in a field."""
    rest = api.head("GET /api/x HTTP/1.1", "Marker: x").replace(b"Connection: close\r\n", b"")
    return rest.replace(b"GET /api/x HTTP/1.1", start).replace(b"Marker: x", field)


@pytest.mark.rule("SM-04")
async def test_control_bytes_and_stray_spaces_are_refused_wherever_they_stand() -> None:
    async with an_api() as api:
        messages = {}
        for byte in CONTROLS:
            one = bytes([byte])
            places = {
                "in a name": (b"GET /api/x HTTP/1.1", b"X" + one + b"Y: 1"),
                "before the colon": (b"GET /api/x HTTP/1.1", b"X" + one + b": 1"),
                "before the name": (b"GET /api/x HTTP/1.1", one + b"X: 1"),
                "in a value": (b"GET /api/x HTTP/1.1", b"X: a" + one + b"b"),
                "in the method": (b"G" + one + b"T /api/x HTTP/1.1", b"X: 1"),
                "in the target": (b"GET /api/x" + one + b"y HTTP/1.1", b"X: 1"),
                "in the version": (b"GET /api/x HTTP/1" + one + b"1", b"X: 1"),
            }
            if byte == TAB:
                del places["in a value"]  # allowed there
            if byte == LF:
                del places["before the name"]  # an empty line, the end of the head
            for place, (start, field) in places.items():
                messages[f"{byte:#04x} {place}"] = in_place(api, start, field)
        for name, field in {
            "a space before the colon": b"X : 1",
            "a folded line": b"X: 1\r\n 2",
            "a folded line by tab": b"X: 1\r\n\t2",
            "no colon": b"X",
            "no name": b": 1",
            "a space in a name": b"X Y: 1",
        }.items():
            messages[name] = in_place(api, b"GET /api/x HTTP/1.1", field)
        for start in (b"GET /api/x y HTTP/1.1", b" GET /api/x HTTP/1.1", b"GET/api/x HTTP/1.1"):
            messages[start.decode()] = in_place(api, start, b"X: 1")
        assert await passed(api, messages) == {}


FRAMING = {
    "TE and CL": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CL and TE": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a list of lengths": b"Content-Length: 5, 6\r\n\r\nhello",
    "a signed length": b"Content-Length: +5\r\n\r\nhello",
    "a negative length": b"Content-Length: -5\r\n\r\nhello",
    "a hexadecimal length": b"Content-Length: 0x5\r\n\r\nhello",
    "an empty length": b"Content-Length: \r\n\r\nhello",
    "a length with a space": b"Content-Length: 5 5\r\n\r\nhello",
    "an endless length": b"Content-Length: 99999999999999999999\r\n\r\nhello",
    "another coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two lines": b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "a control in the coding": b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a negative chunk": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk with a prefix": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a chunk that is no number": b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
    "an endless chunk": b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx",
    "a chunk longer than said": b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "a bare LF after a size": b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
    "a bare LF in an extension": b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
}
HOSTS = {
    "no Host": b"X: 1",
    "two Hosts": b"Host: HOST\r\nHost: HOST",
    "a Host with a space": b"Host: HOST evil",
    "a Host with a user": b"Host: user@HOST",
    "a folded Host": b"Host: HOST\r\n evil",
}


def bad_framing(host: str, cookie: str) -> dict[str, bytes]:
    """Messages of SM-01, SM-02, SM-03 and SM-05."""
    own = f"Host: {host}"
    start = f"POST /api/x HTTP/1.1\r\nCookie: bff={cookie}\r\nX-CSRF: 1\r\n".encode()
    messages = {name: start + f"{own}\r\n".encode() + rest for name, rest in FRAMING.items()}
    for name, field in HOSTS.items():
        fields = field.replace(b"HOST", host.encode()) + b"\r\nConnection: close\r\n\r\n"
        messages[name] = start + fields  # its length is certain: the connection need not end
    return messages


@pytest.mark.rule("SM-01")
@pytest.mark.rule("SM-02")
@pytest.mark.rule("SM-03")
@pytest.mark.rule("SM-05")
@pytest.mark.rule("CVE-2024-52304")
async def test_a_message_of_two_lengths_or_hosts_is_refused() -> None:
    async with an_api() as api:
        messages = bad_framing(api.host, api.browser.cookies.get("bff") or "")
        assert await passed(api, messages) == {}


@pytest.mark.rule("SM-09")
@pytest.mark.rule("CVE-2024-52304")
@pytest.mark.parametrize("without_extensions", ["1", ""])
async def test_both_parsers_refuse_it(tmp_path: Path, without_extensions: str) -> None:
    """The server has one parser in C and one in Python; the environment chooses."""
    environment = {"AIOHTTP_NO_EXTENSIONS": without_extensions}
    async with raw_upstream() as upstream:
        ports = free_ports(api=upstream.port)
        host = f"localhost:{ports.gateway}"
        public = '[[routes]]\npath = "/api/"\nupstream = "http://127.0.0.1:%d/"\ntoken = "none"\n'
        routes = public % upstream.port
        async with a_served_gateway(ports, tmp_path, environment=environment, routes=routes):
            last = f"Host: {host}\r\nConnection: close\r\n\r\n".encode()
            smuggled = b"GET /api/smuggled HTTP/1.1\r\n" + last
            found = {}
            for name, message in bad_framing(host, "").items():
                if without_extensions and name == "an endless chunk":
                    continue  # a number like any other there; the limit of a body ends it
                found[name] = refusal_of(await exchange(ports.gateway, message + smuggled))
            assert {name: wrong for name, wrong in found.items() if wrong} == {}
            assert not [r for r in upstream.received if b"smuggled" in r.request_line + r.body]
            good = b"GET /api/x HTTP/1.1\r\n" + last
            assert status_of(await exchange(ports.gateway, good)) == 200


async def exchange(port: int, message: bytes) -> bytes:
    """All the gateway says until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message)
    try:
        async with asyncio.timeout(HANG_SECONDS):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.rule("CVE-2024-52304")
def test_the_http_library_is_one_without_known_faults() -> None:
    """The lowest version that may be installed, and the one that is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (lowest,) = [d for d in project["dependencies"] if d.startswith("aiohttp")]
    least = tuple(int(part) for part in lowest.split(",")[0].removeprefix("aiohttp>=").split("."))
    assert least >= (3, 14, 5)
    assert tuple(int(part) for part in version("aiohttp").split(".")[:3]) >= least


@pytest.mark.rule("SM-06")
async def test_a_head_is_bounded_in_every_direction() -> None:
    async with an_api() as api:
        line = api.head(f"GET /api/{'a' * 9000} HTTP/1.1")
        field = api.head("GET /api/x HTTP/1.1", f"X: {'a' * 70_000}")
        many = api.head("GET /api/x HTTP/1.1", *(f"X{number}: 1" for number in range(20_000)))
        for message in (line, field, many):
            assert status_of(await api.raw(message)) in (400, 414, 431)
        assert api.upstream.received == []
        longest = api.head(f"GET /api/{'a' * 8000} HTTP/1.1")
        assert status_of(await api.raw(longest)) == 200
