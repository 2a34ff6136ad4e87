"""Signed authorization requests (RFC 9101): what the JWT says, and when there can be none."""

import json
from base64 import urlsafe_b64decode
from dataclasses import replace

import pytest
from joserfc import jwt

from bff.errors import OpMetadataRefused
from bff.oidc.client_auth.keys import ClientKey, client_key
from bff.oidc.provider.endpoint_url import Parameters
from bff.oidc.provider.metadata import ProviderMetadata
from bff.oidc.steps.request_object import (
    MODES,
    by_value,
    request_object,
    require_no_claims,
    require_request_object_mode,
    signing_alg,
    to_push,
)
from tests.parts.client_keys import key_file

ISSUER = "https://op.example.test"
URL = f"{ISSUER}/x"
METADATA = ProviderMetadata(ISSUER, URL, f"{ISSUER}/token", URL)
NOW = 1_800_000_000.5
PARAMETERS: Parameters = {
    "response_type": "code",
    "client_id": "spa",
    "redirect_uri": "https://app.example.test/bff/callback",
    "scope": "openid",
    "state": "a-state",
    "max_age": "0",
    "claims": '{"id_token": {"name": null}}',
    "resource": ("https://a.example", "https://b.example"),
}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> ClientKey:
    return client_key(key_file(tmp_path_factory.mktemp("keys") / "key.pem").read_bytes())


@pytest.mark.rule("FP-14")
def test_all_parameters_are_claims_of_a_jwt_for_this_op_and_for_minutes(key: ClientKey) -> None:
    """RFC 9101 section 4; numbers and JSON are such (OIDC Core section 6.1), several resources are
    a list (RFC 8707 section 2.1)."""
    signed = request_object(PARAMETERS, key, "ES256", METADATA, NOW)
    token = jwt.decode(signed, key.material, ["ES256"])
    assert token.header == {"alg": "ES256", "typ": "oauth-authz-req+jwt", "kid": key.kid}
    claims = dict(token.claims)
    assert claims.pop("jti")
    assert claims == {
        **PARAMETERS,
        "max_age": 0,
        "claims": {"id_token": {"name": None}},
        "resource": ["https://a.example", "https://b.example"],
        "iss": "spa",
        "aud": ISSUER,
        "iat": 1_799_999_995,
        "nbf": 1_799_999_995,
        "exp": 1_800_000_300,
    }
    again = request_object(PARAMETERS, key, "ES256", METADATA, NOW)
    assert _claims(again)["jti"] != token.claims["jti"]


def test_one_resource_is_text_and_what_is_no_json_stays_as_it_is(key: ClientKey) -> None:
    odd = {**PARAMETERS, "resource": ("https://a.example",), "claims": "no JSON", "max_age": "60"}
    claims = _claims(request_object(odd, key, "ES256", METADATA, NOW))
    assert claims["resource"] == "https://a.example"
    assert claims["claims"] == "no JSON"
    assert claims["max_age"] == 60
    assert (
        _claims(request_object({**odd, "claims": "7"}, key, "ES256", METADATA, NOW))["claims"]
        == "7"
    )


@pytest.mark.rule("FP-14")
def test_no_parameter_takes_the_place_of_a_claim(key: ClientKey) -> None:
    """With `sub` it could be sent as a client assertion (RFC 9101 section 10.8)."""
    claims = _claims(request_object({**PARAMETERS, "aud": "x"}, key, "ES256", METADATA, NOW))
    assert claims["aud"] == ISSUER
    require_no_claims(["audience", "resource", "state"])
    for name in ("iss", "sub", "aud", "exp", "nbf", "iat", "jti"):
        with pytest.raises(ValueError, match=f"must not hold {name}, a claim"):
            require_no_claims(["audience", name])


@pytest.mark.rule("FP-14")
def test_beside_the_jwt_is_only_what_has_to_be(key: ClientKey) -> None:
    """OIDC Core section 6.1 through the browser, RFC 9126 section 3 pushed."""
    assert by_value(PARAMETERS, "the-jwt") == {
        "response_type": "code",
        "client_id": "spa",
        "scope": "openid",
        "request": "the-jwt",
    }
    assert to_push(PARAMETERS, "the-jwt") == {"client_id": "spa", "request": "the-jwt"}


@pytest.mark.rule("FP-14")
def test_the_algorithm_follows_from_the_key_and_the_op_s_list(key: ClientKey) -> None:
    assert signing_alg("off", (key,), METADATA) is None
    assert signing_alg("off", (), METADATA) is None
    assert signing_alg("signed", (key,), METADATA) == "ES256"
    listed = replace(METADATA, request_object_algs=("none", "RS256", "ES256"))
    assert signing_alg("signed", (key,), listed) == "ES256"


@pytest.mark.rule("FP-14")
@pytest.mark.parametrize(
    ("mode", "changes", "why"),
    [
        (
            "off",
            {"requires_request_object": True},
            'require_.* is true, and request_object is "off"',
        ),
        ("signed", {"takes_request_object": False}, "request_parameter_supported is false"),
        ("signed", {"request_object_algs": ("none",)}, "has none of ES256: .'none'."),
        ("signed", {"request_object_algs": ("HS256", "RS256")}, "has none of ES256"),
        ("signed", {"request_object_algs": ()}, "has none of ES256"),
    ],
)
def test_no_request_is_made_where_it_has_to_be_signed_and_cannot_be(
    key: ClientKey, mode: str, changes: dict[str, object], why: str
) -> None:
    """`none` is no algorithm, whatever the OP lists (RFC 9101 section 10.5)."""
    metadata = replace(METADATA, **changes)  # type: ignore[arg-type]  # a table of fields
    with pytest.raises(OpMetadataRefused, match=why):
        signing_alg(mode, (key,), metadata)


def test_there_are_two_modes() -> None:
    assert [require_request_object_mode(mode) for mode in MODES] == ["off", "signed"]
    with pytest.raises(ValueError, match="must be one of off, signed"):
        require_request_object_mode("encrypted")


def _claims(signed: str) -> dict[str, object]:
    text = signed.split(".")[1]
    document: dict[str, object] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return document
