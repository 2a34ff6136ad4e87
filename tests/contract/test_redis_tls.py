"""rediss://, and the same for Cluster and Sentinel: the certificate is verified, always."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.clock import SystemClock
from bff.errors import StoreUnavailable
from bff.sessions.redis.store import RedisStore
from tests.contract.conftest import PATIENT, Heard
from tests.parts.certificates import self_signed
from tests.parts.redis_server import RedisServer, cluster_server, free_port_for_redis
from tests.polling import until


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def tls(directory: Path) -> tuple[str, ...]:
    """What makes a server speak TLS."""
    certificate, key = self_signed(directory, "127.0.0.1")
    return (
        *("--tls-auth-clients", "no", "--tls-ca-cert-file", str(certificate)),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
    )


@pytest.fixture(scope="module", params=["single", "cluster", "sentinel"])
def url(request: pytest.FixtureRequest, tls: tuple[str, ...]) -> Iterator[str]:
    """Of a server that speaks TLS."""
    port = free_port_for_redis()
    if request.param == "cluster":
        servers = [cluster_server("--tls-cluster", "yes", "--tls-port", str(port), *tls)]
        yield f"rediss+cluster://127.0.0.1:{port}"
    else:
        servers = [RedisServer("--tls-port", str(port), *tls, tcp=True)]
    if request.param == "single":
        yield f"rediss://127.0.0.1:{port}/0"
    if request.param == "sentinel":
        at = free_port_for_redis()
        watched = f"sentinel monitor main 127.0.0.1 {port} 1\n"
        over_tls = ("--tls-port", str(at), "--tls-replication", "yes", *tls)
        servers.append(RedisServer(*over_tls, sentinel_of=watched))
        yield f"rediss+sentinel://127.0.0.1:{at}/main/0"
    for server in reversed(servers):
        server.close()


async def test_a_trusted_server_is_spoken_to(url: str, directory: Path) -> None:
    """Commands and the stream of changes go over TLS with the named authority."""
    heard = Heard()
    trusted = f"{url}?ssl_ca_certs={directory / '127.0.0.1.crt'}"
    store = RedisStore(trusted, SystemClock(), limits=PATIENT)
    store.watch(heard)
    await store.start()
    try:
        await until(lambda: heard.watching == [True])
        await store.ping()
    finally:
        await store.close()


@pytest.mark.parametrize("options", ["", "?ssl_ca_certs={}/127.0.0.2.crt"])
async def test_an_unknown_server_is_refused(url: str, directory: Path, options: str) -> None:
    """Neither the system's authorities nor another one vouch for it (ASVS 12.3.2)."""
    self_signed(directory, "127.0.0.2")
    store = RedisStore(url + options.format(directory), SystemClock(), limits=PATIENT)
    try:
        with pytest.raises(StoreUnavailable):
            await store.ping()
    finally:
        await store.close()
