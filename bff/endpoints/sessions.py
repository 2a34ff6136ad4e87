"""`/bff/sessions`: a user's own devices, and the way to log one or all others out."""

from dataclasses import replace

from aiohttp import web

from bff.audit.event import Actor
from bff.endpoints.clients import origin_of
from bff.errors import NotAuthenticated, NotFound
from bff.gate.outcome import Local
from bff.model import Session, public_id
from bff.sessions.sessions import Sessions
from bff.tokens.ending_sessions import SessionEnder

ENDED_BY_USER = "ended_by_user"


class OwnSessions:
    """Never reaches beyond the sessions of the caller's own (issuer, sub) at one frontend."""

    def __init__(self, sessions: Sessions, ender: SessionEnder) -> None:
        self._sessions = sessions
        self._ender = ender

    async def collection(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        """`GET`: all of them, the newest first. `DELETE`: end all but the caller's."""
        current = _require(local)
        owned = await self._owned(current)
        if request.method == "GET":
            return web.json_response(
                {"sessions": [self._about(one, current) for one in reversed(owned)]}
            )
        others = [one for one in owned if one.key != current.key]
        origin = origin_of(request, local)
        ended = [await self._ender.end(one, ENDED_BY_USER, origin=origin) for one in others]
        return web.json_response({"ended": sum(one is not None for one in ended)})

    async def item(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        """`DELETE`: end one, the caller's own included.

        Raises:
            NotFound: no session of this user has that id.
        """
        current = _require(local)
        wanted = local.target.path.rpartition(b"/")[2].decode("ascii")
        for one in await self._owned(current):
            if public_id(one.key) == wanted:
                origin = origin_of(request, local)
                if one.key == current.key:
                    origin = replace(origin, actor=Actor.USER)
                await self._ender.end(one, ENDED_BY_USER, origin=origin)
                return web.Response(status=204)
        raise NotFound

    async def _owned(self, current: Session) -> list[Session]:
        return await self._sessions.of_subject(
            current.issuer,
            current.sub,
            provider=current.provider,
            frontend=current.frontend,
        )

    def _about(self, session: Session, current: Session) -> dict[str, object]:
        kept = {"address": session.address} if session.address else {}
        return {
            **kept,
            "id": public_id(session.key),
            "current": session.key == current.key,
            "client": session.client,
            "created_at": int(session.created_at),
            "last_seen_at": int(self._sessions.last_seen_at(session)),
            "expires_at": int(session.expires_at),
        }


def _require(local: Local) -> Session:
    if local.session is None:
        raise NotAuthenticated
    return local.session
