"""Signing keys and signatures that are the same in every run, so that a case comes again, and a
second way to check a signature: by `cryptography` alone."""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from random import Random

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from joserfc.jwk import JWKRegistry

from tests.parts.scripted_op import b64url

P256_BYTES = 32
PRIME_BITS = 1024
WITNESSES = 20
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class FixedKey:
    """The key named `name`. An attacker can make it as well."""

    alg: str
    kid: str
    name: str = "op"

    @property
    def public(self) -> PublicKey:
        return private_key(self.alg, self.name).public_key()

    def jwk(self) -> dict[str, object]:
        """The public JWK."""
        pem = self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        key = JWKRegistry.import_key(pem, {"EdDSA": "OKP", "ES256": "EC"}.get(self.alg, "RSA"))
        named = {"kid": self.kid, "use": "sig", "alg": self.alg}
        return {**key.as_dict(private=False), **named}

    def sign(self, payload: bytes, **header: object) -> bytes:
        """A JWT; `header` adds to the usual one, a None removes."""
        named = {"alg": self.alg, "kid": self.kid, "typ": "JWT", **header}
        members = {name: value for name, value in named.items() if value is not None}
        signing_input = f"{b64url(json.dumps(members).encode())}.{b64url(payload)}".encode()
        signature = _signature(private_key(self.alg, self.name), signing_input)
        return signing_input + b"." + b64url(signature).encode()


@cache
def private_key(alg: str, name: str) -> PrivateKey:
    seed = hashlib.sha256(f"{alg} {name}".encode()).digest()
    if alg == "ES256":
        return ec.derive_private_key(int.from_bytes(seed) >> 1, ec.SECP256R1())
    if alg == "EdDSA":
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return _rsa(Random(seed))  # noqa: S311 - it must come again


def _signature(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    der = key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return b"".join(half.to_bytes(P256_BYTES) for half in decode_dss_signature(der))


def is_signature(key: PublicKey, data: bytes, signature: bytes) -> bool:
    """Whether the key made it (RFC 7518 sections 3.3 and 3.4, RFC 8037 section 3.1)."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            if len(signature) != 2 * P256_BYTES:
                return False
            halves = signature[:P256_BYTES], signature[P256_BYTES:]
            der = encode_dss_signature(*(int.from_bytes(half) for half in halves))
            key.verify(der, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _rsa(random: Random) -> rsa.RSAPrivateKey:
    e = 65_537
    p, q = _prime(random), _prime(random)
    d = pow(e, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(e, p * q)
    return rsa.RSAPrivateNumbers(
        p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public
    ).private_key()


def _prime(random: Random) -> int:
    top = 0b11 << PRIME_BITS - 2
    while True:
        number = random.getrandbits(PRIME_BITS) | top | 1
        if math.gcd(number, _SMALL_PRIMES) == 1 and _is_prime(random, number):
            return number


def _is_prime(random: Random, number: int) -> bool:
    """By Miller and Rabin."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(WITNESSES):
        power = pow(random.randrange(2, number - 1), odd, number)
        if power in {1, number - 1}:
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


_SMALL_PRIMES = math.prod(n for n in range(3, 1000) if all(n % d for d in range(2, n)))
