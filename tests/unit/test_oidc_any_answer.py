"""Whatever well-formed JSON an OP sends, judging it ends in a value or in one of our errors."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from bff.errors import BffError
from bff.model import Tokens
from bff.oidc.jwt.id_token import IdTokenRules, verify_login_id_token
from bff.oidc.jwt.jwks import process_jwks
from bff.oidc.jwt.signed_jwt import JwtRefused, VerifiedJwt, parse_jwt
from bff.oidc.provider.metadata import process_metadata
from bff.oidc.steps.token_endpoint import Grant, process_token_response
from bff.oidc.steps.userinfo import process_userinfo
from tests.parts.scripted_op import b64json, signing_key

ISSUER = "https://op.test"
NOW = 1_700_000_000.0
METADATA: dict[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/a",
    "token_endpoint": f"{ISSUER}/t",
    "jwks_uri": f"{ISSUER}/j",
    "response_types_supported": ["code"],
    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
}
TOKENS: dict[str, object] = {
    "access_token": "at",
    "token_type": "Bearer",
    "expires_in": 60,
    "refresh_token": "rt",
    "refresh_expires_in": 60,
    "scope": "openid",
    "error": "x",
}
CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": "spa",
    "azp": "spa",
    "exp": NOW + 60,
    "iat": NOW,
    "nbf": NOW,
    "nonce": "n",
    "sid": "s",
    "acr": "1",
    "auth_time": NOW,
}
HEADER: dict[str, object] = {"alg": "RS256", "kid": "k", "typ": "JWT"}
KEYS = [signing_key("RS256").jwk(key_ops=["verify"]), signing_key("ES256").jwk()]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


def changed(good: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    """`good` with one or two members replaced by any JSON value."""
    changes = st.dictionaries(st.sampled_from(sorted(good)), json_values, max_size=2)
    return changes.map(lambda change: {**good, **change})


@given(changed(METADATA) | json_values)
def test_metadata(document: object) -> None:
    with suppress(BffError):
        assert process_metadata(200, document, issuer=ISSUER).issuer == ISSUER


@given(st.lists(st.sampled_from(KEYS).flatmap(changed) | json_values, max_size=3))
def test_keys(entries: list[object]) -> None:
    with suppress(BffError):
        keys = process_jwks(200, {"keys": entries})
        assert all(isinstance(key.kid, str | None) for key in keys.keys)


@given(changed(TOKENS) | json_values, st.sampled_from([200, 400, 401]), st.sampled_from(Grant))
def test_token_responses(document: object, status: int, grant: Grant) -> None:
    with suppress(BffError):
        tokens = process_token_response(status, document, grant=grant, now=NOW, scope="openid")
        assert NOW < tokens.expires_at < NOW + 31 * 86400
        assert isinstance(tokens, Tokens)


@given(changed(CLAIMS))
def test_id_tokens(claims: dict[str, object]) -> None:
    rules = IdTokenRules(ISSUER, "spa", frozenset({"RS256"}))
    with suppress(BffError):
        jwt = VerifiedJwt("RS256", claims)
        user = verify_login_id_token(jwt, rules, nonce="n", access_token="at", now=NOW)
        assert (claims["iss"], claims["nonce"]) == (ISSUER, "n")
        assert user.sub == claims["sub"]


@given(changed(HEADER) | json_values, json_values)
def test_tokens(header: object, payload: object) -> None:
    text = f"{b64json(header)}.{b64json(payload)}.AA"
    with suppress(JwtRefused):
        jwt = parse_jwt(text, algs=frozenset({"RS256"}), accept_typ=frozenset({None, "jwt"}))
        assert jwt.alg == "RS256"


@given(json_values)
def test_userinfo(document: object) -> None:
    with suppress(BffError):
        assert process_userinfo(200, document, sub="alice")["sub"] == "alice"
