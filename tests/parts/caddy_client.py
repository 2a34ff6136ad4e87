"""A client for Caddy that sends exactly what it is told: no default headers, no tidied paths."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from tests.parts.caddy_server import CaddyServer
from tests.polling import HANG_SECONDS


@contextmanager
def connected(caddy: CaddyServer) -> Iterator[http.client.HTTPSConnection]:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", caddy.port, timeout=HANG_SECONDS, context=caddy.tls()
    )
    # The name is "localhost", the address never in doubt.
    raw = socket.create_connection(("127.0.0.1", caddy.port), timeout=HANG_SECONDS)
    connection.sock = caddy.tls().wrap_socket(raw, server_hostname=caddy.host)
    with closing(connection):
        yield connection


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def send(
    caddy: CaddyServer, target: str, *headers: tuple[str, str], method: str = "GET", body: str = ""
) -> Answer:
    """Send one request with exactly this target and these headers, and read the answer."""
    with connected(caddy) as connection:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        if "Host" not in dict(headers):
            connection.putheader("Host", f"{caddy.host}:{caddy.port}")
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode())
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
