"""The relying party: what the rest of the gateway may ask of the OP, one method each.

Holds no session and no transaction: they come in as values and leave as values. A code or a
refresh token is only ever sent to the issuer that the transaction or the session names.
"""

import asyncio
from collections.abc import Callable, Collection
from copy import copy
from dataclasses import replace
from functools import partial

import structlog

from bff.clock import Clock
from bff.errors import (
    IdTokenInvalid,
    IssuerMismatch,
    LoginExpired,
    NothingToRefresh,
    OpError,
)
from bff.model import LoginTransaction, Session, Tokens, TokenTarget
from bff.oidc.authorization_endpoint import AuthorizationEndpoint
from bff.oidc.client_auth.methods import BY_CERTIFICATE
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.dpop import DpopKeys
from bff.oidc.identity import Identity, Refreshed, is_for_another, require_wanted
from bff.oidc.jwt.id_token import IdTokenVerifier
from bff.oidc.jwt.key_source import KeySource
from bff.oidc.jwt.logout_token import LogoutNotice, LogoutTokenVerifier
from bff.oidc.probe import Probe
from bff.oidc.provider.client_tls import SharedTls
from bff.oidc.provider.http import OpHttp
from bff.oidc.provider.metadata import ENDPOINTS, Discovery, ProviderMetadata
from bff.oidc.provider.op_text import differs
from bff.oidc.settings import ON_BEHALF_OF, RelyingPartySettings
from bff.oidc.steps.authorization import AuthorizationRequest, LoginRequest, resources_of
from bff.oidc.steps.authorization_details import as_text
from bff.oidc.steps.callback import AuthorizationResponse, process_callback, require_issuer
from bff.oidc.steps.device import (
    DeviceAuthorization,
    device_authorization,
    require_device_endpoint,
)
from bff.oidc.steps.end_session import end_session_url
from bff.oidc.steps.introspection import Introspection
from bff.oidc.steps.revocation import Revocation
from bff.oidc.steps.signed_response import SignedResponses
from bff.oidc.steps.token_endpoint import ACCESS_TOKEN, Grant, TokenEndpoint
from bff.oidc.steps.userinfo import UserInfo

# A logout must not wait for an OP whose metadata has never been seen.
END_SESSION_PATIENCE_SECONDS = 0.5

log = structlog.get_logger("bff.oidc")


