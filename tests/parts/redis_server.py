"""Real `redis-server` processes for tests: on a Unix socket in a directory of their own, or on a
free loopback port where the product needs one (Cluster, Sentinel). Nothing is kept on disk, and
only processes started here are ever signalled, by their pid.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from bff.sessions.counting import LEASE
from tests.parts.servers import free_port
from tests.polling import HANG_SECONDS


class RedisServer:
    """One server, started by the constructor. `url` stays the same over restarts."""

    def __init__(self, *options: str, tcp: bool = False, sentinel_of: str | None = None) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.fail("these tests need the redis-server program (Debian: redis-server)")
        self._binary = binary
        self._directory = Path(tempfile.mkdtemp(prefix="bff-redis-"))
        self._options = options
        self._sentinel_of = sentinel_of
        self.port = free_port_for_redis() if tcp or sentinel_of else 0
        self._socket = self._directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self._socket}"

    @property
    def is_running(self) -> bool:
        """Started and not stopped since; a paused server is running."""
        return self._process is not None

    def start(self) -> None:
        """Start and wait until it answers."""
        self._process = subprocess.Popen(
            [self._binary, *self._arguments()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._directory,
        )
        deadline = time.monotonic() + HANG_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("redis-server did not start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it: what it held is gone, its connections are reset."""
        if self._process is not None:
            self._process.kill()  # works on a paused process as well
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start again on the same address, empty."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def command(self, *command: str | int) -> Any:
        """One command, answered with bytes."""
        with self._client() as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    def everything(self) -> bytes:
        """All keys and values in one string, for tests that look for what must not be there."""
        with self._client() as client:
            keys = list(client.scan_iter(count=1000))
            return b"\n".join(key + b" " + (client.dump(key) or b"") for key in keys)

    def records(self) -> dict[bytes, bytes]:
        """All keys and values but what comes and goes by itself: the buckets of rate limits, and
        the lease of the process that counts sessions."""
        passing = (b"bff:q:", b"bff:l:{%b}" % LEASE.encode())
        with self._client() as client:
            keys = [key for key in client.scan_iter(count=1000) if not key.startswith(passing)]
            return {key: client.dump(key) or b"" for key in keys}

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _arguments(self) -> list[str]:
        where = ["--port", str(self.port), "--bind", "127.0.0.1"]
        if self._sentinel_of is not None:
            config = self._directory / "sentinel.conf"  # Sentinel insists on a file it can rewrite
            config.write_text(self._sentinel_of)
            return [str(config), "--sentinel", *where, *self._options]
        if not self.port:
            where += ["--unixsocket", str(self._socket)]
        return [*where, "--save", "", "--appendonly", "no", "--loglevel", "warning", *self._options]

    def _client(self) -> Redis:
        if self.port:
            return Redis(port=self.port, socket_timeout=2, protocol=2)
        return Redis(unix_socket_path=str(self._socket), socket_timeout=2, protocol=2)

    def _answers(self) -> bool:
        try:
            return bool(self.command("PING"))
        except (RedisError, OSError):
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the server is not running"
        self._process.send_signal(number)


def free_port_for_redis() -> int:
    """A port for a server: as a node of a cluster it takes the one above by 10000 as well, which
    must not be one that the system gives to outgoing connections either."""
    while True:
        port = free_port()
        with socket.socket() as bus, contextlib.suppress(OSError):
            bus.bind(("127.0.0.1", port + 10_000))
            if port < 22_000:
                return port


def cluster_server(*options: str) -> RedisServer:
    """A cluster of one node that serves all slots: it refuses steps across slots all the same."""
    server = RedisServer("--cluster-enabled", "yes", *options, tcp=True)
    server.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    _await_cluster(server)
    return server


def cluster_of_two() -> tuple[RedisServer, RedisServer]:
    """A cluster of two primaries, each with half of the slots."""
    first = RedisServer("--cluster-enabled", "yes", tcp=True)
    second = RedisServer("--cluster-enabled", "yes", tcp=True)
    first.command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
    second.command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
    first.command("CLUSTER", "MEET", "127.0.0.1", second.port)
    _await_cluster(first)
    _await_cluster(second)
    return first, second


def _await_cluster(server: RedisServer) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while b"cluster_state:ok" not in server.command("CLUSTER", "INFO"):
        assert time.monotonic() < deadline, "the cluster did not form"
        time.sleep(0.01)


def sentinel_server(master: RedisServer, service: str = "main") -> RedisServer:
    """A Sentinel that watches `master`, alone. By itself it fails over after half a minute only: a
    machine that stands still for a moment is no reason."""
    watched = f"sentinel monitor {service} 127.0.0.1 {master.port} 1\n"
    return RedisServer(sentinel_of=watched)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for all tests that leave it running; take a prefix of your own."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server of the test's own, to stop, pause and restart."""
    server = RedisServer()
    yield server
    server.close()
