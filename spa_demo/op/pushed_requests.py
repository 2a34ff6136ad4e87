"""Pushed authorization requests (RFC 9126): a client hands in the parameters itself, and the
browser brings a reference, which serves once, for a minute, and for that client only.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiohttp import web
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError

from bff.bounded_map import BoundedMap
from spa_demo.op.authorization_server import DemoServer, InvalidDpopProof
from spa_demo.op.grants import AUTH_METHODS
from spa_demo.op.request_objects import RequestObjects
from spa_demo.op.requests import Answer, DemoOAuth2Request, FormRequest, Pairs
from spa_demo.op.web_io import Refused, read_request, respond

PATH = "/par"
URN = "urn:ietf:params:oauth:request_uri:"
MOST_KEPT = 10_000
CREDENTIALS = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


@dataclass(frozen=True, slots=True)
class Pushed:
    client_id: str
    parameters: Pairs
    expires_at: float


class PushedRequests:
    """The endpoint, and what `/authorize` takes from it."""

    def __init__(self, server: DemoServer, objects: RequestObjects) -> None:
        self._server = server
        self._objects = objects
        self._kept: BoundedMap[str, Pushed] = BoundedMap(MOST_KEPT)

    async def handle(self, request: web.Request) -> web.Response:
        """`POST /par` (RFC 9126 section 2)."""
        server = self._server
        server.state.counters.requests["par"] += 1
        form = await read_request(request, server.settings)
        try:
            answer = self._push(server.proven(form))
        except OAuth2Error as error:
            answer = server.handle_response(*error())
        answer.headers |= server.proofs.headers()
        return respond(answer)

    def _push(self, form: FormRequest) -> Answer:
        server, settings = self._server, self._server.settings
        client = server.authenticate_client(DemoOAuth2Request(form), AUTH_METHODS)
        given = dict(form.parameters)
        if "request_uri" in given:  # section 2.1
            raise InvalidRequestError("request_uri is not pushed.")
        if given.get("client_id") != client.get_client_id():
            raise InvalidRequestError("The request is another client's.")
        asked = self._objects.resolved(form)
        parameters = tuple(pair for pair in asked.parameters if pair[0] not in CREDENTIALS)
        if form.jkt:  # RFC 9449 section 10.1
            named = dict(asked.parameters).get("dpop_jkt")
            if named not in (None, form.jkt):
                raise InvalidDpopProof("The proof is of another key than dpop_jkt.")
            if named is None:
                parameters = (*parameters, ("dpop_jkt", form.jkt))
        try:
            server.require_code_grant(replace(form, parameters=parameters), None)
        except OAuth2Error as error:
            error.redirect_uri = ""  # section 2.3: the client is told here
            raise
        reference = URN + secrets.token_urlsafe(32)
        self._kept[reference] = Pushed(
            client.get_client_id(), parameters, server.clock.now() + settings.par_seconds
        )
        document: Mapping[str, object] = {
            "request_uri": reference,
            "expires_in": settings.par_seconds,
        }
        return Answer(201, document, {"Cache-Control": "no-store"})

    def resolved(self, request: FormRequest) -> FormRequest:
        """The pushed request that this one refers to, or the one that it holds signed; or this one,
        where it may come unpushed and unsigned.

        Raises:
            Refused: the reference is unknown, spent, over, or another client's.
            InvalidRequestObject: as `RequestObjects.resolved`.
        """
        given = dict(request.parameters)
        settings = self._server.settings
        if settings.par == "off" or ("request_uri" not in given and settings.par != "required"):
            return self._objects.resolved(request)
        found = self._kept.pop(given.get("request_uri", ""), None)
        is_live = found is not None and self._server.clock.now() < found.expires_at
        if found is None or not is_live or found.client_id != given.get("client_id"):
            raise Refused(400, "Request refused", "The application's request is not known here.")
        return replace(request, parameters=found.parameters)
