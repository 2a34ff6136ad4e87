"""The addresses a gateway serves: alone, or as one of several processes. `held_addresses` holds
them for a whole service.

Several processes listen on a TCP address with a socket each (SO_REUSEPORT): the kernel spreads
connections evenly, and a process that dies loses its own queue only. Measured with four
processes and 64 connections: 18, 19, 9, 18; with one inherited socket 1, 25, 38, 0. A Unix socket
can't be shared in this way: it is bound once and inherited.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bff.config.settings import Settings

UNIX = "unix:"
PROBE_SECONDS = 1.0
BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a gateway listens, as it would be configured."""

    public: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    auth: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listening:
    """One address to serve. `shared`: other processes listen there as well, each with a socket of
    its own. `inherited` are the numbers of file descriptors that listen already. `outlives`: others
    go on listening with those when this process stops. `owns_name`: a Unix socket's name goes with
    the process that serves it."""

    address: str
    shared: bool = False
    inherited: tuple[int, ...] = ()
    outlives: bool = False
    owns_name: bool = True

    async def serve(self, factory: Callable[[], asyncio.Protocol]) -> list[asyncio.Server]:
        """Accept connections, each with a protocol of its own.

        Raises:
            OSError: the address can't be listened on.
        """
        loop = asyncio.get_running_loop()
        if self.inherited:
            socks = [socket.socket(fileno=os.dup(number)) for number in self.inherited]
            return [await self._serve_socket(factory, sock) for sock in socks]
        if self.address.startswith(UNIX):
            sock = _bound_unix(self.address.removeprefix(UNIX))
            return [await self._serve_socket(factory, sock)]
        host, port = host_and_port(self.address)
        return [
            await loop.create_server(
                factory, host, port, backlog=BACKLOG, reuse_port=self.shared or None
            )
        ]

    async def _serve_socket(
        self, factory: Callable[[], asyncio.Protocol], sock: socket.socket
    ) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)
        return await loop.create_server(factory, sock=sock, backlog=BACKLOG)

    def remove_name(self) -> None:
        """From now on no connection can be made to a Unix socket; those in its queue stay."""
        if self.address.startswith(UNIX) and self.owns_name:
            Path(self.address.removeprefix(UNIX)).unlink(missing_ok=True)


def host_and_port(address: str) -> tuple[str, int]:
    """Of a TCP address as it is configured; the host without brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def show_address(address: object) -> str:
    """A socket's own name, as it would be configured."""
    if isinstance(address, tuple):
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"{host}:{address[1]}"
    return f"{UNIX}{address}"


def bound(address: str, *, listens: bool) -> tuple[list[socket.socket], str]:
    """Sockets of an address that no other program uses, and the address with the port they have.
    Those of a TCP address can be shared with other processes of this user, unless they listen.

    Raises:
        OSError: another program listens there, or it is not this machine's.
    """
    if address.startswith(UNIX):
        return [_bound_unix(address.removeprefix(UNIX))], address
    host, port = host_and_port(address)
    with contextlib.ExitStack() as undo:
        found = []
        for family, kind, *_, name in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            sock = undo.enter_context(socket.socket(family, kind))
            found.append(sock)
            port = _bind(sock, str(name[0]), port, listens=listens)
        undo.pop_all()
    return found, f"{address.rpartition(':')[0]}:{port}"


def _bind(sock: socket.socket, host: str, port: int, *, listens: bool) -> int:
    """Returns the port, which is one for all families where it was 0."""
    _prepare(sock)
    if listens:
        sock.bind((host, port))
        sock.listen(BACKLOG)
        return int(sock.getsockname()[1])
    with socket.socket(sock.family, sock.type) as alone:
        # First without SO_REUSEPORT, with which two gateways could use one port by mistake.
        _prepare(alone)
        alone.bind((host, port))
        free: int = alone.getsockname()[1]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, free))
    return free


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bound_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    try:
        if Path(path).is_socket():
            _require_unused(path)
            Path(path).unlink()
        sock.bind(path)
        sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


def _require_unused(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return  # left behind by a process that has ended
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@dataclass(frozen=True, slots=True)
class ProcessSetup:
    """`listeners` are those that are served, by name. `metrics_directory` is None for a process
    that is alone; `replaces`: a worker that died. `succeeds`: another process serves these
    addresses until this one is ready."""

    listeners: Mapping[str, Listening]
    metrics_directory: Path | None = None
    replaces: bool = False
    succeeds: bool = False

    @classmethod
    def alone(cls, settings: Settings) -> "ProcessSetup":
        """All of it."""
        return cls({name: Listening(address) for name, address in settings.listeners.items()})

    @property
    def public(self) -> Listening:
        return self.listeners["public"]

    @property
    def addresses(self) -> Addresses:
        """Where all of it is served."""
        return Addresses(**{name: (one.address,) for name, one in self.listeners.items()})

    @property
    def inherited(self) -> tuple[int, ...]:
        """The file descriptors that a process with this setup needs."""
        return tuple(number for one in self.listeners.values() for number in one.inherited)
