"""Stands where the gateway (or anything else behind Caddy) stands, and remembers what reached it.

A thread with a blocking server, so that the requests recorded are the bytes of the wire and no
other process's parser has made them pretty.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived behind Caddy, byte for byte where that matters."""

    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for field, value in self.headers if field.lower() == name.lower()]


class Recorder(ThreadingHTTPServer):
    """Stands where the gateway stands, and remembers what reached it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RecordingHandler)
        self.requests: list[Recorded] = []
        self.hung_up = threading.Event()


class RecordingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Recorder/1"
    server: Recorder

    def do_GET(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        self.server.requests.append(Recorded(self.path, list(self.headers.items()), body))
        if self.path == "/bff/events":
            self.stream_until_the_browser_goes()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; sandbox")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815 - the base class finds methods by these names

    def stream_until_the_browser_goes(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"event: session\ndata: {}\n\n")
        self.connection.settimeout(WAIT_SECONDS)
        if self.rfile.read(1) == b"":
            self.server.hung_up.set()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Silence: the recorder keeps what matters."""


@contextmanager
def running_recorder() -> Iterator[Recorder]:
    """A recorder on a free loopback port."""
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(WAIT_SECONDS)
