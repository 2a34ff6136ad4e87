"""Logout tokens: what is accepted was signed by the OP, says that it is one, and names a user or a
session.

The list is that of Back-Channel Logout section 2.6, written down once more.
"""

from collections.abc import Callable, Mapping
from random import Random

from bff.errors import LogoutTokenInvalid
from bff.oidc.jwt.id_token import IdTokenRules
from bff.oidc.jwt.logout_token import (
    LOGOUT_EVENT,
    LOGOUT_TOKEN_TYP,
    MAX_AGE_SECONDS,
    LogoutNotice,
    LogoutTokenRules,
    verify_logout_claims,
)
from bff.oidc.jwt.signed_jwt import JwtRefused
from tests.fuzz.json_mutation import HUGE, digits, many_members, read_again
from tests.fuzz.jwts import ALGS, OP_KEYS, a_jwt, claims_if_signed, decoded, is_time, verified
from tests.fuzz.target import require

NOW = 1_700_000_000.0
T = int(NOW)
LEEWAY_SECONDS = 30
ISSUER, CLIENT = "https://op.example", "spa"
RULES = LogoutTokenRules(IdTokenRules(ISSUER, CLIENT, ALGS, frozenset({"project"}), LEEWAY_SECONDS))
CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "aud": CLIENT,
    "iat": T,
    "exp": T + 120,
    "jti": "j1",
    "events": {LOGOUT_EVENT: {}},
    "sub": "alice",
    "sid": "s1",
}
RARE: tuple[dict[str, object], ...] = (
    {}, {}, {}, {"aud": [CLIENT]}, {"aud": [CLIENT, "project"]}, {"nonce": "n"}, {"nonce": None},
    {"nbf": T}, {"events": {LOGOUT_EVENT: {}, "https://other.example": {}}}, {"events": {}},
    {"aud": [CLIENT, "other"]}, {"sid": None}, {"sub": None},
)  # fmt: skip
WORDS: tuple[object, ...] = (
    T, T - 29, T - 30, T - 31, T + 29, T + 31, T - 300, T - 329, T - 330, T - 331, T + 0.5, HUGE,
    ISSUER, ISSUER + "/", CLIENT, "alice", "eve", [CLIENT], ["other"], "a" * 255, "a" * 256,
    {LOGOUT_EVENT: {}}, {LOGOUT_EVENT: []}, [LOGOUT_EVENT], LOGOUT_EVENT,
    {LOGOUT_EVENT.upper(): {}},
)  # fmt: skip

Subject = Callable[[str], LogoutNotice]


def log_out(text: str) -> LogoutNotice:
    """What becomes of a logout token with a known key."""
    jwt = verified(text, algs=RULES.common.algs, accept_typ=LOGOUT_TOKEN_TYP)
    return verify_logout_claims(jwt.claims, RULES, NOW)


class LogoutTokenTarget:
    """The subject says whose sessions are over, or raises."""

    name = "logout-token"

    def __init__(self, subject: Subject = log_out) -> None:
        self._subject = subject

    def case(self, random: Random) -> bytes:
        typ = "logout+jwt" if random.random() < 0.6 else random.choice(("JWT", "at+jwt"))
        return a_jwt(random, {**CLAIMS, **random.choice(RARE)}, WORDS, typ)

    def judge(self, case: bytes) -> bool:
        try:
            notice = self._subject(case.decode("latin-1"))
        except (JwtRefused, LogoutTokenInvalid) as error:
            require(error.check.replace("_", "").isalpha(), "a check without a plain name")
            return False
        _, claims = claims_if_signed(case)
        _require_type(case)
        _judge_claims(claims)
        require(notice.issuer == ISSUER, "another issuer")
        require((notice.sub, notice.sid) == (claims.get("sub"), claims.get("sid")), "another user")
        require(notice.jti == claims["jti"], "another jti")
        # Replay: as long as the token is accepted, its jti must be remembered.
        require(NOW < notice.expires_at <= NOW + MAX_AGE_SECONDS + 2 * LEEWAY_SECONDS, "no end")
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        def signed(payload: bytes) -> bytes:
            return OP_KEYS[0].sign(payload, typ="logout+jwt")

        return {
            "dots": lambda size: b"." * size,
            "digits": lambda size: signed(digits(size)),
            "members": lambda size: signed(many_members(size)),
        }


def _require_type(case: bytes) -> None:
    header = read_again(decoded(case.partition(b".")[0]))
    typ = header.get("typ") if isinstance(header, dict) else 7
    plain = typ.lower().removeprefix("application/") if isinstance(typ, str) else typ
    require(plain in {"logout+jwt", "jwt", None}, "typed as something else")


def _judge_claims(claims: Mapping[str, object]) -> None:
    require("nonce" not in claims, "an ID token")
    require(claims.get("iss") == ISSUER, "another issuer")
    aud = claims.get("aud")
    audiences = aud if isinstance(aud, list) else [aud]
    require(CLIENT in audiences, "not for us")
    require(all(one in (CLIENT, "project") for one in audiences), "for others that are not trusted")
    events = claims.get("events")
    event = events.get(LOGOUT_EVENT) if isinstance(events, dict) else None
    require(isinstance(event, dict), "not about a logout")
    require("sub" in claims or "sid" in claims, "about no user")
    for name in ("sub", "sid"):
        value = claims.get(name, "x")
        fits = isinstance(value, str) and 0 < len(value) <= 255
        require(fits and str(value).isascii() and str(value).isprintable(), f"an odd {name}")
    jti = claims.get("jti")
    require(isinstance(jti, str) and jti != "", "no jti")
    exp, iat, nbf = claims.get("exp"), claims.get("iat"), claims.get("nbf", T)
    require(is_time(exp) and is_time(iat) and is_time(nbf), "times that are none")
    if isinstance(exp, int | float) and isinstance(iat, int | float):
        require(exp > NOW - LEEWAY_SECONDS, "expired")
        require(iat <= NOW + LEEWAY_SECONDS, "issued in the future")
        require(iat > NOW - MAX_AGE_SECONDS - LEEWAY_SECONDS, "issued long ago")
    if isinstance(nbf, int | float):
        require(nbf <= NOW + LEEWAY_SECONDS, "not valid yet")
