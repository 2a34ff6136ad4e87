"""[oidc] and [providers.NAME]: an OpenID provider, and how the gateway is registered there as a
confidential client."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool

from bff.config.sections import Section, default_of
from bff.config.sections.server import ServerSettings
from bff.config.values.files import CaFile, FilePath, KeyFile, load_client_key, read_text
from bff.config.values.paths import OwnPath
from bff.config.values.providers import (
    AllowedDetails,
    AuthorizationDetails,
    ClientAuth,
    EndpointName,
    Label,
    LoginParameter,
    LogoutParameter,
    OrganizationTable,
    Preset,
    Proxy,
)
from bff.config.values.quantities import Between, Duration, duration_text
from bff.config.values.secrets import GivenSecret
from bff.config.values.texts import SOME, NonEmpty, Scope, require_all_different, require_text
from bff.config.values.urls import HostName, Issuer, Resource
from bff.oidc.identity import Organization
from bff.oidc.jwt.jwks import SigningAlg
from bff.oidc.profiles import ProfileName, allowed_key
from bff.oidc.provider.http import Network
from bff.oidc.provider.issuers import TrustedIssuers
from bff.oidc.settings import (
    MAX_LEEWAY_SECONDS,
    RelyingPartySettings,
    TokenExchange,
    require_openid,
)
from bff.oidc.step_up import require_acr_values
from bff.oidc.steps.pushed_request import ParMode
from bff.oidc.steps.request_object import RequestObjectMode
from bff.oidc.steps.signed_response import ResponseMode


def _default(name: str) -> Any:
    return default_of(RelyingPartySettings, name)


class ProviderSettings(Section):
    """One OP, and one client registered there. `preset` and `profile` have had their effect on
    other keys before validation."""

    preset: Preset | None = Field(
        default=None,
        description="The kind of OP: defaults for other keys of this table, as the OP's page in "
        "docs/providers says. A key that is given wins, as a whole. `bff config show` prints what "
        "holds.",
        examples=["keycloak"],
    )
    profile: ProfileName | None = Field(
        default=None,
        description="A security profile of OpenID: FAPI 2.0, with signed requests and answers "
        "(`fapi2-message-signing`) or without. It gives other keys of this table the values that "
        "it needs, and refuses those that it forbids. See docs/fapi.md.",
        examples=["fapi2"],
    )
    issuer: Issuer = Field(
        description="The OP's issuer identifier, exactly as its discovery document spells it.",
        examples=["https://idp.example.com/realms/acme"],
    )
    issuer_tenants: tuple[NonEmpty, ...] = Field(
        default=(),
        description="For an issuer with `{tenantid}`, as the metadata of an OP with many tenants "
        "has it (Entra ID): the ids of the tenants whose users may log in. A token must name the "
        "issuer of one of them, and the tenant itself in its claim tid.",
        examples=[["00000000-0000-0000-0000-000000000000"]],
    )
    allow_any_issuer_tenant: StrictBool = Field(
        default=False,
        description="A relaxation, for such an issuer: the users of every tenant may log in. At a "
        "public OP anybody can have a tenant and write into its users' claims what they like: know "
        "a user by iss and sub, and never by an e-mail address.",
    )
    client_id: NonEmpty = Field(
        description="The gateway's client identifier at the OP.", examples=["spa"]
    )
    client_secret: GivenSecret | None = Field(
        default=None,
        description="The client secret, at least 16 bytes (32 for client_secret_jwt). Prefer "
        "client_secret_file or the environment.",
    )
    client_secret_file: FilePath | None = Field(
        default=None,
        description="A file that holds the client secret. It is read again when the OP refuses the "
        "secret, so that a new one is taken over without a restart.",
        examples=["/run/secrets/client_secret"],
    )
    client_auth: ClientAuth = Field(
        default=_default("client_auth"),
        description="How the gateway authenticates at the OP's endpoints: by client_secret, as it "
        "is or signing with it (client_secret_jwt); by client_keys (private_key_jwt); or by the "
        "certificate client_cert_file, which the OP knows by its name (tls_client_auth) or as it "
        "is (self_signed_tls_client_auth). See docs/client-authentication.md.",
    )
    client_keys: tuple[KeyFile, ...] = Field(
        default=(),
        description="PEM files of the gateway's own private keys: RSA, EC or Ed25519, without a "
        "passphrase. The first signs, client assertions and requests; GET /bff/jwks and `bff jwks` "
        "publish the public halves of all.",
        examples=[["/run/secrets/new.pem", "/run/secrets/old.pem"]],
    )
    par: ParMode = Field(
        default=_default("par"),
        description="Whether authorization requests are pushed to the OP (RFC 9126), so that the "
        "browser carries a reference only: where its metadata has an endpoint for it, always "
        "(else no login begins), or never. A request is never sent in the other way because one "
        "has failed.",
    )
    dpop: StrictBool = Field(
        default=_default("dpop"),
        description="Whether access tokens are bound to a key that the gateway alone holds (RFC "
        "9449), a new one for each session, so that a stolen one is of no use. The OP and the APIs "
        "must know DPoP: a bearer token is then refused. See docs/dpop.md.",
    )
    request_object: RequestObjectMode = Field(
        default=_default("request_object"),
        description="Whether authorization requests are signed with the first of client_keys (RFC "
        "9101), so that nothing in them can be changed on the way, pushed or not. With `signed` an "
        "unsigned one is never sent. See docs/signed-requests.md.",
    )
    device_login: StrictBool = Field(
        default=_default("device_login"),
        description="Whether a browser without a keyboard (a television, a kiosk) may log in here "
        "by a code that the user enters at another device (RFC 8628): POST /bff/device. The client "
        "needs the grant urn:ietf:params:oauth:grant-type:device_code. See docs/device-login.md.",
    )
    response_mode: ResponseMode = Field(
        default=_default("response_mode"),
        description="How the OP answers a login: by plain parameters in the query, or by signed "
        "ones (`query.jwt`, JARM), whose signature must be by an algorithm of id_token_algs. An "
        "answer of the other kind is refused. See docs/signed-responses.md.",
    )
    authorization_details: AuthorizationDetails = Field(
        default=_default("authorization_details"),
        description="What each login asks for in more detail than a scope says (RFC 9396): tables "
        "with a type and what the API has named beside it. See docs/authorization-details.md.",
        examples=[[{"type": "account_information", "actions": ["list_accounts"]}]],
    )
    login_authorization_details: AllowedDetails = Field(
        default=_default("login_authorization_details"),
        description="What a single login may ask for beside them "
        "(`/bff/login?authorization_details=[...]`): the same members, with the same values, with "
        "some of the values of a list, or with any text or number where `*` stands.",
        examples=[[{"type": "payment_initiation", "amount": "*", "currency": ["EUR", "CHF"]}]],
    )
    label: Label = Field(
        default="",
        description="What a chooser calls this provider; by default its name. GET /bff/providers "
        "lists them.",
        examples=["Acme staff"],
    )
    email_domains: tuple[HostName, ...] = Field(
        default=(),
        description="Domains of e-mail addresses whose users log in here: a login with such a "
        "login_hint, and without idp, is for this provider.",
        examples=[["acme.example"]],
    )
    discovery_url: str | None = Field(
        default=None,
        description="Where the OP's metadata is fetched, where that is not below the issuer: a "
        "container's name, an address inside a cluster. The document must name the issuer all the "
        "same, and tokens are checked against the issuer alone.",
        examples=["https://idp.cluster.internal/realms/acme/.well-known/openid-configuration"],
    )
    endpoints: dict[EndpointName, str] = Field(
        default={},
        description="Endpoints by hand, in the place of those in the metadata: authorization, "
        "token, jwks, userinfo, revocation, end_session, par, device_authorization, introspection.",
        examples=[{"revocation": "https://id.example.com/revoke"}],
    )
    allow_http_hosts: tuple[HostName, ...] = Field(
        default=(),
        description="A relaxation: hosts of a private network that may be reached without TLS, "
        "each as it stands in the URL (`keycloak:8080`). A program that can read or change what "
        "passes there can log in as any user: each start warns of it.",
        examples=[["keycloak:8080"]],
    )
    proxy: Proxy | None = Field(
        default=None,
        description="The URL of an HTTP proxy through which the OP is reached; or `environment`, "
        "for HTTPS_PROXY, HTTP_PROXY and NO_PROXY. They count for nothing else.",
        examples=["http://proxy.corp.example:3128"],
    )
    client_cert_file: FilePath | None = Field(
        default=None,
        description="PEM file of a certificate that the gateway shows to an OP or a proxy that "
        "asks for one. It is loaded anew when the file changes.",
        examples=["/run/secrets/client.pem"],
    )
    client_key_file: FilePath | None = Field(
        default=None, description="PEM file of its private key, without a passphrase."
    )
    login_params: tuple[NonEmpty, ...] = Field(
        default=(),
        description="Names of the OP's own parameters that a login may pass on "
        "(`/bff/login?kc_idp_hint=x`). Those that the gateway sets or reads itself are refused.",
        examples=[["kc_idp_hint"]],
    )
    organization: OrganizationTable = Field(
        default={},
        description="For an OP with organizations: `/bff/login?org=x` is passed on by `parameter`, "
        "and the login fails unless `claim` of the ID token names x.",
        examples=[{"parameter": "organization", "claim": "org_id"}],
    )
    acr_order: Annotated[tuple[str, ...], AfterValidator(require_acr_values)] = Field(
        default=_default("acr_order"),
        description="The OP's values of acr, from weak to strong: a stronger one does where a "
        "weaker one is asked for. With it a login may ask for these and for those of a route's "
        "require_acr only. See docs/step-up.md.",
        examples=[["silver", "gold"]],
    )
    audience_pattern: NonEmpty | None = Field(
        default=None,
        description="As trusted_audiences, for audiences that have a part in common: `*` stands "
        "for any characters.",
        examples=["*@acme"],
    )
    scope: Annotated[Scope, AfterValidator(require_openid)] = Field(
        default="openid profile email",
        description='Scopes to ask for, "openid" among them. Add "offline_access" for an OP that '
        "gives no refresh token without it: the log then says no_refresh_token. At an OP that does "
        "(Keycloak), it makes sessions that outlive the user's logout there.",
    )
    resource: Annotated[tuple[Resource, ...], AfterValidator(require_all_different)] = Field(
        default=_default("resource"),
        description="What the APIs behind the gateway are called at an OP with resource indicators "
        "(RFC 8707): absolute URIs. A login asks for all of them; its own access token is for the "
        "first. See docs/tokens-per-api.md.",
        examples=[["https://orders.example.com", "https://stock.example.com"]],
    )
    token_exchange: TokenExchange = Field(
        default=_default("token_exchange"),
        description='How tokens of routes with token = "exchange" are asked for: as RFC 8693 says, '
        "or in the way of Entra ID, whose preset sets it.",
    )
    id_token_algs: Annotated[tuple[SigningAlg, ...], SOME] = Field(
        default=_default("id_token_algs"),
        description="Signature algorithms accepted on ID tokens, logout tokens and signed answers "
        "to a login, whatever the OP's metadata lists.",
    )
    trusted_audiences: tuple[NonEmpty, ...] = Field(
        default=(),
        description="Audiences that an ID token or logout token may name beside client_id. One "
        "that names any other is refused.",
        examples=[["https://api.example.com"]],
    )
    authorization_params: dict[LoginParameter, str] = Field(
        default={},
        description="Further parameters of every authorization request. Those that the gateway "
        "sets itself are refused.",
        examples=[{"audience": "https://api.example.com"}],
    )
    on_demand: StrictBool = Field(
        default=_default("on_demand"),
        description="Whether the OP's metadata and keys are fetched only when a login, a refresh "
        "or a logout needs them: not ahead of the first login, and not for `/readyz`, which then "
        "says nothing of this OP. Of a tenant's own provider it is true unless given.",
    )
    userinfo: StrictBool = Field(
        default=_default("userinfo"),
        description="Whether to ask the UserInfo endpoint for claims after a login. Where it "
        "refuses an access token that is made for an API, the claims are those of the ID token "
        "(userinfo_refused in the log). Signed answers are verified as ID tokens are.",
    )
    send_id_token_hint: StrictBool = Field(
        default=_default("send_id_token_hint"),
        description="Whether RP-initiated logout sends id_token_hint: the one place where a token "
        "(the ID token) passes through a URL. Without it many OPs ask the user to confirm.",
    )
    end_session_params: dict[LogoutParameter, str] = Field(
        default={},
        description="Further parameters of RP-initiated logout, for an OP that has its own. Those "
        "that the gateway sets itself are refused. `{post_logout_redirect_uri}` in a value stands "
        "for that address.",
        examples=[{"logout_uri": "{post_logout_redirect_uri}"}],
    )
    post_logout_path: OwnPath = Field(
        default="/",
        description="The path of this origin to which the OP returns after a logout. Register "
        "public_url plus this path as post_logout_redirect_uri.",
    )
    revoke_on_logout: StrictBool = Field(
        default=_default("revoke_on_logout"),
        description="Whether a logout revokes the refresh token at the OP (RFC 7009).",
    )
    backchannel_logout_session_required: StrictBool = Field(
        default=_default("backchannel_logout_session_required"),
        description="Whether a logout token must name a session (sid), as the client setting of "
        "this name at the OP promises.",
    )
    allow_logout_tokens_without_exp: StrictBool = Field(
        default=_default("allow_logout_tokens_without_exp"),
        description="A relaxation: accepts logout tokens without exp, for five minutes after "
        "their iat. For an OP that sends no others.",
    )
    frontchannel_logout: StrictBool = Field(
        default=False,
        description="Whether to offer front-channel logout: the OP loads a page of the gateway in "
        "a frame of its logout page. It needs no cookie there, but a blocked frame is a logout "
        "that never arrives: prefer back-channel logout, which is always offered. Register it "
        "with frontchannel_logout_session_required.",
    )
    allow_frontchannel_logout_without_iss: StrictBool = Field(
        default=False,
        description="A relaxation: front-channel logout by sid alone, for an OP that sends no iss "
        "(Entra ID). An iss that is sent must still be the issuer.",
    )
    leeway: Annotated[Duration, Between("0s", duration_text(MAX_LEEWAY_SECONDS))] = Field(
        default=duration_text(_default("leeway_seconds")),
        validate_default=True,
        description="Clock difference to the OP that is tolerated in tokens, at most 60s.",
    )
    timeout: Annotated[Duration, Between("100ms", "60s")] = Field(
        default=duration_text(_default("timeout_seconds")),
        validate_default=True,
        description="The longest time that one call to the OP may take. A refresh may take a "
        "minute: its answer can hold the only copy of a token that replaces the old one.",
    )
    ca_file: CaFile | None = Field(
        default=None,
        description="PEM file of the certificate authorities to trust for the OP instead of the "
        "system's. Verification can't be switched off.",
        examples=["/etc/ssl/private-ca.pem"],
    )

    @property
    def secret_text(self) -> str:
        """Empty without one."""
        return self.client_secret.get_secret_value() if self.client_secret else ""

    @property
    def issuers(self) -> TrustedIssuers:
        """Those that tokens may be from."""
        return TrustedIssuers(
            self.issuer, frozenset(self.issuer_tenants), self.allow_any_issuer_tenant
        )

    def as_relying_party(
        self, name: str, server: ServerSettings, *, table: str
    ) -> RelyingPartySettings:
        """As the relying party knows them, for the application that `server` is seen as."""
        return RelyingPartySettings(
            name=name,
            table=table,
            issuer=self.issuer,
            client_id=self.client_id,
            client_secret=self.secret_text,
            profile=self.profile,
            client_keys=tuple(
                allowed_key(self.profile, load_client_key(file)) for file in self.client_keys
            ),
            read_client_secret=self._read_client_secret if self.client_secret_file else None,
            redirect_uri=server.redirect_uri_of(name),
            post_logout_redirect_uri=f"{server.public_url}{self.post_logout_path}",
            scope=self.scope,
            resource=self.resource,
            token_exchange=self.token_exchange,
            client_auth=self.client_auth,
            par=self.par,
            request_object=self.request_object,
            device_login=self.device_login,
            response_mode=self.response_mode,
            authorization_details=self.authorization_details,
            dpop=self.dpop,
            login_authorization_details=self.login_authorization_details,
            id_token_algs=self.id_token_algs,
            trusted_audiences=self.trusted_audiences,
            authorization_params=self.authorization_params,
            end_session_params=self.end_session_params,
            on_demand=self.on_demand,
            userinfo=self.userinfo,
            send_id_token_hint=self.send_id_token_hint,
            revoke_on_logout=self.revoke_on_logout,
            backchannel_logout_session_required=self.backchannel_logout_session_required,
            allow_logout_tokens_without_exp=self.allow_logout_tokens_without_exp,
            leeway_seconds=self.leeway,
            timeout_seconds=self.timeout,
            ca_file=str(self.ca_file) if self.ca_file else None,
            label=self.label or name,
            email_domains=self.email_domains,
            discovery_url=self.discovery_url,
            endpoints=self.endpoints,
            http_hosts=self.allow_http_hosts,
            network=self._network(),
            login_params=self.login_params,
            organization=Organization(**self.organization) if self.organization else None,
            audience_pattern=self.audience_pattern,
            issuer_tenants=self.issuer_tenants,
            allow_any_issuer_tenant=self.allow_any_issuer_tenant,
            acr_order=self.acr_order,
        )

    def _read_client_secret(self) -> str:
        """As it is in its file now. Raises: ValueError, with the rest of a sentence."""
        if self.client_secret_file is None:
            raise ValueError("is not in a file")
        return require_text(read_text(self.client_secret_file).rstrip("\r\n"))

    def _network(self) -> Network:
        return Network(
            proxy=self.proxy.get_secret_value() if self.proxy is not None else None,
            cert_file=str(self.client_cert_file) if self.client_cert_file else None,
            key_file=str(self.client_key_file) if self.client_key_file else None,
        )
