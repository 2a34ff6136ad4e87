"""The whole configuration, validated and frozen, and what each of its tables knows. Lengths of time
are float seconds, sizes bytes.
"""

from pydantic import Field

from bff.config.problems import KeyPath
from bff.config.sections import Section, section_of
from bff.config.sections.app import CsrfSettings, SpaSettings, UserSettings
from bff.config.sections.oidc import OidcSettings
from bff.config.sections.operations import AccessLogSettings, LimitSettings, LogSettings
from bff.config.sections.routes import RouteSettings
from bff.config.sections.server import ServerSettings
from bff.config.sections.session import SessionSettings


class Settings(Section):
    """Build it with `bff.config.load`, which also checks what must hold between keys."""

    server: ServerSettings = Field(description="Where the gateway listens.")
    oidc: OidcSettings = Field(description="The OpenID provider and the client registered there.")
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
    log: LogSettings = Field(default=LogSettings(), description="Logging, to standard error.")
    access_log: AccessLogSettings = Field(
        default=AccessLogSettings(), description="One line for each request of a browser."
    )

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
    """The section model behind a path such as `("routes", 0)`."""
    model: type[Section] | None = Settings
    for part in path:
        if isinstance(part, str):
            if model is None or part not in model.model_fields:
                return None
            model = section_of(model.model_fields[part].annotation)
    return model


def is_required(path: KeyPath, key: str) -> bool:
    """Whether a key of a table has no default."""
    model = model_at(path)
    return model is not None and key in model.model_fields and model.model_fields[key].is_required()
