"""Sockets that a service is handed: by systemd, or by the process before it."""

import json
import socket
import sys
from pathlib import Path

import pytest

from tests.parts.command import Result, own_environment, run
from tests.parts.configuration import Ports, free_ports, gateway_toml
from tests.parts.servers import free_port

# As systemd starts a service: the sockets are descriptors 3 and up, and LISTEN_PID is its own.
STARTED_BY_SYSTEMD = """
import json, os, sys
sockets = json.loads(sys.argv[1])
for place, number in enumerate(sockets, 100):
    os.dup2(number, place)
for place in range(len(sockets)):
    os.dup2(100 + place, 3 + place)
os.environ["LISTEN_PID"] = sys.argv[2] if len(sys.argv) > 2 else str(os.getpid())
from pathlib import Path
from bff.app.held_addresses import held_addresses, passed_by_systemd
from bff.config import load
listeners = load(Path("bff.toml"), {}).listeners
try:
    passed = passed_by_systemd(listeners, os.environ)
except OSError as error:
    sys.exit(str(error))
assert not [name for name in os.environ if name.startswith("LISTEN_")]
with held_addresses(listeners, passed, listen=True) as held:
    setup = held.setup(None, succeeds=False)
    print(json.dumps({name: [one.address, list(one.inherited), one.outlives, one.owns_name]
        for name in ("public", "admin") for one in [setup.listeners[name]]}))
    setup.public.remove_name()
    held.remove_public_name()
"""


async def start(
    directory: Path, sockets: list[socket.socket], *arguments: str, names: str = ""
) -> Result:
    numbers = [sock.fileno() for sock in sockets]
    return await run(
        [sys.executable, "-c", STARTED_BY_SYSTEMD, json.dumps(numbers), *arguments],
        cwd=directory,
        environment=own_environment(LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=names),
        pass_fds=numbers,
    )


@pytest.fixture
def ports(tmp_path: Path) -> Ports:
    found = free_ports()
    (tmp_path / "bff.toml").write_text(gateway_toml(found))
    return found


async def test_a_socket_of_systemd_is_for_the_listener_of_its_address(
    ports: Ports, tmp_path: Path
) -> None:
    """It outlives the process, whose stop must leave what waits in its queue to the next one."""
    with socket.create_server(("127.0.0.1", ports.gateway)) as public:
        done = await start(tmp_path, [public], names="bff.socket")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["public"] == [f"127.0.0.1:{ports.gateway}", [3], True, False]
    address, (number,), outlives, _ = found["admin"]
    assert (address, number > 3, outlives) == (f"127.0.0.1:{ports.admin}", True, False)


async def test_a_socket_of_another_address_is_for_the_listener_of_its_name(
    ports: Ports, tmp_path: Path
) -> None:
    """`FileDescriptorName=` of the unit."""
    with (
        socket.create_server(("127.0.0.1", free_port())) as admin,
        socket.create_server(("127.0.0.1", free_port())) as public,
    ):
        done = await start(tmp_path, [admin, public], names="admin:public")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["public"][1], found["admin"][1]) == ([4], [3])


async def test_a_socket_that_is_for_no_listener_stops_the_start(
    ports: Ports, tmp_path: Path
) -> None:
    """Connections would wait in it for ever."""
    with socket.create_server(("127.0.0.1", free_port())) as other:
        done = await start(tmp_path, [other], names="bff.socket")
        place = f"127.0.0.1:{other.getsockname()[1]}"
    assert done.code == 1
    assert f"systemd passes a socket for {place}, which no listener is for" in done.err


async def test_sockets_for_another_process_are_left_alone(ports: Ports, tmp_path: Path) -> None:
    """LISTEN_PID of sd_listen_fds(3): a wrapper's may still be in the environment."""
    with socket.create_server(("127.0.0.1", free_port())) as other:
        done = await start(tmp_path, [other], "1", names="bff.socket")
    assert done.code == 0, done.err
    assert json.loads(done.out)["public"][2] is False


async def test_the_name_of_a_unix_socket_is_systemds(tmp_path: Path) -> None:
    path = tmp_path / "s"
    found = free_ports()
    text = gateway_toml(found).replace(
        f'\nlisten = "127.0.0.1:{found.gateway}"', f'\nlisten = "unix:{path}"'
    )
    (tmp_path / "bff.toml").write_text(text)
    with socket.socket(socket.AF_UNIX) as public:
        public.bind(str(path))
        public.listen()
        done = await start(tmp_path, [public], names="bff.socket")
    assert done.code == 0, done.err
    assert json.loads(done.out)["public"] == [f"unix:{path}", [3], True, False]
    assert path.exists()
