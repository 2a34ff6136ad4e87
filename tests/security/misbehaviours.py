"""What an OP may do wrong, where, and what the browser must then be told: status and stable code.

Each entry changes a scripted OP. An answer of the token endpoint that is in order but for its ID
token is made by `id_token`, and so on: everything else is as it should be.
"""

import gzip
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.parts.scripted_op import (
    CLIENT_ID,
    Answer,
    ScriptedOp,
    SigningKey,
    at_hash,
    b64json,
    b64url,
    signing_key,
)

Change = Callable[[ScriptedOp], object]
OTHER = "https://other.example"
WELCOME = (302, "")
ID_TOKEN = (502, "id_token_invalid")
MALFORMED = (503, "op_answer_malformed")
UNAVAILABLE = (503, "op_unavailable")
METADATA = (503, "op_metadata_refused")


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    change: Change
    expected: tuple[int, str]


def metadata(**changes: object) -> Change:
    return lambda op: op.metadata_changes.update(changes)


def answer(endpoint: str, given: Answer) -> Change:
    return lambda op: op.answers.update({endpoint: given})


def id_token(**changes: object) -> Change:
    return lambda op: op.id_token_changes.update(changes)


def made(make: Callable[[ScriptedOp], str]) -> Change:
    """The whole ID token is `make`'s, at the time of the answer."""
    return lambda op: op.answers.update(
        token=lambda _: answered(op, id_token=make(op)),
    )


def token(**changes: object) -> Change:
    return lambda op: op.token_changes.update(changes)


def keys(*published: SigningKey, **members: object) -> Change:
    """A key set of these keys, with these members changed; the first of them signs nothing."""
    document = {"keys": [key.jwk(**members) for key in published]}
    return answer("jwks", Answer(document))


def answered(op: ScriptedOp, **changes: object) -> Answer:
    usual = op.token_answer()
    assert isinstance(usual.body, dict)
    return replace(usual, body={**usual.body, **changes})


def later(name: str, seconds: int) -> Change:
    """A time of the ID token, from now."""
    return lambda op: op.id_token_changes.update({name: int(op.clock.now()) + seconds})


def claims(op: ScriptedOp, **changes: object) -> dict[str, object]:
    now = int(op.clock.now())
    usual = {"iss": op.issuer, "sub": op.sub, "aud": CLIENT_ID, "nonce": op.nonce}
    return {**usual, "iat": now, "exp": now + 300, **changes}


# --- answers that are none, of any endpoint

HTML = Answer(b"<html>maintenance</html>", headers={"Content-Type": "text/html"})
NO_ANSWERS = {
    "oversized": (Answer(b'{"x":"' + b"a" * (2 << 20) + b'"}'), MALFORMED),
    "slow": (Answer(hang=True), UNAVAILABLE),
    "truncated": (Answer(b'{"issuer":', truncate=True), UNAVAILABLE),
    "dropped": (Answer(drop=True), UNAVAILABLE),
    "compressed bomb": (
        Answer(gzip.compress(b" " * (40 << 20)), headers={"Content-Encoding": "gzip"}),
        MALFORMED,
    ),
    "redirecting": (Answer(status=302, headers={"Location": "http://169.254.169.254/"}), MALFORMED),
    "redirecting with the body": (Answer(status=307, headers={"Location": OTHER}), MALFORMED),
    "html": (HTML, MALFORMED),
    "not utf-8": (Answer(b'{"access_token":"\xff\xfe"}'), MALFORMED),
    "utf-16": (Answer('{"a":1}'.encode("utf-16")), MALFORMED),
    "empty": (Answer(b""), MALFORMED),
    "an array": (Answer([]), MALFORMED),
    "null": (Answer(b"null"), MALFORMED),
    "deep": (Answer(b"[" * 100_000 + b"]" * 100_000), MALFORMED),
    "repeating names": (Answer(b'{"a":1,"a":2}'), MALFORMED),
    "nothing, with 204": (Answer(status=204), MALFORMED),
    "500": (Answer(status=500), UNAVAILABLE),
    "429": (Answer(status=429, headers={"Retry-After": "7"}), UNAVAILABLE),
}

