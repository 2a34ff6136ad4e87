"""How a login reaches the OP: its parameters through the browser or pushed (RFC 9126), as they are
or signed (RFC 9101), as the settings and the OP's metadata want it. Where they can't go in that
way, no login begins.
"""

from dataclasses import replace

from bff.clock import Clock
from bff.oidc.client_auth.requests import ClientRequests
from bff.oidc.dpop import DpopKey
from bff.oidc.provider.endpoint_url import with_parameters
from bff.oidc.provider.metadata import Discovery
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.authorization import AuthorizationRequest, LoginRequest, authorization_request
from bff.oidc.steps.authorization_details import as_text, require_types_supported
from bff.oidc.steps.pushed_request import push_endpoint, pushed_url
from bff.oidc.steps.request_object import by_value, request_object, signing_alg, to_push
from bff.oidc.steps.signed_response import mode_to_ask_for


class AuthorizationEndpoint:
    """That of one OP."""

    def __init__(self, requests: ClientRequests, discovery: Discovery, clock: Clock) -> None:
        self._requests = requests
        self._discovery = discovery
        self._clock = clock

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
        push_to = push_endpoint(settings.par, metadata)
        alg = signing_alg(settings.request_object, settings.client_keys, metadata)
        response_mode = mode_to_ask_for(settings.response_mode, settings.id_token_algs, metadata)
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
            response_mode=response_mode,
            authorization_details=as_text(details),
            dpop_key=key,
            login=login,
        )
        signed, sent = None, request.parameters
        if alg is not None:
            signer, now = settings.client_keys[0], self._clock.now()
            signed = request_object(request.parameters, signer, alg, metadata, now)
        if push_to is not None:
            sent = sent if signed is None else to_push(sent, signed)
            url = await pushed_url(self._requests, push_to, endpoint, settings.client_id, sent, key)
            return replace(request, url=url)
        if signed is not None:
            return replace(request, url=with_parameters(endpoint, by_value(sent, signed)))
        return request
