"""Addresses that several processes serve: held by one, shared by its own, refused to others."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from bff.app.held_addresses import HeldAddress
from bff.app.listening import UNIX, Listening, bound, host_and_port, show_address


@contextlib.contextmanager
def reserved(address: str) -> Iterator[Listening]:
    """Held for several processes."""
    listens = address.startswith(UNIX)
    sockets, actual = bound(address, listens=listens)
    held = HeldAddress("public", actual, tuple(sockets), listens)
    try:
        yield held.listening(is_alone=False)
    finally:
        held.close()


@contextlib.asynccontextmanager
async def serving(listening: Listening) -> AsyncIterator[list[str]]:
    async def handle(_request: web.BaseRequest) -> web.Response:
        return web.Response()

    servers = await listening.serve(web.Server(handle, access_log=None))
    try:
        yield [show_address(s.getsockname()) for server in servers for s in server.sockets]
    finally:
        for server in servers:
            server.close()


def connects(address: str) -> bool:
    try:
        socket.create_connection(host_and_port(address), timeout=20).close()
    except ConnectionRefusedError:
        return False
    return True


async def test_a_held_address_refuses_until_a_process_serves_it() -> None:
    """Better refused at once than accepted and never served."""
    with reserved("127.0.0.1:0") as held:
        assert host_and_port(held.address)[1] > 0
        assert not connects(held.address)
        async with serving(held) as first, serving(held) as second:
            assert first == second == [held.address]
            assert connects(held.address)
        assert not connects(held.address)


async def test_an_address_that_is_served_is_in_use() -> None:
    """Before any worker is started for nothing; and it is free again afterwards."""
    with reserved("127.0.0.1:0") as held:
        address = held.address
    async with serving(Listening(address)):
        with pytest.raises(OSError, match="in use"), reserved(address):
            pass
    with reserved(address) as again:
        assert again.address == address


async def test_an_address_that_others_share_is_in_use_all_the_same() -> None:
    """SO_REUSEPORT would let a second gateway have every other connection, unawares."""
    with reserved("127.0.0.1:0") as held:
        address = held.address
    async with serving(Listening(address, shared=True)):
        with pytest.raises(OSError, match="in use"), reserved(address):
            pass


async def test_a_name_with_several_addresses_gets_one_port() -> None:
    with reserved("localhost:0") as held:
        assert held.address.startswith("localhost:")
        port = host_and_port(held.address)[1]
        async with serving(held) as addresses:
            assert {host_and_port(address)[1] for address in addresses} == {port}
            found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
            assert len(addresses) == len(found)


async def test_a_unix_socket_is_bound_once_and_inherited(tmp_path: Path) -> None:
    with reserved(f"unix:{tmp_path}/s") as held:
        assert held.inherited
        with pytest.raises(OSError, match="in use"), reserved(held.address):
            pass
        with pytest.raises(OSError, match="in use"):
            async with serving(Listening(held.address)):
                pass


@pytest.mark.parametrize("how", ["reserved", "alone"])
async def test_a_unix_socket_left_behind_is_taken_over(tmp_path: Path, how: str) -> None:
    """Nothing removes it when a process is killed."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(path))
    if how == "reserved":
        with reserved(f"unix:{path}") as held:
            assert held.inherited
    else:
        async with serving(Listening(f"unix:{path}")) as addresses:
            assert addresses == [f"unix:{path}"]


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    """A wrong path in the configuration must not cost the user a file."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="in use"), reserved(f"unix:{path}"):
        pass
    assert path.read_text() == "data"


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]:8080", "::1", 8080),
        ("localhost:0", "localhost", 0),
    ],
)
def test_hosts_and_ports_are_told_apart(address: str, host: str, port: int) -> None:
    assert host_and_port(address) == (host, port)
    if host != "localhost":
        assert show_address((host, port)) == address