DISCOVERY = {
    "issuer of another": Misbehaviour(metadata(issuer=OTHER), METADATA),
    "issuer with a slash": Misbehaviour(
        lambda op: op.metadata_changes.update(issuer=op.issuer + "/"), METADATA
    ),
    "issuer in capitals": Misbehaviour(
        lambda op: op.metadata_changes.update(issuer=op.issuer.upper()), METADATA
    ),
    "no issuer": Misbehaviour(metadata(issuer=None), METADATA),
    "issuer in a list": Misbehaviour(
        lambda op: op.metadata_changes.update(issuer=[op.issuer]), METADATA
    ),
    "token endpoint in clear": Misbehaviour(
        metadata(token_endpoint="http://other.example/token"), METADATA
    ),
    "keys in clear": Misbehaviour(metadata(jwks_uri="http://other.example/jwks"), METADATA),
    "authorization endpoint that is a script": Misbehaviour(
        metadata(authorization_endpoint="javascript:alert(1)"), METADATA
    ),
    "no token endpoint": Misbehaviour(metadata(token_endpoint=None), METADATA),
    "plain PKCE only": Misbehaviour(metadata(code_challenge_methods_supported=["plain"]), METADATA),
    **{
        name: Misbehaviour(answer("discovery", given), expected)
        for name, (given, expected) in NO_ANSWERS.items()
    },
}

# --- the ID token


def of_another_key(op: ScriptedOp) -> str:
    """With the right `kid` and a signature by another key."""
    return signing_key(number=2).sign(claims(op))


def without_signature(op: ScriptedOp) -> str:
    return op.id_token().rpartition(".")[0] + "."


def cut_before_the_signature(op: ScriptedOp) -> str:
    return op.id_token().rpartition(".")[0]


def altered(op: ScriptedOp) -> str:
    header, _, signature = op.id_token().split(".")
    return f"{header}.{b64json(claims(op, sub='root'))}.{signature}"


def of_alg(alg: str, **changes: object) -> Callable[[ScriptedOp], str]:
    def make(op: ScriptedOp) -> str:
        return f"{b64json({'alg': alg, 'kid': 'k1'})}.{b64json(claims(op, **changes))}."

    return make


def symmetric(secret_of: Callable[[ScriptedOp], bytes]) -> Callable[[ScriptedOp], str]:
    """HMAC, whose secret an attacker may have (RFC 8725 section 2.1)."""

    def make(op: ScriptedOp) -> str:
        signed = f"{b64json({'alg': 'HS256', 'kid': 'k1'})}.{b64json(claims(op))}"
        return f"{signed}.{b64url(hmac.digest(secret_of(op), signed.encode(), 'sha256'))}"

    return make


def with_its_own_key(op: ScriptedOp) -> str:
    key = signing_key(number=2)
    return key.sign(claims(op), jwk=key.jwk(), kid="mine")


def of_type(typ: str) -> Callable[[ScriptedOp], str]:
    return lambda op: op.keys[0].sign(claims(op), typ=typ)


SIGNATURES: dict[str, Callable[[ScriptedOp], str]] = {
    "by another key": of_another_key,
    "missing": without_signature,
    "cut off": cut_before_the_signature,
    "of another payload": altered,
    "none": of_alg("none"),
    "None": of_alg("None"),
    "empty alg": of_alg(""),
    "symmetric, with the client secret": symmetric(lambda _: b"s3cret-of-the-gateway"),
    "symmetric, with the public key": symmetric(lambda op: op.keys[0].key.as_pem(private=False)),
    "symmetric, with the JWK": symmetric(lambda op: json.dumps(op.keys[0].jwk()).encode()),
    "symmetric, with nothing": symmetric(lambda _: b"\0"),
    "by a key in its header": with_its_own_key,
    "of an access token": of_type("at+jwt"),
    "of a logout token": of_type("logout+jwt"),
    "critical extension": lambda op: op.keys[0].sign(claims(op), crit=["x"], x=1),
    "five parts": lambda op: op.id_token() + ".a.b",
    "not base64": lambda op: op.id_token()[:-4] + "!!!!",
}

