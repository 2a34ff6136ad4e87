"""The rules of providers, of `[oidc]` as of `[providers]`."""

from collections.abc import Iterator
from functools import cache, partial

from bff.config.problems import Fault, KeyPath
from bff.config.rules.rulebook import ItemsJudge, Providers, provider_rule, refused
from bff.config.sections.providers import ProviderSettings
from bff.config.settings import Settings
from bff.config.sources.environment import variable_of
from bff.config.values.files import load_client_key, require_certificate
from bff.config.values.paths import is_within
from bff.oidc.client_auth.methods import (
    BY_CERTIFICATE,
    BY_SECRET,
    CLIENT_SECRET_JWT,
    MIN_HMAC_SECRET_BYTES,
    PRIVATE_KEY_JWT,
)
from bff.oidc.profiles import KEYS, allowed_key, require_profile_value
from bff.oidc.settings import (
    require_audience_pattern,
    require_endpoint,
    require_issuer,
    require_tenants,
)
from bff.oidc.steps.authorization import require_login_parameter
from bff.oidc.steps.request_object import SIGNED, require_no_claims


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
        yield from refused((*path, "issuer"), require, provider.issuer)


@provider_rule("issuer", "issuer_tenants", "allow_any_issuer_tenant", "discovery_url")
def tenants_are_said(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        require = partial(
            require_tenants, issuer=provider.issuer, any_tenant=provider.allow_any_issuer_tenant
        )
        yield from refused((*path, "issuer_tenants"), require, provider.issuer_tenants)
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
        yield from refused((*path, "discovery_url"), require, provider.discovery_url)


@provider_rule("endpoints", "allow_http_hosts")
def endpoints_have_tls(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        require = partial(require_endpoint, http_hosts=provider.allow_http_hosts)
        for name, url in provider.endpoints.items():
            yield from refused((*path, "endpoints", name), require, url)


@provider_rule("login_params", "organization")
def logins_pass_on_what_is_free(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        for index, name in enumerate(provider.login_params):
            yield from refused((*path, "login_params", index), require_login_parameter, name)
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
        yield from refused(
            (*path, "audience_pattern"), require_audience_pattern, provider.audience_pattern
        )


@provider_rule("client_cert_file", "client_key_file")
def certificate_has_its_key(_: Settings, providers: Providers) -> Iterator[Fault]:
    usable = cache(require_certificate)  # all tenants may show the same one
    for path, provider in providers.items():
        yield from refused(
            (*path, "client_cert_file"),
            partial(usable, key_file=provider.client_key_file),
            provider.client_cert_file,
        )


@provider_rule("client_auth", "request_object", "client_secret", "client_keys", "client_cert_file")
def client_has_what_it_authenticates_by(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        method, secret = provider.client_auth, provider.secret_text
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
        yield from _of_client_keys(path, provider)
        if method in BY_CERTIFICATE and provider.client_cert_file is None:
            yield Fault((*path, "client_cert_file"), f'is required for client_auth = "{method}"')


def _of_client_keys(path: KeyPath, provider: ProviderSettings) -> Iterator[Fault]:
    by_key = f'client_auth = "{PRIVATE_KEY_JWT}"'
    signing = f'request_object = "{SIGNED}"'
    used_by = [by_key] if provider.client_auth == PRIVATE_KEY_JWT else []
    used_by += [signing] if provider.request_object == SIGNED else []
    if used_by and not provider.client_keys:
        yield Fault((*path, "client_keys"), f"is required for {' and '.join(used_by)}")
    elif provider.client_keys and not used_by:
        yield Fault((*path, "client_keys"), f"is for {by_key} and {signing} only")


@provider_rule("request_object", "authorization_params", "login_params")
def signed_requests_keep_their_claims(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        for key in ("authorization_params", "login_params"):
            if provider.request_object == SIGNED:
                yield from refused((*path, key), require_no_claims, getattr(provider, key))


def _profile_allows(key: str) -> ItemsJudge[ProviderSettings]:
    def judge(_: Settings, providers: Providers) -> Iterator[Fault]:
        for path, provider in providers.items():
            require = partial(require_profile_value, provider.profile, key)
            yield from refused((*path, key), require, getattr(provider, key))

    return judge


for _key in KEYS:  # each by itself, so that one which is not valid hides no other
    provider_rule("profile", _key)(_profile_allows(_key))


@provider_rule("profile", "client_keys")
def keys_sign_as_the_profile_says(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        require = partial(allowed_key, provider.profile)
        files = provider.client_keys if provider.profile is not None else ()
        for index, file in enumerate(files):
            yield from refused((*path, "client_keys", index), require, load_client_key(file))


@provider_rule("email_domains")
def domains_are_distinct(_: Settings, providers: Providers) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, provider in providers.items():
        for index, domain in enumerate(provider.email_domains):
            if domain in seen:
                yield Fault((*path, "email_domains", index), "another provider has this domain")
            seen.add(domain)


@provider_rule("dpop", beside=("server.auth_listen",))
def bound_tokens_are_not_handed_out(settings: Settings, providers: Providers) -> Iterator[Fault]:
    # A proof is for one request to one address, and it is another program that makes this request.
    for path, provider in providers.items():
        if provider.dpop and settings.server.auth_listen is not None:
            yield Fault(
                (*path, "dpop"),
                "must be false with server.auth_listen: a proxy that asks there can't prove what "
                "the token is bound to",
            )


@provider_rule("post_logout_path", beside=("server.prefix",))
def logout_returns_to_a_page(settings: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if is_within(provider.post_logout_path, settings.server.prefix):
            yield Fault((*path, "post_logout_path"), "must not lie below server.prefix")


@provider_rule("allow_frontchannel_logout_without_iss", "frontchannel_logout")
def front_channel_is_offered(_: Settings, providers: Providers) -> Iterator[Fault]:
    for path, provider in providers.items():
        if provider.allow_frontchannel_logout_without_iss and not provider.frontchannel_logout:
            yield Fault(
                (*path, "allow_frontchannel_logout_without_iss"),
                "needs frontchannel_logout = true",
            )
