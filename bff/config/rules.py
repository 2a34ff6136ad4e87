"""What must hold between keys. One rule a function; each yields the faults it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from bff.audit.destinations import StreamDestination, WebhookDestination
from bff.config.problems import Fault, KeyPath, dotted
from bff.config.rulebook import (
    RULES,
    Providers,
    Routes,
    Rule,
    only_keys,
    provider_rule,
    route_rule,
    rule,
)
from bff.config.sections.providers import ProviderSettings
from bff.config.settings import LISTENERS, Settings
from bff.config.sources.environment import variable_of
from bff.config.values.files import require_certificate
from bff.config.values.paths import is_within
from bff.config.values.secrets import is_placeholder, require_strong, require_unguessed
from bff.gate.routes import CsrfMode, TokenKind
from bff.oidc.client_auth.methods import (
    BY_CERTIFICATE,
    BY_SECRET,
    CLIENT_SECRET_JWT,
    MIN_HMAC_SECRET_BYTES,
    PRIVATE_KEY_JWT,
)
from bff.oidc.settings import (
    require_audience_pattern,
    require_endpoint,
    require_issuer,
    require_tenants,
)
from bff.oidc.steps.authorization import require_login_parameter

SECRET_RULES: list[Rule] = []  # see `guessable_secrets`
_CLIENT_ONLY = 'is for token = "client" only'


def broken_rules(settings: Settings) -> Iterator[Fault]:
    """The faults of every rule that can be judged. `settings` may lack keys that are not valid."""
    for one in RULES:
        yield from one.faults(settings)
    if not is_for_this_machine(settings):
        yield from guessable_secrets(settings)


# --- [server] and [session] -------------------------------------------------------------------


@rule("session.store", "server.workers")
def memory_has_one_worker(settings: Settings) -> Iterator[Fault]:
    if settings.session.is_in_memory and settings.server.workers > 1:
        yield Fault(
            ("server", "workers"),
            "must be 1 with session.store = memory://, which keeps sessions inside one process; "
            "for more set a redis:// store",
        )


@rule("audit.sinks", "session.store")
def stream_has_a_redis_store(settings: Settings) -> Iterator[Fault]:
    for index, sink in enumerate(settings.audit.sinks):
        if isinstance(sink, StreamDestination) and settings.session.is_in_memory:
            yield Fault(
                ("audit", "sinks", index),
                "a redis-stream: is written to the session store's Redis, and "
                "session.store is memory://",
            )


@rule("audit.sinks", "audit.webhook_token")
def webhook_token_has_a_webhook(settings: Settings) -> Iterator[Fault]:
    kinds = {type(sink) for sink in settings.audit.sinks}
    if settings.audit.webhook_token is not None and WebhookDestination not in kinds:
        yield Fault(("audit", "webhook_token"), "is for a webhook: none of audit.sinks is one")


@rule("session.store", "server.reload_on_change")
def reloads_keep_sessions(settings: Settings) -> Iterator[Fault]:
    if settings.session.is_in_memory and settings.server.reload_on_change:
        yield Fault(
            ("server", "reload_on_change"),
            "needs a redis:// session.store: a reload would lose sessions that are in memory",
        )


@dataclass(frozen=True, slots=True)
class SeparateListener:
    """A rule: the address of the listener `name` must be none of those of `others`; `why` ends the
    sentence."""

    name: str
    others: tuple[str, ...]
    why: str = ""

    def __call__(self, settings: Settings) -> Iterator[Fault]:
        address = settings.listener_at(self.name)
        others = [settings.listener_at(other) for other in self.others]
        # With port 0 each listener gets a free port of its own.
        if address is not None and address in others and not address.endswith(":0"):
            *first, last = (dotted(LISTENERS[other]) for other in self.others)
            named = f"{', '.join(first)} and {last}" if first else last
            yield Fault(LISTENERS[self.name], f"must differ from {named}{self.why}")


for listener in (
    SeparateListener("admin", ("public",), ": never public"),
    SeparateListener("auth", ("public", "admin"), ": its answers hold tokens"),
    SeparateListener("health", ("public", "admin", "auth")),
    SeparateListener("metrics", ("public", "admin", "auth", "health")),
):
    rule(*(dotted(LISTENERS[name]) for name in (listener.name, *listener.others)))(listener)


@rule("server.auth_listen", "server.trusted_proxies")
def auth_listener_has_a_proxy(settings: Settings) -> Iterator[Fault]:
    auth = settings.server.auth_listen
    if auth is None or auth.startswith("unix:") or settings.server.trusted_proxies:
        return
    yield Fault(
        ("server", "trusted_proxies"),
        "must name the proxy that asks at server.auth_listen: nothing else gets an answer there",
    )


@rule("session.idle_timeout", "session.absolute_timeout")
def idle_within_absolute(settings: Settings) -> Iterator[Fault]:
    if settings.session.idle_timeout > settings.session.absolute_timeout:
        yield Fault(("session", "idle_timeout"), "must not be longer than session.absolute_timeout")


@rule("user.claims", "user.access_token_claims")
def a_claim_has_one_source(settings: Settings) -> Iterator[Fault]:
    for name in settings.user.access_token_claims:
        if name in settings.user.claims:
            yield Fault(
                ("user", "access_token_claims"),
                f"must not show {name}, which user.claims takes from the identity",
            )


@rule("session.cookie_name", "server.public_url")
def cookie_name_fits_scheme(settings: Settings) -> Iterator[Fault]:
    # RFC 6265bis section 4.1.3: a browser drops a prefixed cookie that is not Secure, and only
    # the prefix keeps a sibling domain from planting a cookie of that name.
    name = settings.session.cookie_name
    if name is None:
        return
    if settings.server.is_https and not name.startswith("__Host-"):
        yield Fault(("session", "cookie_name"), "must start with __Host- when public_url is https")
    if not settings.server.is_https and name.lower().startswith(("__host-", "__secure-")):
        yield Fault(("session", "cookie_name"), "a name with this prefix needs an https public_url")


# --- secrets ----------------------------------------------------------------------------------
# The OP and the operator of the store know one each: with it they must not be able to open and sign
# sessions.


@provider_rule("client_secret", beside=("session.secrets",))
def client_secret_has_one_purpose(settings: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if _secret_of(provider) in _sealing_secrets(settings):
            yield Fault((*path, "client_secret"), "must not be one of session.secrets as well")


@rule("session.secrets", "session.store")
def store_password_has_one_purpose(settings: Settings) -> Iterator[Fault]:
    if _sealing_secrets(settings) & settings.session.store_passwords:
        yield Fault(("session", "store"), "has one of session.secrets as its password")


def _sealing_secrets(settings: Settings) -> set[str]:
    return {secret.get_secret_value() for secret in settings.session.secrets}


def is_for_this_machine(settings: Settings) -> bool:
    """Whether no other machine's browser can use the gateway: `public_url` is valid and loopback.
    There a secret may be guessable: `bff check` and each start warn of it."""
    server = only_keys(vars(settings).get("server"), {"public_url"})
    return server is not None and server.is_loopback


def guessable_secrets(settings: Settings) -> Iterator[Fault]:
    """A fault for each secret that looks typed by a person or copied from an example. No text
    repeats a secret."""
    for one in SECRET_RULES:
        yield from one.faults(settings)


@provider_rule("client_secret", among=SECRET_RULES)
def client_secret_is_not_guessable(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if secret := _secret_of(provider):
            yield from _refused((*path, "client_secret"), require_unguessed, secret)


@rule("session.secrets", among=SECRET_RULES)
def session_secrets_are_not_guessable(settings: Settings) -> Iterator[Fault]:
    for index, secret in enumerate(settings.session.secrets):
        yield from _refused(
            ("session", "secrets", index), require_strong, secret.get_secret_value()
        )


def _refused(path: KeyPath, require: Callable[[Any], object], value: Any) -> Iterator[Fault]:
    try:
        require(value)
    except ValueError as error:
        yield Fault(path, str(error))


@rule("session.store", among=SECRET_RULES)
def store_password_is_no_placeholder(settings: Settings) -> Iterator[Fault]:
    if any(map(is_placeholder, settings.session.store_passwords)):
        yield Fault(
            ("session", "store"),
            "has a placeholder for its password: put the password in its place",
        )


# --- [oidc], [providers] and [spa] ------------------------------------------------------------


@provider_rule("issuer", "client_id")
def providers_are_distinct(_: Settings, providers: Providers) -> Iterator[Fault]:
    # A session's record tells by its seal which client it was made for.
    seen: set[tuple[str, str]] = set()
    for path, provider in providers.items():
        client = (provider.issuer, provider.client_id)
        if client in seen:
            yield Fault((*path, "client_id"), "another provider is this client of this issuer")
        seen.add(client)


@provider_rule("issuer", "allow_http_hosts")
def issuer_has_tls(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        require = partial(require_issuer, http_hosts=provider.allow_http_hosts)
        yield from _refused((*path, "issuer"), require, provider.issuer)


@provider_rule("issuer", "issuer_tenants", "allow_any_issuer_tenant", "discovery_url")
def tenants_are_said(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        require = partial(
            require_tenants, issuer=provider.issuer, any_tenant=provider.allow_any_issuer_tenant
        )
        yield from _refused((*path, "issuer_tenants"), require, provider.issuer_tenants)
        if provider.issuers.is_template and provider.discovery_url is None:
            yield Fault(
                (*path, "discovery_url"),
                "must say where the metadata of all tenants is, since issuer is a template",
            )


@provider_rule("issuer", "allow_any_issuer_tenant", "allow_frontchannel_logout_without_iss")
def front_channel_knows_the_tenants(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if provider.allow_any_issuer_tenant and provider.allow_frontchannel_logout_without_iss:
            yield Fault(
                (*path, "allow_frontchannel_logout_without_iss"),
                "must be false with allow_any_issuer_tenant: iss alone says the tenant",
            )


@provider_rule("discovery_url", "allow_http_hosts")
def discovery_has_tls(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        require = partial(require_endpoint, http_hosts=provider.allow_http_hosts)
        yield from _refused((*path, "discovery_url"), require, provider.discovery_url)


@provider_rule("endpoints", "allow_http_hosts")
def endpoints_have_tls(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        require = partial(require_endpoint, http_hosts=provider.allow_http_hosts)
        for name, url in provider.endpoints.items():
            yield from _refused((*path, "endpoints", name), require, url)


@provider_rule("login_params", "organization")
def logins_pass_on_what_is_free(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        for index, name in enumerate(provider.login_params):
            yield from _refused((*path, "login_params", index), require_login_parameter, name)
            if name.lower() == provider.organization.get("parameter", "").lower():
                yield Fault(
                    (*path, "login_params", index),
                    "is organization.parameter, which only `org` may set: its claim is checked",
                )


@provider_rule("resource", "authorization_params", "login_params")
def resource_is_said_once(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        for key in ("authorization_params", "login_params"):
            if provider.resource and any(n.lower() == "resource" for n in getattr(provider, key)):
                yield Fault((*path, key), "must not hold resource, which is set beside it")


@provider_rule("audience_pattern")
def audiences_are_not_all(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        yield from _refused(
            (*path, "audience_pattern"), require_audience_pattern, provider.audience_pattern
        )


@provider_rule("client_cert_file", "client_key_file")
def certificate_has_its_key(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        yield from _refused(
            (*path, "client_cert_file"),
            partial(require_certificate, key_file=provider.client_key_file),
            provider.client_cert_file,
        )


@provider_rule("client_auth", "client_secret", "client_keys", "client_cert_file")
def client_has_what_it_authenticates_by(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        method, secret = provider.client_auth, _secret_of(provider)
        if method in BY_SECRET and not secret:
            variable = variable_of((*path, "client_secret"))
            yield Fault(
                (*path, "client_secret"),
                f'is required for client_auth = "{method}"; it may also be set as '
                f"client_secret_file or {variable}",
            )
        elif method == CLIENT_SECRET_JWT and len(secret.encode()) < MIN_HMAC_SECRET_BYTES:
            yield Fault(
                (*path, "client_secret"),
                f"must have at least {MIN_HMAC_SECRET_BYTES} bytes for client_secret_jwt",
            )
        elif secret and method not in BY_SECRET:
            # It would be valid at the OP, and the weaker of two ways in.
            yield Fault(
                (*path, "client_secret"), f'must not be given with client_auth = "{method}"'
            )
        if method == PRIVATE_KEY_JWT and not provider.client_keys:
            yield Fault((*path, "client_keys"), f'is required for client_auth = "{method}"')
        elif provider.client_keys and method != PRIVATE_KEY_JWT:
            yield Fault((*path, "client_keys"), f'is for client_auth = "{PRIVATE_KEY_JWT}" only')
        if method in BY_CERTIFICATE and provider.client_cert_file is None:
            yield Fault((*path, "client_cert_file"), f'is required for client_auth = "{method}"')


def _secret_of(provider: ProviderSettings) -> str:
    return provider.client_secret.get_secret_value() if provider.client_secret else ""


@provider_rule("email_domains")
def domains_are_distinct(_: Settings, providers: Providers) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, provider in providers.items():
        for index, domain in enumerate(provider.email_domains):
            if domain in seen:
                yield Fault((*path, "email_domains", index), "another provider has this domain")
            seen.add(domain)


@provider_rule("post_logout_path", beside=("server.prefix",))
def logout_returns_to_a_page(settings: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if is_within(provider.post_logout_path, settings.server.prefix):
            yield Fault((*path, "post_logout_path"), "must not lie below server.prefix")


@rule("session.logout_return_paths", "server.prefix")
def logout_ends_at_a_page(settings: Settings) -> Iterator[Fault]:
    for index, path in enumerate(settings.session.logout_return_paths):
        if is_within(path, settings.server.prefix):
            yield Fault(
                ("session", "logout_return_paths", index), "must not lie below server.prefix"
            )


@provider_rule("allow_frontchannel_logout_without_iss", "frontchannel_logout")
def front_channel_is_offered(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if provider.allow_frontchannel_logout_without_iss and not provider.frontchannel_logout:
            yield Fault(
                (*path, "allow_frontchannel_logout_without_iss"),
                "needs frontchannel_logout = true",
            )


@rule("spa.root", "spa.dev_server")
def one_source_of_pages(settings: Settings) -> Iterator[Fault]:
    if settings.spa.root is not None and settings.spa.dev_server is not None:
        yield Fault(("spa", "dev_server"), "must not be given together with spa.root")


# --- [[routes]] -------------------------------------------------------------------------------


@route_rule("path")
def routes_are_distinct(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, route in routes.items():
        if route.prefix in seen:
            yield Fault((*path, "path"), "another route has this path already")
        seen.add(route.prefix)


@route_rule("path", beside=("server.prefix",))
def routes_leave_own_paths(settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        if is_within(route.path, settings.server.prefix):
            yield Fault((*path, "path"), "lies below server.prefix, where the gateway's are")


@route_rule("path", beside=("spa.root", "spa.dev_server"))
def routes_leave_the_app(settings: Settings, routes: Routes) -> Iterator[Fault]:
    if settings.spa.root is None and settings.spa.dev_server is None:
        return
    for path, route in routes.items():
        if route.prefix == "":
            yield Fault((*path, "path"), "would hide the app that [spa] serves")


@route_rule("token", "resource", "audience", "scope")
def what_a_token_is_for_needs_one(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        for key in ("resource", "audience", "scope"):
            if getattr(route, key) and route.token is TokenKind.NONE:
                yield Fault((*path, key), 'is for a token, and token = "none" sends none')


@route_rule("token", "anonymous")
def anonymous_needs_client_token(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        if route.anonymous and route.token is not TokenKind.CLIENT:
            yield Fault((*path, "anonymous"), _CLIENT_ONLY)


@route_rule("require_acr", "max_auth_age", "token", "anonymous")
def step_up_needs_a_login(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    for path, route in routes.items():
        if route.token is TokenKind.NONE or route.anonymous:
            for key in ("require_acr", "max_auth_age"):
                if getattr(route, key) is not None:
                    yield Fault(
                        (*path, key),
                        'needs a session: not with token = "none", nor with anonymous = true',
                    )


@route_rule("csrf", "token", "forward_cookies")
def only_the_open_go_unguarded(_settings: Settings, routes: Routes) -> Iterator[Fault]:
    # Without the guard any site could act with what the browser or the gateway adds.
    for path, route in routes.items():
        is_open = route.token is TokenKind.NONE and not route.forward_cookies
        if route.csrf is CsrfMode.OFF and not is_open:
            yield Fault(
                (*path, "csrf"),
                'must not be "off" unless token = "none" and forward_cookies is empty: another '
                "site could act in the user's name",
            )


@route_rule("forward_cookies", beside=("session.cookie_name", "server.public_url"))
def own_cookie_stays(settings: Settings, routes: Routes) -> Iterator[Fault]:
    own = settings.cookie_name.lower()
    for path, route in routes.items():
        if any(name.lower().startswith(own) for name in route.forward_cookies):
            yield Fault((*path, "forward_cookies"), "must not name the gateway's cookies")
