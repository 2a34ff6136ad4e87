"""Client registration (RFC 7591) and its management (RFC 7592), for an OP that was given an initial
access token.

Each attempt leaves an audit entry in the log `spa_demo.op.audit` and is counted. Neither a token
nor a secret is in it.
"""

import hmac
import json
import logging
from collections.abc import Mapping

from aiohttp import web

from bff.clock import Clock
from spa_demo.op.client_assertions import BY_KEY
from spa_demo.op.client_metadata import RegistrationRefused, as_client, process_client_metadata
from spa_demo.op.clients import Registration, new_token, token_hash
from spa_demo.op.metadata import scopes_supported
from spa_demo.op.settings import OpSettings
from spa_demo.op.state import OpState, new_name

audit = logging.getLogger("spa_demo.op.audit")

PATH = "/register"


class RegistrationEndpoint:
    """Handlers of `/register` and `/register/{client_id}`."""

    def __init__(self, settings: OpSettings, state: OpState, clock: Clock) -> None:
        self._settings = settings
        self._state = state
        self._clock = clock
        self._scopes = frozenset(scopes_supported(settings))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(PATH, self.register),
            web.get(f"{PATH}/{{client_id}}", self.read),
            web.put(f"{PATH}/{{client_id}}", self.update),
            web.delete(f"{PATH}/{{client_id}}", self.delete),
        ]

    async def register(self, request: web.Request) -> web.Response:
        """`POST /register` (RFC 7591 section 3)."""
        expected = self._settings.initial_access_token or ""
        if not hmac.compare_digest(expected.encode(), _bearer(request).encode()):
            return self._unauthorized("register", "?")
        try:
            if self._state.clients.is_full:
                raise RegistrationRefused("invalid_client_metadata", "There are too many clients.")
            metadata = self._accepted(await _document(request))
        except RegistrationRefused as refused:
            return self._refused("register", "?", refused)
        client = as_client(f"dynamic-{new_name()}", new_token(), metadata)
        return self._keep("register", client.client_id, client.client_secret, metadata, status=201)

    async def read(self, request: web.Request) -> web.Response:
        """`GET /register/{client_id}` (RFC 7592 section 2.1)."""
        registration = self._managed(request)
        if registration is None:
            return self._unauthorized("read", request.match_info["client_id"])
        self._note("read", registration.client.client_id, "done")
        return self._answer(registration, None, status=200)

    async def update(self, request: web.Request) -> web.Response:
        """`PUT /register/{client_id}` (RFC 7592 section 2.2). The token is replaced with it."""
        registration = self._managed(request)
        if registration is None:
            return self._unauthorized("update", request.match_info["client_id"])
        client = registration.client
        try:
            asked = await _document(request)
            _require_same_client(asked, client.client_id, client.client_secret)
            metadata = self._accepted(asked)
        except RegistrationRefused as refused:
            return self._refused("update", client.client_id, refused)
        return self._keep("update", client.client_id, client.client_secret, metadata, status=200)

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE /register/{client_id}` (RFC 7592 section 2.3): its grants end with it."""
        registration = self._managed(request)
        if registration is None:
            return self._unauthorized("delete", request.match_info["client_id"])
        client_id = registration.client.client_id
        self._state.clients.forget(client_id)
        self._state.revoke_client(client_id, "client deleted")
        self._note("delete", client_id, "done")
        return web.Response(status=204)

    def _accepted(self, asked: object) -> dict[str, object]:
        """Raises: RegistrationRefused."""
        signed = self._settings.request_objects != "off"
        return process_client_metadata(asked, self._scopes, takes_signed_requests=signed)

    def _managed(self, request: web.Request) -> Registration | None:
        found = self._state.clients.registration(request.match_info["client_id"])
        return found if found is not None and found.is_managed_by(_bearer(request)) else None

    def _keep(
        self,
        action: str,
        client_id: str,
        client_secret: str,
        metadata: Mapping[str, object],
        *,
        status: int,
    ) -> web.Response:
        token, now = new_token(), int(self._clock.now())
        client = as_client(client_id, client_secret, metadata)
        registration = Registration(client, metadata, token_hash(token), now)
        self._state.clients.keep(registration)
        self._note(action, client_id, f"done, redirect_uris {json.dumps(client.redirect_uris)}")
        return self._answer(registration, token, status=status)

    def _answer(
        self, registration: Registration, token: str | None, *, status: int
    ) -> web.Response:
        """RFC 7591 section 3.2.1, RFC 7592 section 3. The token is in it when it is new."""
        client = registration.client
        document = {
            **registration.metadata,
            "client_id": client.client_id,
            **({} if BY_KEY in client.auth_methods else {"client_secret": client.client_secret}),
            "client_id_issued_at": registration.issued_at,
            "client_secret_expires_at": 0,
            "registration_client_uri": f"{self._settings.issuer}{PATH}/{client.client_id}",
            **({"registration_access_token": token} if token is not None else {}),
        }
        return web.json_response(document, status=status)

    def _refused(self, action: str, client_id: str, error: RegistrationRefused) -> web.Response:
        self._note(action, client_id, f"refused, {error.code}: {error.description}")
        document = {"error": error.code, "error_description": error.description}
        return web.json_response(document, status=400)

    def _unauthorized(self, action: str, client_id: str) -> web.Response:
        self._note(action, client_id, "refused, no valid token")
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return web.json_response({"error": "invalid_token"}, status=401, headers=headers)

    def _note(self, action: str, client_id: str, outcome: str) -> None:
        self._state.counters.registrations[f"{action} {outcome.partition(',')[0]}"] += 1
        audit.info("client %s: %s %s", json.dumps(client_id), action, outcome)


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def _document(request: web.Request) -> object:
    if request.content_type != "application/json":
        raise RegistrationRefused("invalid_client_metadata", "The body must be JSON.")
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError):
        raise RegistrationRefused("invalid_client_metadata", "The body is not JSON.") from None


def _require_same_client(asked: object, client_id: str, client_secret: str) -> None:
    """RFC 7592 section 2.2: neither the identifier nor the secret is chosen by the client."""
    if not isinstance(asked, Mapping):
        raise RegistrationRefused("invalid_client_metadata", "The body is not a JSON object.")
    named, secret = str(asked.get("client_id")), str(asked.get("client_secret", client_secret))
    if named != client_id or not hmac.compare_digest(secret.encode(), client_secret.encode()):
        raise RegistrationRefused("invalid_client_metadata", "This is not the client's own name.")