AUDIENCES: dict[str, object] = {
    "of another": "other-client",
    "missing": None,
    "empty": [],
    "several": [CLIENT_ID, "other-client"],
    "nested": [[CLIENT_ID]],
    "a beginning": CLIENT_ID + "-other",
    "an object": {CLIENT_ID: True},
}

LOGIN_ID_TOKEN = {
    **{f"signature {name}": Misbehaviour(made(of), ID_TOKEN) for name, of in SIGNATURES.items()},
    **{f"aud {name}": Misbehaviour(id_token(aud=v), ID_TOKEN) for name, v in AUDIENCES.items()},
    "aud in a list": Misbehaviour(id_token(aud=[CLIENT_ID]), WELCOME),
    "aud of another, azp ours": Misbehaviour(id_token(aud="x", azp=CLIENT_ID), ID_TOKEN),
    "aud several, azp ours": Misbehaviour(id_token(aud=[CLIENT_ID, "x"], azp=CLIENT_ID), ID_TOKEN),
    "azp of another": Misbehaviour(id_token(azp="other-client"), ID_TOKEN),
    "azp empty": Misbehaviour(id_token(azp=""), ID_TOKEN),
    "iss of another": Misbehaviour(id_token(iss=OTHER), ID_TOKEN),
    "iss missing": Misbehaviour(id_token(iss=None), ID_TOKEN),
    "iss with a slash": Misbehaviour(lambda op: id_token(iss=op.issuer + "/")(op), ID_TOKEN),
    "iat missing": Misbehaviour(id_token(iat=None), ID_TOKEN),
    "iat in the future": Misbehaviour(later("iat", 600), ID_TOKEN),
    "iat a little in the future": Misbehaviour(later("iat", 20), WELCOME),
    "iat of yesterday": Misbehaviour(later("iat", -86_400), ID_TOKEN),
    "iat a string": Misbehaviour(id_token(iat="now"), ID_TOKEN),
    "exp missing": Misbehaviour(id_token(exp=None), ID_TOKEN),
    "expired": Misbehaviour(later("exp", -31), ID_TOKEN),
    "expired a moment ago": Misbehaviour(later("exp", -20), WELCOME),
    "exp a string": Misbehaviour(id_token(exp="1e99"), ID_TOKEN),
    "exp beyond numbers": Misbehaviour(id_token(exp=float("inf")), ID_TOKEN),
    "nbf in the future": Misbehaviour(later("nbf", 600), ID_TOKEN),
    "nonce wrong": Misbehaviour(id_token(nonce="of-another-login"), ID_TOKEN),
    "nonce missing": Misbehaviour(id_token(nonce=None), ID_TOKEN),
    "nonce in a list": Misbehaviour(
        made(lambda op: op.id_token(nonce=[op.nonce])), ID_TOKEN
    ),
    "at_hash wrong": Misbehaviour(id_token(at_hash=at_hash("another")), ID_TOKEN),
    "at_hash right": Misbehaviour(id_token(at_hash=at_hash("at-1")), WELCOME),
    "at_hash a number": Misbehaviour(id_token(at_hash=7), ID_TOKEN),
    "sub missing": Misbehaviour(id_token(sub=None), ID_TOKEN),
    "sub empty": Misbehaviour(id_token(sub=""), ID_TOKEN),
    "sub a number": Misbehaviour(id_token(sub=7), ID_TOKEN),
    "sub too long": Misbehaviour(id_token(sub="a" * 256), ID_TOKEN),
    "sub not ASCII": Misbehaviour(id_token(sub="\u0430lice"), ID_TOKEN),
    "events": Misbehaviour(id_token(events={}), ID_TOKEN),
}  # fmt: skip

# --- the keys. `k1` signs, unless said otherwise.

