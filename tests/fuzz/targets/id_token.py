"""ID tokens of a login: what is accepted was signed by the OP, for us, for this login, just now.

The list is that of OIDC Core section 3.1.3.7, written down once more.
"""

import hashlib
from collections.abc import Callable, Mapping
from random import Random

from bff.errors import IdTokenInvalid
from bff.oidc.jwt.id_token import (
    ID_TOKEN_TYP,
    MAX_LOGIN_AGE_SECONDS,
    EndUser,
    IdTokenRules,
    verify_login_id_token,
)
from bff.oidc.jwt.signed_jwt import JwtRefused
from tests.fuzz.json_mutation import HUGE, deep, digits, many_members
from tests.fuzz.jwts import ALGS, OP_KEYS, a_jwt, claims_if_signed, is_time, verified
from tests.fuzz.target import require
from tests.parts.scripted_op import at_hash, b64url

NOW = 1_700_000_000.0
T = int(NOW)
LEEWAY_SECONDS = 30
ISSUER, CLIENT, NONCE, ACCESS_TOKEN = "https://op.example", "spa", "n-0S6_WzA2Mj", "the-token"
RULES = IdTokenRules(ISSUER, CLIENT, ALGS, frozenset({"project"}), LEEWAY_SECONDS)
CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": CLIENT,
    "exp": T + 300,
    "iat": T,
    "nonce": NONCE,
    "auth_time": T - 5,
    "sid": "s1",
    "acr": "1",
}
RARE: tuple[dict[str, object], ...] = (
    {}, {}, {}, {"aud": [CLIENT]}, {"aud": [CLIENT, "project"], "azp": CLIENT}, {"azp": CLIENT},
    {"aud": [CLIENT, "other"], "azp": CLIENT}, {"at_hash": at_hash(ACCESS_TOKEN)}, {"nbf": T},
    {"events": {}}, {"at_hash": "x"}, {"aud": [CLIENT, "project"]}, {"azp": "other"},
)  # fmt: skip
WORDS: tuple[object, ...] = (
    T, T - 29, T - 30, T - 31, T + 29, T + 30, T + 31, T - 600, T - 630, T - 631, T + 0.5, HUGE,
    ISSUER, ISSUER + "/", ISSUER.upper(), CLIENT, CLIENT + " ", NONCE, NONCE.lower(), "alice",
    "eve", [CLIENT], ["other"], "other", "a" * 255, "a" * 256, 253_402_300_799, 253_402_300_800,
)  # fmt: skip

Subject = Callable[[str], EndUser]


def login(text: str) -> EndUser:
    """What a code exchange does with its ID token."""
    jwt = verified(text, algs=RULES.algs, accept_typ=ID_TOKEN_TYP)
    return verify_login_id_token(jwt, RULES, nonce=NONCE, access_token=ACCESS_TOKEN, now=NOW)


class IdTokenTarget:
    """The subject names the user in a token, or raises."""

    name = "id-token"

    def __init__(self, subject: Subject = login) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        return a_jwt(random, {**CLAIMS, **random.choice(RARE)}, WORDS, "JWT")

    def judge(self, case: bytes) -> bool:
        try:
            user = self._subject(case.decode("latin-1"))
        except (JwtRefused, IdTokenInvalid) as error:
            require(error.check.replace("_", "").isalpha(), "a check without a plain name")
            return False
        alg, claims = claims_if_signed(case)
        _judge_claims(claims)
        _judge_binding(alg, claims)
        named = (user.sub, user.sid, user.acr)
        require(named == tuple(map(claims.get, ("sub", "sid", "acr"))), "another user")
        require("alice" not in repr(user.claims) or "claims" not in repr(user), "claims in repr")
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        def signed(payload: bytes) -> bytes:
            return OP_KEYS[0].sign(payload)

        return {
            "dots": lambda size: b"." * size,
            "header": lambda size: f"{b64url(deep(size))}..".encode(),
            "digits": lambda size: signed(digits(size)),
            "members": lambda size: signed(many_members(size)),
            "audiences": lambda size: signed(b'{"aud":[' + b'"spa",' * (size // 6) + b'"spa"]}'),
        }


def _judge_claims(claims: Mapping[str, object]) -> None:
    require("events" not in claims, "a token about events")
    require(claims.get("iss") == ISSUER, "another issuer")
    aud = claims.get("aud")
    audiences = aud if isinstance(aud, list) else [aud]
    require(CLIENT in audiences, "not for us")
    require(all(one in (CLIENT, "project") for one in audiences), "for others that are not trusted")
    require("project" not in audiences or claims.get("azp") == CLIENT, "for others, without azp")
    require(claims.get("azp") in (None, CLIENT), "another authorized party")
    require(claims.get("nonce") == NONCE, "another nonce")
    sub = claims.get("sub")
    require(isinstance(sub, str) and 0 < len(sub) <= 255, "no subject")
    require(isinstance(sub, str) and sub.isascii() and sub.isprintable(), "an odd subject")
    exp, iat, nbf = claims.get("exp"), claims.get("iat"), claims.get("nbf", T)
    require(is_time(exp) and is_time(iat) and is_time(nbf), "times that are none")
    if isinstance(exp, int | float) and isinstance(iat, int | float):
        require(exp > NOW - LEEWAY_SECONDS, "expired")
        oldest = NOW - MAX_LOGIN_AGE_SECONDS - LEEWAY_SECONDS
        require(oldest <= iat <= NOW + LEEWAY_SECONDS, "issued too early or in the future")
    if isinstance(nbf, int | float):
        require(nbf <= NOW + LEEWAY_SECONDS, "not valid yet")


def _judge_binding(alg: str, claims: Mapping[str, object]) -> None:
    if "at_hash" in claims:
        digest = hashlib.new("sha512" if alg == "EdDSA" else "sha256", ACCESS_TOKEN.encode())
        half = b64url(digest.digest()[: digest.digest_size // 2])
        require(claims["at_hash"] == half, "bound to another access token")
