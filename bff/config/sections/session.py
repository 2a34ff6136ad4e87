"""[session]: the store, the cookie, and how long a session lives."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StrictBool, StrictInt, WithJsonSchema

from bff.config.sections import Section, default_of
from bff.config.values.files import FilePath
from bff.config.values.paths import RoutePath
from bff.config.values.quantities import Between, Duration, duration_text
from bff.config.values.secrets import LongSecret
from bff.config.values.texts import SOME, CookieName, Namespace
from bff.oidc.provider.endpoint_url import is_loopback
from bff.sessions import engines
from bff.sessions.sessions import SessionPolicy


def require_store_url(url: SecretStr) -> SecretStr:
    """The URL of an engine. The reason never repeats it."""
    engines.require_store_url(url.get_secret_value())
    return url


StoreUrl = Annotated[
    SecretStr,
    AfterValidator(require_store_url),
    WithJsonSchema({"type": "string", "x-kind": "secret URL"}),
]


def require_distinct(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """No secret twice: the list is a history of keys."""
    if len({secret.get_secret_value() for secret in secrets}) != len(secrets):
        raise ValueError("must not hold the same secret twice")
    return secrets


class SessionSettings(Section):
    """`store` is a secret because it may hold a password."""

    store: StoreUrl = Field(
        default=engines.IN_MEMORY,
        validate_default=True,
        description=f"Where sessions live: {engines.NAMES}.",
        examples=["rediss://redis.internal:6379/0"],
    )
    store_file: FilePath | None = Field(
        default=None,
        description="A file that holds the store's URL, for one with a password.",
        examples=["/run/secrets/redis_url"],
    )
    namespace: Namespace = Field(
        default="bff",
        description="What all keys and channels in Redis begin with, and a colon. Gateways that "
        "share a Redis but not their sessions need one each; replicas of one gateway the same.",
        examples=["shop"],
    )
    secrets: Annotated[tuple[LongSecret, ...], SOME, AfterValidator(require_distinct)] = Field(
        description="Secrets of at least 32 bytes each. The first signs cookies and seals "
        "sessions, all of them verify and open. `bff keygen` makes one. Every replica needs the "
        "same list; docs/operations.md says how it is rotated.",
    )
    secrets_file: FilePath | None = Field(
        default=None,
        description="A file that holds the secrets, one a line, the newest first.",
        examples=["/run/secrets/session_secrets"],
    )
    idle_timeout: Annotated[Duration, Between("1s", "30d")] = Field(
        default="30m",
        validate_default=True,
        description="A session ends after this long without a request.",
    )
    absolute_timeout: Annotated[Duration, Between("1s", "365d")] = Field(
        default="12h",
        validate_default=True,
        description="A session ends this long after the login, in use or not.",
    )
    refresh_before: Annotated[Duration, Between("0s", "1h")] = Field(
        default="60s",
        validate_default=True,
        description="How long before its expiry an access token is refreshed, at most a third of "
        "its lifetime.",
    )
    same_site: Literal["strict", "lax"] = Field(
        default="strict",
        description="SameSite of the session cookie. Use lax only if pages opened from another "
        "site must find the session on their very first request.",
    )
    persistent: StrictBool = Field(
        default=False,
        description="Whether the session cookie outlives a restart of the browser: it then carries "
        "Max-Age, the session's absolute_timeout, so that it is there for as long as the session "
        "can live. Its idle_timeout is kept by the gateway alone. On a computer that several "
        "people use, closing the browser then logs out no longer.",
    )
    cookie_name: CookieName | None = Field(
        default=None,
        description="Name of the session cookie: by default `__Host-Http-bff` on https and "
        "`bff` on loopback http. On https it must start with `__Host-`.",
        examples=["__Host-Http-acme"],
    )
    login_timeout: Annotated[Duration, Between("10s", "10m")] = Field(
        default="10m",
        validate_default=True,
        description="How long a user may take to log in at the OP, at most 10m.",
    )
    logout_return_paths: tuple[RoutePath, ...] = Field(
        default=(),
        description="Pages of the app, each with what lies below it, that a logout may name as "
        "`returnUrl` to end there; `/` is every page. Any other ends at the provider's "
        "post_logout_path. With a page here the OP returns to public_url plus "
        "`/bff/logged-out` (server.prefix) after every logout: register that as "
        "post_logout_redirect_uri.",
        examples=[["/goodbye"]],
    )
    logins_per_browser: Annotated[StrictInt, Field(ge=1, le=50)] = Field(
        default=10,
        description="Logins that one browser may have open at a time; past it the oldest is "
        "dropped.",
    )
    cache_max_age: Annotated[Duration, Between("100ms", "60s")] = Field(
        default=duration_text(default_of(SessionPolicy, "cache_seconds")),
        validate_default=True,
        description="For so long a session held in memory is good without news from the store; "
        "then it is read again. Logouts take effect at once all the same.",
    )
    cache_entries: Annotated[StrictInt, Field(ge=1, le=10_000_000)] = Field(
        default=default_of(SessionPolicy, "cache_entries"),
        description="Sessions held in memory per process.",
    )

    stale_while_store_down: Annotated[Duration, Between("0s", "1h")] = Field(
        default=duration_text(default_of(SessionPolicy, "stale_seconds")),
        validate_default=True,
        description="While the store is down, sessions that were read at most this long ago go on "
        "with the tokens they had. 0s: calls are answered 503 until the store is back.",
    )
    max_per_user: Annotated[StrictInt, Field(ge=0, le=1000)] = Field(
        default=0,
        description="Sessions one user may have at a time; past it a login ends the oldest. 0: no "
        "limit.",
    )
    keep_address: StrictBool = Field(
        default=False,
        description="Keep the client's IP address at the login with the session, sealed like the "
        "rest, and show it in the lists of sessions. It is personal data, so by default it is not "
        "kept.",
    )

    @property
    def is_in_memory(self) -> bool:
        return self.store.get_secret_value() == engines.IN_MEMORY

    @property
    def store_passwords(self) -> frozenset[str]:
        """Those in the store's URL."""
        return engines.passwords_in(self.store.get_secret_value())

    @property
    def is_store_in_the_clear(self) -> bool:
        """Whether the store is on another machine and is reached without TLS."""
        hosts = engines.hosts_without_tls(self.store.get_secret_value())
        return not all(map(is_loopback, hosts))

    def policy(self) -> SessionPolicy:
        """How long sessions live, and how many are held in memory."""
        return SessionPolicy(
            idle_seconds=self.idle_timeout,
            absolute_seconds=self.absolute_timeout,
            cache_entries=self.cache_entries,
            cache_seconds=self.cache_max_age,
            stale_seconds=self.stale_while_store_down,
        )
