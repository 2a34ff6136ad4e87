"""Tokens of the gateway's own, revocation, and the way to the OP's logout."""

import asyncio
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from bff.model import Tokens, TokenTarget
from bff.oidc.relying_party import RelyingParty
from tests.integration.relying_party.steps import MakeRp
from tests.parts.scripted_op import CLIENT_ID, Answer, ScriptedOp
from tests.polling import HANG_SECONDS


async def test_client_credentials_bring_tokens_of_the_gateways_own(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """RFC 6749 section 4.4."""
    op.token_changes = {"refresh_token": None, "id_token": None}
    tokens = await rp.client_credentials(TokenTarget(scope="api:read"))
    assert op.last("token").form == {"grant_type": "client_credentials", "scope": "api:read"}
    assert (tokens.access_token, tokens.scope) == ("at-1", "api:read")
    await rp.client_credentials(TokenTarget())
    assert op.last("token").form == {"grant_type": "client_credentials"}


def some_tokens(refresh_token: str | None = "rt") -> Tokens:
    return Tokens("at", 0.0, 60.0, refresh_token)


@pytest.mark.rule("TK-14")
async def test_both_tokens_are_revoked_the_refresh_token_first(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    """RFC 7009 section 2.1, with client authentication."""
    assert await rp.revoke(some_tokens()) is None
    sent = [received for received in op.received if received.endpoint == "revocation"]
    assert [received.form for received in sent] == [
        {"token": "rt", "token_type_hint": "refresh_token"},
        {"token": "at", "token_type_hint": "access_token"},
    ]
    assert all(received.headers["Authorization"].startswith("Basic ") for received in sent)


@pytest.mark.rule("TK-14")
async def test_a_revocation_is_tried_three_times_at_most(make_rp: MakeRp, op: ScriptedOp) -> None:
    """RFC 7009 section 2.2.1."""
    rp = make_rp(revocation_timeout_seconds=60)
    await rp.start()
    op.answers["revocation"] = [Answer(status=503), Answer(drop=True), Answer()]
    assert await rp.revoke(some_tokens(refresh_token=None)) is None
    op.answers["revocation"] = Answer(status=503)
    op.received.clear()
    started = time.monotonic()
    assert "503" in (await rp.revoke(some_tokens(refresh_token=None)) or "")
    assert op.count("revocation") == 3
    assert time.monotonic() - started > 0.5  # not at once


@pytest.mark.rule("TK-14")
async def test_a_refused_revocation_is_reported_and_not_repeated(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.answers["revocation"] = Answer({"error": "invalid_client"}, status=401)
    reason = await rp.revoke(some_tokens(refresh_token=None))
    assert reason == "revocation: status 401, error invalid_client"
    assert op.count("revocation") == 1


@pytest.mark.rule("TK-14")
async def test_an_access_token_that_cannot_be_revoked_spoils_nothing(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    unsupported = Answer({"error": "unsupported_token_type"}, status=400)
    op.answers["revocation"] = [Answer(), unsupported]
    assert await rp.revoke(some_tokens()) is None
    op.answers["revocation"] = unsupported
    assert await rp.revoke(some_tokens(refresh_token=None)) is None


@pytest.mark.rule("TK-14")
async def test_a_revocation_endpoint_that_hangs_has_a_limit(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    rp = make_rp(revocation_timeout_seconds=0.5)
    await rp.start()
    op.answers["revocation"] = Answer(hang=True)
    async with asyncio.timeout(HANG_SECONDS):
        assert await rp.revoke(some_tokens()) == "revocation: no answer in time"
    assert op.count("revocation") <= 1  # for all that is tried


async def test_an_op_without_revocation_is_no_error(rp: RelyingParty, op: ScriptedOp) -> None:
    op.metadata_changes = {"revocation_endpoint": None}
    assert await rp.revoke(some_tokens()) is None
    assert op.count("revocation") == 0


@pytest.mark.rule("LO-02")
async def test_rp_initiated_logout_goes_to_the_discovered_endpoint(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    """RP-Initiated Logout section 2."""
    rp = make_rp()
    await rp.start()
    url = await rp.end_session_url("the.id.token", "st")
    assert url is not None
    assert url.startswith(f"{op.issuer}/logout?")
    assert parse_qs(urlsplit(url).query) == {
        "id_token_hint": ["the.id.token"],
        "client_id": [CLIENT_ID],
        "post_logout_redirect_uri": ["https://app.example.test/"],
        "state": ["st"],
    }


@pytest.mark.rule("LO-02")
async def test_the_id_token_hint_can_be_switched_off(make_rp: MakeRp) -> None:
    rp = make_rp(send_id_token_hint=False)
    await rp.start()
    assert "the.id.token" not in (await rp.end_session_url("the.id.token", "st") or "")


@pytest.mark.rule("LO-01")
@pytest.mark.parametrize("discovery", [Answer(status=503), Answer(hang=True)])
async def test_a_logout_does_not_wait_for_an_op_that_is_down(
    rp: RelyingParty, op: ScriptedOp, discovery: Answer
) -> None:
    op.answers["discovery"] = discovery
    async with asyncio.timeout(HANG_SECONDS):
        assert await rp.end_session_url(None, "st") is None


async def test_an_op_without_end_session_endpoint_has_no_logout_address(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.metadata_changes = {"end_session_endpoint": None}
    assert await rp.end_session_url("x.y.z", "st") is None
