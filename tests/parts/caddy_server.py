"""A real Caddy with one of the project's Caddyfiles, on a free loopback port.

Nothing is written outside the folder it is given; Caddy's own certificate authority is there too.
"""

import os
import shutil
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts.program import serving_meanwhile
from tests.parts.servers import free_port

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
        """A client context that trusts this Caddy only."""
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
    with serving_meanwhile(
        command, lambda: _serves_https(server), server.log, environment=settings
    ):
        yield server


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
