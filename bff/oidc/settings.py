"""The relying party's settings, and the rules for them. Whatever is wrong is said when they are
made, before anything is fetched; the configuration asks the same rules.

Each `require_*` returns what it is given, or raises ValueError with the rest of a sentence that
begins with the setting's name.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from bff.model import DEFAULT_PROVIDER
from bff.oidc.client_auth.keys import ClientKey, certificate_jwk
from bff.oidc.client_auth.methods import (
    CLIENT_SECRET_BASIC,
    PRIVATE_KEY_JWT,
    SELF_SIGNED_TLS,
    ClientAuth,
    ClientAuthMethod,
    require_client_auth,
)
from bff.oidc.identity import Organization
from bff.oidc.jwt.id_token import IdTokenRules
from bff.oidc.jwt.jwks import SigningAlg, require_signing_algs
from bff.oidc.jwt.logout_token import LogoutTokenRules
from bff.oidc.profiles import KEYS, ProfileName, require_profile, require_profile_value
from bff.oidc.provider.endpoint_url import (
    PlainHttp,
    is_endpoint_url,
    plain_http_policy,
    require_https,
    require_resource,
)
from bff.oidc.provider.http import DIRECT, Network
from bff.oidc.provider.issuers import TENANT, TrustedIssuers, require_template, require_tenant_ids
from bff.oidc.provider.metadata import ENDPOINTS, WELL_KNOWN
from bff.oidc.step_up import require_acr_values
from bff.oidc.steps import authorization, end_session
from bff.oidc.steps.authorization_details import Details, require_allowed, require_details
from bff.oidc.steps.pushed_request import ParMode, require_par_mode
from bff.oidc.steps.request_object import (
    OFF,
    SIGNED,
    RequestObjectMode,
    require_no_claims,
    require_request_object_mode,
)
from bff.oidc.steps.signed_response import QUERY, QUERY_JWT, ResponseMode, require_response_mode

NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})
MAX_LEEWAY_SECONDS = 60.0
MAX_NAME_CHARS = 32

TokenExchange = Literal["standard", "on-behalf-of"]
EXCHANGES: tuple[TokenExchange, ...] = get_args(TokenExchange)
STANDARD, ON_BEHALF_OF = EXCHANGES

_PROVIDER_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


def require_provider_name(name: str) -> str:
    """A name that can stand in a URL and, in capitals, in an environment variable. In metrics
    `none` says that there is no provider."""
    if name == "none":
        raise ValueError("would be taken for no provider at all")
    if not _PROVIDER_NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
        raise ValueError(
            "must be lower-case letters and digits, a letter first, with single - or _ between, at "
            f"most {MAX_NAME_CHARS}"
        )
    return name


def require_issuer(
    issuer: str, *, allow_insecure_http: bool = False, http_hosts: Collection[str] = ()
) -> str:
    """An issuer identifier, kept byte for byte, since it is compared as a string (OpenID Connect
    Discovery 1.0 sections 2 and 3: https, neither query nor fragment)."""
    if urlsplit(issuer).path.endswith(WELL_KNOWN):
        raise ValueError(f"must be the part before {WELL_KNOWN}")
    plain_http = PlainHttp.ANYWHERE if allow_insecure_http else PlainHttp.LOOPBACK
    if is_endpoint_url(issuer, PlainHttp.ANYWHERE):
        require_https(urlsplit(issuer), plain_http, http_hosts)
    if not is_endpoint_url(issuer, plain_http, http_hosts) or "?" in issuer:
        raise ValueError("must be an https URL without user, query or fragment")
    return require_template(issuer)


def require_tenants(
    tenants: Collection[str], *, issuer: str, any_tenant: bool = False
) -> Collection[str]:
    """The tenants that may log in: at an OP where anybody can have one, none is a default."""
    if TENANT not in issuer and (tenants or any_tenant):
        raise ValueError(f"and allow_any_issuer_tenant are for an issuer with {TENANT}")
    if tenants and any_tenant:
        raise ValueError("must not be given beside allow_any_issuer_tenant")
    if TENANT in issuer and not tenants and not any_tenant:
        raise ValueError("must list the tenants that may log in, since issuer is a template")
    return require_tenant_ids(tenants)


def require_endpoint(url: str | None, *, http_hosts: Collection[str] = ()) -> str | None:
    """A URL that the operator names: https, or http for loopback and the hosts that are named."""
    if url is not None and not is_endpoint_url(url, PlainHttp.LOOPBACK, http_hosts):
        raise ValueError(
            "must be an https URL without user or fragment; plain http is for loopback hosts and "
            "those of allow_http_hosts"
        )
    return url


def require_endpoints(
    endpoints: Mapping[str, str], *, http_hosts: Collection[str] = ()
) -> Mapping[str, str]:
    """Endpoints by hand."""
    for name, url in endpoints.items():
        require_endpoint_name(name)
        try:
            require_endpoint(url, http_hosts=http_hosts)
        except ValueError as wrong:
            raise ValueError(f"({name}) {wrong}") from None
    return endpoints


def require_endpoint_name(name: str) -> str:
    """One of `metadata.ENDPOINTS`."""
    if name not in ENDPOINTS:
        raise ValueError(f"must be one of {', '.join(ENDPOINTS)}")
    return name


def require_audience_pattern(pattern: str | None) -> str | None:
    """`*` stands for any characters; some of the rest must be given, or any audience would do."""
    if pattern is not None and not pattern.replace("*", ""):
        raise ValueError("must hold more than *, or any audience would do")
    return pattern


def require_openid(scope: str) -> str:
    """OIDC Core section 3.1.2.1: without `openid` there is no ID token."""
    if "openid" not in scope.split():
        raise ValueError('must contain "openid"')
    return scope


def require_leeway(seconds: float) -> float:
    """More would let tokens live on that are long expired."""
    if not 0 <= seconds <= MAX_LEEWAY_SECONDS:
        raise ValueError(f"must be from 0 to {MAX_LEEWAY_SECONDS:.0f} seconds")
    return seconds


@dataclass(frozen=True, slots=True)
class RelyingPartySettings:
    """One OP, and one client registered there. `name` is what the configuration calls it,
    and `table` where it stands there, for advice to the operator.

    `authorization_params` are defaults for the authorization request (an `audience`, a `prompt`);
    `end_session_params` go to the end-session endpoint. `trusted_audiences` may stand beside us in
    `aud`. `allow_logout_tokens_without_exp` accepts what an older OP sends. Plain http is for
    loopback; `allow_insecure_http` lifts that for a closed network, `http_hosts` for hosts of one.

    What `client_auth` names must be given: a secret, keys (of which the first signs), or the
    certificate of `network`. A signed `request_object` needs keys as well. `read_client_secret`
    reads the file of the secret anew.

    `device_login`: users may log in by device code (RFC 8628).

    `dpop`: access tokens are bound to a key of the gateway's (RFC 9449), or they are not used.

    `profile`: the other settings are those that it allows, and the OP has what it needs.

    A login is granted tokens for `resource` and for `api_resources`, those of single routes. Its
    own access token is for the first `resource` (RFC 8707).

    `discovery_url` is where the metadata lies, if not below the issuer; `endpoints` are those by
    hand, under the names of `metadata.ENDPOINTS`. A login may pass on the parameters
    `login_params`, and the organization it is for. Where `issuer` has `{tenantid}`, users of the
    `issuer_tenants` may log in, or those of any tenant.

    `acr_order` are the OP's values of `acr`, from weak to strong.

    `on_demand`: nothing is fetched before a request needs it, neither at start nor by a probe.

    The answer to a refresh is waited for longer than any other: it may hold the only copy of a
    rotated token, and an OP that hung for a while will have spent the old one.

    Raises:
        ValueError: for a setting that cannot work or would weaken the protocol.
    """

    issuer: str
    client_id: str
    redirect_uri: str
    client_secret: str = field(default="", repr=False)
    client_keys: tuple[ClientKey, ...] = field(default=(), repr=False)
    read_client_secret: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    name: str = DEFAULT_PROVIDER
    table: str = "oidc"
    profile: ProfileName | None = None
    post_logout_redirect_uri: str | None = None
    scope: str = "openid"
    resource: tuple[str, ...] = ()
    api_resources: tuple[str, ...] = ()
    token_exchange: TokenExchange = STANDARD
    client_auth: ClientAuthMethod = CLIENT_SECRET_BASIC
    par: ParMode = "if-offered"
    request_object: RequestObjectMode = OFF
    device_login: bool = False
    response_mode: ResponseMode = QUERY
    authorization_details: Details = ()
    dpop: bool = False
    login_authorization_details: Details = ()
    id_token_algs: tuple[SigningAlg, ...] = ("RS256",)
    trusted_audiences: tuple[str, ...] = ()
    authorization_params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMETERS)
    end_session_params: Mapping[str, str] = field(default_factory=lambda: NO_PARAMETERS)
    userinfo: bool = False
    send_id_token_hint: bool = True
    revoke_on_logout: bool = True
    backchannel_logout_session_required: bool = False
    allow_logout_tokens_without_exp: bool = False
    leeway_seconds: float = 30.0
    timeout_seconds: float = 10.0
    refresh_timeout_seconds: float = 60.0
    revocation_timeout_seconds: float = 3.0
    ca_file: str | None = None
    allow_insecure_http: bool = False
    discovery_url: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=lambda: NO_PARAMETERS)
    http_hosts: tuple[str, ...] = ()
    network: Network = DIRECT
    login_params: tuple[str, ...] = ()
    audience_pattern: str | None = None
    organization: Organization | None = None
    label: str = ""
    on_demand: bool = False
    email_domains: tuple[str, ...] = ()
    issuer_tenants: tuple[str, ...] = ()
    allow_any_issuer_tenant: bool = False
    acr_order: tuple[str, ...] = ()

    @property
    def issuers(self) -> TrustedIssuers:
        return TrustedIssuers(
            self.issuer, frozenset(self.issuer_tenants), self.allow_any_issuer_tenant
        )

    def is_endpoint(self, url: object) -> bool:
        """Whether the OP may name this URL, for us to call it or to send a user there."""
        policy = plain_http_policy(self.issuer, allow_insecure_http=self.allow_insecure_http)
        return is_endpoint_url(url, policy, self.http_hosts)

    def __post_init__(self) -> None:
        if not self.client_id:
            raise ValueError("client_id must not be empty")
        rules: dict[str, Callable[[Any], object]] = {
            "name": require_provider_name,
            "issuer": partial(
                require_issuer,
                allow_insecure_http=self.allow_insecure_http,
                http_hosts=self.http_hosts,
            ),
            "discovery_url": partial(require_endpoint, http_hosts=self.http_hosts),
            "endpoints": partial(require_endpoints, http_hosts=self.http_hosts),
            "login_params": lambda names: [*map(authorization.require_login_parameter, names)],
            "audience_pattern": require_audience_pattern,
            "issuer_tenants": partial(
                require_tenants, issuer=self.issuer, any_tenant=self.allow_any_issuer_tenant
            ),
            "profile": require_profile,
            "client_auth": require_client_auth,
            "par": require_par_mode,
            "request_object": require_request_object_mode,
            "response_mode": require_response_mode,
            "authorization_details": require_details,
            "login_authorization_details": require_allowed,
            "scope": require_openid,
            "resource": lambda uris: [*map(require_resource, uris)],
            "id_token_algs": require_signing_algs,
            "leeway_seconds": require_leeway,
            "acr_order": require_acr_values,
            "authorization_params": authorization.require_unreserved,
            "end_session_params": end_session.require_unreserved,
        }
        for name, require in rules.items():
            try:
                require(getattr(self, name))
            except ValueError as wrong:
                raise ValueError(f"{name} {wrong}") from None
        try:
            self.authentication()
        except ValueError as wrong:
            raise ValueError(f"client_auth {wrong}") from None
        self._require_profile()
        if self.signs_requests:
            self._require_signable()

    def _require_profile(self) -> None:
        for key in KEYS:
            value = self.http_hosts if key == "allow_http_hosts" else getattr(self, key)
            try:
                require_profile_value(self.profile, key, value)
            except ValueError as wrong:
                raise ValueError(f"{key} {wrong}") from None

    def _require_signable(self) -> None:
        if not self.client_keys:
            raise ValueError("request_object needs client_keys")
        for name in ("authorization_params", "login_params"):
            try:
                require_no_claims(getattr(self, name))
            except ValueError as wrong:
                raise ValueError(f"{name} {wrong}") from None

    def authentication(self) -> ClientAuth:
        """How the client authenticates, with what it needs for it."""
        return ClientAuth(
            self.client_auth,
            self.client_id,
            self.client_secret,
            self.client_keys,
            has_certificate=self.network.cert_file is not None,
        )

    def id_token_rules(self) -> IdTokenRules:
        return IdTokenRules(
            issuer=self.issuer,
            client_id=self.client_id,
            algs=frozenset(self.id_token_algs),
            trusted_audiences=frozenset(self.trusted_audiences),
            leeway_seconds=self.leeway_seconds,
            table=self.table,
            audience_pattern=self.audience_pattern,
            tenants=self.issuers.tenants,
            any_tenant=self.issuers.any_tenant,
            acr_order=self.acr_order,
        )

    def logout_token_rules(self) -> LogoutTokenRules:
        return LogoutTokenRules(
            self.id_token_rules(),
            session_required=self.backchannel_logout_session_required,
            allow_without_exp=self.allow_logout_tokens_without_exp,
        )

    @property
    def is_known_by_keys(self) -> bool:
        """Whether the OP has to know public keys of the client."""
        return self.client_auth in (PRIVATE_KEY_JWT, SELF_SIGNED_TLS) or self.signs_requests

    @property
    def signs_requests(self) -> bool:
        """Whether authorization requests are signed (RFC 9101)."""
        return self.request_object == SIGNED

    @property
    def all_authorization_details(self) -> Details:
        """Those of every login, and those that a login may ask for."""
        return (*self.authorization_details, *self.login_authorization_details)

    @property
    def wants_signed_responses(self) -> bool:
        """Whether the OP's answers must be signed (JARM)."""
        return self.response_mode == QUERY_JWT

    def public_keys(self) -> list[Mapping[str, object]]:
        """The JWKs by which the OP knows the client (RFC 7591 section 2, `jwks`).

        Raises:
            ValueError, OSError: the file of the certificate can't be used.
        """
        found = [key.public for key in self.client_keys]
        if self.client_auth == SELF_SIGNED_TLS and self.network.cert_file is not None:
            found.append(certificate_jwk(self.network.cert_file))
        return found


def jwk_set(clients: Iterable[RelyingPartySettings]) -> dict[str, object]:
    """The public keys of these clients, each once (RFC 7517 section 5). Raises as
    `RelyingPartySettings.public_keys`."""
    keys: dict[str, dict[str, object]] = {}
    for client in clients:
        for key in client.public_keys():  # a certificate's may be the key of another client as well
            keys.setdefault(str(key["kid"]), {}).update(key)
    return {"keys": [*keys.values()]}
