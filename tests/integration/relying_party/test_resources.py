"""What a login and its refreshes say of the APIs that tokens are for (RFC 8707)."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.oidc.steps.authorization import LoginRequest
from tests.integration.relying_party.steps import MakeRp, begin, log_in
from tests.parts.scripted_op import Answer, ScriptedOp

ORDERS, STOCK = "https://orders.example.test", "urn:example:stock"


@pytest.mark.rule("FP-13")
async def test_a_login_asks_for_all_resources_and_its_token_is_for_the_first(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    """RFC 8707 section 2.2: all that tokens may be for is granted once; a token is for one."""
    rp = make_rp(resource=(ORDERS, STOCK))
    await rp.start()
    request = await rp.authorization_request(LoginRequest())
    asked = parse_qsl(urlsplit(request.url).query)
    assert [value for name, value in asked if name == "resource"] == [ORDERS, STOCK]
    session = await log_in(rp, op)
    assert op.last("token").form["resource"] == ORDERS
    await rp.refresh(session)
    assert op.last("token").form == {
        "grant_type": "refresh_token",
        "refresh_token": "rt-1",
        "resource": ORDERS,
    }


@pytest.mark.rule("FP-13")
async def test_a_resource_that_is_configured_later_is_asked_for_in_no_login_of_before(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    """Neither when its code is redeemed nor when it is refreshed: some OPs spend a refresh token
    before they refuse the resource, and every user would be logged out by a reload."""
    before, after = make_rp(), make_rp(resource=(ORDERS,))
    await before.start()
    await after.start()
    begun = await begin(before, op)
    session = await log_in(before, op)
    await after.refresh(session)
    assert "resource" not in op.last("token").form
    op.nonce = begun.nonce
    await after.redeem("the-code", begun)
    assert "resource" not in op.last("token").form


@pytest.mark.rule("FP-01")
async def test_a_pushed_request_holds_all_resources(make_rp: MakeRp, op: ScriptedOp) -> None:
    op.metadata_changes["pushed_authorization_request_endpoint"] = f"{op.issuer}/par"
    op.answers["par"] = Answer({"request_uri": "urn:x", "expires_in": 60}, 201)
    rp = make_rp(resource=(ORDERS, STOCK))
    await rp.start()
    request = await rp.authorization_request(LoginRequest())
    pushed = parse_qsl(op.last("par").body)
    assert [value for name, value in pushed if name == "resource"] == [ORDERS, STOCK]
    assert "resource" not in request.url
