"""A JWT signed by the OP (RFC 7515, RFC 7519, RFC 8725): read strictly, verified with a pinned
algorithm against the OP's published keys, and how its claims are read (RFC 7519 section 4.1, OIDC
Core section 2). Shared by ID tokens, logout tokens and UserInfo.

The key never comes from the token: `jwk`, `jku`, `x5c` and `x5u` headers are not looked at.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from bff.oidc.jwt.jwks import KEY_OF_ALG, ProviderKeys
from bff.oidc.provider.op_text import quoted
from bff.oidc.provider.strict_json import JsonRefused, parse_json

MAX_JWT_CHARS = 64 * 1024
MAX_IDENTIFIER_CHARS = 255
END_OF_TIME = 253_402_300_799  # 9999-12-31: beyond it a NumericDate is a mistake


class JwtRefused(Exception):
    """A check failed; `check` names it, `detail` says more for the log. Of the token nothing is in
    the text but names of its header."""

    def __init__(self, check: str, detail: str = "") -> None:
        super().__init__(check)
        self.check = check
        self.detail = detail


@dataclass(frozen=True, slots=True)
class UnverifiedJwt:
    """A well-formed JWT of the right type. Its claims may be used to refuse, never to accept."""

    alg: str
    kid: str | None
    claims: Mapping[str, object] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedJwt:
    """A JWT whose signature is the OP's; what it claims is still to be checked."""

    alg: str
    claims: Mapping[str, object] = field(repr=False)


def parse_jwt(
    text: str, *, algs: Collection[str], accept_typ: Collection[str | None]
) -> UnverifiedJwt:
    """Everything that can be refused without cryptography.

    `accept_typ` holds media types in lower case without `application/`; None stands for a header
    without `typ` (RFC 8725 section 3.11).

    Raises:
        JwtRefused: `size`, `shape`, `encoding`, `header`, `crit`, `alg`, `kid`, `typ`, `payload`.
    """
    if len(text) > MAX_JWT_CHARS:
        raise JwtRefused("size")
    segments = text.split(".")
    if len(segments) != 3 or not text.isascii():  # five segments are a JWE
        raise JwtRefused("shape")
    raw_header, raw_payload, signature = (_decoded(segment) for segment in segments)
    header = _json_object(raw_header, "header")
    if "crit" in header or "b64" in header:  # RFC 7515 section 4.1.11: we understand no extension
        raise JwtRefused("crit")
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in algs or alg not in KEY_OF_ALG:
        raise JwtRefused("alg", f"{quoted(alg)} is none of {quoted(sorted(algs))}")
    if not isinstance(kid, str | None):
        raise JwtRefused("kid")
    if _media_type(header.get("typ")) not in accept_typ:
        raise JwtRefused("typ", quoted(header.get("typ")))
    claims = _json_object(raw_payload, "payload")
    signing_input = f"{segments[0]}.{segments[1]}".encode("ascii")
    return UnverifiedJwt(alg, kid, claims, signing_input, signature)


def stated_claims(text: str) -> Mapping[str, object] | None:
    """What a JWT says that may be of any type and algorithm; None when that cannot be read. To
    refuse by, never to accept."""
    segments = text.split(".") if len(text) <= MAX_JWT_CHARS and text.isascii() else []
    try:
        return _json_object(_decoded(segments[1]), "payload") if len(segments) == 3 else None
    except JwtRefused:
        return None


def verify_signature(jwt: UnverifiedJwt, keys: ProviderKeys) -> VerifiedJwt:
    """The claims as signed by the OP.

    Raises:
        JwtRefused: `key_unknown`, `key_issuer`, `key_ambiguous` or `signature`.
    """
    of_any_issuer = keys.candidates(jwt.alg, jwt.kid)
    if not of_any_issuer:
        raise JwtRefused("key_unknown", f"kid {quoted(jwt.kid)}, alg {jwt.alg}")
    candidates = [key for key in of_any_issuer if key.is_for_issuer_of(jwt.claims)]
    if not candidates:
        raise JwtRefused("key_issuer", f"kid {quoted(jwt.kid)} is a key of another issuer")
    if len(candidates) > 1:  # OIDC Core section 10.1: then a kid is required
        raise JwtRefused("key_ambiguous", f"kid {quoted(jwt.kid)}, alg {jwt.alg}")
    algorithm = JWSRegistry.algorithms[jwt.alg]
    try:
        held = algorithm.verify(jwt.signing_input, jwt.signature, candidates[0].material)
    except (JoseError, ValueError):
        held = False
    if not held:
        raise JwtRefused("signature", f"kid {quoted(jwt.kid)}, alg {jwt.alg}")
    return VerifiedJwt(jwt.alg, jwt.claims)


def _decoded(segment: str) -> bytes:
    try:
        return urlsafe_b64decode(segment.encode("ascii"))
    except ValueError:
        raise JwtRefused("encoding") from None


def _json_object(data: bytes, check: str) -> dict[str, object]:
    try:
        value = parse_json(data)
    except JsonRefused:
        raise JwtRefused(check) from None
    if not isinstance(value, dict):
        raise JwtRefused(check)
    return value


def _media_type(typ: object) -> str | None:
    """RFC 7515 section 4.1.9: compared without case, `application/` may be left out."""
    if typ is None:
        return None
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else "not text"


def audiences_of(claims: Mapping[str, object]) -> frozenset[str]:
    """One string or a list of strings (RFC 7519 section 4.1.3); anything else counts as none."""
    aud = claims.get("aud")
    entries = aud if isinstance(aud, list) else [aud]
    if not all(isinstance(entry, str) for entry in entries):
        return frozenset()
    return frozenset(str(entry) for entry in entries)


def is_identifier(value: object) -> TypeGuard[str]:
    """OIDC Core section 2: at most 255 ASCII characters, and none of them invisible."""
    return isinstance(value, str) and (
        0 < len(value) <= MAX_IDENTIFIER_CHARS and all(" " <= char <= "~" for char in value)
    )


def time_of(claims: Mapping[str, object], name: str) -> float | None:
    """A NumericDate, or None when the claim is absent or is not one."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= END_OF_TIME else None
