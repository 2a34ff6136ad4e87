"""`GET, POST /bff/logout`: end the session here, then at the OP.

OpenID Connect RP-Initiated Logout 1.0; RFC 7009 for the tokens. The local end comes first and does
not depend on the OP.

A logout is what the user wants, whether or not there is still a session here: one that has timed
out has left the user logged in at the OP. Its cookie with the `sid` made for it proves the wish or,
without a cookie, that a page of ours began the request; a link on another site proves nothing.
"""

import secrets
from collections.abc import Mapping

import structlog
from aiohttp import web

from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.clients import origin_of
from bff.endpoints.parameters import idp_of, parse_parameters, read_form
from bff.errors import LogoutNotConfirmed
from bff.gate.fetch_metadata import is_begun_here, is_navigation
from bff.gate.outcome import Local
from bff.gate.paths import MAX_TARGET_BYTES
from bff.model import Session, public_id
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.cookie import LogoutSid
from bff.tokens.ending_sessions import SessionEnder

log = structlog.get_logger("bff.endpoints")


class Logout:
    """GET and a form want the session-bound `sid` of `logout_url`; any other POST has passed the
    whole CSRF guard. `post_logout_paths`: where it ends without an OP, by provider."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        ender: SessionEnder,
        logout_sid: LogoutSid,
        cookies: BrowserCookies,
        *,
        post_logout_paths: Mapping[str, str],
    ) -> None:
        self._relying_parties = relying_parties
        self._ender = ender
        self._logout_sid = logout_sid
        self._cookies = cookies
        self._post_logout_paths = post_logout_paths

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        key = local.session_key
        is_fetch = request.method == "POST" and not local.by_form
        parameters: dict[str, str] = {}
        if not is_fetch and (key is not None or len(self._relying_parties) > 1):
            parameters = await _parameters(request, local)
        if not is_fetch and key is not None:
            sid = parameters.get("sid", "")
            if not self._logout_sid.matches(key, sid):
                raise LogoutNotConfirmed
        ended: Session | None = None
        if key is not None:
            ended = await self._ender.end(key, "logout", origin=origin_of(request, local))
        provider = self._provider_of(ended, parameters)
        if key is not None or request.method == "POST" or is_begun_here(local.fields):
            location = await self._location(provider, ended, with_hint=is_navigation(local.fields))
        else:
            location = self._post_logout_paths[provider]
        if is_fetch:
            response = web.json_response({"redirect": location})
        else:
            response = web.Response(status=303, headers={"Location": location})
        if key is not None:
            # Without a cookie of ours in the request nothing is deleted: a cross-site navigation,
            # which carries no Strict cookie, must not log a user out.
            response.headers.add("Set-Cookie", self._cookies.clear_session())
        if ended is not None:
            log.info(
                "logout",
                provider=ended.provider,
                sub=ended.sub,
                session=public_id(ended.key),
                request_id=local.identity.request_id,
            )
        return response

    def _provider_of(self, ended: Session | None, parameters: dict[str, str]) -> str:
        """That of the session; where it has timed out, the one that `logout_url` named."""
        if ended is not None:
            return ended.provider
        named = idp_of(parameters) or ""
        return named if named in self._relying_parties else self._relying_parties.default.name

    async def _location(self, provider: str, ended: Session | None, *, with_hint: bool) -> str:
        """The OP's logout page. The hint is an ID token: it goes into the Location of a
        navigation, which no script can read, and never into an answer to a fetch."""
        hint = ended.tokens.id_token if ended is not None and with_hint else None
        relying_party = self._relying_parties[provider]
        url = await relying_party.end_session_url(hint, secrets.token_urlsafe(16))
        return url or self._post_logout_paths[provider]


async def _parameters(request: web.BaseRequest, local: Local) -> dict[str, str]:
    if local.by_form:
        return await read_form(request, max_bytes=MAX_TARGET_BYTES)
    return parse_parameters(local.target.query or b"")
