"""JWTs of an OP, good ones and all the ways in which they are forged."""

import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Collection, Mapping, Sequence
from random import Random

from cryptography.hazmat.primitives import serialization

from bff.oidc.jwt.jwks import process_jwks
from bff.oidc.jwt.signed_jwt import MAX_JWT_CHARS, VerifiedJwt, parse_jwt, verify_signature
from tests.fuzz.json_mutation import changed, read_again, text_of
from tests.fuzz.keys import FixedKey, is_signature
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import Finding, require
from tests.parts.scripted_op import b64url

# The OP publishes one key of each kind. The last is an attacker's, under the name of the OP's.
OP_KEYS = (FixedKey("ES256", "ec"), FixedKey("EdDSA", "ed"), FixedKey("RS256", "rsa"))
FORGERS = (FixedKey("ES256", "ec", "evil"), FixedKey("EdDSA", "ed", "evil"))
ALGS = frozenset(key.alg for key in OP_KEYS)
JWKS: dict[str, object] = {"keys": [key.jwk() for key in OP_KEYS]}
KEYS = process_jwks(200, JWKS)
ALG_WORDS = (
    "none", "None", "nOnE", "", "HS256", "HS512", "RS256", "PS256", "ES256", "ES256K", "EdDSA",
    "Ed25519", "RS1", "dir", "A128KW", "es256",
)  # fmt: skip
HEADER_CHANGES: tuple[dict[str, object], ...] = (
    {"kid": None}, {"kid": "ec"}, {"kid": "rsa"}, {"kid": "nobody"}, {"kid": 1}, {"kid": "../../x"},
    {"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"crit": []}, {"jku": "https://evil.example"},
    {"jwk": FORGERS[0].jwk()}, {"x5u": "https://evil.example"}, {"x5c": ["x"]}, {"cty": "JWT"},
    {"typ": None}, {"typ": "at+jwt"}, {"typ": "application/jwt"}, {"typ": "logout+jwt"}, {"typ": 1},
    {"typ": "application/logout+jwt"}, {"zip": "DEF"}, {"enc": "A128GCM"}, {"typ": "jwT"},
)  # fmt: skip
WORDS = [b".", b"..", b"=", b"==", b"eyJ", b"-", b"_", b"+", b"/", b"e30", b"bnVsbA", b"\n"]


def verified(
    text: str, *, algs: Collection[str], accept_typ: Collection[str | None]
) -> VerifiedJwt:
    """A token with a signature of a known key."""
    return verify_signature(parse_jwt(text, algs=algs, accept_typ=accept_typ), KEYS)


def a_jwt(random: Random, claims: Mapping[str, object], words: Sequence[object], typ: str) -> bytes:
    """A token with these claims, more or less."""
    if random.random() < 0.05:
        return garbage(random, WORDS)
    key = random.choice(OP_KEYS[:2] if random.random() < 0.93 else OP_KEYS)
    value: object = changed(random, claims, words) if random.random() < 0.6 else dict(claims)
    payload = text_of(random, value) if random.random() < 0.2 else json.dumps(value).encode()
    header: dict[str, object] = {"typ": typ}
    if random.random() < 0.2:
        header.update(random.choice(HEADER_CHANGES))
    kind = random.random()
    if kind < 0.08:
        return _forged(random, {"alg": random.choice(ALG_WORDS), "kid": key.kid, **header}, payload)
    if kind < 0.16:
        key = random.choice(FORGERS)
    token = key.sign(payload, **header)
    if kind < 0.9:
        return token
    if kind < 0.93:  # the signature of another payload
        other = key.sign(json.dumps({**claims, "sub": "eve"}).encode(), **header)
        return token.rpartition(b".")[0] + b"." + other.rpartition(b".")[2]
    return mutated(random, token, WORDS)


def _forged(random: Random, header: Mapping[str, object], payload: bytes) -> bytes:
    """Unsigned, or signed with a public key as the secret."""
    members = {name: member for name, member in header.items() if member is not None}
    signing_input = f"{b64url(json.dumps(members).encode())}.{b64url(payload)}"
    secret = random.choice(SECRETS)
    name = "sha512" if header["alg"] == "HS512" else "sha256"
    mac = hmac.digest(secret, signing_input.encode(), name)
    signature = random.choice((b"", mac, mac, b"\0" * 64))
    return f"{signing_input}.{b64url(signature)}".encode()


def _secrets() -> list[bytes]:
    """What is public, or guessed at once."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return [b"", b"\0", b"null", json.dumps(JWKS).encode()] + [
        secret
        for key in OP_KEYS
        for secret in (
            key.public.public_bytes(serialization.Encoding.PEM, info),
            key.public.public_bytes(serialization.Encoding.DER, info),
            json.dumps(key.jwk()).encode(),
        )
    ]


SECRETS = _secrets()


def claims_if_signed(case: bytes) -> tuple[str, Mapping[str, object]]:
    """Algorithm and claims of a token that was accepted, read and verified once more.

    Raises:
        Finding: it should not have been accepted.
    """
    require(len(case) <= MAX_JWT_CHARS, "longer than any token may be")
    parts = case.split(b".")
    require(len(parts) == 3, "not three segments")
    try:
        header, claims = (read_again(decoded(part)) for part in parts[:2])
    except ValueError:
        raise Finding("header or claims are no JSON") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Finding("header or claims are no objects")
    require(not {"crit", "b64"} & header.keys(), "an extension that is not understood")
    alg = header.get("alg")
    require(isinstance(alg, str) and alg in ALGS, f"algorithm {alg!r}")
    kid = header.get("kid")
    keys = [key for key in OP_KEYS if key.alg == alg and kid in {None, key.kid}]
    require(len(keys) == 1, "no key, or no single key, of that name and kind")
    signing_input, _, _ = case.rpartition(b".")
    require(is_signature(keys[0].public, signing_input, decoded(parts[2])), "a forged signature")
    return keys[0].alg, claims


def decoded(segment: bytes) -> bytes:
    return urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))


def is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
