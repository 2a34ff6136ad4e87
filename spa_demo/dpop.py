"""DPoP proofs as the demo's OP and API judge them: RFC 9449 section 4.3, check by check.

Each proof serves once. A server may want nonces of its own in them; it offers a new one with every
answer, and takes those that it has offered lately (sections 8 and 9).
"""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey
from joserfc.jws import JWSRegistry

from bff.bounded_map import BoundedMap
from bff.clock import Clock

ALGORITHMS = ["ES256", "EdDSA", "Ed25519"]
FIELD, NONCE_FIELD = "DPoP", "DPoP-Nonce"
LIFE_SECONDS = 60
LEEWAY_SECONDS = 10
MOST_REMEMBERED = 10_000
MOST_NONCES = 1000


class ProofRefused(Exception):
    """The text names the check, never a value."""


class NonceWanted(ProofRefused):
    """The proof is to be made anew, with a nonce."""


class ProofJudge:
    """Of one server. `wants_nonces`: no proof is taken without one."""

    def __init__(self, clock: Clock, *, wants_nonces: bool = False) -> None:
        self._clock = clock
        self._wants_nonces = wants_nonces
        self._seen: BoundedMap[tuple[str, str], None] = BoundedMap(MOST_REMEMBERED)
        self._nonces: BoundedMap[str, None] = BoundedMap(MOST_NONCES)

    def headers(self) -> dict[str, str]:
        """What every answer offers for the next proof."""
        if not self._wants_nonces:
            return {}
        nonce = secrets.token_urlsafe(16)
        self._nonces[nonce] = None
        return {NONCE_FIELD: nonce}

    def thumbprint(
        self, proofs: Sequence[str], method: str, url: str, access_token: str | None = None
    ) -> str:
        """The key that the request was made with (RFC 7638). `proofs` are the values of all its
        fields of this name, `url` has neither query nor fragment.

        Raises:
            NonceWanted, ProofRefused.
        """
        if len(proofs) != 1:
            raise ProofRefused("not one proof")
        key, claims = _verified(proofs[0])
        if claims.get("htm") != method:
            raise ProofRefused("htm")
        if claims.get("htu") != url:
            raise ProofRefused("htu")
        issued_at, now = claims.get("iat"), self._clock.now()
        if not isinstance(issued_at, int):
            raise ProofRefused("iat")
        if not now - LIFE_SECONDS <= issued_at <= now + LEEWAY_SECONDS:
            raise ProofRefused("iat")
        if access_token is not None and claims.get("ath") != _hash(access_token):
            raise ProofRefused("ath")
        if self._wants_nonces and claims.get("nonce") not in self._nonces:
            raise NonceWanted("nonce")
        thumbprint, name = key.thumbprint(), claims.get("jti")
        if not isinstance(name, str) or (thumbprint, name) in self._seen:
            raise ProofRefused("jti")
        self._seen[thumbprint, name] = None
        return thumbprint


def _verified(proof: str) -> tuple[ECKey | OKPKey, dict[str, Any]]:
    try:
        parts = jws.extract_compact(proof.encode("ascii"))
        header, claims = parts.headers(), json.loads(parts.payload)
        members = header.get("jwk")
        key = JWKRegistry.import_key(members) if isinstance(members, dict) else None
    except (JoseError, ValueError, KeyError, TypeError):
        raise ProofRefused("form") from None
    alg = header.get("alg")
    if header.get("typ") != "dpop+jwt" or alg not in ALGORITHMS:
        raise ProofRefused("typ or alg")
    if not isinstance(key, ECKey | OKPKey) or key.is_private:
        raise ProofRefused("jwk")
    signed, _, signature = proof.rpartition(".")
    model = JWSRegistry.algorithms[alg]
    try:
        is_good = model.verify(signed.encode(), urlsafe_b64decode(f"{signature}==="), key)
    except (JoseError, ValueError):  # a key of another kind than the algorithm wants
        is_good = False
    if not is_good or not isinstance(claims, dict):
        raise ProofRefused("signature")
    return key, claims


def _hash(access_token: str) -> str:
    digest = sha256(access_token.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
