"""The gateway's own keys at an OP: those that sign its client assertions and requests, read from
PEM files, and that of its client certificate (RFC 8705). Each is named by its thumbprint (RFC 7638)
and published without the private half (RFC 7517 section 4).
"""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from bff.oidc.jwt.jwks import KEY_OF_ALG, MIN_RSA_BITS

# In order of preference. FAPI 2.0 section 5.4.1 has PS256, ES256 and EdDSA.
_PREFERRED = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "RS256")
# What an OP that lists no algorithms is most likely to take (OIDC Core section 9).
_WITHOUT_A_LIST = ("ES256", "ES384", "ES512", "EdDSA", "RS256")

_KINDS: Mapping[Literal["RSA", "EC", "OKP"], type] = {
    "RSA": rsa.RSAPrivateKey,
    "EC": ec.EllipticCurvePrivateKey,
    "OKP": ed25519.Ed25519PrivateKey,
}

PrivateKey = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class ClientKey:
    """One private key. `algs` are those that it can sign with, the preferred one first; `public` is
    its JWK as it is published."""

    kid: str
    algs: tuple[str, ...]
    public: Mapping[str, object]
    material: PrivateKey = field(repr=False, compare=False)

    def alg_for(self, listed: Collection[str] | None) -> str | None:
        """The algorithm to sign with, of those that an OP lists; None where it lists none that fits
        the key. Without a list the one that most OPs know."""
        if listed is None:
            return next((alg for alg in self.algs if alg in _WITHOUT_A_LIST), self.algs[0])
        return next((alg for alg in self.algs if alg in listed), None)

    def only(self, algs: Collection[str]) -> "ClientKey":
        """The same key, which signs with these algorithms alone. Raises: ValueError, with the rest
        of a sentence about its file, where none of them fits it."""
        fitting = tuple(alg for alg in self.algs if alg in algs)
        if not fitting:
            raise ValueError(f"holds a key for {', '.join(self.algs)}, none of {', '.join(algs)}")
        return replace(self, algs=fitting)


def client_key(pem: bytes) -> ClientKey:
    """The key in the content of a PEM file.

    Raises:
        ValueError: with the rest of a sentence about the file, never its content.
    """
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("has a passphrase: store the key without one, readable by the "
                         "gateway's user only") from None  # fmt: skip
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no private key in PEM form") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"holds an RSA key of {key.key_size} bits; at least {MIN_RSA_BITS}")
    kty = next((kty for kty, kind in _KINDS.items() if isinstance(key, kind)), None)
    try:
        material = JWKRegistry.import_key(pem, kty) if kty is not None else None
        public = material.as_dict(private=False) if material is not None else {}
    except KeyError:  # a curve that has no name in a JWK
        material, public = None, {}
    shape = (public.get("kty"), public.get("crv"))
    algs = tuple(alg for alg in _PREFERRED if KEY_OF_ALG[alg] == shape)
    if not algs or not isinstance(material, PrivateKey):
        raise ValueError("holds a key that is none of RSA, EC (P-256, P-384, P-521) and Ed25519")
    kid = material.thumbprint()
    return ClientKey(kid, algs, {**public, "kid": kid, "use": "sig"}, material)


def certificate_jwk(cert_file: str) -> Mapping[str, object]:
    """The public key of a certificate with the certificate itself (RFC 7517 section 4.7, RFC 8705
    section 2.2.2).

    Raises:
        ValueError: there is none, or its key is of a kind that has no JWK.
        OSError: it can't be read.
    """
    certificate = _certificate(cert_file)
    key = certificate.public_key()
    kinds = {"RSA": rsa.RSAPublicKey, "EC": ec.EllipticCurvePublicKey,
             "OKP": ed25519.Ed25519PublicKey}  # fmt: skip
    for kty, kind in kinds.items():
        if isinstance(key, kind):
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            try:
                jwk = JWKRegistry.import_key(pem, kty)
                public = {**jwk.as_dict(private=False), "kid": jwk.thumbprint()}
            except KeyError:  # a curve that has no name in a JWK
                break
            return {**public, "x5c": [b64encode(certificate.public_bytes(Encoding.DER)).decode()]}
    raise ValueError("the certificate's key is none of RSA, EC and Ed25519")


def certificate_subject(cert_file: str) -> str:
    """Its distinguished name (RFC 4514), by which an OP knows the client that shows it (RFC 8705
    section 2.1.2). Raises as `certificate_jwk`."""
    return _certificate(cert_file).subject.rfc4514_string()


def certificate_key_bits(cert_file: str) -> int | None:
    """The size of its RSA key; None for a key of another kind. Raises as `certificate_jwk`."""
    try:
        key = _certificate(cert_file).public_key()
    except UnsupportedAlgorithm:  # a curve that is not known
        return None
    return key.key_size if isinstance(key, rsa.RSAPublicKey) else None


def _certificate(cert_file: str) -> x509.Certificate:
    """The first one of a PEM file: that of the client."""
    return x509.load_pem_x509_certificate(Path(cert_file).read_bytes())


def signed_jwt(
    alg: str,
    key: PrivateKey | OctKey,
    kid: str | None,
    claims: Mapping[str, object],
    *,
    typ: str = "JWT",
) -> str:
    """A JWT in the compact form (RFC 7515 section 3.1)."""
    header = {"alg": alg, "typ": typ, **({} if kid is None else {"kid": kid})}
    signing_input = f"{_encoded(header)}.{_encoded(claims)}"
    signature = JWSRegistry.algorithms[alg].sign(signing_input.encode("ascii"), key)
    return f"{signing_input}.{_base64url(signature)}"


def _encoded(members: Mapping[str, object]) -> str:
    return _base64url(json.dumps(members, separators=(",", ":")).encode("ascii"))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