class RelyingParty:
    """One client at one OP. `tls` is shared with those at other OPs; `observe` is told of each
    request to it, with this provider's name before the rest."""

    def __init__(
        self,
        settings: RelyingPartySettings,
        clock: Clock,
        tls: SharedTls | None = None,
        observe: Callable[[str, str, str, float], None] = lambda *_: None,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.issuers = settings.issuers
        self._http = OpHttp(
            clock,
            timeout_seconds=settings.timeout_seconds,
            ca_file=settings.ca_file,
            table=settings.table,
            network=settings.network,
            tls=tls,
            observe=partial(observe, settings.name),
        )
        self._discovery = Discovery(
            self._http,
            clock,
            settings.issuer,
            url=settings.discovery_url,
            allow_insecure_http=settings.allow_insecure_http,
            http_hosts=settings.http_hosts,
            by_hand={ENDPOINTS[name]: url for name, url in settings.endpoints.items()},
            table=settings.table,
            provider=settings.name,
            uses_mtls=settings.client_auth in BY_CERTIFICATE,
        )
        self._dpop_keys = DpopKeys(self._discovery, is_wanted=settings.dpop)
        self._requests = ClientRequests(
            self._http,
            self._discovery,
            settings.authentication(),
            clock,
            settings.read_client_secret,
        )
        self._authorization = AuthorizationEndpoint(self._requests, self._discovery, clock)
        self._keys = KeySource(self._http, self._discovery, clock)
        self._token_endpoint = TokenEndpoint(
            self._requests,
            self._discovery,
            clock,
            refresh_timeout_seconds=settings.refresh_timeout_seconds,
            keeps_details=bool(settings.all_authorization_details),
        )
        self._revocation = Revocation(
            self._requests, self._discovery, settings.revocation_timeout_seconds
        )
        self._introspection = Introspection(self._requests, self._discovery)
        rules = settings.id_token_rules()
        self._id_tokens = IdTokenVerifier(self._keys, rules, clock)
        self._signed_responses = SignedResponses(self._keys, rules, clock)
        self._userinfo = UserInfo(self._http, self._discovery, self._keys, rules, clock)
        self._logout_tokens = LogoutTokenVerifier(self._keys, settings.logout_token_rules(), clock)
        self._told: set[str] = set()  # what is logged once, at whichever application

    def at(
        self,
        redirect_uri: str,
        post_logout_redirect_uri: str,
        email_domains: tuple[str, ...],
        api_resources: tuple[str, ...] = (),
    ) -> "RelyingParty":
        """The same client for another application, to which the OP sends browsers back, where users
        of these domains log in by it, and where logins ask for these resources as well: all else is
        shared. Only one of them is started and closed."""
        other = copy(self)
        other.settings = replace(
            self.settings,
            redirect_uri=redirect_uri,
            post_logout_redirect_uri=post_logout_redirect_uri,
            email_domains=email_domains,
            api_resources=api_resources,
        )
        return other

    async def start(self) -> None:
        """Open the client session. Nothing is fetched, so a gateway starts while its OP is down."""
        await self._http.start()

    async def close(self) -> None:
        await self._keys.close()
        await self._discovery.close()
        await self._http.close()

    async def metadata(self) -> ProviderMetadata:
        """Raises: OpError when there is none and none can be had."""
        return await self._discovery.metadata()

    @property
    def keys_fetched_at(self) -> float | None:
        """When the OP's keys came, in epoch seconds; None: there are none yet."""
        return self._keys.fetched_at

    async def check(self) -> None:
        """Metadata and keys are there and allow a login. Raises: OpError."""
        await self._requests.require_supported()
        await self._authorization.require_profile(self.settings)
        await self.require_keys()

    async def require_keys(self) -> None:
        """The OP's keys are there. Raises: OpError."""
        await self._keys.keys()

    def probe(self) -> Probe:
        """What can be found out of the OP without a user."""
        signed = self._signed_responses if self.settings.wants_signed_responses else None
        return Probe(
            self.settings,
            self._http,
            self._token_endpoint,
            self._userinfo,
            signed,
            self._dpop_keys,
        )

    async def authorization_request(self, login: LoginRequest) -> AuthorizationRequest:
        """As `AuthorizationEndpoint.request`."""
        key = await self._dpop_keys.new()
        return await self._authorization.request(self.settings, login, key)

    async def authorization_response(self, raw: str) -> AuthorizationResponse:
        """The OP's answer in the query string of the callback, without its `?`, signed where that
        was asked for (JARM).

        Raises: as `SignedResponses.read`.
        """
        if self.settings.wants_signed_responses:
            return await self._signed_responses.read(raw)
        return process_callback(raw)

    async def require_response_issuer(self, response: AuthorizationResponse) -> None:
        """RFC 9207. Raises: IssuerMismatch, OpError."""
        always = self.settings.profile is not None  # FAPI 2.0 Security Profile section 5.3.3.2
        metadata = await self._discovery.metadata()
        require_issuer(response.iss, metadata, self.issuers, always=always)

    async def redeem(
        self, code: str, transaction: LoginTransaction, *, iss: str | None = None
    ) -> Identity:
        """Exchange `code` and verify the identity of the user. `iss` came beside it.

        Raises:
            IssuerMismatch: the transaction was begun with another OP, and nothing has been sent; or
                the user is from another issuer than `iss`.
            OrganizationMismatch: the user logged in for another organization than was asked.
            StepUpOtherUser: it is another user than the one whose session was to be stepped up.
            CodeRejected, IdTokenInvalid, StepUpNotMet, OpError.
        """
        await self._require_ready(transaction)
        tokens = await self._token_endpoint.request(
            Grant.CODE,
            {
                "code": code,
                "redirect_uri": self.settings.redirect_uri,
                "code_verifier": transaction.code_verifier,
                **self._main_resource(transaction.resources),
            },
            scope=self.settings.scope,
            key=await self._dpop_keys.of(transaction.dpop_key),
        )
        return await self.identity(tokens, transaction, iss=iss)

    async def device_authorization(self) -> DeviceAuthorization:
        """Begin a login by device code (RFC 8628 section 3.1).

        Raises:
            LoginRefused: the OP does not take the request.
            OpError: it has no such endpoint, or no answer can be had.
        """
        settings = self.settings
        resource = (*settings.resource, *settings.api_resources)
        return await device_authorization(
            self._requests,
            require_device_endpoint(await self._discovery.metadata()),
            client_id=settings.client_id,
            scope=settings.scope,
            static=settings.authorization_params,
            authorization_details=as_text(settings.authorization_details),
            resources=resources_of(settings.authorization_params, resource),
            is_page=settings.is_endpoint,
        )

    async def poll_device(self, transaction: LoginTransaction) -> Tokens:
        """Ask once whether the user has decided about the transaction's `device`. The tokens have
        still to be given to `identity`.

        Raises:
            AuthorizationPending: not yet.
            LoginDenied: against it.
            LoginExpired: it is too late, or the code has been used.
            IssuerMismatch: the transaction was begun with another OP, and nothing has been sent.
            OpError: nothing is known.
        """
        device = transaction.device
        if device is None:
            raise LoginExpired("a login without a device code")
        await self._require_ready(transaction)
        return await self._token_endpoint.request(
            Grant.DEVICE,
            {"device_code": device.device_code, **self._main_resource(transaction.resources)},
            scope=self.settings.scope,
            key=await self._dpop_keys.of(transaction.dpop_key),
        )

    async def _require_ready(self, transaction: LoginTransaction) -> None:
        """Raises: IssuerMismatch, OpError."""
        begun_at = (transaction.provider, transaction.issuer)
        if begun_at != (self.name, self.settings.issuer):  # RFC 9700 section 4.4
            raise IssuerMismatch("the transaction names another provider")
        await self._keys.keys()  # without keys the code would be spent for nothing

    async def identity(
        self, tokens: Tokens, transaction: LoginTransaction, *, iss: str | None = None
    ) -> Identity:
        """Verify the identity of the user that the tokens of a login were given for. Raises as
        `redeem`."""
        user = await self._id_tokens.login(tokens, transaction)
        if iss is not None and iss != user.issuer:  # RFC 9207 section 2.4, of each tenant
            raise IssuerMismatch(f"iss of the response: {differs(iss, user.issuer)}")
        require_wanted(user, transaction, self.settings.organization)
        if tokens.refresh_token is None:
            self._tell_of_no_refresh_token()
        claims = user.claims
        if self.settings.userinfo:
            more = await self._userinfo.claims(tokens, user.sub, user.issuer)
            claims = {**more, **claims}
        return Identity(
            self.name,
            user.issuer,
            user.sub,
            user.sid,
            user.acr,
            user.auth_time,
            claims,
            tokens,
            transaction.organization,
            transaction.resources,
            transaction.authorization_details,
        )

    def _main_resource(self, asked: Collection[str]) -> dict[str, str]:
        """What the access token of a login is for, which has asked for these resources: the first
        of the configuration (RFC 8707 section 2.2). A login from before it was configured has no
        right to it, and some OPs spend a refresh token before they refuse."""
        first = self.settings.resource[:1]
        return {"resource": first[0]} if first and first[0] in asked else {}

    async def refresh(self, session: Session, target: TokenTarget | None = None) -> Refreshed:
        """Spend the session's refresh token, once, for the access token of the login or for one
        that is for `target` (RFC 6749 section 6, RFC 8707 section 2.2). UserInfo is not asked
        again.

        Raises:
            ApiTokenRefused: the OP gives no token for this target; the session is untouched.
            NothingToRefresh: there is none, or it is another OP's; nothing has been sent.
            GrantRejected: nothing can be had for it any more.
            IdTokenInvalid: the new ID token contradicts the session; its `tokens` came with it.
            AccessTokenUnusable: only the new refresh token can be used.
            OpError: as far as is known the session is untouched.
        """
        old = session.tokens
        is_own = session.provider == self.name and self.issuers.includes(session.issuer)
        if old.refresh_token is None or not is_own:
            raise NothingToRefresh
        resource = self._main_resource(session.resources) if target is None else {}
        tokens = await self._token_endpoint.request(
            Grant.REFRESH,
            {"refresh_token": old.refresh_token, **resource},
            scope=old.scope if target is None else target.scope,
            previous=old,
            target=target,
            key=await self._dpop_keys.of(old.dpop_key),
        )
        unchanged = Refreshed(
            replace(tokens, id_token=old.id_token), None, session.acr, session.auth_time
        )
        if tokens.id_token == old.id_token:
            return unchanged
        try:
            user = await self._id_tokens.refreshed(tokens, session)
        except IdTokenInvalid as invalid:
            raise IdTokenInvalid(invalid.check, invalid.detail, tokens=tokens) from None
        if user is None:
            return unchanged
        if is_for_another(session, user.claims, self.settings.organization):
            raise IdTokenInvalid("organization", "another than at the login", tokens=tokens)
        # OIDC Core section 12.2: auth_time stays that of the login, whatever the OP writes; where
        # the login has told none, it is not later than the login.
        auth_time = session.auth_time
        if auth_time is None and user.auth_time is not None:
            auth_time = min(user.auth_time, int(session.created_at))
        return Refreshed(tokens, user.claims, user.acr or session.acr, auth_time)

    def _tell_of_no_refresh_token(self) -> None:
        """Once: it is the same with every login, and the operator's to change."""
        if "no_refresh_token" not in self._told:
            self._told.add("no_refresh_token")
            log.warning("no_refresh_token", provider=self.name, scope=self.settings.scope)

    async def client_credentials(self, target: TokenTarget) -> Tokens:
        """Tokens of the gateway's own (RFC 6749 section 4.4). Raises: OpError."""
        return await self._token_endpoint.request(
            Grant.CLIENT,
            {},
            scope=target.scope,
            target=target,
            key=await self._dpop_keys.own(),
        )

    async def exchange(self, session: Session, target: TokenTarget) -> Tokens:
        """A token for `target` in exchange for the access token of the session (RFC 8693 section
        2.1, or Entra ID's way). What else comes with it is not used.

        Raises:
            ApiTokenRefused: the OP gives no token for this target.
            OpError: it gave none, and may another time.
        """
        subject = session.tokens.access_token
        if self.settings.token_exchange == ON_BEHALF_OF:
            grant = Grant.ON_BEHALF_OF
            form = {"assertion": subject, "requested_token_use": "on_behalf_of"}
        else:
            grant = Grant.EXCHANGE
            form = {
                "subject_token": subject,
                "subject_token_type": ACCESS_TOKEN,
                "requested_token_type": ACCESS_TOKEN,
            }
        tokens = await self._token_endpoint.request(
            grant,
            form,
            scope=target.scope,
            target=target,
            key=await self._dpop_keys.of(session.tokens.dpop_key),
        )
        return replace(tokens, refresh_token=None, refresh_expires_at=None, id_token=None)

    async def is_active(self, access_token: str) -> bool:
        """Whether the OP lets an access token count (RFC 7662).

        Raises:
            OpError: it does not say so.
        """
        return await self._introspection.is_active(access_token)

    async def revoke(self, tokens: Tokens) -> str | None:
        """Why the OP has not confirmed the revocation, or None; never raises for trouble there."""
        return await self._revocation.revoke(tokens)

    async def logout_token(self, logout_token: str) -> LogoutNotice:
        """What the OP says is over, verified but for replay (Back-Channel Logout section 2.6).

        Raises:
            LogoutTokenInvalid: `check` names the first check that failed.
            OpError: no keys can be had; the OP should send it again.
        """
        notice = await self._logout_tokens.verify(logout_token)
        return replace(notice, provider=self.name)

    async def end_session_url(self, id_token: str | None, state: str) -> str | None:
        """Where to send the browser after the local logout, or None when there is no such place
        or the OP's metadata cannot be had in half a second."""
        try:
            async with asyncio.timeout(END_SESSION_PATIENCE_SECONDS):
                endpoint = (await self._discovery.metadata()).end_session_endpoint
            if endpoint is None:
                return None
            return end_session_url(
                endpoint,
                client_id=self.settings.client_id,
                post_logout_redirect_uri=self.settings.post_logout_redirect_uri,
                state=state,
                id_token_hint=id_token if self.settings.send_id_token_hint else None,
                static=self.settings.end_session_params,
            )
        except (OpError, TimeoutError) as error:
            reason = error.log_detail if isinstance(error, OpError) else "no metadata in time"
            log.warning("end_session_skipped", reason=reason)
            return None
