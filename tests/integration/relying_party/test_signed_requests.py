"""A relying party that signs its authorization requests (RFC 9101): what the browser carries, what
is pushed, and that nothing goes out unsigned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt

from bff.clock import ManualClock
from bff.config.values.files import load_client_key
from bff.errors import LoginRefused, OpMetadataRefused
from bff.oidc.client_auth.keys import ClientKey
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from tests.integration.relying_party.steps import MakeRp, settings_for
from tests.parts.client_keys import key_file
from tests.parts.scripted_op import CLIENT_ID, Answer, ScriptedOp

GOOD = {"request_uri": "urn:ietf:params:oauth:request_uri:a-reference", "expires_in": 60}


@pytest.fixture
def key(tmp_path: Path) -> ClientKey:
    return load_client_key(key_file(tmp_path / "key.pem"))


@pytest.fixture
async def rp(make_rp: MakeRp, key: ClientKey) -> RelyingParty:
    relying_party = make_rp(request_object="signed", client_keys=(key,))
    await relying_party.start()
    return relying_party


def verified(signed: str, key: ClientKey) -> dict[str, Any]:
    token = jwt.decode(signed, key.material, ["ES256"])
    assert token.header["typ"] == "oauth-authz-req+jwt"
    return dict(token.claims)


def claims_of_the_jwt(claims: Mapping[str, Any], op: ScriptedOp, clock: ManualClock) -> set[str]:
    """Their names, once they say what they have to."""
    assert (claims["iss"], claims["aud"]) == (CLIENT_ID, op.issuer)
    assert claims["nbf"] <= clock.now() < claims["exp"] <= clock.now() + 300
    return {"iss", "aud", "jti", "iat", "nbf", "exp"}


@pytest.mark.rule("FP-14")
async def test_the_browser_carries_a_jwt_that_holds_all(
    rp: RelyingParty, op: ScriptedOp, key: ClientKey, clock: ManualClock
) -> None:
    request = await rp.authorization_request(LoginRequest(login_hint="alice", max_age=5))
    pairs = parse_qsl(urlsplit(request.url).query)
    fields = dict(pairs)
    assert [name for name, _ in pairs] == ["response_type", "client_id", "scope", "request"]
    claims = verified(fields["request"], key)
    own = claims_of_the_jwt(claims, op, clock)
    asked = {name: value for name, value in claims.items() if name not in own}
    assert asked == {**request.parameters, "max_age": 5}
    for name in ("response_type", "client_id", "scope"):
        assert fields[name] == claims[name]
    assert (claims["state"], claims["nonce"]) == (request.state, request.nonce)
    assert "sub" not in claims
    assert op.count("par") == 0


@pytest.mark.rule("FP-14")
async def test_pushed_it_is_all_that_is_pushed(
    rp: RelyingParty, op: ScriptedOp, key: ClientKey, clock: ManualClock
) -> None:
    op.metadata_changes["pushed_authorization_request_endpoint"] = f"{op.issuer}/par"
    op.answers["par"] = Answer(GOOD, 201)
    request = await rp.authorization_request(LoginRequest(login_hint="alice"))
    assert [name for name, _ in parse_qsl(urlsplit(request.url).query)] == [
        "client_id",
        "request_uri",
    ]
    pushed = op.last("par").form
    assert pushed.keys() == {"client_id", "request"}
    claims = verified(pushed["request"], key)
    claims_of_the_jwt(claims, op, clock)
    assert (claims["login_hint"], claims["state"]) == ("alice", request.state)
    op.answers["par"] = Answer({"error": "invalid_request_object"}, 400)
    with pytest.raises(LoginRefused, match="invalid_request_object"):
        await rp.authorization_request(LoginRequest())


@pytest.mark.rule("FP-14")
@pytest.mark.parametrize(
    "changes",
    [
        {"request_parameter_supported": False},
        {"request_object_signing_alg_values_supported": ["none", "RS256"]},
    ],
)
@pytest.mark.parametrize("pushes", [False, True])
async def test_no_request_goes_out_unsigned(
    rp: RelyingParty, op: ScriptedOp, changes: dict[str, object], *, pushes: bool
) -> None:
    op.metadata_changes.update(changes)
    if pushes:
        op.metadata_changes["pushed_authorization_request_endpoint"] = f"{op.issuer}/par"
    with pytest.raises(OpMetadataRefused):
        await rp.authorization_request(LoginRequest())
    assert op.count("par") == 0


@pytest.mark.rule("FP-14")
async def test_an_op_that_takes_signed_ones_only_gets_no_other(
    make_rp: MakeRp, op: ScriptedOp
) -> None:
    """RFC 9101 section 10.5."""
    op.metadata_changes["require_signed_request_object"] = True
    rp = make_rp()
    await rp.start()
    with pytest.raises(OpMetadataRefused, match="require_signed_request_object"):
        await rp.authorization_request(LoginRequest())


async def test_an_endpoint_whose_own_query_holds_a_request_is_refused(
    rp: RelyingParty, op: ScriptedOp
) -> None:
    op.metadata_changes["authorization_endpoint"] = f"{op.issuer}/authorize?request=x"
    with pytest.raises(OpMetadataRefused, match="reserved"):
        await rp.authorization_request(LoginRequest())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"client_keys": ()}, "request_object needs client_keys"),
        ({"login_params": ("sub",)}, "login_params must not hold sub"),
        ({"authorization_params": {"aud": "x"}}, "authorization_params must not hold aud"),
        ({"request_object": "encrypted"}, "request_object must be one of"),
    ],
)
def test_settings_that_can_sign_nothing_are_refused(
    key: ClientKey, changes: dict[str, object], why: str
) -> None:
    given = {"request_object": "signed", "client_keys": (key,), **changes}
    with pytest.raises(ValueError, match=why):
        settings_for("https://op.example.test", **given)
