"""[tenants]: frontends that are made from a directory of small files, one a tenant."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema, create_model

from bff.config.sections import Section
from bff.config.sections.frontends import FrontendSettings, optional_keys
from bff.config.sections.providers import ProviderSettings
from bff.config.sections.routes import RouteSettings
from bff.config.values.files import Directory
from bff.config.values.urls import require_host

PLACEHOLDER = "{tenant}"


def require_host_template(value: str) -> str:
    """A Host value with the tenant's label in it, once."""
    if value.count(PLACEHOLDER) != 1:
        raise ValueError(f"must hold {PLACEHOLDER} once: each tenant has a host of its own")
    require_host(value.replace(PLACEHOLDER, "tenant"))
    return value


HostTemplate = Annotated[
    str,
    AfterValidator(require_host_template),
    WithJsonSchema({"type": "string", "x-kind": "host"}),
]


class TenantKeys(Section):
    """The keys that are of all tenants together."""

    directory: Directory = Field(
        description="Where the tenants' files are: NAME.toml for each, where NAME is a label of "
        "the DNS in lower case, and what {tenant} stands for. Such a file holds any key of "
        "[[frontends]] and of [providers.NAME], and may be empty. Names that begin with a dot, and "
        "files that are no .toml, are passed over.",
        examples=["tenants.d"],
    )
    hosts: HostTemplate | None = Field(
        default=None,
        description="The host of each tenant: its `public_url` is https at this host, unless "
        "`public_url` is given. {tenant} may also stand in `public_url`, `issuer`, "
        "`discovery_url`, `endpoints`, `client_id`, `upstream`, a frontend's `hosts`, `spa.root` "
        "and the names of files, here and in a tenant's file.",
        examples=["{tenant}.app.example.com"],
    )


OF_A_FRONTEND = tuple(FrontendSettings.model_fields)
# `email_domains` is a frontend's, where it speaks of all its providers.
OF_A_PROVIDER = tuple(key for key in ProviderSettings.model_fields if key not in OF_A_FRONTEND)
OF_A_TENANT = (*OF_A_FRONTEND, *OF_A_PROVIDER)
INHERITED = tuple(key for key in OF_A_TENANT if key not in ("name", "hosts"))

# Where {tenant} may stand; indexes of arrays are left out.
TEMPLATES = frozenset(
    {
        ("public_url",),
        ("hosts",),
        ("issuer",),
        ("discovery_url",),
        ("client_id",),
        ("client_keys",),
        ("routes", "upstream"),
        ("spa", "root"),
        *((key,) for key in OF_A_PROVIDER if key.endswith("_file")),
        *(("routes", key) for key in RouteSettings.model_fields if key.endswith("_file")),
    }
)


def is_template(path: tuple[str, ...]) -> bool:
    """Whether {tenant} may stand in this key of a tenant."""
    return path in TEMPLATES or (len(path) == 2 and path[0] == "endpoints")


def _keys() -> dict[str, Any]:
    frontend = optional_keys(FrontendSettings, ("name", "hosts"))
    return frontend | optional_keys(ProviderSettings, OF_A_FRONTEND)


if TYPE_CHECKING:

    class TenantsSettings(TenantKeys): ...

else:
    # The inherited keys never have a value here: they go into the tenants' own tables, where they
    # are validated with the label in its place. The model says which there are, and of what kind.
    TenantsSettings = create_model(
        "TenantsSettings", __base__=TenantKeys, __module__=__name__, **_keys()
    )
