"""[[frontends]]: several applications behind one gateway. What one of them does not say is as the
top level says it."""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, create_model

from bff.config.sections import Section, annotated
from bff.config.sections.app import CsrfSettings, SpaSettings, UserSettings
from bff.config.sections.routes import RouteSettings
from bff.config.sections.session import SessionSettings
from bff.config.values.paths import require_prefix
from bff.config.values.texts import NonEmpty
from bff.config.values.urls import URL_SCHEMA, HostName, parse_origin, split_http_url

# One store, its keys and its cache serve all frontends of a process.
OF_THE_STORE = frozenset(
    {
        "store",
        "store_file",
        "namespace",
        "secrets",
        "secrets_file",
        "cache_max_age",
        "cache_entries",
        "stale_while_store_down",
    }
)

MAX_NAME_CHARS = 32
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def require_frontend_name(name: str) -> str:
    """A name that can stand in a cookie's name and in a metric's label."""
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise ValueError(
            f"must be lower-case letters and digits, with single - between, at most "
            f"{MAX_NAME_CHARS}"
        )
    return name


def parse_app_url(value: object) -> str:
    """The origin of an application, as a browser serialises it, and the path that all its paths
    begin with, without a slash at the end."""
    parts = split_http_url(value)
    origin = parse_origin(f"{parts.scheme}://{parts.netloc}")
    path = parts.path.rstrip("/")
    return origin + (require_prefix(path) if path else "")


def optional_keys(model: type[Section], left_out: Collection[str] = ()) -> dict[str, Any]:
    """The keys of a section, each of which may be left out, for another section to have."""
    return {
        name: (
            annotated(known) | None,
            Field(default=None, description=known.description, examples=known.examples),
        )
        for name, known in model.model_fields.items()
        if name not in left_out
    }


def _overriding(model: type[Section], left_out: Collection[str] = ()) -> Any:
    """A section with the same keys, of which each may be left out."""
    # By the name under which it stands here, so that settings can be handed to a worker.
    return create_model(
        f"Own{model.__name__}",
        __base__=Section,
        __module__=__name__,
        **optional_keys(model, left_out),
    )


if TYPE_CHECKING:

    class OwnSessionSettings(Section): ...

    class OwnUserSettings(Section): ...

    class OwnCsrfSettings(Section): ...

else:
    OwnSessionSettings = _overriding(SessionSettings, OF_THE_STORE)
    OwnUserSettings = _overriding(UserSettings)
    OwnCsrfSettings = _overriding(CsrfSettings)


class FrontendSettings(Section):
    """One application. Which tables it has is in `model_fields_set`."""

    name: Annotated[str, AfterValidator(require_frontend_name)] = Field(
        description="What the application is called in logs, metrics, the admin API, and in its "
        "cookies' signatures: with another name its users log in again. A frontend called "
        "`default` takes over the sessions of a gateway that had no frontends.",
        examples=["shop"],
    )
    public_url: Annotated[str, PlainValidator(parse_app_url), WithJsonSchema(URL_SCHEMA)] = Field(
        description="What the browser sees: an origin, or a path of one, below which everything of "
        "this application then stays. Plain http is for loopback only.",
        examples=["https://shop.example.com", "https://intranet.example.com/shop"],
    )
    hosts: tuple[HostName, ...] = Field(
        default=(),
        description="Host values to answer beside that of public_url.",
        examples=[["www.shop.example.com"]],
    )
    providers: tuple[NonEmpty, ...] = Field(
        default=(),
        description="Names of the providers that its users may log in at, the first of which is "
        "its default. All of them unless given.",
        examples=[["corp", "google"]],
    )
    email_domains: dict[HostName, NonEmpty] = Field(
        default={},
        description="Which of its providers a login is for whose login_hint is an e-mail address "
        "of such a domain, in the place of what the providers' own email_domains say.",
        examples=[{"acme.example": "corp"}],
    )
    session: OwnSessionSettings = Field(
        default=OwnSessionSettings(),
        description="Keys of [session] in the place of the top level's: all but those of the store "
        "and its secrets, which all frontends share.",
    )
    user: OwnUserSettings = Field(
        default=OwnUserSettings(), description="Keys of [user] in the place of the top level's."
    )
    csrf: OwnCsrfSettings = Field(
        default=OwnCsrfSettings(), description="Keys of [csrf] in the place of the top level's."
    )
    routes: tuple[RouteSettings, ...] = Field(
        default=(),
        description="Its own routes, with the keys of [[routes]], in the place of all those of the "
        "top level. Their paths begin where the application does.",
    )
    spa: SpaSettings = Field(
        default=SpaSettings(), description="Its own [spa], in the place of the top level's."
    )

    @property
    def base_path(self) -> str:
        """What all its paths begin with, without a slash at the end; empty for a whole origin."""
        return urlsplit(self.public_url).path

    @property
    def origin(self) -> str:
        return self.public_url.removesuffix(self.base_path) if self.base_path else self.public_url
