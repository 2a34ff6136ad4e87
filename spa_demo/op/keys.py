"""The OP's signing keys: RS256, newest signs, all are published and verify.

Never signs with another algorithm and never exports a private part. RFC 7515, RFC 7517.
"""

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

ALGORITHM = "RS256"


class SigningKeys:
    """A key ring with one or more RSA keys."""

    def __init__(self, first: RSAKey | None = None) -> None:
        self._keys = [first or generate_key()]

    def rotate(self) -> None:
        """Sign with a new key from now on; the older ones stay published."""
        self._keys.append(generate_key())

    def jwks(self) -> dict[str, Any]:
        """The public JWK Set."""
        return dict(KeySet([*self._keys]).as_dict(private=False))

    def sign(self, claims: Mapping[str, object], *, typ: str) -> str:
        key = self._keys[-1]
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": typ}
        return jwt.encode(header, dict(claims), key, [ALGORITHM])

    def verify(self, token: str, *, typ: str) -> dict[str, Any] | None:
        """The claims of a token that this ring signed as that type; None for anything else.

        Expiry is the caller's business: an `id_token_hint` may be an old one.
        """
        try:
            decoded = jwt.decode(token, KeySet([*self._keys]), [ALGORITHM])
        except (JoseError, ValueError):
            return None
        return dict(decoded.claims) if decoded.header.get("typ") == typ else None


def generate_key() -> RSAKey:
    """A fresh 2048-bit key whose `kid` is its RFC 7638 thumbprint."""
    return RSAKey.generate_key(2048, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
