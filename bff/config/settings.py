"""The whole configuration, validated and frozen, and what each of its tables knows. Lengths of time
are float seconds, sizes bytes.
"""

from typing import get_origin

from pydantic import Field

from bff.config.problems import KeyPath
from bff.config.sections import Section, is_table, section_of
from bff.config.sections.app import CsrfSettings, SpaSettings, UserSettings
from bff.config.sections.frontends import FrontendSettings
from bff.config.sections.operations import (
    AccessLogSettings,
    AuditSettings,
    LimitSettings,
    LogSettings,
    MetricsSettings,
)
from bff.config.sections.providers import ProviderSettings
from bff.config.sections.routes import RouteSettings
from bff.config.sections.server import ServerSettings
from bff.config.sections.session import SessionSettings
from bff.config.sections.tenants import TenantsSettings
from bff.config.values.providers import ProviderName
from bff.oidc.settings import RelyingPartySettings

# What each listener is called, and the section and key with its address.
LISTENERS = {
    "public": ("server", "listen"),
    "admin": ("server", "admin_listen"),
    "health": ("server", "health_listen"),
    "auth": ("server", "auth_listen"),
    "metrics": ("metrics", "listen"),
}


class Settings(Section):
    """Build it with `bff.config.load`, which also checks what must hold between keys, and puts the
    provider of `[oidc]` among `providers`: `oidc` is how the file said it."""

    server: ServerSettings = Field(description="Where the gateway listens.")
    oidc: ProviderSettings | None = Field(
        default=None,
        description="The OpenID provider and the client registered there: the short form of the "
        "only one, which is then called default.",
    )
    providers: dict[ProviderName, ProviderSettings] = Field(
        default={},
        description="Several OpenID providers, in the place of [oidc]: one table each, with the "
        "keys of [oidc]. The first is the one that a login is for unless it names another "
        "(/bff/login?idp=NAME). The redirect URI of each ends in /callback/NAME; that of one "
        "called default in /callback.",
    )
    session: SessionSettings = Field(description="Sessions: their store, cookie and lifetime.")
    user: UserSettings = Field(
        default=UserSettings(), description="What the browser learns about the user."
    )
    routes: tuple[RouteSettings, ...] = Field(
        default=(), description="The APIs behind the gateway, one table each."
    )
    spa: SpaSettings = Field(default=SpaSettings(), description="The single-page app.")
    csrf: CsrfSettings = Field(default=CsrfSettings(), description="The CSRF guard's header.")
    limits: LimitSettings = Field(
        default=LimitSettings(),
        description="How often something may happen. Past a limit the answer is 429 with "
        "Retry-After; no session ends of it.",
    )
    frontends: tuple[FrontendSettings, ...] = Field(
        default=(),
        description="Several applications behind one gateway, one table each. What one of them "
        "does not say is as the top level says it. Without any, the top level is the only one, "
        "called default; with some, it is none, and `server.public_url` is not given.",
    )
    tenants: TenantsSettings | None = Field(
        default=None,
        description="Frontends that are made from a directory of small files, one a tenant. Beside "
        "these keys the table may hold any key of [[frontends]] but its name, and any key of "
        "[providers.NAME]: what a tenant's file does not say is as it says here. "
        "[One gateway for many apps](many-apps.md#tenants-by-domain) shows it.",
    )
    log: LogSettings = Field(default=LogSettings(), description="Logging, to standard error.")
    access_log: AccessLogSettings = Field(
        default=AccessLogSettings(), description="One line for each request of a browser."
    )
    audit: AuditSettings = Field(
        default=AuditSettings(),
        description="A record of each login, end of a session and refusal: see docs/audit.md.",
    )
    metrics: MetricsSettings = Field(
        default=MetricsSettings(), description="Figures for Prometheus."
    )

    def relying_parties(self) -> list[RelyingPartySettings]:
        """One for each provider, in order."""
        return [
            provider.as_relying_party(
                name, self.server, table="oidc" if self.oidc is not None else f"providers.{name}"
            )
            for name, provider in self.providers.items()
        ]

    def listener_at(self, name: str) -> str | None:
        """The address of a listener of `LISTENERS`; None for one that is not served."""
        section, key = LISTENERS[name]
        address: str | None = getattr(getattr(self, section), key)
        return address

    @property
    def listeners(self) -> dict[str, str]:
        """The addresses of those that are served, by name."""
        addresses = ((name, self.listener_at(name)) for name in LISTENERS)
        return {name: address for name, address in addresses if address is not None}

    @property
    def op_timeout(self) -> float:
        """The longest time that a call to an OP may take."""
        return max(provider.timeout for provider in self.providers.values())

    @property
    def cookie_name(self) -> str:
        """The session cookie's name, configured or derived from the scheme."""
        if self.session.cookie_name is not None:
            return self.session.cookie_name
        # Browsers that don't know `__Host-Http-` still enforce the `__Host-` it begins with.
        return "__Host-Http-bff" if self.server.is_https else "bff"


def keys_at(path: KeyPath) -> tuple[str, ...]:
    """The keys that a table of the configuration knows."""
    model = model_at(path)
    return tuple(model.model_fields) if model is not None else ()


def model_at(path: KeyPath) -> type[Section] | None:
    """The section model behind a path such as `("routes", 0)` or `("providers", "corp")`; that of
    each also behind `("routes",)`."""
    at: object = Settings
    for part in path:
        at = inner(at, part)
    return section_of(at)


def inner(annotation: object, part: str | int) -> object:
    """The type of a key of a table, of one item of an array, or of one of several named tables;
    None where there is none."""
    section = section_of(annotation)
    if section is None:
        return None
    if not is_table(annotation):
        return section if isinstance(part, int) == (get_origin(annotation) is tuple) else None
    known = section.model_fields.get(part) if isinstance(part, str) else None
    return known.annotation if known is not None else None


def is_required(path: KeyPath, key: str) -> bool:
    """Whether a key of a table has no default."""
    model = model_at(path)
    return model is not None and key in model.model_fields and model.model_fields[key].is_required()
