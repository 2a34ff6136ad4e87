"""Keys of the OP: which can verify, and which fits."""

from typing import get_args

import pytest
from joserfc.jwk import OctKey, RSAKey

from bff.errors import OpAnswerMalformed
from bff.oidc.jwt.jwks import (
    KEY_OF_ALG,
    MAX_KEYS,
    ProviderKey,
    SigningAlg,
    process_jwks,
    require_signing_algs,
)
from tests.parts.scripted_op import b64url, signing_key

RSA = signing_key("RS256", kid="rsa")
RSA_2 = signing_key("RS256", kid="rsa2", number=2)
EC = signing_key("ES256", kid="ec")
OKP = signing_key("EdDSA", kid="okp")


def kids(jwks: list[object], alg: str, kid: str | None = None) -> list[str | None]:
    return [key.kid for key in process_jwks(200, {"keys": jwks}).candidates(alg, kid)]


@pytest.mark.rule("ID-07")
@pytest.mark.parametrize(
    ("jwks", "alg", "kid", "fitting"),
    [
        # by kid
        ([RSA.jwk(), RSA_2.jwk(), EC.jwk()], "RS256", "rsa2", ["rsa2"]),
        ([RSA.jwk()], "RS256", "unknown", []),
        # a kid never overrides the type
        ([RSA.jwk()], "ES256", "rsa", []),
        # without kid: by type, use and alg
        ([RSA.jwk(), RSA_2.jwk(use="enc"), EC.jwk()], "RS256", None, ["rsa"]),
        ([RSA.jwk(alg="RS256"), RSA_2.jwk(alg="PS256")], "PS256", None, ["rsa2"]),
        ([RSA.jwk(), RSA_2.jwk()], "RS256", None, ["rsa", "rsa2"]),
        ([RSA.jwk(alg=None), EC.jwk(alg=None), OKP.jwk(alg=None)], "RS256", None, ["rsa"]),
        ([RSA.jwk(alg=None), EC.jwk(alg=None), OKP.jwk(alg=None)], "ES256", None, ["ec"]),
        # one kid on two keys
        ([RSA.jwk(kid="same"), EC.jwk(kid="same")], "ES256", "same", ["same"]),
        ([RSA.jwk(kid="same"), RSA_2.jwk(kid="same")], "RS256", "same", ["same", "same"]),
        # no alg, no use, no kid
        ([RSA.jwk(kid=None, alg=None, use=None)], "PS512", None, [None]),
        # curves
        ([EC.jwk(alg=None), signing_key("ES384", "p384").jwk(alg=None)], "ES384", None, ["p384"]),
        ([OKP.jwk()], "EdDSA", None, ["okp"]),
        ([OKP.jwk(alg=None)], "Ed25519", None, ["okp"]),
    ],
)
def test_a_key_fits_by_kid_and_always_by_type_use_and_alg(
    jwks: list[object], alg: str, kid: str | None, fitting: list[str | None]
) -> None:
    """OIDC Core section 10.1, RFC 7517 section 4."""
    assert kids(jwks, alg, kid) == fitting


UNUSABLE: dict[str, object] = {
    "for_encryption": RSA.jwk(use="enc"),
    "other_use": RSA.jwk(use="tls"),
    "use_not_text": RSA.jwk(use=["sig"]),
    "only_signs": RSA.jwk(key_ops=["sign"]),
    "strange_operations": RSA.jwk(key_ops="verify"),
    "symmetric": OctKey.generate_key(256).as_dict(),
    "unknown_type": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"},
    "no_type": {"n": "AQAB", "e": "AQAB"},
    "type_not_text": RSA.jwk(kty=["RSA"]),
    "kid_a_number": RSA.jwk(kid=7),
    "alg_a_number": RSA.jwk(alg=256),
    "weak": {"kty": "RSA", "e": "AQAB", "n": "w" * 170},
    "monstrous": {"kty": "RSA", "e": "AQAB", "n": "w" * 2000},
    "slow_exponent": RSA.jwk(e="_" * 300),
    "not_base64": RSA.jwk(n="!" * 400),
    "empty": RSA.jwk(n=""),
    "member_a_number": RSA.jwk(n=7),
    "member_missing": {name: v for name, v in RSA.jwk().items() if name != "e"},
    "unknown_curve": EC.jwk(crv="P-999"),
    "off_the_curve": EC.jwk(x="AA"),
    "agreement_only": {**OKP.jwk(), "crv": "X25519"},
    "not_an_object": "rsa",
    "null": None,
}


