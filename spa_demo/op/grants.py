"""The grants, on Authlib's: authorization code with PKCE, rotating refresh token, client
credentials; and the extensions that require S256 and add ID tokens.

RFC 6749 sections 4.1, 4.4 and 6, RFC 7636, RFC 9700 section 4.14.2, OIDC Core sections 3.1 and 12.
Each grant reaches its `TokenIssuer` and `OpState` through Authlib's `server` attribute.
"""

import secrets
from collections.abc import Collection
from typing import cast

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    BaseGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode, OpenIDToken

from spa_demo.op.records import AuthorizationCode, DeviceCode, IssuedToken, OpSession
from spa_demo.op.requests import DemoOAuth2Request
from spa_demo.op.settings import Client, User
from spa_demo.op.state import OpState
from spa_demo.op.tokens import TokenIssuer, TokenResponse

AUTH_METHODS = [
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
]


class InvalidTarget(OAuth2Error):
    """RFC 8707 section 2."""

    error = "invalid_target"


def resources_of(request: OAuth2Request, allowed: Collection[str]) -> tuple[str, ...]:
    """The APIs that a request names. Raises: InvalidTarget."""
    asked = request.payload.data.get("resource", "") if request.payload else ""
    resources = tuple(asked.split())
    if not set(resources) <= set(allowed):
        raise InvalidTarget("The resource is unknown, or was not granted.")
    return resources


def key_of(request: OAuth2Request) -> str:
    """The key of which a request has a proof (RFC 9449), empty without."""
    return request.jkt if isinstance(request, DemoOAuth2Request) else ""


class CodeGrant(AuthorizationCodeGrant):
    """`grant_user` is the `OpSession` that consented."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuth2Request, client: ClientMixin) -> str:
        requested = request.payload.redirect_uri if request.payload else None
        if not requested or not client.check_redirect_uri(requested):
            raise InvalidRequestError("The redirect_uri is missing or not registered.")
        return requested

    def generate_authorization_code(self) -> str:
        return secrets.token_urlsafe(32)

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        session = cast("OpSession", request.user)
        asked = request.payload.data if request.payload else {}
        client = cast("Client", request.client)
        acr = self.server.settings.supported_acr(asked.get("acr_values", ""))
        state: OpState = self.server.state
        state.keep_code(
            AuthorizationCode(
                value=code,
                client_id=client.client_id,
                redirect_uri=asked["redirect_uri"],
                scope=session.user.may_grant(request.scope),
                session=session,
                acr=acr or session.acr,
                nonce=asked.get("nonce"),
                code_challenge=asked["code_challenge"],
                code_challenge_method=asked["code_challenge_method"],
                resources=resources_of(request, self.server.settings.resources),
                jkt="" if self.server.settings.dpop == "off" else asked.get("dpop_jkt", ""),
                expires_at=self.server.clock.now() + self.server.settings.code_seconds,
            )
        )
        session.client_ids.add(client.client_id)

    def query_authorization_code(self, code: str, client: ClientMixin) -> AuthorizationCode | None:
        state: OpState = self.server.state
        found = state.code_to_redeem(code, client.get_client_id())
        # RFC 9449 section 10: it is of use with the key that it was asked for with.
        return found if found is None or found.jkt in ("", key_of(self.request)) else None

    def authenticate_user(self, authorization_code: AuthorizationCode) -> User:
        return authorization_code.session.user

    def generate_token(
        self,
        user: User | None = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> TokenResponse:
        tokens: TokenIssuer = self.server.tokens
        code = cast("AuthorizationCode", self.request.authorization_code)
        resources = resources_of(self.request, code.resources)
        return tokens.redeem(
            code,
            code.session,
            resources,
            key_of(self.request),
            with_refresh_token=include_refresh_token,
        )

    def delete_authorization_code(self, authorization_code: AuthorizationCode) -> None:
        """Nothing to do: the code was spent when its family was opened, and is remembered."""


class RotatingRefreshGrant(RefreshTokenGrant):
    """Every refresh spends the token presented; spending one twice ends the family."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> IssuedToken:
        state: OpState = self.server.state
        # Authlib answers invalid_grant for a missing token; its stub does not know of None.
        held = state.token(refresh_token)
        if held is not None and held.family.jkt not in ("", key_of(self.request)):
            return cast("IssuedToken", None)
        return cast("IssuedToken", state.refresh_token_to_spend(refresh_token))

    def authenticate_user(self, refresh_token: IssuedToken) -> User | None:
        return refresh_token.family.user

    def issue_token(self, user: User, refresh_token: IssuedToken) -> TokenResponse:  # type: ignore[override]
        tokens: TokenIssuer = self.server.tokens
        scope = self.request.payload.scope if self.request.payload else None
        resources = resources_of(self.request, refresh_token.family.resources)
        asked = scope or refresh_token.get_scope()
        return tokens.renew(refresh_token, asked, resources, key_of(self.request))

    def revoke_old_credential(self, refresh_token: IssuedToken) -> None:  # type: ignore[override]
        """Nothing to do: the token was spent before its successor came into being."""


class MachineGrant(ClientCredentialsGrant):
    """A client acting for itself gets the API part of its scope."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def generate_token(
        self,
        user: User | None = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> TokenResponse:
        tokens: TokenIssuer = self.server.tokens
        client = cast("Client", self.request.client)
        allowed = client.get_allowed_scope(scope or client.scope)
        api_scope = " ".join(token for token in allowed.split() if token.startswith("api:"))
        resources = resources_of(self.request, self.server.settings.resources)
        return tokens.for_client(client, api_scope, resources, key_of(self.request))


class RequiredS256(CodeChallenge):
    """PKCE is required from confidential clients too, and `plain` does not exist."""

    def __init__(self) -> None:
        super().__init__(required=True)
        self.SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: BaseGrant, redirect_uri: str) -> None:
        data = grant.request.payload.data if grant.request.payload else {}
        # RFC 7636 section 4.3: an absent method would mean "plain". Authlib checks the challenge.
        if data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with code_challenge_method=S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class IdTokens(OpenIDToken):
    """Adds `id_token` to a token response, through Authlib's hook, with claims of our own making.

    As it is for a refresh (OIDC Core section 12.2).
    """

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def encode_id_token(self, token: TokenResponse, request: OAuth2Request) -> str:
        code: AuthorizationCode | None = request.authorization_code
        device: DeviceCode | None = getattr(request, "credential", None)
        refreshed: IssuedToken | None = request.refresh_token
        spent = code or device or refreshed
        family = spent.family if spent else None
        if family is None:
            raise InvalidRequestError("There is no grant to issue an ID token for.")
        nonce = code.nonce if code else None
        return self._issuer.id_token(family, str(token["access_token"]), str(token["scope"]), nonce)


class IdTokensOnCode(IdTokens, OpenIDCode):
    """The same for the code exchange, with Authlib's checks of the authorization request."""

    def __init__(self, issuer: TokenIssuer) -> None:
        OpenIDCode.__init__(self, require_nonce=False)
        IdTokens.__init__(self, issuer)

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:
        return False  # repeating a nonce harms only the client that does it
