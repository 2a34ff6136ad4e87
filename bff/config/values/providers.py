"""The values of a provider's table that no other table has: how the client authenticates, the
proxy in front of an OP, names of parameters, endpoints, presets and organizations; and the
authorization details, which a route has as well.

No message repeats the URL of a proxy: it may hold a password.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr, WithJsonSchema

from bff.config.problems import suggestion
from bff.config.values.texts import NonEmpty, require_text
from bff.config.values.urls import split_http_url
from bff.oidc.client_auth.methods import ClientAuthMethod, require_client_auth
from bff.oidc.presets import PRESETS
from bff.oidc.provider.http import ENVIRONMENT
from bff.oidc.settings import require_endpoint_name, require_provider_name
from bff.oidc.steps import authorization, end_session
from bff.oidc.steps.authorization_details import require_allowed, require_details


def refuse_public_client(method: object) -> object:
    """Say more of `none` than that it is not on the list."""
    return require_client_auth("none") if method == "none" else method


ClientAuth = Annotated[ClientAuthMethod, BeforeValidator(refuse_public_client)]


def unreserved(is_reserved: Callable[[str], bool]) -> AfterValidator:
    """For names of parameters that the gateway does not set itself."""

    def refuse_reserved(name: str) -> str:
        if is_reserved(name):
            raise ValueError("is set by the gateway and can't be overridden")
        return name

    return AfterValidator(refuse_reserved)


LoginParameter = Annotated[str, unreserved(authorization.is_reserved)]
LogoutParameter = Annotated[str, unreserved(end_session.is_reserved)]


_CREDENTIALS = re.compile(r"[\x21\x24-\x2e\x30-\x3e\x41-\x5b\x5d-\x7e]*")  # not / ? # @ nor spaces


def require_proxy(value: SecretStr) -> SecretStr:
    """An http or https URL, which may hold a password; or `environment`."""
    text = value.get_secret_value()
    scheme, _, rest = text.partition("://")
    credentials, _, address = rest.rpartition("@")
    if text != ENVIRONMENT:
        try:
            if split_http_url(f"{scheme}://{address}").path not in ("", "/"):
                raise ValueError("must not have a path")
            if not _CREDENTIALS.fullmatch(credentials):
                raise ValueError("user name and password must be percent-encoded")
        except ValueError as error:
            wanted = 'must be the URL of a proxy, such as "http://proxy:3128", or "environment"'
            raise ValueError(f"{wanted}: {error}") from None
    return value


Proxy = Annotated[
    SecretStr,
    AfterValidator(require_proxy),
    WithJsonSchema({"type": "string", "x-kind": "secret URL"}),
]


def require_label(value: str) -> str:
    """One line; none is allowed."""
    return require_text(value) if value else value


Label = Annotated[str, AfterValidator(require_label)]


def require_organization(value: dict[str, str]) -> dict[str, str]:
    """How a login for one organization is asked for, and how it is proven."""
    if value and value.keys() != {"parameter", "claim"}:
        raise ValueError("must have parameter and claim, and no more")
    if value and authorization.is_reserved(value["parameter"]):
        raise ValueError("has a parameter that is set by the gateway")
    return value


OrganizationTable = Annotated[dict[str, NonEmpty], AfterValidator(require_organization)]


_TABLES = WithJsonSchema({"type": "array", "items": {"type": "object"}})
AuthorizationDetails = Annotated[
    tuple[dict[str, Any], ...], AfterValidator(require_details), _TABLES
]
AllowedDetails = Annotated[tuple[dict[str, Any], ...], AfterValidator(require_allowed), _TABLES]


def require_preset(name: str) -> str:
    """The name of an OP whose needs are known."""
    if name not in PRESETS:
        raise ValueError(f"must be one of {', '.join(PRESETS)}{suggestion(name, PRESETS)}")
    return name


Preset = Annotated[
    str,
    AfterValidator(require_preset),
    WithJsonSchema({"type": "string", "enum": [*PRESETS]}),
]
EndpointName = Annotated[str, AfterValidator(require_endpoint_name)]
ProviderName = Annotated[str, AfterValidator(require_provider_name)]
