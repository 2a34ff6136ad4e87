"""A head that is refused for what it says of itself has a name, and leaves a line, as any other."""

import json
from pathlib import Path

import pytest

from tests.parts.raw_upstream import raw_upstream
from tests.polling import until
from tests.wire.client import everything
from tests.wire.reading import read_answers
from tests.wire.users import a_gateway_for_users

NAME = "asked-by-the-proxy-in-front"
SERVER = 'trusted_proxies = ["127.0.0.1/32"]\nmax_body = "64KiB"'
HEADS = {
    "another transfer coding": ("POST", "HTTP/1.1", "Transfer-Encoding: gzip, chunked\r\n", 400),
    "a transfer coding in HTTP/1.0": ("POST", "HTTP/1.0", "Transfer-Encoding: chunked\r\n", 400),
    "a length of many digits": ("POST", "HTTP/1.1", f"Content-Length: {'0' * 30}\r\n", 400),
    "another protocol": ("GET", "RTSP/1.1", "", 400),
    "too many fields": ("GET", "HTTP/1.1", "X-A: b\r\n" * 200, 431),
    "too large fields": ("GET", "HTTP/1.1", f"X-A: {'b' * 66_000}\r\n", 431),
    "a body over the limit": ("POST", "HTTP/1.1", "Content-Length: 65537\r\n", 413),
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.rule("SM-06")
async def test_the_name_that_a_proxy_in_front_has_given_is_kept(kind: str, tmp_path: Path) -> None:
    """In the answer and in the access log, beside the client's address: the logs of the proxy and
    of the gateway can be joined for refused requests as well. The connection is closed."""
    method, version, fields, status = HEADS[kind]
    file = tmp_path / "access.log"
    log = f'[access_log]\nenabled = true\naddress = "full"\nfile = "{file}"\n'
    async with (
        raw_upstream() as upstream,
        a_gateway_for_users(upstream.port, server=SERVER, route=log) as users,
    ):
        named = f"X-Request-ID: {NAME}\r\nX-Forwarded-For: 192.0.2.7\r\n"
        head = f"{method} /api/x {version}\r\nHost: {users.host}\r\n{named}{fields}\r\n"
        received, _ = await everything(users.port, head.encode())
        (answer,) = read_answers(received, [method]).messages
        assert answer.status == status
        assert answer.values(b"connection") == [b"close"]
        assert upstream.received == []
        if kind != "too large fields":  # of that one no field has been read to its end
            assert answer.values(b"x-request-id") == [NAME.encode()]
            await until(lambda: file.exists() and file.read_text().endswith("\n"))
            line = json.loads(file.read_text())
            assert (line["request_id"], line["address"]) == (NAME, "192.0.2.7")
            assert line["status"] == status


async def test_requests_that_were_never_begun_leave_lines_too(tmp_path: Path) -> None:
    """Pipelined behind one that made the connection close, or whose browser has gone."""
    file = tmp_path / "access.log"
    log = f'[access_log]\nenabled = true\nfile = "{file}"\n'

    def lines() -> list[tuple[str, int | None, str]]:
        text = file.read_text() if file.exists() else ""
        entries = [json.loads(line) for line in text.splitlines()]
        return [(entry["method"], entry["status"], entry["ending"]) for entry in entries]

    async with (
        raw_upstream() as upstream,
        a_gateway_for_users(upstream.port, server=SERVER, route=log) as users,
    ):
        host = f"Host: {users.host}\r\n"
        refused = f"GET /api/x HTTP/1.1\r\n{host}{HEADS['too many fields'][2]}\r\n"
        behind = f"PUT /api/y HTTP/1.1\r\n{host}\r\nPATCH /api/z HTTP/1.1\r\n{host}\r\n"
        await everything(users.port, f"{refused}{behind}".encode())
        await until(lambda: len(lines()) == 3)
        begun, *behind_it = sorted(lines())
        assert begun == ("GET", 431, "complete")
        assert behind_it == [("PATCH", None, "cut"), ("PUT", None, "cut")]
