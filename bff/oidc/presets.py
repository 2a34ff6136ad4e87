"""What common OPs need that differs from the defaults, by the names of `preset`. The reasons are on
the OPs' pages in docs/providers, in short beside each value.

Values are written as in the configuration file. A key that is given there wins, and is whole: the
entries of a table are not merged.
"""

import copy
from collections.abc import Mapping
from typing import Any

from bff.oidc.steps.end_session import RETURN_ADDRESS

# OpenID Connect Core section 11: these OPs give a refresh token for nothing else.
_WITH_OFFLINE_ACCESS = "openid profile email offline_access"

PRESETS: Mapping[str, Mapping[str, object]] = {
    "keycloak": {
        # No offline_access: it makes a session that outlives the user's logout there.
        "login_params": ["kc_idp_hint"],  # skips the choice of an identity source
    },
    "entra": {
        "scope": _WITH_OFFLINE_ACCESS,  # the scope of an API is the installation's own to add
        "token_exchange": "on-behalf-of",  # it has no RFC 8693
        "login_params": ["domain_hint"],  # skips the question for an account of which kind
        # Its logout requests have sid alone. Whether to take them is for frontchannel_logout.
        "allow_frontchannel_logout_without_iss": True,
    },
    "auth0": {
        "scope": _WITH_OFFLINE_ACCESS,
        "login_params": ["connection", "screen_hint"],  # an identity source; sign up, not log in
        # The name of an organization may change, its id does not: the claim org_id is the id.
        "organization": {"parameter": "organization", "claim": "org_id"},
    },
    "okta": {
        "scope": _WITH_OFFLINE_ACCESS,
        "frontchannel_logout": True,  # the only way in which it reports logouts
    },
    "google": {
        # offline_access is refused. A refresh token comes with access_type=offline, at the first
        # consent only: prompt=consent makes each login the first.
        "authorization_params": {"access_type": "offline", "prompt": "consent"},
        # hd narrows the choice of accounts and proves nothing; the claim does.
        "organization": {"parameter": "hd", "claim": "hd"},
    },
    "cognito": {
        # offline_access is refused (invalid_scope), and a refresh token comes without it.
        "login_params": ["identity_provider", "idp_identifier"],  # an identity source, by e-mail
        # Its logout page knows this name in the place of post_logout_redirect_uri.
        "end_session_params": {"logout_uri": RETURN_ADDRESS},
    },
    "zitadel": {
        "scope": _WITH_OFFLINE_ACCESS,
        "userinfo": True,  # name and email are not in the ID token
    },
    "authentik": {
        "scope": _WITH_OFFLINE_ACCESS,
    },
    "authelia": {
        "scope": _WITH_OFFLINE_ACCESS,
        "userinfo": True,  # since 4.39 name and email are not in the ID token
    },
    "dex": {
        "scope": _WITH_OFFLINE_ACCESS,
        "login_params": ["connector_id"],  # skips the choice of an identity source
    },
    "hydra": {
        "scope": _WITH_OFFLINE_ACCESS,
        "allow_logout_tokens_without_exp": True,  # its logout tokens have none
    },
}


def preset_defaults(given: Mapping[str, Any]) -> dict[str, object]:
    """The preset's values for the keys that a provider's table does not have; none for an unknown
    preset. A value that does not go together with a given one is left out."""
    name = given.get("preset")
    preset = PRESETS.get(name, {}) if isinstance(name, str) else {}
    defaults = {key: copy.deepcopy(value) for key, value in preset.items() if key not in given}
    if given.get("frontchannel_logout") is not True:
        defaults.pop("allow_frontchannel_logout_without_iss", None)
    _leave_each_parameter_one_meaning(defaults, given)
    return defaults


def _leave_each_parameter_one_meaning(
    defaults: dict[str, Any], given: Mapping[str, object]
) -> None:
    """A parameter that names an organization can't be one that a login passes on unchecked."""
    organization, passed_on = given.get("organization"), given.get("login_params")
    if isinstance(organization, Mapping) and "login_params" in defaults:
        taken = organization.get("parameter")
        defaults["login_params"] = [one for one in defaults["login_params"] if one != taken]
    asked_by = defaults.get("organization", {}).get("parameter")
    if isinstance(passed_on, list) and asked_by in passed_on:
        defaults.pop("organization", None)
