"""A real Caddy with one of the project's Caddyfiles, on a free loopback port.

Owns starting and stopping: the process is ended by the pid that was started, and nothing is written
outside the folder it is given (Caddy's own certificate authority lands there too).
"""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts.servers import free_port
from tests.polling import HANG_SECONDS

ROOT = Path(__file__).parents[2]
CADDY = os.environ.get("CADDY") or shutil.which("caddy") or "/usr/bin/caddy"


@dataclass(frozen=True)
class CaddyServer:
    """A running Caddy. `ca_root` is the PEM file of the authority that signed its certificate."""

    host: str
    port: int
    ca_root: Path
    log: Path

    @property
    def origin(self) -> str:
        return f"https://{self.host}:{self.port}"

    def tls(self) -> ssl.SSLContext:
        """A client context that trusts this Caddy and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_root))


@contextmanager
def running_caddy(
    folder: Path,
    *,
    gateway: str,
    spa_root: Path = ROOT / "spa_demo" / "spa",
    host: str = "localhost",
    port: int = 0,
    ca_root: Path | None = None,
    caddyfile: Path = ROOT / "Caddyfile",
    environment: Mapping[str, str] | None = None,
) -> Iterator[CaddyServer]:
    """Run Caddy in front of `gateway` (host:port, or several with spaces between) until the block
    ends. Name `ca_root` when the environment gives it a certificate (TLS) that is not its own.

    Raises:
        RuntimeError: Caddy ended, or did not serve HTTPS in time; with its log.
    """
    server = CaddyServer(
        host=host,
        port=port or free_port(),
        ca_root=ca_root or folder / "data/caddy/pki/authorities/local/root.crt",
        log=folder / "caddy.log",
    )
    settings = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "SITE_ADDRESS": f"{server.host}:{server.port}",
        "GATEWAY": gateway,
        "SPA_ROOT": str(spa_root),
        **(environment or {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", str(caddyfile)]
    with server.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=log, stderr=log)
    try:
        _wait_until_serving(process, server)
        yield server
    finally:
        _stop(process)


def _wait_until_serving(process: "subprocess.Popen[bytes]", server: CaddyServer) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _serves_https(server):
            return
        try:
            process.wait(timeout=0.05)  # a pause that ends at once if Caddy does
        except subprocess.TimeoutExpired:
            continue
    raise RuntimeError(f"caddy does not serve {server.origin}:\n{server.log.read_text()}")


def _serves_https(server: CaddyServer) -> bool:
    """Whether a verified handshake succeeds: the listener is up and has its certificate."""
    try:
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection,
            server.tls().wrap_socket(connection, server_hostname=server.host),
        ):
            return True
    except OSError:  # ssl.SSLError is one as well
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)
