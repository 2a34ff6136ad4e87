"""What stands around every program under test: API, OP, Redis, a folder, ports.

All of it runs on the load's core, and stays up for the whole run.
"""

import contextlib
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_urlsafe
from tempfile import TemporaryDirectory

from redis import Redis

from bench.machine import find
from bench.op import CLIENT_ID, CLIENT_SECRET, SCOPE
from bench.processes import Process
from bench.waiting import wait_for_answer
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port

PEERS = Path(__file__).parent / "peers"
NAMES = ("nginx", "caddy", "apache", "express", "oauth2-proxy", "gateway")
LARGE_BYTES = 100 * 1000 * 1000
SMALL_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Site:
    """Where everything is. `ports` are those of the programs under test, by name; `under` is the
    command that one is to be run by, if any."""

    folder: Path
    redis: RedisServer = field(repr=False)
    upstream_port: int
    streams_port: int
    op_port: int
    ports: Mapping[str, int]
    processes: list[Process] = field(default_factory=list)
    under: tuple[str, ...] = ()
    session_secret: str = field(default_factory=lambda: token_urlsafe(32), repr=False)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.op_port}"

    def fill_in(self, template: str, **more: object) -> str:
        """A peer's configuration, with what it must know of the others."""
        values = {
            "FOLDER": self.folder,
            "UPSTREAM": self.upstream_port,
            "STREAMS": self.streams_port,
            "ISSUER": self.issuer,
            "REDIS": self.redis.port,
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "SCOPE": SCOPE,
        } | more
        for name, value in values.items():
            template = template.replace(f"@{name}@", str(value))
        return template

    def write(self, name: str, template: str, **more: object) -> Path:
        path = self.folder / name
        path.write_text(self.fill_in(template, **more))
        return path

    def use_cores(self, cores: Collection[int]) -> None:
        """Move API, streams and OP to other processors. Redis stays where it is."""
        for process in self.processes:
            process.move_to(cores)

    def redis_commands(self) -> int:
        """How many the server has processed, this question's included."""
        with Redis(port=self.redis.port, protocol=2) as client:
            return int(client.info("stats")["total_commands_processed"])


@contextlib.contextmanager
def running_site() -> Iterator[Site]:
    """Start it all; stopped at the block's end."""
    ports = {name: free_port() for name in NAMES}
    upstream_port, streams_port, op_port = free_port(), free_port(), free_port()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bff-bench-")))
        folder.chmod(0o755)  # Apache's workers are another user
        redis = RedisServer(tcp=True)
        stack.callback(redis.close)
        site = Site(folder, redis, upstream_port, streams_port, op_port, ports)
        _write_files(folder / "files")
        config = site.write(
            "upstream.conf", (PEERS / "upstream.conf").read_text(), PORT=upstream_port
        )
        callbacks = [f"http://127.0.0.1:{port}/callback" for port in ports.values()]
        callbacks += [f"http://127.0.0.1:{ports['gateway']}/bff/callback"]
        callbacks += [f"http://127.0.0.1:{ports['oauth2-proxy']}/oauth2/callback"]
        commands = {
            "upstream": [
                *(find("nginx") or "nginx", "-p", str(folder)),
                *("-c", str(config), "-e", str(folder / "upstream.log")),
            ],
            "streams": [sys.executable, "-m", "bench.streams_api", str(streams_port)],
            "op": [sys.executable, "-m", "bench.op", str(op_port), *callbacks],
        }
        listening = {"upstream": upstream_port, "streams": streams_port, "op": op_port}
        for name, command in commands.items():
            process = Process(command, log=folder / f"{name}.out", cores=None)
            site.processes.append(stack.enter_context(process))
            wait_for_answer(process, listening[name])
        yield site


def _write_files(folder: Path) -> None:
    folder.mkdir()
    entries = [{"id": number, "name": f"entry {number}", "done": False} for number in range(100)]
    text = str(entries).replace("'", '"').replace("False", "false")
    (folder / "small.json").write_text(
        text[: SMALL_BYTES - 2].rpartition(",")[0].ljust(SMALL_BYTES - 1) + "]"
    )
    block = bytes(range(256)) * 4096
    with (folder / "large").open("wb") as large:
        while large.tell() < LARGE_BYTES:
            large.write(block[: LARGE_BYTES - large.tell()])
