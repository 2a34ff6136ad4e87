"""[oidc] and [providers.NAME]: an OpenID provider, and how the gateway is registered there as a
confidential client."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from bff.config.sections import Section, default_of
from bff.config.sections.server import ServerSettings
from bff.config.values.files import CaFile, FilePath
from bff.config.values.paths import OwnPath
from bff.config.values.quantities import Between, Duration, duration_text
from bff.config.values.secrets import GivenSecret
from bff.config.values.texts import SOME, NonEmpty, Scope
from bff.config.values.urls import Issuer
from bff.oidc import authorization, end_session
from bff.oidc.client_auth import ClientAuthMethod, require_client_auth
from bff.oidc.jwks import SigningAlg
from bff.oidc.settings import (
    MAX_LEEWAY_SECONDS,
    RelyingPartySettings,
    require_openid,
    require_provider_name,
)


def refuse_public_client(method: object) -> object:
    """Say more of `none` than that it is not on the list."""
    return require_client_auth("none") if method == "none" else method


def unreserved(is_reserved: Callable[[str], bool]) -> AfterValidator:
    """For names of parameters that the gateway does not set itself."""

    def refuse_reserved(name: str) -> str:
        if is_reserved(name):
            raise ValueError("is set by the gateway and can't be overridden")
        return name

    return AfterValidator(refuse_reserved)


LoginParameter = Annotated[str, unreserved(authorization.is_reserved)]
LogoutParameter = Annotated[str, unreserved(end_session.is_reserved)]


def _default(name: str) -> Any:
    return default_of(RelyingPartySettings, name)


ProviderName = Annotated[str, AfterValidator(require_provider_name)]


class ProviderSettings(Section):
    """One OP, and one client registered there."""

    issuer: Issuer = Field(
        description="The OP's issuer identifier, exactly as its discovery document spells it.",
        examples=["https://idp.example.com/realms/acme"],
    )
    client_id: NonEmpty = Field(
        description="The gateway's client identifier at the OP.", examples=["spa"]
    )
    client_secret: GivenSecret = Field(
        description="The client secret, at least 16 bytes. Prefer client_secret_file or the "
        "environment."
    )
    client_secret_file: FilePath | None = Field(
        default=None,
        description="A file that holds the client secret.",
        examples=["/run/secrets/client_secret"],
    )
    client_auth: Annotated[ClientAuthMethod, BeforeValidator(refuse_public_client)] = Field(
        default=_default("client_auth"),
        description="How the gateway authenticates at the OP's token and revocation endpoints.",
    )
    scope: Annotated[Scope, AfterValidator(require_openid)] = Field(
        default="openid profile email",
        description='Scopes to ask for, "openid" among them. Add "offline_access" for an OP that '
        "gives no refresh token without it: the log then says no_refresh_token. At an OP that does "
        "(Keycloak), it makes sessions that outlive the user's logout there.",
    )
    id_token_algs: Annotated[tuple[SigningAlg, ...], SOME] = Field(
        default=_default("id_token_algs"),
        description="Signature algorithms accepted on ID tokens and logout tokens, whatever the "
        "OP's metadata lists.",
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
        "that the gateway sets itself are refused.",
        examples=[{"logout_uri": "https://app.example.com/"}],
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

    def as_relying_party(
        self, name: str, server: ServerSettings, *, table: str
    ) -> RelyingPartySettings:
        """As the relying party knows them, for the application that `server` is seen as."""
        return RelyingPartySettings(
            name=name,
            table=table,
            issuer=self.issuer,
            client_id=self.client_id,
            client_secret=self.client_secret.get_secret_value(),
            redirect_uri=server.redirect_uri_of(name),
            post_logout_redirect_uri=f"{server.public_url}{self.post_logout_path}",
            scope=self.scope,
            client_auth=self.client_auth,
            id_token_algs=self.id_token_algs,
            trusted_audiences=self.trusted_audiences,
            authorization_params=self.authorization_params,
            end_session_params=self.end_session_params,
            userinfo=self.userinfo,
            send_id_token_hint=self.send_id_token_hint,
            revoke_on_logout=self.revoke_on_logout,
            backchannel_logout_session_required=self.backchannel_logout_session_required,
            allow_logout_tokens_without_exp=self.allow_logout_tokens_without_exp,
            leeway_seconds=self.leeway,
            timeout_seconds=self.timeout,
            ca_file=str(self.ca_file) if self.ca_file else None,
        )
