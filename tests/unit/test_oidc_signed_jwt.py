"""Signed JWTs: read strictly, verified with the configured algorithm and the OP's keys only."""

import json

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OctKey, RSAKey
from joserfc.jws import JWSRegistry

from bff.oidc.jwt.jwks import KEY_OF_ALG, process_jwks
from bff.oidc.jwt.signed_jwt import (
    MAX_JWT_CHARS,
    JwtRefused,
    VerifiedJwt,
    parse_jwt,
    stated_claims,
    verify_signature,
)
from tests.parts.scripted_op import SigningKey, b64json, b64url, signing_key

KEY = signing_key("RS256", kid="rsa")
KEYS = process_jwks(200, {"keys": [KEY.jwk()]})
CLAIMS: dict[str, object] = {"sub": "alice", "n": 1}
ID_TOKEN = frozenset({None, "jwt"})


def verify(
    text: str, *, keys: list[SigningKey] | None = None, algs: tuple[str, ...] = ("RS256",)
) -> VerifiedJwt:
    known = KEYS if keys is None else process_jwks(200, {"keys": [key.jwk() for key in keys]})
    return verify_signature(parse_jwt(text, algs=frozenset(algs), accept_typ=ID_TOKEN), known)


def refusal(text: str, **options: object) -> str:
    with pytest.raises(JwtRefused) as caught:
        verify(text, **options)  # type: ignore[arg-type]  # the options of verify
    return caught.value.check


@pytest.mark.rule("ID-06")
@pytest.mark.parametrize("alg", KEY_OF_ALG)
def test_every_configurable_algorithm_verifies(alg: str) -> None:
    key = signing_key(alg, kid="k")
    jwt = verify(key.sign(CLAIMS), keys=[key], algs=(alg,))
    assert jwt == VerifiedJwt(alg, CLAIMS)


@pytest.mark.rule("ID-05")
def test_one_changed_character_anywhere_is_refused() -> None:
    """OIDC Core section 3.1.3.7 (6). Each segment in turn; never another error than a refusal."""
    text = KEY.sign(CLAIMS)
    positions = [*range(0, len(text), 7), len(text) - 1]
    for position in positions:
        for replacement in ("A", "B", "-", "=", "."):
            if text[position] != replacement:
                changed = text[:position] + replacement + text[position + 1 :]
                assert refusal(changed) in {
                    "signature",
                    "encoding",
                    "header",
                    "payload",
                    "shape",
                    "key_unknown",
                    "alg",
                    "typ",
                }


@pytest.mark.rule("ID-05")
def test_the_signature_of_another_token_is_refused() -> None:
    head, payload, _ = KEY.sign(CLAIMS).split(".")
    other = KEY.sign({"sub": "bob"}).split(".")[2]
    assert refusal(f"{head}.{payload}.{other}") == "signature"
    assert refusal(f"{head}.{payload}.") == "signature"


@pytest.mark.rule("ID-06")
@pytest.mark.parametrize("alg", ["none", "None", "nOnE", "NONE", "", None, 7, ["RS256"]])
def test_unsigned_tokens_are_refused_in_every_spelling(alg: object) -> None:
    """RFC 8725 section 3.2; also when the caller's own list names `none`."""
    for signature in ("", "AA"):
        unsigned = f"{b64json({'alg': alg, 'typ': 'JWT'})}.{b64json(CLAIMS)}.{signature}"
        assert refusal(unsigned) == "alg"
        assert refusal(unsigned, algs=("none", "RS256")) == "alg"


def _hmac_secrets() -> dict[str, bytes]:
    assert isinstance(KEY.key, RSAKey)
    public = KEY.key.public_key
    return {
        "pem": public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "der": public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "jwk": json.dumps(KEY.jwk()).encode(),
        "client_secret": b"s3cret-of-the-gateway",
    }


@pytest.mark.rule("ID-06")
@pytest.mark.parametrize("secret", _hmac_secrets())
def test_the_public_key_is_no_hmac_secret(secret: str) -> None:
    """RFC 8725 section 2.1: RS256 taken for HS256."""
    signing_input = f"{b64json({'alg': 'HS256', 'kid': 'rsa'})}.{b64json(CLAIMS)}"
    # A PEM is fine as an HMAC secret for an attacker, so the library's objections are gone around.
    key = OctKey(_hmac_secrets()[secret], None)
    signature = JWSRegistry.algorithms["HS256"].sign(signing_input.encode(), key)
    text = f"{signing_input}.{b64url(signature)}"
    assert refusal(text) == "alg"
    assert refusal(text, algs=("HS256", "RS256")) == "alg"


@pytest.mark.rule("ID-06")
@pytest.mark.parametrize("alg", ["PS256", "RS512", "ES256"])
def test_a_sound_signature_in_another_algorithm_is_refused(alg: str) -> None:
    """OIDC Core section 3.1.3.7 (7)."""
    key = signing_key(alg, kid="rsa")
    assert refusal(key.sign(CLAIMS), keys=[KEY, key]) == "alg"


@pytest.mark.rule("ID-06")
def test_a_key_in_the_token_is_not_looked_at() -> None:
    """RFC 8725 section 3.10: `jwk`, `jku`, `x5u`, `x5c`."""
    attacker = signing_key("RS256", kid="rsa", number=2)
    headers = {"jwk": attacker.jwk(), "jku": "https://evil.test/jwks", "x5u": "https://evil.test"}
    assert refusal(attacker.sign(CLAIMS, **headers)) == "signature"
    assert refusal(attacker.sign(CLAIMS, kid="mine", **headers)) == "key_unknown"
    assert verify(KEY.sign(CLAIMS, **headers)).claims == CLAIMS


