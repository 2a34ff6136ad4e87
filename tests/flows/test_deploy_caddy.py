"""deploy/Caddyfile with the real Caddy and the certificate that deploy/make-secrets makes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.parts.caddy_client import send
from tests.parts.caddy_server import CaddyServer, running_caddy
from tests.parts.deployment import DEPLOY, ROOT, make_secrets
from tests.parts.recording_server import Recorder, running_recorder
from tests.parts.servers import free_port


@pytest.fixture
def gateways() -> Iterator[tuple[Recorder, Recorder]]:
    with running_recorder() as first, running_recorder() as second:
        yield first, second


@pytest.fixture
def op() -> Iterator[Recorder]:
    with running_recorder() as server:
        yield server


@pytest.fixture
def caddy(
    tmp_path: Path, gateways: tuple[Recorder, Recorder], op: Recorder
) -> Iterator[CaddyServer]:
    """The composition's Caddy, with its paths, ports and names of containers moved to here."""
    secrets, port = make_secrets(tmp_path / "secrets"), free_port()
    caddyfile = tmp_path / "Caddyfile"
    text = (DEPLOY / "Caddyfile").read_text()
    for there, here in {
        "/etc/caddy/site.Caddyfile": str(ROOT / "Caddyfile"),
        "op.localhost:8443": f"op.localhost:{port}",
        "op:9001": f"127.0.0.1:{op.server_port}",
    }.items():
        assert there in text
        text = text.replace(there, here)
    caddyfile.write_text(text)
    with running_caddy(
        tmp_path / "caddy",
        caddyfile=caddyfile,
        gateway=" ".join(f"127.0.0.1:{gateway.server_port}" for gateway in gateways),
        host="app.localhost",
        port=port,
        ca_root=secrets / "ca_certificate",
        environment={"TLS": f"{secrets}/tls_certificate {secrets}/tls_key"},
    ) as server:
        yield server


def test_the_application_is_served_by_both_gateways(
    caddy: CaddyServer, gateways: tuple[Recorder, Recorder], op: Recorder
) -> None:
    """Sessions are shared, so requests are: no stickiness, and the OP sees none of them."""
    for _ in range(200):  # by chance where neither is busier
        assert send(caddy, "/api/x").status == 200
        if all(gateway.requests for gateway in gateways):
            break
    assert all(gateway.requests for gateway in gateways)
    assert op.requests == []


def test_the_op_has_a_name_of_its_own(
    caddy: CaddyServer, gateways: tuple[Recorder, Recorder], op: Recorder
) -> None:
    """Its issuer is one URL, for browsers and gateways alike; nothing of it reaches a gateway."""
    answer = send(replace(caddy, host="op.localhost"), "/.well-known/openid-configuration?x=%2f")
    assert answer.status == 200
    assert "Strict-Transport-Security" not in answer.headers  # this machine's, here
    assert "Server" not in answer.headers
    (seen,) = op.requests
    assert seen.target == "/.well-known/openid-configuration?x=%2f"
    assert seen.values("Host") == [f"op.localhost:{caddy.port}"]
    assert seen.values("X-Forwarded-Proto") == ["https"]
    assert [gateway.requests for gateway in gateways] == [[], []]


def test_the_spa_is_served_with_its_headers(caddy: CaddyServer) -> None:
    """The site of the project's own Caddyfile: one set of rules for a laptop and for production."""
    answer = send(caddy, "/")
    assert answer.status == 200
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
