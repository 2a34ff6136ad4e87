"""`GET /bff/user`: the user of the session, as far as scripts may know. Never a token."""

import json

from aiohttp import web

from bff.clock import Clock
from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.parameters import parse_parameters
from bff.errors import BadRequest, NotAuthenticated
from bff.gate.outcome import Local
from bff.model import Session
from bff.sessions.cookie import LogoutSid
from bff.sessions.sessions import Sessions


class User:
    """`anonymous_null`: answer `200 null` instead of 401 when there is no session.
    `names_provider`: there are several, and a logout has to know which one it is about.
    `shows_details`: scripts may know the authorization details that were granted (RFC 9396)."""

    def __init__(
        self,
        sessions: Sessions,
        logout_sid: LogoutSid,
        clock: Clock,
        cookies: BrowserCookies,
        *,
        logout_path: str,
        anonymous_null: bool,
        names_provider: bool,
        shows_details: bool,
    ) -> None:
        self._sessions = sessions
        self._logout_sid = logout_sid
        self._clock = clock
        self._cookies = cookies
        self._logout_path = logout_path
        self._anonymous_null = anonymous_null
        self._names_provider = names_provider
        self._shows_details = shows_details

    async def __call__(self, _request: web.BaseRequest, local: Local) -> web.StreamResponse:
        slide = parse_parameters(local.target.query or b"").get("slide", "true")
        if slide not in ("true", "false"):
            raise BadRequest("slide")
        if local.session is None:
            if not self._anonymous_null:
                raise NotAuthenticated
            response = web.json_response(None)
            if local.clear_cookie:
                response.headers.add("Set-Cookie", self._cookies.clear_session())
            return response
        if slide == "true":
            self._sessions.touch(local.session)
        current = self._sessions.cached(local.session.key) or local.session
        return web.json_response(self._document(current))

    def _document(self, session: Session) -> dict[str, object]:
        now = self._clock.now()
        sid = self._logout_sid.sid_for(session.key)
        idp = f"&idp={session.provider}" if self._names_provider else ""
        about: dict[str, object] = {
            "session_expires_in": _seconds(session.expires_at - now),
            "idle_expires_in": _seconds(session.idle_expires_at - now),
            "access_token_expires_in": _seconds(session.tokens.expires_at - now),
            "logout_url": f"{self._logout_path}?sid={sid}{idp}",
            "acr": session.acr,
            "auth_time": session.auth_time,
        }
        if self._names_provider:
            about["idp"] = session.provider
        if self._shows_details:
            about["authorization_details"] = json.loads(
                session.tokens.authorization_details or "[]"
            )
        return {**session.claims, "sub": session.sub, "bff": about}


def _seconds(value: float) -> int:
    return max(0, int(value))