ONE, TWO = signing_key(), signing_key(number=2)
UNNAMED = signing_key(kid=None)


def signed_with(key: SigningKey, *published: SigningKey) -> Change:
    def change(op: ScriptedOp) -> None:
        op.keys = [key]
        keys(*published)(op)

    return change


def rotated(kid: str) -> Change:
    """A new key is published and used after ours was fetched."""

    def change(op: ScriptedOp) -> None:
        new = signing_key(kid=kid, number=2)
        op.answers["jwks"] = [Answer({"keys": [ONE.jwk()]}), Answer({"keys": [new.jwk()]})]
        op.keys = [new]

    return change


KEYS = {
    "unknown": Misbehaviour(signed_with(signing_key(kid="k9", number=2), ONE), ID_TOKEN),
    "rotated": Misbehaviour(rotated("k2"), WELCOME),
    "rotated under the old name": Misbehaviour(rotated("k1"), WELCOME),
    "two of one name": Misbehaviour(signed_with(ONE, TWO, ONE), ID_TOKEN),
    "two of one name, of two types": Misbehaviour(
        signed_with(ONE, signing_key("ES256"), ONE), WELCOME
    ),
    "without a name among others": Misbehaviour(
        signed_with(UNNAMED, signing_key("ES256", "es"), UNNAMED), WELCOME
    ),
    "for encryption": Misbehaviour(keys(ONE, use="enc"), MALFORMED),
    "for another algorithm": Misbehaviour(keys(ONE, alg="PS256"), ID_TOKEN),
    "no keys at all": Misbehaviour(answer("jwks", Answer({"keys": []})), MALFORMED),
    "a secret among them": Misbehaviour(
        answer("jwks", Answer({"keys": [{"kty": "oct", "k": "AA", "kid": "k1"}]})), MALFORMED
    ),
    "a thousand": Misbehaviour(
        answer("jwks", Answer({"keys": [ONE.jwk(kid=f"k{n}") for n in range(2, 1002)]})), MALFORMED
    ),
    **{
        name: Misbehaviour(answer("jwks", given), expected)
        for name, (given, expected) in NO_ANSWERS.items()
    },
}

# --- the token endpoint

TOKEN = {
    "code used before": Misbehaviour(
        answer("token", Answer({"error": "invalid_grant"}, status=400)), (400, "code_rejected")
    ),
    "client not known": Misbehaviour(
        answer("token", Answer({"error": "invalid_client"}, status=401)),
        (503, "op_client_rejected"),
    ),
    "error text with markup": Misbehaviour(
        answer("token", Answer({"error": "<script>alert(1)</script>"}, status=400)), MALFORMED
    ),
    "no access token": Misbehaviour(token(access_token=None), MALFORMED),
    "access token empty": Misbehaviour(token(access_token=""), MALFORMED),
    "access token with a space": Misbehaviour(token(access_token="a b"), MALFORMED),
    "access token with a line": Misbehaviour(token(access_token="a\r\nX-Admin: 1"), MALFORMED),
    "access token with a control": Misbehaviour(token(access_token="a\x00b"), MALFORMED),
    "access token not ASCII": Misbehaviour(token(access_token="t\u00f6ken"), MALFORMED),
    "access token a number": Misbehaviour(token(access_token=7), MALFORMED),
    "access token of 16 KB": Misbehaviour(token(access_token="a" * 16_384), WELCOME),
    "access token of 80 KB": Misbehaviour(token(access_token="a" * 81_920), MALFORMED),
    "refresh token with a space": Misbehaviour(token(refresh_token="a b"), WELCOME),
    "refresh token with a control": Misbehaviour(token(refresh_token="a\x00b"), MALFORMED),
    "ID token with a space": Misbehaviour(token(id_token="a b"), MALFORMED),
    "refresh token of 16 KB": Misbehaviour(token(refresh_token="r" * 16_384), WELCOME),
    "no refresh token": Misbehaviour(token(refresh_token=None), WELCOME),
    "no ID token": Misbehaviour(token(id_token=None), ID_TOKEN),
    "no token type": Misbehaviour(token(token_type=None), MALFORMED),
    "token type mac": Misbehaviour(token(token_type="mac"), MALFORMED),
    "token type DPoP": Misbehaviour(token(token_type="DPoP"), MALFORMED),
    "token type in capitals": Misbehaviour(token(token_type="BEARER"), WELCOME),
    "with unknown members": Misbehaviour(token(extra={"a": [1]}, scope=7), WELCOME),
    **{
        name: Misbehaviour(answer("token", given), expected)
        for name, (given, expected) in NO_ANSWERS.items()
    },
}

