"""JWK Sets: what is kept of one can verify a signature, and nothing else. A case is a body."""

from collections.abc import Callable, Mapping
from random import Random

from joserfc.jwk import RSAKey

from bff.errors import OpAnswerMalformed
from bff.oidc.jwt.jwks import MAX_KEYS, ProviderKey, ProviderKeys, process_jwks
from bff.oidc.provider.strict_json import JsonRefused, parse_json
from tests.fuzz.json_mutation import changed, deep, many_members, read_again, text_of
from tests.fuzz.jwts import OP_KEYS
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import require
from tests.parts.scripted_op import b64url

PUBLIC = [key.jwk() for key in OP_KEYS]
PRIVATE = {**PUBLIC[0], "d": b64url(b"\1" * 32)}
SYMMETRIC: dict[str, object] = {"kty": "oct", "k": b64url(b"secret" * 6), "kid": "oct"}
ENCRYPTING = {**PUBLIC[2], "use": "enc", "alg": "RSA-OAEP"}
ENTRIES: list[object] = [*PUBLIC, *PUBLIC, PRIVATE, SYMMETRIC, ENCRYPTING, {}, None, "key"]
WORDS: tuple[object, ...] = (
    "RSA", "EC", "OKP", "oct", "P-256", "P-384", "secp256k1", "Ed25519", "X25519", "Ed448", "AQAB",
    "AQ", "", "sig", "enc", ["verify"], ["sign"], "verify", "RS256", "HS256", "none", "ES256",
    "EdDSA", b64url(b"\xff" * 32), b64url(b"\0" * 32), b64url(b"\xff" * 64), b64url(b"\xff" * 128),
    b64url(b"\xff" * 1025), b64url(b"\xff" * 5), "====", "A" * 342, "a+b/", "\u00e4",
)  # fmt: skip
KINDS = {("RSA", None), ("EC", "P-256"), ("EC", "P-384"), ("EC", "P-521"), ("OKP", "Ed25519")}

Subject = Callable[[int, object], ProviderKeys]


class KeySetTarget:
    """The subject judges a status and a document."""

    name = "key-set"

    def __init__(self, subject: Subject = process_jwks) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        if random.random() < 0.03:
            return garbage(random)
        count = random.choice((0, 1, 1, 2, 3, MAX_KEYS + 1)) if random.random() < 0.2 else 1
        entries = [random.choice(ENTRIES) for _ in range(count)]
        value: object = {"keys": entries}
        if random.random() < 0.6:
            value = changed(random, value, WORDS)
        body = text_of(random, value)
        return mutated(random, body) if random.random() < 0.05 else body

    def judge(self, case: bytes) -> bool:
        try:
            keys = self._subject(200, parse_json(case)).keys
        except (JsonRefused, OpAnswerMalformed):
            return False
        document = read_again(case)
        entries = document.get("keys") if isinstance(document, dict) else None
        require(isinstance(entries, list) and 0 < len(keys) <= len(entries) <= MAX_KEYS, "how many")
        for key in keys:
            _judge(key, entries if isinstance(entries, list) else [])
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        return {
            "depth": deep,
            "members": many_members,
            "no keys": lambda size: b'{"keys":[' + b"{}," * (size // 3) + b"{}]}",
            "modulus": lambda size: b'{"keys":[{"kty":"RSA","e":"AQAB","n":"%b"}]}' % (b"_" * size),
            "exponent": lambda size: (
                b'{"keys":[{"kty":"RSA","n":"AQAB","e":"%b"}]}' % (b"_" * size)
            ),
        }


def _judge(key: ProviderKey, entries: list[object]) -> None:
    require((key.kty, key.crv) in KINDS, "a kind that signs nothing we know")
    require(not key.material.is_private, "a private key is kept")
    if isinstance(key.material, RSAKey):
        numbers = key.material.public_key.public_numbers()
        require(2048 <= numbers.n.bit_length() <= 8192, "an RSA key too weak or too large")
        require(numbers.e.bit_length() <= 32, "an RSA exponent that is slow to verify with")
    published = key.material.as_dict(private=False)
    require(not {"d", "k", "p", "q"} & published.keys(), "secret members are kept")
    sources = [entry for entry in entries if isinstance(entry, dict) and _is_of(key, entry)]
    require(bool(sources), "a key that was not published so")
    require(any(_may_verify(entry) for entry in sources), "a key for another use")


def _is_of(key: ProviderKey, entry: Mapping[str, object]) -> bool:
    named = (entry.get("kty"), entry.get("crv"), entry.get("kid"), entry.get("alg"))
    return named == (key.kty, key.crv, key.kid, key.alg)


def _may_verify(entry: Mapping[str, object]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )
