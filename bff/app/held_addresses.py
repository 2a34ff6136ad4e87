"""The sockets that a service holds for the processes that serve them: opened here, passed by
systemd (socket activation, sd_listen_fds(3)), or taken over from the process before.

Sockets that listen go on listening while processes come and go: a connection that is made meanwhile
waits in the queue of the kernel.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bff.app.listening import UNIX, Listening, ProcessSetup, bound, host_and_port, show_address

FIRST_PASSED = 3  # SD_LISTEN_FDS_START


class ForeignSocket(OSError):
    """A socket that was passed is none of the configuration's. The text is for the operator."""


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """`listens`: the sockets accept connections, for all processes together. Otherwise they keep
    the address, and each process listens with a socket of its own. `owns_name`: the name of a Unix
    socket is the service's to remove, and not systemd's."""

    name: str
    address: str
    sockets: tuple[socket.socket, ...]
    listens: bool
    owns_name: bool = True

    def listening(self, *, is_alone: bool) -> Listening:
        """For a process that serves it. One that is alone removes the name of a Unix socket."""
        if not self.listens:
            return Listening(self.address, shared=True, owns_name=False)
        numbers = tuple(sock.fileno() for sock in self.sockets)
        return Listening(
            self.address,
            inherited=numbers,
            outlives=not self.owns_name,
            owns_name=self.owns_name and is_alone,
        )

    def remove_name(self) -> None:
        """As `Listening.remove_name`."""
        Listening(self.address, owns_name=self.owns_name).remove_name()

    def as_json(self) -> dict[str, Any]:
        """For the process that takes over, which inherits the descriptors."""
        return {
            "name": self.name,
            "address": self.address,
            "descriptors": [sock.fileno() for sock in self.sockets],
            "listens": self.listens,
            "owns_name": self.owns_name,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "HeldAddress":
        sockets = tuple(socket.socket(fileno=number) for number in document["descriptors"])
        return cls(
            str(document["name"]),
            str(document["address"]),
            sockets,
            bool(document["listens"]),
            bool(document["owns_name"]),
        )

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


class HeldAddresses:
    """All of a service, by name."""

    def __init__(self, held: Mapping[str, HeldAddress]) -> None:
        self._held = held

    def setup(self, metrics_directory: Path | None, *, succeeds: bool) -> ProcessSetup:
        """For one process of the service; without a directory for the only one."""
        is_alone = metrics_directory is None
        return ProcessSetup(
            {name: held.listening(is_alone=is_alone) for name, held in self._held.items()},
            metrics_directory,
            succeeds=succeeds,
        )

    def as_json(self) -> list[dict[str, Any]]:
        return [held.as_json() for held in self._held.values()]

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(sock.fileno() for held in self._held.values() for sock in held.sockets)

    def remove_public_name(self) -> None:
        """Before the public listener is emptied and closed."""
        self._held["public"].remove_name()


@contextlib.contextmanager
def held_addresses(
    wanted: Mapping[str, str], passed: Sequence[HeldAddress] = (), *, listen: bool
) -> Iterator[HeldAddresses]:
    """Those of a configuration, by name. What was passed is used where the configuration still
    has that address, else closed; the rest is opened, to `listen` or to be kept for several
    processes.

    Raises:
        OSError: an address can't be listened on.
    """
    with contextlib.ExitStack() as stack:
        held: dict[str, HeldAddress] = {}
        for one in passed:
            if wanted.get(one.name) == one.address:
                stack.callback(one.close)
                held[one.name] = one
            else:
                one.close()
        for name, address in wanted.items():
            if name in held:
                continue
            listens = listen or address.startswith(UNIX)
            try:
                sockets, actual = bound(address, listens=listens)
            except OSError as error:
                reason = f"{address}: {error.strerror or error}"
                raise OSError(error.errno, reason) from None
            for sock in sockets:
                stack.enter_context(sock)
            held[name] = HeldAddress(name, actual, tuple(sockets), listens)
        yield HeldAddresses(held)


def passed_by_systemd(
    listeners: Mapping[str, str], environment: MutableMapping[str, str]
) -> list[HeldAddress]:
    """The sockets of a .socket unit, each for the listener of its address, or else of its name
    (`FileDescriptorName=public`, `admin`, `health`, `auth`, `metrics`). The variables are taken
    out.

    Raises:
        ForeignSocket: one is for no listener, or two are for one.
    """
    variables = {
        name: environment.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    }
    if variables["LISTEN_PID"] != str(os.getpid()) or not variables["LISTEN_FDS"].isdecimal():
        return []
    names = variables["LISTEN_FDNAMES"].split(":")
    wanted = _addresses(listeners)
    found: dict[str, HeldAddress] = {}
    for index in range(int(variables["LISTEN_FDS"])):
        os.set_inheritable(FIRST_PASSED + index, False)
        sock = socket.socket(fileno=FIRST_PASSED + index)
        shown = show_address(sock.getsockname())
        by_address = next((name for name, spelled in wanted.items() if shown in spelled), None)
        given = names[index] if index < len(names) else ""
        name = by_address or (given if given in wanted else None)
        if name is None or name in found:
            raise ForeignSocket(f"systemd passes a socket for {shown}, which no listener is for")
        configured = wanted[name][0]
        found[name] = HeldAddress(name, configured, (sock,), listens=True, owns_name=False)
    return list(found.values())


def _addresses(listeners: Mapping[str, str]) -> dict[str, list[str]]:
    """How each listener's address may be spelled, first as it is configured."""
    return {name: [address, *_resolved(address)] for name, address in listeners.items()}


def _resolved(address: str) -> list[str]:
    if address.startswith(UNIX):
        return []
    host, port = host_and_port(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [show_address(name) for *_, name in found]
