"""`GET, DELETE /sessions`: an administrator sees and ends sessions.

Shows the user, since when and from what program; never a token, a key, or anything that could be
used as a session id.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web
from structlog.contextvars import bound_contextvars

from bff.admin.browsers import require_no_browser, require_own_host
from bff.admin.selection import (
    TO_END,
    TO_LIST,
    By,
    Page,
    Selection,
    parse_page,
    parse_selection,
)
from bff.audit.event import Origin
from bff.model import Session, public_id
from bff.sessions.sessions import Sessions
from bff.tokens.ending_sessions import SessionEnder

log = structlog.get_logger("bff.admin")

ENDED_BY_ADMIN = "admin"
ENDED_AT_ONCE = 16
PASSES_AT_MOST = 5
ACTOR = "X-BFF-Actor"  # what a tool says of its user; the listener does not authenticate
LONGEST_ACTOR = 100

Scan = Callable[[], AsyncIterator[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class AdminSessionSettings:
    """`issuers` are those whose `sub` and `sid` are meant unless one is named; `own_name` the host
    part of the admin listener's configured address."""

    issuers: tuple[str, ...]
    own_name: str


class AdminSessions:
    """`scan` yields the keys of all sessions, some at a time."""

    def __init__(
        self,
        sessions: Sessions,
        scan: Scan,
        ender: SessionEnder,
        settings: AdminSessionSettings,
    ) -> None:
        self._sessions = sessions
        self._scan = scan
        self._ender = ender
        self._settings = settings

    async def show(self, request: web.BaseRequest) -> web.Response:
        """`GET`: those selected, the oldest first; without a selector a page of all, by their ids,
        and `after`, where the next one begins, if there is one. Changes nothing."""
        self._require_administrator(request)
        page = parse_page(list(request.query.items()))
        if page is not None:
            return await self._show_page(page)
        selection = self._selection(request, TO_LIST)
        found = await self._selected(selection)
        return web.json_response({"sessions": [self._about(session) for session in found]})

    async def end(self, request: web.BaseRequest) -> web.Response:
        """`DELETE`: end those selected. A repetition finds nothing left and is no error. `foreign`
        is how many records were selected that others made; they are left alone."""
        self._require_administrator(request)
        selection = self._selection(request, TO_END)
        by = selection.by.value
        origin = Origin(actor_name=(actor := actor_of(request)))
        with bound_contextvars(actor=actor):  # in the line of each session as well
            if selection.by is By.ALL:
                ended, foreign = await self._end_all(origin)
            else:
                foreign = await self._sessions.foreign_among(await self._keys(selection))
                ended, _ = await self._end(await self._selected(selection), origin)
            log.warning("sessions_ended_by_admin", by=by, ended=ended, foreign=foreign)
        return web.json_response({"ended": ended, "foreign": foreign})

    async def _show_page(self, page: Page) -> web.Response:
        """By their ids, for the store has no order, and ids stay what they are."""
        keys: dict[str, str] = {}
        async for batch in self._scan():
            keys.update((public_id(key), key) for key in batch)
            keys = {one: keys[one] for one in _next_ids(keys, page)}
        ids = _next_ids(keys, page)
        found = [await self._sessions.load_fresh(keys[one]) for one in ids[: page.limit]]
        shown = [self._about(session) for session in found if session is not None]
        after = {"after": ids[page.limit - 1]} if len(ids) > page.limit else {}
        return web.json_response({"sessions": shown, **after})

    def _require_administrator(self, request: web.BaseRequest) -> None:
        require_no_browser(list(request.headers))
        require_own_host(request.headers.getall("Host", []), self._settings.own_name)

    def _selection(self, request: web.BaseRequest, allowed: frozenset[By]) -> Selection:
        return parse_selection(
            list(request.query.items()), allowed=allowed, default_issuers=self._settings.issuers
        )

    async def _selected(self, selection: Selection) -> list[Session]:
        if selection.by in (By.SUB, By.SID):
            is_sub = selection.by is By.SUB
            find = self._sessions.of_subject if is_sub else self._sessions.of_sid
            of_each = [await find(issuer, selection.value) for issuer in selection.issuers]
            return [session for found in of_each for session in found]
        loaded = [await self._sessions.load_fresh(key) for key in await self._keys(selection)]
        return [session for session in loaded if session is not None]

    async def _keys(self, selection: Selection) -> tuple[str, ...]:
        """Where the store may hold what is selected; some may be foreign."""
        if selection.by in (By.SUB, By.SID):
            is_sub = selection.by is By.SUB
            find = self._sessions.keys_of_subject if is_sub else self._sessions.keys_of_sid
            of_each = [await find(issuer, selection.value) for issuer in selection.issuers]
            return tuple(key for keys in of_each for key in keys)
        # No index: it would cost every login something, and this is a rare question.
        async for keys in self._scan():
            for key in keys:
                if public_id(key) == selection.value:
                    return (key,)
        return ()

    async def _end_all(self, origin: Origin) -> tuple[int, int]:
        """How many were ended, and how many foreign records the last pass found. Again until a pass
        finds nothing: a store that fails over in the middle of one forgets where it was."""
        total = foreign = 0
        for _ in range(PASSES_AT_MOST):
            ended = foreign = 0
            async for keys in self._scan():
                counts = await self._end(keys, origin)
                ended, foreign = ended + counts[0], foreign + counts[1]
            total += ended
            if ended == 0:
                break
        return total, foreign

    async def _end(self, chosen: Sequence[Session | str], origin: Origin) -> tuple[int, int]:
        """How many of them were ended, and how many are foreign."""
        ended = foreign = 0
        for start in range(0, len(chosen), ENDED_AT_ONCE):
            batch = chosen[start : start + ENDED_AT_ONCE]
            results = await asyncio.gather(
                *(self._ender.end(session, ENDED_BY_ADMIN, origin=origin) for session in batch)
            )
            ended += sum(result is not None for result in results)
            left = [key for key, result in zip(batch, results, strict=True) if result is None]
            foreign += await self._sessions.foreign_among(k for k in left if isinstance(k, str))
        return ended, foreign

    def _about(self, session: Session) -> dict[str, object]:
        kept = {"address": session.address} if session.address else {}
        return {
            **kept,
            "id": public_id(session.key),
            "frontend": session.frontend,
            "provider": session.provider,
            "sub": session.sub,
            "sid": session.sid,
            "client": session.client,
            "acr": session.acr,
            "created_at": int(session.created_at),
            "last_seen_at": int(self._sessions.last_seen_at(session)),
            "expires_at": int(session.expires_at),
        }


def actor_of(request: web.BaseRequest) -> str:
    """The administrator as the tool names them, and where the request comes from."""
    named = request.headers.get(ACTOR, "")[:LONGEST_ACTOR] or "unnamed"
    name = request.get_extra_info("peername")
    return f"{named} at {name[0]}" if isinstance(name, tuple) else f"{named} at a Unix socket"


def _next_ids(ids: Iterable[str], page: Page) -> list[str]:
    """One more than fits on the page, so that it is known whether there is another."""
    return heapq.nsmallest(page.limit + 1, (one for one in ids if one > page.after))
