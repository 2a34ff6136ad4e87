"""A relying party whose logins ask for authorization details (RFC 9396): how they are asked for,
and what becomes of those that the OP grants."""

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt

from bff.config.values.files import load_client_key
from bff.errors import ApiTokenRefused, LoginRefused, OpMetadataRefused
from bff.model import TokenTarget
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from tests.integration.relying_party.steps import MakeRp, log_in
from tests.parts.client_keys import key_file
from tests.parts.scripted_op import Answer, ScriptedOp

ACCOUNTS = {"type": "account_information", "actions": ["list_accounts"]}
ENRICHED = {**ACCOUNTS, "accounts": [{"iban": "DE02"}]}
GOOD = {"request_uri": "urn:ietf:params:oauth:request_uri:a-reference", "expires_in": 60}


@pytest.fixture
async def rp(make_rp: MakeRp) -> RelyingParty:
    relying_party = make_rp(authorization_details=(ACCOUNTS,))
    await relying_party.start()
    return relying_party


@pytest.mark.rule("FP-16")
async def test_each_login_asks_for_those_of_the_configuration(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    request = await rp.authorization_request(LoginRequest())
    fields = dict(parse_qsl(urlsplit(request.url).query))
    assert json.loads(fields["authorization_details"]) == [ACCOUNTS]
    assert op.count("par") == 0


async def test_pushed_and_signed_they_are_a_list(
    make_rp: MakeRp, op: ScriptedOp, tmp_path: Path
) -> None:
    """RFC 9396 section 3: JSON, not its text, in a signed request."""
    op.metadata_changes["pushed_authorization_request_endpoint"] = f"{op.issuer}/par"
    op.answers["par"] = Answer(GOOD, 201)
    pushing = make_rp(authorization_details=(ACCOUNTS,))
    await pushing.start()
    await pushing.authorization_request(LoginRequest())
    assert json.loads(op.last("par").form["authorization_details"]) == [ACCOUNTS]
    key = load_client_key(key_file(tmp_path / "key.pem"))
    signing = make_rp(
        authorization_details=(ACCOUNTS,), request_object="signed", client_keys=(key,)
    )
    await signing.start()
    await signing.authorization_request(LoginRequest())
    claims = jwt.decode(op.last("par").form["request"], key.material, ["ES256"]).claims
    assert claims["authorization_details"] == [ACCOUNTS]
    op.answers["par"] = Answer({"error": "invalid_authorization_details"}, 400)
    with pytest.raises(LoginRefused, match="invalid_authorization_details"):
        await pushing.authorization_request(LoginRequest())


async def test_a_login_by_device_code_asks_for_them_as_well(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    """RFC 9396 section 2: wherever a scope may stand."""
    rp = make_rp(authorization_details=(ACCOUNTS,), device_login=True)
    await rp.start()
    op.metadata_changes["device_authorization_endpoint"] = f"{op.issuer}/device"
    codes = {
        "device_code": "d",
        "user_code": "u",
        "verification_uri": f"{op.issuer}/verify",
        "expires_in": 60,
    }
    op.answers["other"] = Answer(codes)
    await rp.device_authorization()
    assert json.loads(op.last("other").form["authorization_details"]) == [ACCOUNTS]


@pytest.mark.rule("FP-16")
async def test_no_login_begins_for_a_type_that_the_op_does_not_list(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.metadata_changes["authorization_details_types_supported"] = ["payment_initiation"]
    with pytest.raises(OpMetadataRefused, match="authorization_details_types_supported lacks"):
        await rp.authorization_request(LoginRequest())


@pytest.mark.rule("FP-16")
async def test_what_is_granted_stays_with_the_tokens(rp: RelyingParty, op: ScriptedOp) -> None:
    """RFC 9396 sections 6.1 and 7: a refresh that says nothing of them changes nothing."""
    op.token_changes["authorization_details"] = [ENRICHED]
    session = await log_in(rp, op)
    assert json.loads(session.tokens.authorization_details) == [ENRICHED]
    assert "DE02" not in repr(session)
    del op.token_changes["authorization_details"]
    refreshed = await rp.refresh(session)
    assert json.loads(refreshed.tokens.authorization_details) == [ENRICHED]
    op.token_changes["authorization_details"] = []
    refreshed = await rp.refresh(session)
    assert refreshed.tokens.authorization_details == "[]"


@pytest.mark.rule("FP-16")
@pytest.mark.parametrize("stated", [None, "all", [7], [{"type": "a", "text": "x" * 20_000}]])
async def test_an_answer_that_says_nothing_of_them_is_a_login_all_the_same(
    rp: RelyingParty, op: ScriptedOp, stated: object
) -> None:
    op.token_changes["authorization_details"] = stated
    assert (await log_in(rp, op)).tokens.authorization_details == ""


@pytest.mark.rule("FP-16")
async def test_where_none_are_asked_for_none_are_kept(make_rp: MakeRp, op: ScriptedOp) -> None:
    rp = make_rp()
    await rp.start()
    request = await rp.authorization_request(LoginRequest())
    assert "authorization_details" not in request.parameters
    op.token_changes["authorization_details"] = [ENRICHED]
    assert (await log_in(rp, op)).tokens.authorization_details == ""


@pytest.mark.rule("FP-16")
async def test_a_client_token_is_asked_for_with_its_own(rp: RelyingParty, op: ScriptedOp) -> None:
    """RFC 9396 section 6; a refusal is of that target alone."""
    target = TokenTarget(resource="https://a.example", authorization_details='[{"type":"x"}]')
    await rp.client_credentials(target)
    form = op.last("token").form
    assert json.loads(form["authorization_details"]) == [{"type": "x"}]
    assert form["resource"] == "https://a.example"
    await rp.client_credentials(TokenTarget())
    assert "authorization_details" not in op.last("token").form
    op.answers["token"] = Answer({"error": "invalid_authorization_details"}, 400)
    with pytest.raises(ApiTokenRefused):
        await rp.client_credentials(target)
