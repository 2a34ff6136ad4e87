"""`profile` of a provider (FAPI 2.0): what it turns on, what it refuses and with which reason."""

from pathlib import Path

import pytest

from bff.config.effective import effective_values
from bff.config.load import load_with_origins
from bff.config.sections.providers import ProviderSettings
from bff.oidc.profiles import ALGS, FAPI2, FAPI2_MESSAGE_SIGNING, KEYS, PROFILES
from tests.integration.relying_party.steps import settings_for
from tests.parts.certificates import self_signed
from tests.parts.client_keys import key_file
from tests.parts.config_files import line_of, loaded, problems, toml, write

Keys = dict[str, str | None]
SECURITY = {
    "client_auth": "private_key_jwt",
    "par": "required",
    "dpop": True,
    "id_token_algs": ALGS,
}
SIGNING = {"request_object": "signed", "response_mode": "query.jwt"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("P-256", "P-384", "Ed25519", "RSA-2048", "RSA-1024"):
        key_file(tmp_path / f"{kind}.pem", kind)
    self_signed(tmp_path, "gateway")
    return tmp_path


def text(profile: str, **keys: str | None) -> str:
    """A file whose provider has that profile, all that this needs, and the `keys`."""
    of_profile = {"profile": f'"{profile}"', "client_secret": None, "client_keys": '["P-256.pem"]'}
    return toml({"oidc": {**of_profile, **keys}})


@pytest.mark.parametrize(
    ("profile", "turned_on"),
    [(FAPI2, SECURITY), (FAPI2_MESSAGE_SIGNING, {**SECURITY, **SIGNING})],
)
def test_a_profile_turns_on_what_it_requires_and_nothing_else(
    folder: Path, profile: str, turned_on: dict[str, object]
) -> None:
    made = loaded(folder, text(profile)).providers["default"]
    plain = loaded(folder).providers["default"]
    given = {"profile", "client_secret", "client_keys"}
    for key in ProviderSettings.model_fields.keys() - given:
        assert getattr(made, key) == turned_on.get(key, getattr(plain, key)), key


@pytest.mark.parametrize("profile", PROFILES)
def test_its_values_are_shown_as_the_profiles(folder: Path, profile: str) -> None:
    """`bff config show`."""
    file = write(folder, text(profile, par='"required"'))
    shown = {one.path: one for one in effective_values(load_with_origins(file, {}))}
    assert str(shown["oidc", "dpop"].origins[0]) == f"profile {profile}"
    assert shown["oidc", "dpop"].value is True
    assert str(shown["oidc", "par"].origins[0]).startswith(str(file))


def test_a_profile_goes_together_with_a_preset(folder: Path) -> None:
    made = loaded(folder, text(FAPI2, preset='"keycloak"')).providers["default"]
    assert (made.login_params, made.dpop) == (("kc_idp_hint",), True)


BY_CERTIFICATE: Keys = {
    "client_keys": None,
    "client_cert_file": '"gateway.crt"',
    "client_key_file": '"gateway.key"',
}


@pytest.mark.parametrize(
    "keys",
    [
        {"client_auth": '"tls_client_auth"', **BY_CERTIFICATE},
        {"client_auth": '"self_signed_tls_client_auth"', **BY_CERTIFICATE},
        {"id_token_algs": '["ES256"]'},
        {"client_keys": '["Ed25519.pem", "RSA-2048.pem"]'},
        {"issuer": '"http://localhost:8080"'},
    ],
)
def test_what_a_profile_leaves_open_may_be_chosen(folder: Path, keys: Keys) -> None:
    assert loaded(folder, text(FAPI2, **keys)).providers["default"].profile == FAPI2


REFUSED: list[tuple[str, str, str]] = [
    ("client_auth", '"client_secret_basic"', "must be one of private_key_jwt"),
    ("client_auth", '"client_secret_post"', "must be one of private_key_jwt"),
    ("client_auth", '"client_secret_jwt"', "must be one of private_key_jwt"),
    ("par", '"if-offered"', 'must be "required"'),
    ("par", '"off"', 'must be "required"'),
    ("dpop", "false", "must be true"),
    ("id_token_algs", '["ES256", "RS256"]', "must hold none but PS256, ES256, EdDSA"),
    ("id_token_algs", '["ES384"]', "must hold none but PS256, ES256, EdDSA"),
    ("device_login", "true", "must be false"),
    ("allow_http_hosts", '["keycloak:8080"]', "must be empty"),
    ("endpoints", '{ token = "https://idp.example.com/other" }', "must be empty"),
    ("discovery_url", '"https://idp.internal/metadata"', "must not be given"),
]
REFUSED_BY_SIGNING: list[tuple[str, str, str]] = [
    ("request_object", '"off"', 'must be "signed"'),
    ("response_mode", '"query"', 'must be "query.jwt"'),
]


@pytest.mark.rule("FP-17")
@pytest.mark.parametrize(
    ("profile", "key", "value", "why"),
    [(FAPI2, *one) for one in REFUSED]
    + [(FAPI2_MESSAGE_SIGNING, *one) for one in (*REFUSED, *REFUSED_BY_SIGNING)],
)
def test_what_a_profile_forbids_is_refused_with_file_line_and_reason(
    folder: Path, profile: str, key: str, value: str, why: str
) -> None:
    written = text(profile, **{key: value})
    found = [one for one in problems(folder, written) if one.key.split("[")[0] == f"oidc.{key}"]
    (problem,) = found
    assert problem.line == line_of(written, f"{key} =")
    assert problem.source == str(folder / "bff.toml")
    assert why in problem.message
    assert f'with profile = "{profile}" (FAPI 2.0, ' in problem.message


@pytest.mark.rule("FP-17")
def test_an_issuer_of_many_tenants_is_refused(folder: Path) -> None:
    """The audience of an assertion is one issuer."""
    keys = {
        "issuer": '"https://login.example.com/{tenantid}/v2.0"',
        "issuer_tenants": '["00000000-0000-0000-0000-000000000000"]',
    }
    found = problems(folder, text(FAPI2, **keys))
    assert ("oidc.issuer", True) in {(one.key, "one issuer" in one.message) for one in found}


@pytest.mark.rule("FP-17")
@pytest.mark.parametrize(
    ("file", "why"),
    [("P-384.pem", "holds a key for ES384, none of PS256"), ("RSA-1024.pem", "1024 bits")],
)
def test_a_key_that_signs_by_no_algorithm_of_the_profile_is_refused(
    folder: Path, file: str, why: str
) -> None:
    (problem,) = problems(folder, text(FAPI2, client_keys=f'["P-256.pem", "{file}"]'))
    assert problem.key == "oidc.client_keys[1]"
    assert why in problem.message


@pytest.mark.rule("FP-17")
def test_an_rsa_key_signs_by_the_algorithm_of_the_profile_alone(folder: Path) -> None:
    """Without a profile it signs with RS256 where the OP lists nothing."""
    (client,) = loaded(folder, text(FAPI2, client_keys='["RSA-2048.pem"]')).relying_parties()
    (key,) = client.client_keys
    assert (key.algs, key.alg_for(None), key.alg_for(["RS256"])) == (("PS256",), "PS256", None)


@pytest.mark.rule("FP-17")
def test_a_secret_is_refused_and_a_key_is_required(folder: Path) -> None:
    keys = {"client_secret": '"given-by-the-provider"', "client_keys": None}
    found = {one.key: one.message for one in problems(folder, text(FAPI2, **keys))}
    assert "must not be given with client_auth" in found["oidc.client_secret"]
    assert "is required" in found["oidc.client_keys"]


def test_an_unknown_profile_is_refused_and_sets_nothing(folder: Path) -> None:
    (problem,) = problems(folder, toml({"oidc": {"profile": '"fapi1"'}}))
    assert problem.key == "oidc.profile"
    assert all(name in problem.message for name in PROFILES)


@pytest.mark.parametrize("key", sorted(set(KEYS) - {"issuer"}))
def test_the_relying_party_refuses_the_same(folder: Path, key: str) -> None:
    """Also where no configuration has been read."""
    name = "http_hosts" if key == "allow_http_hosts" else key
    provider = loaded(folder, text(FAPI2_MESSAGE_SIGNING)).relying_parties()[0]
    plain = settings_for(provider.issuer)
    wrong: object = {
        "allow_http_hosts": ("idp:80",),
        "endpoints": {"token": "https://idp.example.com/t"},
        "discovery_url": "https://idp.example.com/metadata",
        "device_login": True,
    }.get(key, getattr(plain, name))
    values = {
        one: getattr(provider, one) for one in ("profile", "client_keys", *SECURITY, *SIGNING)
    }
    with pytest.raises(ValueError, match=f"^{key} must"):
        settings_for(provider.issuer, **{**values, "client_secret": "x" * 32, name: wrong})
