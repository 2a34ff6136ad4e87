"""rediss://: the server's certificate is verified, always."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.clock import SystemClock
from bff.errors import StoreUnavailable
from bff.sessions.redis_store import RedisStore
from tests.certificates import self_signed
from tests.contract.conftest import Heard
from tests.contract.eventually import eventually
from tests.redis_server import RedisServer, free_port


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def tls_port(directory: Path) -> Iterator[int]:
    certificate, key = self_signed(directory, "127.0.0.1")
    port = free_port()
    server = RedisServer(
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
    )
    yield port
    server.close()


async def test_a_trusted_server_is_spoken_to(tls_port: int, directory: Path) -> None:
    """Commands and the stream of changes go over TLS with the named authority."""
    authority = directory / "127.0.0.1.crt"
    url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={authority}"
    heard = Heard()
    store = RedisStore(url, SystemClock())
    store.watch(heard)
    await store.start()
    try:
        await store.ping()
        await eventually(lambda: heard.watching == [True])
    finally:
        await store.close()


@pytest.mark.parametrize("options", ["", "?ssl_ca_certs={}/127.0.0.2.crt"])
async def test_an_unknown_server_is_refused(tls_port: int, directory: Path, options: str) -> None:
    """Neither the system's authorities nor another one vouch for it (ASVS 12.3.2)."""
    self_signed(directory, "127.0.0.2")
    store = RedisStore(
        f"rediss://127.0.0.1:{tls_port}/0" + options.format(directory), SystemClock()
    )
    try:
        with pytest.raises(StoreUnavailable):
            await store.ping()
    finally:
        await store.close()
