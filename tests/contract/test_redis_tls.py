"""rediss://: the server's certificate is verified, always."""

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bff.clock import SystemClock
from bff.errors import StoreUnavailable
from bff.sessions.redis_store import RedisStore
from tests.contract.conftest import Heard
from tests.contract.eventually import eventually
from tests.redis_server import RedisServer, free_port


def self_signed(directory: Path, host: str) -> tuple[Path, Path]:
    """A certificate for `host` that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / f"{host}.crt", directory / f"{host}.key"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


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
