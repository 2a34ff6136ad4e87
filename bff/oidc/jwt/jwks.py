"""The OP's public keys (RFC 7517): which of them can verify, and which one fits a signature.

Only the public members are imported, so that a private or symmetric key published by mistake is
never held, and no certificate or URL in a key is looked at.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey
from joserfc.util import base64_to_int

from bff.errors import OpAnswerMalformed
from bff.oidc.provider.issuers import TENANT_CLAIM, TrustedIssuers

MAX_KEYS = 100
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MAX_RSA_EXPONENT_BITS = 32

# Every algorithm that may ever be configured. `none` and HMAC have no place here: RFC 8725 sections
# 3.1 and 3.2.
SigningAlg = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
]
# The type of key each needs, and its curve.
KEY_OF_ALG: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
}
_PUBLIC_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}


def require_signing_algs(algs: Collection[str]) -> Collection[str]:
    """At least one, and all known. Raises: ValueError, with the rest of a sentence about them."""
    if not algs or not KEY_OF_ALG.keys() >= set(algs):
        raise ValueError(f"must be some of {', '.join(KEY_OF_ALG)}")
    return algs


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One key that may verify signatures. `alg` and `issuer` are None when the OP does not bind it
    to one."""

    kid: str | None
    kty: str
    crv: str | None
    alg: str | None
    material: RSAKey | ECKey | OKPKey = field(repr=False, compare=False)
    issuer: str | None = None

    def fits(self, alg: str) -> bool:
        return (self.kty, self.crv) == KEY_OF_ALG[alg] and self.alg in {None, alg}

    def is_for_issuer_of(self, claims: Mapping[str, object]) -> bool:
        """Whether it may sign these. Entra ID publishes keys of several issuers together, and says
        with each whose it is."""
        if self.issuer is None:
            return True
        of_key = TrustedIssuers(self.issuer, any_tenant=True)
        if TENANT_CLAIM in claims:  # a logout token need not name its tenant a second time
            return of_key.why_not_of_user(claims) is None
        return of_key.includes(claims.get("iss"))


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """The usable keys of one JWK Set."""

    keys: tuple[ProviderKey, ...]

    def candidates(self, alg: str, kid: str | None) -> tuple[ProviderKey, ...]:
        """The keys that may have made a signature: by `kid` if it has one, always by type, use
        and algorithm (OIDC Core section 10.1)."""
        fitting = (key for key in self.keys if key.fits(alg))
        return tuple(key for key in fitting if kid is None or key.kid == kid)


def process_jwks(status: int, document: object) -> ProviderKeys:
    """Judge the answer of `jwks_uri`. Keys we cannot use are left out (RFC 7517 section 5).

    Raises:
        OpAnswerMalformed: not a 200 with a JWK Set, too many keys, or none that can verify.
    """
    if status != 200 or not isinstance(document, dict):
        raise OpAnswerMalformed(f"jwks: status {status} or not a JSON object")
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise OpAnswerMalformed(f"jwks: no list of at most {MAX_KEYS} keys")
    keys = tuple(key for entry in entries if (key := _usable(entry)) is not None)
    if not keys:
        raise OpAnswerMalformed("jwks: no key that can verify a signature")
    return ProviderKeys(keys)


def _usable(entry: object) -> ProviderKey | None:
    if not isinstance(entry, dict):
        return None
    kty, *others = (entry.get(name) for name in ("kty", "kid", "crv", "alg", "issuer"))
    if not isinstance(kty, str) or not all(isinstance(value, str | None) for value in others):
        return None
    kid, crv, alg, issuer = others
    if (kty, crv) not in KEY_OF_ALG.values() or not _may_verify(entry):
        return None
    material = _material(kty, {name: entry.get(name) for name in _PUBLIC_MEMBERS[kty]})
    return None if material is None else ProviderKey(kid, kty, crv, alg, material, issuer)


def _may_verify(entry: Mapping[str, object]) -> bool:
    """RFC 7517 sections 4.2 and 4.3: `use` and `key_ops`, where given, must allow it."""
    use, operations = entry.get("use", "sig"), entry.get("key_ops", ["verify"])
    return use == "sig" and isinstance(operations, list) and "verify" in operations


def _material(kty: str, public: dict[str, object]) -> RSAKey | ECKey | OKPKey | None:
    members = {name: value for name, value in public.items() if isinstance(value, str)}
    try:
        if kty == "RSA" and not _is_sound_rsa(members["n"], members["e"]):
            return None
        key = JWKRegistry.import_key({"kty": kty, **members})
    except (JoseError, ValueError, KeyError):  # KeyError: a member that is missing or no text
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None


def _is_sound_rsa(n: str, e: str) -> bool:
    """Strong enough, and not so large that verifying becomes a way to keep us busy."""
    return (
        MIN_RSA_BITS <= base64_to_int(n).bit_length() <= MAX_RSA_BITS
        and base64_to_int(e).bit_length() <= MAX_RSA_EXPONENT_BITS
    )
