"""`deploy/make-secrets`, and a real Redis that is given what it makes."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from tests.parts.deployment import DEPLOY, ROOT, make_secrets
from tests.parts.program import serving_meanwhile


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_secrets(tmp_path_factory.mktemp("deploy") / "secrets")


def test_secrets_are_made_once(secrets: Path) -> None:
    """A second run must not log all users out by accident."""
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    again = subprocess.run([DEPLOY / "make-secrets", secrets], capture_output=True, check=False)
    assert again.returncode == 1
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before


def test_secrets_are_kept_from_others_and_from_git(secrets: Path) -> None:
    """The folder is the owner's alone; the files in it must be readable in the containers."""
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert (secrets / ".gitignore").read_text() == "*\n"
    for path in secrets.iterdir():
        assert path.name.startswith(".") or path.stat().st_mode & 0o777 == 0o444


def test_a_failure_leaves_no_half_made_secrets(tmp_path: Path) -> None:
    """Otherwise the next run would refuse, and the composition start with what is there."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "mkdir", "cut", "cat", "rm"):
        (tools / name).symlink_to(shutil.which(name) or name)
    (tools / "openssl").symlink_to(shutil.which("false") or "false")
    command, folder = [DEPLOY / "make-secrets", tmp_path / "made"], tmp_path / "made"
    done = subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, check=False)
    assert done.returncode != 0
    assert not folder.exists()


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, check=True
    ).stdout


def test_the_certificate_fits_the_names_and_its_authority_can_sign_nothing_else(
    secrets: Path,
) -> None:
    """Trusting it in a browser must be harmless: below .localhost only, and its key is gone."""
    authority, certificate = secrets / "ca_certificate", secrets / "tls_certificate"
    for host in ("app.localhost", "op.localhost"):
        openssl(
            "verify", "-x509_strict", "-CAfile", authority, "-verify_hostname", host, certificate
        )
    text = openssl("x509", "-in", authority, "-noout", "-text")
    assert re.search(r"Name Constraints: critical\s+Permitted:\s+DNS:localhost\n", text)
    assert "CA:TRUE, pathlen:0" in text
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secrets / "tls_key")  # they belong together
    keys = [path.name for path in secrets.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert keys == ["tls_key"]


# --- Redis ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_socket(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with deploy/redis.conf, its paths and its address moved to this machine's."""
    folder = tmp_path_factory.mktemp("redis")
    text = (DEPLOY / "redis.conf").read_text()
    text = text.replace("/run/secrets/redis_acl", str(secrets / "redis_acl"))
    text = text.replace("dir /data", f"dir {folder}").replace("port 6379", "port 0")
    config, socket = folder / "redis.conf", str(folder / "redis.sock")
    config.write_text(f"{text}\nunixsocket {socket}\n")
    command = ["redis-server", config]
    with serving_meanwhile(command, lambda: answers(socket), folder / "redis.log"):
        yield socket


def connect(socket: str, user: str | None = None, password: str | None = None) -> Redis:
    once = Retry(NoBackoff(), 0)
    return Redis(unix_socket_path=socket, username=user, password=password, retry=once)


def answers(socket: str) -> bool:
    try:
        with connect(socket) as client:
            client.ping()
    except AuthenticationError:
        return True
    except RedisError:
        return False
    return True


def as_the_gateway(secrets: Path, socket: str) -> Redis:
    """A client with the user and password of the gateways' URL."""
    user, password = re.split(r"://|:|@", (secrets / "redis_url").read_text())[1:3]
    return connect(socket, user, password)


def test_redis_wants_a_password(redis_socket: str, secrets: Path) -> None:
    """The default user is off: a client that reaches the port has reached nothing."""
    with connect(redis_socket) as client, pytest.raises(AuthenticationError):
        client.get("bff:x")
    with as_the_gateway(secrets, redis_socket) as client:
        assert client.ping()


@pytest.mark.parametrize(
    "command",
    [
        "SET other 1",
        "PUBLISH other 1",
        "FLUSHALL",
        "CONFIG GET *",
        "KEYS *",
        "ACL LIST",
        "SHUTDOWN",
    ],
)
def test_the_gateways_user_may_touch_its_own_keys_only(
    redis_socket: str, secrets: Path, command: str
) -> None:
    """A gateway that was taken over must not be able to wipe or reconfigure the store."""
    with as_the_gateway(secrets, redis_socket) as client:
        assert client.set("bff:x", "1")
        client.publish("bff:x", "1")
        with pytest.raises(NoPermissionError):
            client.execute_command(*command.split())


def test_the_gateways_user_has_the_documented_rights(secrets: Path) -> None:
    """Those of docs/operations.md, of which a test of the store shows that they are enough."""
    line = re.search(
        r"^ACL SETUSER bff on >password (.*)$",
        (ROOT / "docs" / "operations.md").read_text(),
        re.MULTILINE,
    )
    assert line is not None
    user = (secrets / "redis_acl").read_text().splitlines()[1]
    assert re.fullmatch(rf"user bff reset on #[0-9a-f]{{64}} {re.escape(line[1])}", user)


def test_redis_keeps_what_it_has() -> None:
    """Evicting a session logs a user out; so does forgetting it at a restart."""
    text = (DEPLOY / "redis.conf").read_text()
    assert "\nmaxmemory-policy noeviction\n" in text
    assert "\nappendonly yes\n" in text