@pytest.mark.rule("ID-07")
def test_a_token_without_kid_needs_exactly_one_key_that_fits() -> None:
    """OIDC Core section 10.1."""
    second = signing_key("RS256", kid="rsa2", number=2)
    text = KEY.sign(CLAIMS, kid=None)
    assert verify(text, keys=[KEY, signing_key("ES256", kid="ec")]).claims == CLAIMS
    assert refusal(text, keys=[KEY, second]) == "key_ambiguous"


@pytest.mark.rule("ID-14")
@pytest.mark.parametrize(
    ("typ", "accepted"),
    [
        ("JWT", True),
        ("jwt", True),
        ("application/jwt", True),
        (None, True),
        ("at+jwt", False),
        ("application/at+jwt", False),
        ("AT+JWT", False),
        ("logout+jwt", False),
        ("dpop+jwt", False),
        ("secevent+jwt", False),
        ("", False),
        (7, False),
        (["JWT"], False),
    ],
)
def test_a_token_of_another_type_is_refused(typ: object, accepted: bool) -> None:
    """RFC 8725 section 3.11."""
    text = KEY.sign(CLAIMS, typ=typ)
    if accepted:
        assert verify(text).claims == CLAIMS
    else:
        assert refusal(text) == "typ"


def test_a_caller_may_insist_on_an_explicit_type() -> None:
    logout = frozenset({"logout+jwt"})
    text = KEY.sign(CLAIMS, typ="logout+jwt")
    assert parse_jwt(text, algs={"RS256"}, accept_typ=logout).claims == CLAIMS
    for typ in ("JWT", None):
        with pytest.raises(JwtRefused, match="typ"):
            parse_jwt(KEY.sign(CLAIMS, typ=typ), algs={"RS256"}, accept_typ=logout)


@pytest.mark.rule("ID-14")
@pytest.mark.parametrize(
    "header",
    [{"crit": ["exp"]}, {"crit": []}, {"crit": "b64"}, {"crit": ["b64"], "b64": False}],
)
def test_critical_extensions_are_refused(header: dict[str, object]) -> None:
    """RFC 7515 section 4.1.11."""
    assert refusal(KEY.sign(CLAIMS, **header)) == "crit"
    assert refusal(KEY.sign(CLAIMS, b64=False)) == "crit"


TWO_ALGS = b64url(b'{"alg":"RS256","alg":"none"}')
MALFORMED = {
    "empty": ("", "shape"),
    "one_segment": ("abc", "shape"),
    "jwe": ("a.b.c.d.e", "shape"),
    "not_ascii": ("é.b.c", "shape"),
    "padding": (f"{b64json({'alg': 'RS256'})}=.e30.AA", "encoding"),
    "standard_alphabet": ("+/.e30.AA", "encoding"),
    "white_space": (f" {b64json({'alg': 'RS256'})}.e30.AA", "encoding"),
    "header_no_json": ("AAAA.e30.AA", "header"),
    "header_array": (f"{b64json([])}.e30.AA", "header"),
    "header_duplicate": (f"{TWO_ALGS}.e30.AA", "header"),
    "payload_array": (KEY.sign([]), "payload"),
    "payload_text": (KEY.sign(b"hello"), "payload"),
    "payload_duplicate": (KEY.sign(b'{"sub":"a","sub":"b"}'), "payload"),
    "payload_deep": (KEY.sign(b"[" * 30_000), "payload"),
    "kid_a_number": (KEY.sign(CLAIMS, kid=7), "kid"),
    "oversized": (KEY.sign({"x": "y" * MAX_JWT_CHARS}), "size"),
}


@pytest.mark.rule("ID-16")
@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_token_is_refused_by_name(kind: str) -> None:
    text, check = MALFORMED[kind]
    assert refusal(text) == check


def test_a_large_header_is_no_reason_to_refuse() -> None:
    """Certificate chains in `x5c` are common."""
    assert verify(KEY.sign(CLAIMS, x5c=["A" * 4000])).claims == CLAIMS


@given(st.text(max_size=60) | st.text(alphabet="ey.AJ0_-", max_size=60))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(JwtRefused):
        verify(text)


def test_a_token_may_be_so_long_and_no_longer() -> None:
    for length, check in ((MAX_JWT_CHARS, "shape"), (MAX_JWT_CHARS + 1, "size")):
        assert refusal("a" * length) == check


def test_a_refusal_names_what_was_found_and_what_was_wanted() -> None:
    with pytest.raises(JwtRefused, match="alg") as refused:
        verify(KEY.sign(CLAIMS), algs=("ES256", "PS256"))
    assert refused.value.detail == "'RS256' is none of ['ES256', 'PS256']"


@pytest.mark.rule("ID-06")
def test_what_a_token_says_is_read_of_any_type_and_algorithm_to_refuse_by() -> None:
    payload = b64json(CLAIMS)
    assert stated_claims(f"x.{payload}.y") == CLAIMS
    fitting = f".{payload}." + "a" * (MAX_JWT_CHARS - len(payload) - 2)
    assert stated_claims(fitting) == CLAIMS
    for unreadable in (
        "",
        payload,
        f"x.{payload}",
        f"a.{payload}.c.d",
        f"a.{payload}.c.d.e",
        f"\xe4.{payload}.y",
        f"{fitting}a",
        "a.%.b",
        f"a.{b64url(b'[]')}.b",
    ):
        assert stated_claims(unreadable) is None
