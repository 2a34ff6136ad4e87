"""The API's JSON endpoints: notes, and the claims of the caller's token."""

from typing import Any

from aiohttp import web

from bff.clock import Clock
from spa_demo.api.guard import Guard
from spa_demo.api.notes import NoteInvalid, Notes, NotTheAuthor, read_text
from spa_demo.api.problems import Problem


class ApiHandlers:
    """`/notes`, `/me`, `/vault` and `/admin`."""

    def __init__(self, guard: Guard, notes: Notes, clock: Clock) -> None:
        self._guard = guard
        self._notes = notes
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/notes", self.list_notes),
            web.post("/notes", self.add_note),
            web.delete("/notes/{id}", self.delete_note),
            web.get("/me", self.me),
            web.get("/vault", self.vault),
            web.get("/admin", self.admin),
        ]

    async def list_notes(self, request: web.Request) -> web.Response:
        await self._guard.require_scope(request, "api:read")
        return web.json_response({"notes": [note.as_json() for note in self._notes.all()]})

    async def add_note(self, request: web.Request) -> web.Response:
        token = await self._guard.require_scope(request, "api:write")
        try:
            text = read_text(await _read_json(request))
        except NoteInvalid:
            raise Problem(
                400, "invalid_note", 'A note is {"text": "1 to 500 characters"}.'
            ) from None
        note = self._notes.add(text, token.sub, self._clock.now())
        # Relative, so that it stays right behind a gateway that changes the path's prefix.
        location = {"Location": f"notes/{note.id}"}
        return web.json_response(note.as_json(), status=201, headers=location)

    async def delete_note(self, request: web.Request) -> web.Response:
        token = await self._guard.require_scope(request, "api:write")
        name = request.match_info["id"]
        note_id = int(name) if name.isascii() and name.isdigit() and len(name) < 16 else 0
        try:
            existed = self._notes.delete(note_id, token.sub)
        except NotTheAuthor:
            raise Problem(403, "not_the_author", "Only its author may delete a note.") from None
        if not existed:
            raise Problem(404, "not_found", "There is no such note.")
        return web.Response(status=204)

    async def me(self, request: web.Request) -> web.Response:
        """The user, client, scope and expiry that the token names; never the token itself."""
        token = await self._guard.require_token(request)
        scope = " ".join(sorted(token.scope))
        claims = {"sub": token.sub, "client_id": token.client_id, "scope": scope, "exp": token.exp}
        return web.json_response(claims)

    async def vault(self, request: web.Request) -> web.Response:
        """What is kept apart for a strong and recent login."""
        token = await self._guard.require_strong_login(request)
        return web.json_response({"sub": token.sub, "kept": "The vault is open."})

    async def admin(self, request: web.Request) -> web.Response:
        await self._guard.require_scope(request, "api:admin")  # no user can grant it
        return web.json_response({"admin": True})


async def _read_json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise Problem(415, "unsupported_media_type", "application/json is expected.")
    try:
        return await request.json()
    except (ValueError, LookupError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise Problem(400, "malformed_json", "The body is not JSON.") from None
