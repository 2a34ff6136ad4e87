"""`GET, POST /bff/logout`: end the session here, then at the OP. `GET /bff/logged-out`: where the
OP returns to, if a logout may say at which page it ends.

OpenID Connect RP-Initiated Logout 1.0; RFC 7009 for the tokens. The local end comes first and does
not depend on the OP.

A logout is what the user wants, whether or not there is still a session here: one that has timed
out has left the user logged in at the OP. Its cookie with the `sid` made for it proves the wish or,
without a cookie, that a page of ours began the request; a link on another site proves nothing.

The OP returns to registered addresses only (section 3), so the page that a logout ends at is kept
by the browser meanwhile, in a signed cookie.
"""

import secrets
from collections.abc import Mapping

import structlog
from aiohttp import web

from bff.clock import Clock
from bff.endpoints.browser_cookies import LOGOUT_SECONDS, BrowserCookies
from bff.endpoints.clients import origin_of
from bff.endpoints.parameters import idp_of, parse_parameters, read_form
from bff.endpoints.return_url import ReturnRules
from bff.errors import LogoutNotConfirmed
from bff.gate.fetch_metadata import is_begun_here, is_navigation
from bff.gate.outcome import Local
from bff.gate.paths import MAX_TARGET_BYTES
from bff.model import Session, public_id
from bff.oidc.relying_parties import RelyingParties
from bff.sessions.cookie import LogoutReturn, LogoutSid
from bff.tokens.ending_sessions import SessionEnder

log = structlog.get_logger("bff.endpoints")


class LogoutReturns:
    """Where logouts end that may name a page: one of `rules.pages`."""

    def __init__(
        self, rules: ReturnRules, kept: LogoutReturn, cookies: BrowserCookies, clock: Clock
    ) -> None:
        self._rules = rules
        self._kept = kept
        self._cookies = cookies
        self._clock = clock

    def named_in(self, parameters: Mapping[str, str], otherwise: str) -> str:
        """The page that the parameters of a logout name, if it is one of ours."""
        return self._rules.offered_in(parameters, otherwise)

    def cookie_for(self, location: str) -> str:
        """Keeps it for as long as the browser is at the OP."""
        expires_at = self._clock.now() + LOGOUT_SECONDS
        return self._cookies.set_logout_return(
            self._kept.value_for(location, expires_at=expires_at)
        )

    def kept_by(self, local: Local) -> str | None:
        """What a browser has kept; None when that is nothing of ours, or too old."""
        value = self._cookies.logout_return_of(local.fields)
        return self._kept.location_of(value, now=self._clock.now()) if value is not None else None


class Logout:
    """GET and a form want the session-bound `sid` of `logout_url`; any other POST has passed the
    whole CSRF guard. `post_logout_paths`: where it ends unless it names a page, by provider.
    `returns`: None where none may be named."""

    def __init__(
        self,
        relying_parties: RelyingParties,
        ender: SessionEnder,
        logout_sid: LogoutSid,
        cookies: BrowserCookies,
        returns: LogoutReturns | None,
        *,
        post_logout_paths: Mapping[str, str],
    ) -> None:
        self._relying_parties = relying_parties
        self._ender = ender
        self._logout_sid = logout_sid
        self._cookies = cookies
        self._returns = returns
        self._post_logout_paths = post_logout_paths

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        key = local.session_key
        is_fetch = request.method == "POST" and not local.by_form
        parameters: dict[str, str] = {}
        has_choice = key is not None or len(self._relying_parties) > 1
        if self._returns is not None or (has_choice and not is_fetch):
            parameters = await _parameters(request, local)
        if not is_fetch and key is not None:
            sid = parameters.get("sid", "")
            if not self._logout_sid.matches(key, sid):
                raise LogoutNotConfirmed
        ended: Session | None = None
        if key is not None:
            ended = await self._ender.end(key, "logout", origin=origin_of(request, local))
        provider = self._provider_of(ended, parameters)
        end = self._post_logout_paths[provider]
        at_op: str | None = None
        if key is not None or request.method == "POST" or is_begun_here(local.fields):
            if self._returns is not None:
                end = self._returns.named_in(parameters, end)
            at_op = await self._at_op(provider, ended, with_hint=is_navigation(local.fields))
        if is_fetch:
            response = web.json_response({"redirect": at_op or end})
        else:
            response = web.Response(status=303, headers={"Location": at_op or end})
        if at_op is not None and self._returns is not None:
            response.headers.add("Set-Cookie", self._returns.cookie_for(end))
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

    async def _at_op(self, provider: str, ended: Session | None, *, with_hint: bool) -> str | None:
        """The OP's logout page, if it has one. The hint is an ID token: it goes into the Location
        of a navigation, which no script can read, and never into an answer to a fetch."""
        hint = ended.tokens.id_token if ended is not None and with_hint else None
        relying_party = self._relying_parties[provider]
        return await relying_party.end_session_url(hint, secrets.token_urlsafe(16))


class LoggedOut:
    """Sends the browser on to the page that its logout has named, or else to `default`."""

    def __init__(self, returns: LogoutReturns, cookies: BrowserCookies, *, default: str) -> None:
        self._returns = returns
        self._cookies = cookies
        self._default = default

    async def __call__(self, _request: web.BaseRequest, local: Local) -> web.StreamResponse:
        location = self._returns.kept_by(local) or self._default
        response = web.Response(status=303, headers={"Location": location})
        response.headers.add("Set-Cookie", self._cookies.clear_logout_return())
        return response


async def _parameters(request: web.BaseRequest, local: Local) -> dict[str, str]:
    if local.by_form:
        return await read_form(request, max_bytes=MAX_TARGET_BYTES)
    return parse_parameters(local.target.query or b"")
