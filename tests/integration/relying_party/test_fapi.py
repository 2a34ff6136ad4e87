"""A relying party with a profile (FAPI 2.0): what the OP's metadata and its answers must have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws

from bff.config.values.files import load_client_key
from bff.errors import IssuerMismatch, OpMetadataRefused
from bff.oidc.jwt.signed_jwt import stated_claims
from bff.oidc.profiles import ALGS, FAPI2, FAPI2_MESSAGE_SIGNING, PROFILES, allowed_key
from bff.oidc.relying_party import RelyingParty
from bff.oidc.steps.authorization import LoginRequest
from tests.integration.relying_party.steps import MakeRp
from tests.parts.client_keys import key_file
from tests.parts.scripted_op import Answer, ScriptedOp

PUSHED = {"request_uri": "urn:ietf:params:oauth:request_uri:a-reference", "expires_in": 60}


def settings(directory: Path, profile: str, kind: str = "P-256") -> dict[str, Any]:
    """Those that the configuration makes of a profile, with a key of that kind."""
    key = allowed_key(profile, load_client_key(key_file(directory / f"{kind}.pem", kind)))
    signing = {"request_object": "signed", "response_mode": "query.jwt"}
    return {
        "profile": profile,
        "client_secret": "",
        "client_auth": "private_key_jwt",
        "client_keys": (key,),
        "par": "required",
        "dpop": True,
        "id_token_algs": ALGS,
        **(signing if profile == FAPI2_MESSAGE_SIGNING else {}),
    }


def offer_all(op: ScriptedOp) -> None:
    """Metadata and answers of an OP that has what both profiles need."""
    op.metadata_changes |= {
        "pushed_authorization_request_endpoint": f"{op.issuer}/par",
        "authorization_response_iss_parameter_supported": True,
        "dpop_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256"],
        "request_object_signing_alg_values_supported": ["PS256", "ES256"],
        "response_modes_supported": ["query", "query.jwt"],
        "authorization_signing_alg_values_supported": ["PS256", "ES256"],
    }
    op.answers["par"] = Answer(PUSHED, 201)


async def started(make_rp: MakeRp, values: dict[str, Any]) -> RelyingParty:
    relying_party = make_rp(**values)
    await relying_party.start()
    return relying_party


@pytest.mark.parametrize("profile", PROFILES)
async def test_an_op_that_has_all_of_it_is_ready(
    make_rp: MakeRp, op: ScriptedOp, tmp_path: Path, profile: str
) -> None:
    offer_all(op)
    rp = await started(make_rp, settings(tmp_path, profile))
    await rp.check()
    await rp.authorization_request(LoginRequest())
    assert op.count("par") == 1


async def test_an_op_that_lists_jwt_alone_signs_its_answers_as_well(
    make_rp: MakeRp, op: ScriptedOp, tmp_path: Path
) -> None:
    """JARM section 2.3.4: for the code flow it means `query.jwt`."""
    offer_all(op)
    op.metadata_changes["response_modes_supported"] = ["jwt"]
    rp = await started(make_rp, settings(tmp_path, FAPI2_MESSAGE_SIGNING))
    await rp.check()
    await rp.authorization_request(LoginRequest())
    signed = op.last("par").form["request"]
    assert (stated_claims(signed) or {})["response_mode"] == "jwt"


LACKING: Sequence[tuple[str, str, object]] = [
    (profile, name, value)
    for profile in PROFILES
    for name, value in [
        ("pushed_authorization_request_endpoint", None),
        ("dpop_signing_alg_values_supported", None),
        ("dpop_signing_alg_values_supported", ["RS256"]),
        ("token_endpoint_auth_methods_supported", ["client_secret_basic"]),
        ("token_endpoint_auth_signing_alg_values_supported", ["RS256", "ES384"]),
    ]
] + [
    (FAPI2, "authorization_response_iss_parameter_supported", None),
    (FAPI2_MESSAGE_SIGNING, "request_object_signing_alg_values_supported", ["RS256"]),
    (FAPI2_MESSAGE_SIGNING, "response_modes_supported", ["query"]),
    (FAPI2_MESSAGE_SIGNING, "authorization_signing_alg_values_supported", ["RS256"]),
]


@pytest.mark.rule("FP-17")
@pytest.mark.parametrize(("profile", "name", "value"), LACKING)
async def test_an_op_that_lacks_something_is_not_ready_and_no_login_begins(
    make_rp: MakeRp, op: ScriptedOp, tmp_path: Path, profile: str, name: str, value: object
) -> None:
    offer_all(op)
    op.metadata_changes[name] = value
    rp = await started(make_rp, settings(tmp_path, profile))
    with pytest.raises(OpMetadataRefused, match=name):
        await rp.check()
    with pytest.raises(OpMetadataRefused, match=name):
        await rp.authorization_request(LoginRequest())
    assert op.count("par") == 0


@pytest.mark.rule("FP-17")
@pytest.mark.rule("AZ-07")
async def test_an_answer_without_iss_is_refused_whatever_the_metadata_say(
    make_rp: MakeRp, op: ScriptedOp, tmp_path: Path
) -> None:
    """RFC 9207 section 2.4. An error is an answer as well."""
    rp = await started(make_rp, settings(tmp_path, FAPI2))
    for answer in ("code=c&state=s", "error=access_denied&state=s"):
        response = await rp.authorization_response(answer)
        with pytest.raises(IssuerMismatch, match="no iss"):
            await rp.require_response_issuer(response)


@pytest.mark.rule("FP-17")
@pytest.mark.parametrize(("kind", "alg"), [("P-256", "ES256"), ("RSA-2048", "PS256")])
@pytest.mark.parametrize("is_listed", [True, False])
async def test_what_the_client_signs_has_an_algorithm_of_the_profile(
    make_rp: MakeRp, op: ScriptedOp, tmp_path: Path, kind: str, alg: str, *, is_listed: bool
) -> None:
    """An RSA key without a list of the OP's included, where RS256 is used otherwise."""
    offer_all(op)
    listed = ["RS256", "PS256", "ES256"] if is_listed else None
    for name in ("token_endpoint_auth", "request_object"):
        op.metadata_changes[f"{name}_signing_alg_values_supported"] = listed
    rp = await started(make_rp, settings(tmp_path, FAPI2_MESSAGE_SIGNING, kind))
    await rp.authorization_request(LoginRequest())
    pushed = op.last("par")
    signed = (pushed.form["client_assertion"], pushed.form["request"])
    assert [jws.extract_compact(one.encode()).headers()["alg"] for one in signed] == [alg, alg]
    proof = jws.extract_compact(pushed.headers["DPoP"].encode())
    assert proof.headers()["alg"] in ALGS
