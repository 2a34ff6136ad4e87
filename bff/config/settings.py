"""The whole configuration, validated and frozen. Lengths of time are float seconds, sizes bytes."""

from pydantic import Field

from bff.config.access_log import AccessLogSettings
from bff.config.csrf import CsrfSettings
from bff.config.limits import LimitSettings
from bff.config.log import LogSettings
from bff.config.oidc import OidcSettings
from bff.config.routes import RouteSettings
from bff.config.section import Section
from bff.config.server import ServerSettings
from bff.config.session import SessionSettings
from bff.config.spa import SpaSettings
from bff.config.user import UserSettings


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