# Of a refresh. The refresh token is the next one, `rt-2`, unless it is what is wrong.
REFRESH = {
    "access token with a control": Misbehaviour(token(access_token="a\x00b"), MALFORMED),
    "access token missing": Misbehaviour(token(access_token=None), MALFORMED),
    "token type DPoP": Misbehaviour(token(token_type="DPoP"), MALFORMED),
    "refresh token with a space": Misbehaviour(token(refresh_token=" a b "), (200, "")),
    "ID token signed by another key": Misbehaviour(made(of_another_key), (200, "")),
    "ID token not signed": Misbehaviour(made(of_alg("none")), (200, "")),
    "ID token encrypted": Misbehaviour(made(lambda op: op.id_token() + ".a.b"), (200, "")),
    "ID token with a space": Misbehaviour(token(id_token="a b"), (200, "")),
    "ID token a number": Misbehaviour(token(id_token=7), (200, "")),
    "ID token with an odd sid": Misbehaviour(id_token(sid=7), (200, "")),
    "keys that can not be had": Misbehaviour(
        lambda op: (signed_with(TWO)(op), answer("jwks", Answer(status=500))(op)), (200, "")
    ),
    "answered with 201": Misbehaviour(
        lambda op: op.answers.update(token=lambda _: replace(op.token_answer(), status=201)),
        MALFORMED,
    ),
}

# What OPs answer to a refresh token that is no longer good.
REFUSALS = {
    "the specification": Answer({"error": "invalid_grant"}, status=400),
    "Dex": Answer({"error": "invalid_request"}, status=400),
    "Hydra": Answer({"error": "token_inactive"}, status=401),
    "glewlwyd": Answer(b"", status=400),
    "Auth0": Answer({"error": "unauthorized"}, status=403),
    "text": Answer(b"unknown refresh token", status=400),
}

# `expires_in` -> seconds the access token is taken to live.
LIFETIMES = {
    "a number": (60, 60),
    "a string": ("60", 60),
    "a float": (60.9, 60),
    "a float in a string": ("60.5", 60),
    "negative": (-60, 300),
    "nothing": (0, 300),
    "absent": (None, 300),
    "huge": (1e30, 30 * 86_400),
    "an integer of thirty digits": (10**30, 30 * 86_400),
    "words": ("soon", 300),
    "true": (True, 300),
    "a list": ([60], 300),
    "a negative string": ("-60", 300),
}

# --- UserInfo, with `userinfo = true`

USERINFO = {
    "sub of another": Misbehaviour(answer("userinfo", Answer({"sub": "bob"})), ID_TOKEN),
    "no sub": Misbehaviour(answer("userinfo", Answer({"email": "a@b"})), ID_TOKEN),
    "sub in a list": Misbehaviour(answer("userinfo", Answer({"sub": ["alice"]})), ID_TOKEN),
    "a JWT that is none": Misbehaviour(
        answer("userinfo", Answer(b"eyJ.eyJ.x", headers={"Content-Type": "application/jwt"})),
        ID_TOKEN,
    ),
    "refused to this token": Misbehaviour(
        answer("userinfo", Answer({"error": "insufficient_scope"}, status=403)), WELCOME
    ),
    **{
        name: Misbehaviour(answer("userinfo", given), expected)
        for name, (given, expected) in NO_ANSWERS.items()
    },
}
