"""`preset` of a provider: defaults for its other keys, and nothing more."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bff.config.sections.providers import ProviderSettings
from bff.oidc.presets import PRESETS
from tests.parts.config_files import OTHER_SECRET, line_of, loaded, problems, toml


def provider(
    directory: Path, preset: str, environ: Mapping[str, str] | None = None, **keys: str
) -> ProviderSettings:
    """The provider of `[oidc]` with this preset and these keys, as TOML texts."""
    text = toml({"oidc": {"preset": f'"{preset}"', **keys}})
    return loaded(directory, text, environ).providers["default"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_the_same_as_its_values_given(tmp_path: Path, preset: str) -> None:
    made = provider(tmp_path, preset, frontchannel_logout="true")
    plain = loaded(tmp_path).providers["default"]
    for key in ProviderSettings.model_fields.keys() - {"preset", "frontchannel_logout"}:
        given = PRESETS[preset].get(key, getattr(plain, key))
        assert getattr(made, key) == (tuple(given) if isinstance(given, list) else given), key


@pytest.mark.parametrize(
    ("preset", "key"),
    [
        ("okta", "frontchannel_logout"),
        ("zitadel", "userinfo"),
        ("authelia", "userinfo"),
        ("hydra", "allow_logout_tokens_without_exp"),
    ],
)
def test_what_an_op_lacks_is_switched_on_by_its_preset(
    tmp_path: Path, preset: str, key: str
) -> None:
    """As its page in docs/providers says."""
    assert getattr(provider(tmp_path, preset), key) is True
    assert getattr(loaded(tmp_path).providers["default"], key) is False


@pytest.mark.parametrize(
    ("preset", "key"), [(name, key) for name in PRESETS for key in PRESETS[name]]
)
def test_a_value_that_is_given_wins(tmp_path: Path, preset: str, key: str) -> None:
    """As a whole: tables are not merged. Also where it is what the key says without a preset."""
    plain = loaded(tmp_path).providers["default"]
    default = ProviderSettings.model_fields[key].default
    text = {True: "true", False: "false", (): "[]"}.get(default) if default != {} else "{}"
    made = provider(tmp_path, preset, None, **{key: text or f'"{default}"'})
    assert getattr(made, key) == getattr(plain, key)


def test_a_variable_wins_over_a_preset_and_chooses_one(tmp_path: Path) -> None:
    made = provider(tmp_path, "hydra", {"BFF_OIDC__SCOPE": "openid", "BFF_OIDC__PRESET": "zitadel"})
    assert (made.scope, made.userinfo) == ("openid", True)
    assert not made.allow_logout_tokens_without_exp


def test_each_provider_has_its_own_preset(tmp_path: Path) -> None:
    """And one provider's values are no other's."""
    several = f"""
[providers.one]
preset = "google"
issuer = "https://one.example.com"
client_id = "spa"
client_secret = "given-by-the-provider"
[providers.two]
issuer = "https://two.example.com"
client_id = "spa"
client_secret = "{OTHER_SECRET}"
"""
    text = toml(extra=several).replace("[oidc]", "[providers.zero]")
    providers = loaded(tmp_path, text).providers
    assert providers["one"].authorization_params == {"access_type": "offline", "prompt": "consent"}
    assert not providers["two"].authorization_params
    assert not providers["zero"].authorization_params


def test_an_unknown_preset_is_told_with_its_line_and_the_likely_one(tmp_path: Path) -> None:
    text = toml({"oidc": {"preset": '"keyclock"'}})
    (problem,) = problems(tmp_path, text)
    assert problem.key == "oidc.preset"
    assert problem.line == line_of(text, "preset")
    assert problem.message == f'must be one of {", ".join(PRESETS)}, did you mean "keycloak"?'


@pytest.mark.parametrize("preset", ["1", '["google"]', "{}", '""'])
def test_a_preset_that_is_no_name_is_one_problem(tmp_path: Path, preset: str) -> None:
    (problem,) = problems(tmp_path, toml({"oidc": {"preset": preset}}))
    assert problem.key == "oidc.preset"


def test_logouts_without_issuer_are_taken_only_where_front_channel_logout_is_offered(
    tmp_path: Path,
) -> None:
    assert not provider(tmp_path, "entra").allow_frontchannel_logout_without_iss
    off = provider(tmp_path, "entra", frontchannel_logout="false")
    assert not off.allow_frontchannel_logout_without_iss
    assert provider(
        tmp_path, "entra", frontchannel_logout="true"
    ).allow_frontchannel_logout_without_iss


def test_a_preset_never_contradicts_what_is_given(tmp_path: Path) -> None:
    """A parameter means an organization or is passed on: the given meaning holds."""
    own = '{ parameter = "domain_hint", claim = "tid" }'
    assert provider(tmp_path, "entra", organization=own).login_params == ()
    assert provider(tmp_path, "auth0", login_params='["organization"]').organization == {}
    assert provider(tmp_path, "auth0", login_params='["connection"]').organization
