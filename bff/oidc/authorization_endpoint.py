"""How a login reaches the OP: its parameters through the browser or pushed (RFC 9126), as they are
or signed (RFC 9101), as the settings and the OP's metadata want it. Where they can't go in that
way, no login begins.
"""

from dataclasses import dataclass, replace

from bff.clock import Clock
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.dpop import DpopKey, chosen_alg
from bff.oidc.profiles import require_metadata
from bff.oidc.provider.endpoint_url import with_parameters
from bff.oidc.provider.metadata import Discovery, ProviderMetadata
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.authorization import AuthorizationRequest, LoginRequest, authorization_request
from bff.oidc.steps.authorization_details import as_text, require_types_supported
from bff.oidc.steps.pushed_request import push_endpoint, pushed_url
from bff.oidc.steps.request_object import by_value, request_object, signing_alg, to_push
from bff.oidc.steps.signed_response import mode_to_ask_for


@dataclass(frozen=True, slots=True)
class _Way:
    """`push_to` is None for a request that the browser brings, `alg` for one that is not signed,
    `response_mode` for a plain answer."""

    push_to: str | None
    alg: str | None
    response_mode: str | None


def _way(settings: RelyingPartySettings, metadata: ProviderMetadata) -> _Way:
    """Raises: OpMetadataRefused, where the settings and the OP don't go together."""
    require_metadata(settings.profile, metadata)
    return _Way(
        push_endpoint(settings.par, metadata),
        signing_alg(settings.request_object, settings.client_keys, metadata),
        mode_to_ask_for(settings.response_mode, settings.id_token_algs, metadata),
    )


class AuthorizationEndpoint:
    """That of one OP."""

    def __init__(self, requests: ClientRequests, discovery: Discovery, clock: Clock) -> None:
        self._requests = requests
        self._discovery = discovery
        self._clock = clock

    async def require_profile(self, settings: RelyingPartySettings) -> None:
        """Logins can be begun as the profile says, if there is one. Raises: OpError."""
        if settings.profile is not None:
            metadata = await self._discovery.metadata()
            _way(settings, metadata)
            chosen_alg(metadata.dpop_algs)

    async def request(
        self, settings: RelyingPartySettings, login: LoginRequest, key: DpopKey | None
    ) -> AuthorizationRequest:
        """A fresh authorization request of the client with these settings, whose code is bound to
        `key` if there is one.

        Raises:
            LoginRefused: the OP does not take the request that was pushed.
            OpError: there is no metadata, or the request could not be made or pushed.
        """
        metadata = await self._discovery.metadata()
        way = _way(settings, metadata)
        details = (*settings.authorization_details, *login.authorization_details)
        require_types_supported(details, metadata)
        endpoint = metadata.authorization_endpoint
        request = authorization_request(
            endpoint,
            client_id=settings.client_id,
            redirect_uri=settings.redirect_uri,
            scope=settings.scope,
            static=settings.authorization_params,
            resource=(*settings.resource, *settings.api_resources),
            response_mode=way.response_mode,
            authorization_details=as_text(details),
            dpop_key=key,
            login=login,
        )
        signed, sent = None, request.parameters
        if way.alg is not None:
            signer, now = settings.client_keys[0], self._clock.now()
            signed = request_object(request.parameters, signer, way.alg, metadata, now)
        if way.push_to is not None:
            sent = sent if signed is None else to_push(sent, signed)
            url = await pushed_url(
                self._requests, way.push_to, endpoint, settings.client_id, sent, key
            )
            return replace(request, url=url)
        if signed is not None:
            return replace(request, url=with_parameters(endpoint, by_value(sent, signed)))
        return request
