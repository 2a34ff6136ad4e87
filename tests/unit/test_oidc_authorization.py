"""The authorization request: what goes out, and what may change it."""

import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.errors import OpMetadataRefused
from bff.oidc.steps.authorization import (
    RESERVED_PARAMETERS,
    AuthorizationRequest,
    LoginRequest,
    authorization_request,
    s256_challenge,
)

ENDPOINT = "https://op.example.test/auth"


def build(
    login: LoginRequest | None = None,
    static: dict[str, str] | None = None,
    endpoint: str = ENDPOINT,
) -> AuthorizationRequest:
    return authorization_request(
        endpoint,
        client_id="spa",
        redirect_uri="https://app.example.test/bff/callback",
        scope="openid profile",
        static=static or {},
        login=login or LoginRequest(),
    )


def sent(request: AuthorizationRequest) -> dict[str, str]:
    pairs = parse_qsl(urlsplit(request.url).query, keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs)  # RFC 6749 section 3.1
    return dict(pairs)


@pytest.mark.rule("AZ-01")
@pytest.mark.rule("AZ-15")
def test_exactly_these_parameters_are_sent() -> None:
    """RFC 9700 section 2.1.2: `code` and nothing else."""
    request = build()
    assert sent(request) == {
        "response_type": "code",
        "client_id": "spa",
        "redirect_uri": "https://app.example.test/bff/callback",
        "scope": "openid profile",
        "state": request.state,
        "nonce": request.nonce,
        "code_challenge": s256_challenge(request.code_verifier),
        "code_challenge_method": "S256",
    }


@pytest.mark.rule("AZ-02")
def test_the_challenge_is_the_one_of_the_rfc() -> None:
    """RFC 7636 appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert s256_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.rule("AZ-02")
@pytest.mark.rule("AZ-03")
@pytest.mark.rule("ID-09")
def test_state_nonce_and_verifier_are_fresh_and_long_each_time() -> None:
    """RFC 7636 section 4.1: 43 to 128 unreserved characters, 256 bits; a nonce of at most 64."""
    requests = [build() for _ in range(100)]
    secrets = [s for r in requests for s in (r.state, r.nonce, r.code_verifier)]
    assert len(set(secrets)) == 300
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in secrets)


@pytest.mark.rule("AZ-15")
def test_a_login_may_ask_for_these_things_and_no_others() -> None:
    login = LoginRequest("login consent", "alice@x.test", ("gold", "silver"), 0, "de en")
    extra = sent(build(login)).items() - sent(build()).items()
    named = {name: value for name, value in extra if name not in RESERVED_PARAMETERS}
    assert named == {"prompt": "login consent", "login_hint": "alice@x.test", "ui_locales": "de en"}
    assert sent(build(login))["acr_values"] == "gold silver"
    assert sent(build(login))["max_age"] == "0"


def test_values_cannot_break_out_of_their_parameter() -> None:
    request = build(LoginRequest(login_hint="a&scope=admin#x\r\nY: z"))
    assert sent(request)["login_hint"] == "a&scope=admin#x\r\nY: z"
    assert sent(request)["scope"] == "openid profile"
    assert "\r" not in request.url


@pytest.mark.rule("AZ-15")
@pytest.mark.parametrize("name", sorted(RESERVED_PARAMETERS))
def test_static_parameters_cannot_override_the_protocols(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        build(static={name: "x"})


def test_static_parameters_are_defaults_a_login_may_override() -> None:
    static = {"audience": "https://api.test", "prompt": "select_account"}
    assert sent(build(static=static))["audience"] == "https://api.test"
    assert sent(build(static=static))["prompt"] == "select_account"
    assert sent(build(LoginRequest(prompt="none"), static))["prompt"] == "none"


def test_the_endpoints_own_query_is_kept_but_cannot_hold_ours() -> None:
    """RFC 6749 section 3.1."""
    assert sent(build(endpoint=ENDPOINT + "?tenant=a"))["tenant"] == "a"
    for query in ("?client_id=evil", "?request_uri=x", "?audience=evil", "?state="):
        with pytest.raises(OpMetadataRefused):
            build(static={"audience": "ours"}, endpoint=ENDPOINT + query)


def test_a_request_shows_no_secret() -> None:
    request = build(LoginRequest(login_hint="alice@x.test"))
    shown = f"{request!r} {LoginRequest(login_hint='alice@x.test')!r}"
    for secret in (request.state, request.nonce, request.code_verifier, "alice@x.test"):
        assert secret not in shown
