"""Settings that cannot work or would weaken the protocol are refused when they are made."""

import pytest

from bff.oidc.settings import (
    MAX_NAME_CHARS,
    RelyingPartySettings,
    require_issuer,
    require_provider_name,
)


def make(**changes: object) -> RelyingPartySettings:
    values: dict[str, object] = {
        "issuer": "https://op.example.test/realms/acme",
        "client_id": "spa",
        "client_secret": "s3cret",
        "redirect_uri": "https://app.example.test/bff/callback",
        **changes,
    }
    return RelyingPartySettings(**values)  # type: ignore[arg-type]  # a table of settings


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"issuer": "http://127.0.0.1:9000"},
        {"issuer": "http://keycloak:8080", "allow_insecure_http": True},
        {"issuer": "https://op.example.test/"},
        {"id_token_algs": ("PS256", "ES256", "EdDSA")},
        {"client_auth": "client_secret_post"},
        {"authorization_params": {"audience": "x", "prompt": "consent"}},
        {"leeway_seconds": 60},
        {"leeway_seconds": 0},
        {"issuer": "http://keycloak:8080", "http_hosts": ("keycloak:8080",)},
        {"discovery_url": "http://keycloak:8080/d", "http_hosts": ("keycloak:8080",)},
        {"endpoints": {"token": "http://keycloak:8080/t"}, "http_hosts": ("keycloak:8080",)},
        {"discovery_url": "https://op.example.test/d"},
        {"endpoints": {"jwks": "https://op.example.test/keys"}},
        {"login_params": ("kc_idp_hint", "a-b")},
        {"audience_pattern": "*@acme"},
    ],
)
def test_sound_settings_are_taken(changes: dict[str, object]) -> None:
    assert "s3cret" not in repr(make(**changes))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"client_auth": "none"}, "client_auth", marks=pytest.mark.rule("TK-01")),
        pytest.param({"client_secret": ""}, "client_secret", marks=pytest.mark.rule("TK-01")),
        ({"client_id": ""}, "client_id"),
        pytest.param({"id_token_algs": ("none",)}, "algs", marks=pytest.mark.rule("ID-06")),
        pytest.param({"id_token_algs": ("HS256",)}, "algs", marks=pytest.mark.rule("ID-06")),
        pytest.param({"id_token_algs": ()}, "algs", marks=pytest.mark.rule("ID-06")),
        pytest.param({"leeway_seconds": 61}, "leeway", marks=pytest.mark.rule("ID-10")),
        ({"leeway_seconds": -1}, "leeway"),
        ({"scope": "profile"}, "openid"),
        ({"scope": "openid_profile"}, "openid"),
        pytest.param(
            {"authorization_params": {"scope": "x"}}, "scope", marks=pytest.mark.rule("AZ-15")
        ),
        ({"authorization_params": {"Scope": "x"}}, "Scope"),
        ({"end_session_params": {"state": "x"}}, "state"),
        ({"end_session_params": {"STATE": "x"}}, "STATE"),
        pytest.param({"issuer": "http://op.test"}, "issuer", marks=pytest.mark.rule("AZ-17")),
        ({"issuer": "https://op.test/?x=1"}, "issuer"),
        ({"issuer": "https://op.test/#f"}, "issuer"),
        ({"issuer": "op.test"}, "issuer must be an https URL without user"),
        ({"issuer": "http://op.test"}, "issuer must be https; plain http is for loopback"),
        ({"issuer": "https://op.test/.well-known/openid-configuration"}, "issuer"),
        ({"issuer": "http://op.test", "http_hosts": ("op.test:8080",)}, "issuer must be https"),
        ({"discovery_url": "http://op.test/d"}, "discovery_url must be an https URL"),
        ({"endpoints": {"token": "http://op.test/t"}}, r"endpoints \(token\) must be an https"),
        ({"endpoints": {"tokens": "https://op.test/t"}}, "endpoints must be one of "),
        ({"login_params": ("kc idp",)}, "login_params must be of letters"),
        ({"login_params": ("state",)}, "login_params is set or read by"),
        ({"login_params": ("returnUrl",)}, "login_params is set or read by"),
        ({"audience_pattern": "**"}, r"audience_pattern must hold more than \*"),
    ],
)
def test_other_settings_are_refused_by_name(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make(**changes)


def test_an_issuer_without_tls_is_taken_by_a_relaxation_only() -> None:
    assert require_issuer("http://op.test", allow_insecure_http=True) == "http://op.test"
    with pytest.raises(ValueError, match="must be https"):
        require_issuer("http://op.test")


def test_a_relaxation_and_what_asks_more_of_an_op_are_off_by_default() -> None:
    settings = make()
    assert not settings.userinfo
    assert not settings.backchannel_logout_session_required
    assert not settings.allow_logout_tokens_without_exp
    assert not settings.allow_insecure_http
    assert settings.send_id_token_hint
    assert settings.revoke_on_logout


@pytest.mark.parametrize("name", ["a", "op2", "two-words", "two_words_3", "x" * MAX_NAME_CHARS])
def test_the_name_of_a_provider_can_stand_in_a_url_and_in_a_variable(name: str) -> None:
    assert require_provider_name(name) == name
    assert make(name=name).name == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "2op", "a b", "a.b", "a/b", "a-", "_a", "a--b", "\xe4", "x" * (MAX_NAME_CHARS + 1)],
)
def test_another_name_of_a_provider_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be lower-case letters and digits"):
        require_provider_name(name)
    with pytest.raises(ValueError, match="name must be lower-case"):
        make(name=name)


def test_a_provider_is_not_called_none() -> None:
    """Metrics say so where there is none."""
    with pytest.raises(ValueError, match="no provider at all"):
        require_provider_name("none")
