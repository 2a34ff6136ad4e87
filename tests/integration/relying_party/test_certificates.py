"""Client authentication by a certificate (RFC 8705 section 2), at an OP that asks for it in the TLS
handshake of another port (section 5)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bff.clock import ManualClock
from bff.errors import OpMetadataRefused, OpUnavailable
from bff.model import TokenTarget
from bff.oidc.provider.http import Network
from bff.oidc.settings import jwk_set
from tests.integration.relying_party.steps import MakeRp, log_in, settings_for
from tests.parts.certificates import self_signed, server_context
from tests.parts.scripted_op import CLIENT_ID, Answer, Received, ScriptedOp

METHODS = ["tls_client_auth", "self_signed_tls_client_auth"]


@asynccontextmanager
async def certificate_port(
    op: ScriptedOp, clock: ManualClock, folder: Path, trusted: Path
) -> AsyncIterator[tuple[ScriptedOp, str]]:
    """Another port of the OP, which answers as it does and wants a `trusted` certificate; with the
    file of its CA."""
    server = folder / "server"
    server.mkdir()
    certificate, key = self_signed(server, "127.0.0.1")
    tls = server_context(certificate, key, clients_ca=trusted)
    port = await ScriptedOp(clock).start(tls)

    def as_the_op(received: Received) -> Answer:
        op.received.append(received)
        return op.token_answer()

    port.answers["token"] = as_the_op
    op.metadata_changes["mtls_endpoint_aliases"] = {
        "token_endpoint": f"{port.issuer}/token",
        "revocation_endpoint": f"{port.issuer}/revoke",
        "authorization_endpoint": f"{port.issuer}/never",
    }
    try:
        yield port, str(certificate)
    finally:
        await port.close()


@pytest.mark.rule("FP-11")
@pytest.mark.parametrize("method", METHODS)
async def test_a_client_with_a_certificate_calls_the_aliases(
    op: ScriptedOp, clock: ManualClock, make_rp: MakeRp, tmp_path: Path, method: str
) -> None:
    """Token, refresh and revocation; the browser goes where every browser goes."""
    certificate, key = self_signed(tmp_path, "gateway")
    async with certificate_port(op, clock, tmp_path, certificate) as (port, ca_file):
        network = Network(cert_file=str(certificate), key_file=str(key))
        rp = make_rp(client_auth=method, client_secret="", network=network, ca_file=ca_file)
        await rp.start()
        session = await log_in(rp, op)
        await rp.refresh(session)
        assert await rp.revoke(session.tokens) is None
        assert port.count("token") == 2
        assert port.count("revocation") == 2
        for received in port.received:
            assert received.form["client_id"] == CLIENT_ID
            assert "Authorization" not in received.headers
            assert not {"client_secret", "client_assertion"} & received.form.keys()
        assert (await rp.metadata()).authorization_endpoint == f"{op.issuer}/authorize"


@pytest.mark.rule("FP-11")
async def test_a_client_with_a_secret_does_not_call_the_aliases(
    op: ScriptedOp, clock: ManualClock, make_rp: MakeRp, tmp_path: Path
) -> None:
    certificate, _ = self_signed(tmp_path, "gateway")
    async with certificate_port(op, clock, tmp_path, certificate) as (port, _):
        rp = make_rp()
        await rp.start()
        await log_in(rp, op)
        assert not port.received


@pytest.mark.rule("FP-11")
@pytest.mark.parametrize("aliases", ["x", {"token_endpoint": "http://op.example.test/token"}])
async def test_aliases_that_cannot_be_used_are_refused(
    op: ScriptedOp, make_rp: MakeRp, tmp_path: Path, aliases: object
) -> None:
    """And no request is sent elsewhere instead."""
    certificate, key = self_signed(tmp_path, "gateway")
    op.metadata_changes["mtls_endpoint_aliases"] = aliases
    network = Network(cert_file=str(certificate), key_file=str(key))
    rp = make_rp(client_auth=METHODS[0], client_secret="", network=network)
    await rp.start()
    with pytest.raises(OpMetadataRefused):
        await rp.metadata()
    secret = make_rp()
    await secret.start()
    await secret.metadata()


@pytest.mark.rule("FP-11")
async def test_a_new_certificate_is_shown_without_a_restart(
    op: ScriptedOp, clock: ManualClock, make_rp: MakeRp, tmp_path: Path
) -> None:
    """One that is half written is not: the former one goes on."""
    for name in ("old", "new", "used"):
        (tmp_path / name).mkdir()
    old, new = self_signed(tmp_path / "old", "gateway"), self_signed(tmp_path / "new", "gateway")
    used = tmp_path / "used" / "client.pem", tmp_path / "used" / "client.key"
    for source, target in zip(old, used, strict=True):
        target.write_bytes(source.read_bytes())
    async with certificate_port(op, clock, tmp_path, new[0]) as (port, ca_file):
        network = Network(cert_file=str(used[0]), key_file=str(used[1]))
        rp = make_rp(client_auth=METHODS[0], client_secret="", network=network, ca_file=ca_file)
        await rp.start()
        with pytest.raises(OpUnavailable):
            await rp.client_credentials(TokenTarget())
        used[0].write_bytes(new[0].read_bytes())  # not its key yet
        with pytest.raises(OpUnavailable):
            await rp.client_credentials(TokenTarget())
        used[1].write_bytes(new[1].read_bytes())
        await rp.client_credentials(TokenTarget())
        assert port.count("token") == 1


def test_the_certificate_of_a_client_is_published_where_the_op_knows_it_by_it(
    tmp_path: Path,
) -> None:
    """RFC 8705 section 2.2.2: the key with `x5c`; nothing of the private one."""
    certificate, key = self_signed(tmp_path, "gateway")
    network = Network(cert_file=str(certificate), key_file=str(key))
    url = "https://op.example.test"
    pinned = settings_for(url, client_auth=METHODS[1], client_secret="", network=network)
    named = settings_for(url, client_auth=METHODS[0], client_secret="", network=network)
    (found,) = pinned.public_keys()
    assert found.keys() == {"kty", "crv", "x", "y", "kid", "x5c"}
    assert found["x5c"] == ["".join(certificate.read_text().splitlines()[1:-1])]
    assert jwk_set([pinned, pinned, named]) == {"keys": [found]}