@pytest.mark.rule("ID-07")
@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_key_that_cannot_be_used_is_left_out_and_harms_no_other(kind: str) -> None:
    """RFC 7517 section 5."""
    keys = process_jwks(200, {"keys": [UNUSABLE[kind], EC.jwk(kid="good")]})
    usable = [key.kid for alg in ("RS256", "EdDSA", "ES256") for key in keys.candidates(alg, None)]
    assert usable == ["good"]
    with pytest.raises(OpAnswerMalformed):
        process_jwks(200, {"keys": [UNUSABLE[kind]]})


def test_private_members_published_by_mistake_are_not_held() -> None:
    assert isinstance(RSA.key, RSAKey)
    private = RSA.key.as_dict(private=True)
    [key] = process_jwks(200, {"keys": [private]}).candidates("RS256", None)
    assert key.material.is_private is False


def test_a_key_set_may_be_so_large() -> None:
    """And no larger: the next test has one more."""
    assert len(process_jwks(200, {"keys": [EC.jwk()] * MAX_KEYS}).keys) == MAX_KEYS


@pytest.mark.parametrize(("bits", "usable"), [(32, True), (33, False)])
def test_an_rsa_exponent_may_be_so_long(bits: int, *, usable: bool) -> None:
    """A longer one would make each signature that is verified costly."""
    exponent = b64url((1 << (bits - 1) | 1).to_bytes((bits + 7) // 8))
    jwks = {"keys": [RSA.jwk(e=exponent, kid="this"), RSA_2.jwk(kid="another")]}
    found = [key.kid for key in process_jwks(200, jwks).candidates("RS256", None)]
    assert found == (["this", "another"] if usable else ["another"])


@pytest.mark.rule("ID-16")
@pytest.mark.parametrize(
    ("status", "document"),
    [
        (200, None),
        (200, []),
        (200, {}),
        (200, {"keys": {}}),
        (200, {"keys": []}),
        (200, {"keys": [EC.jwk()] * (MAX_KEYS + 1)}),
        (302, {"keys": [EC.jwk()]}),
        (404, None),
    ],
)
def test_anything_but_a_usable_key_set_is_malformed(status: int, document: object) -> None:
    with pytest.raises(OpAnswerMalformed):
        process_jwks(status, document)


def test_each_algorithm_that_may_be_configured_has_a_type_of_key() -> None:
    assert set(get_args(SigningAlg)) == set(KEY_OF_ALG)


def test_the_same_keys_are_equal_however_often_they_are_fetched() -> None:
    """So that a set that was fetched again is seen to be no other."""
    document = {"keys": [signing_key("RS256", kid="a").jwk(), signing_key("ES256", kid="b").jwk()]}
    assert process_jwks(200, document) == process_jwks(200, document)


def test_all_algorithms_that_are_known_may_be_configured_at_once() -> None:
    assert require_signing_algs(tuple(KEY_OF_ALG)) == tuple(KEY_OF_ALG)
    for algs in ((), ("RS256", "none")):
        with pytest.raises(ValueError, match="must be some of RS256"):
            require_signing_algs(algs)


def test_a_set_may_hold_so_many_keys() -> None:
    entries: list[object] = [signing_key("ES256", kid="a").jwk()]
    entries += [{"kty": "oct"}] * (MAX_KEYS - 1)
    assert len(process_jwks(200, {"keys": entries}).keys) == 1


@pytest.mark.parametrize(("bits", "is_usable"), [(32, True), (33, False)])
def test_an_exponent_may_be_so_large(bits: int, is_usable: bool) -> None:
    e = b64url((2**bits - 1).to_bytes(5, "big").lstrip(b"\0"))
    keys = process_jwks(200, {"keys": [RSA.jwk(e=e), EC.jwk()]}).keys
    assert [key.kid for key in keys] == (["rsa", "ec"] if is_usable else ["ec"])


def test_a_key_of_one_tenant_verifies_a_token_that_names_its_tenant_once() -> None:
    """A logout token has `iss`, and need not have `tid`."""
    tenant = "00000000-0000-0000-0000-000000000001"
    template = "https://login.example/{tenantid}/v2.0"
    own = template.replace("{tenantid}", tenant)
    key = ProviderKey(None, "RSA", None, None, RSAKey.generate_key(2048), template)
    assert key.is_for_issuer_of({"iss": own})
    assert key.is_for_issuer_of({"iss": own, "tid": tenant})
    assert not key.is_for_issuer_of({"iss": own, "tid": tenant.replace("1", "2")})
    assert not key.is_for_issuer_of({"iss": template})
    assert not key.is_for_issuer_of({})
