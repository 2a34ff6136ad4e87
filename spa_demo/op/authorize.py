"""The authorization endpoint (RFC 6749 section 3.1, OIDC Core section 3.1.2).

Judges a request and either answers it or begins an interaction. An error goes to the client only
when client and redirect URI have been verified, else to a page (RFC 6749 section 4.1.2.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from authlib.oauth2 import OAuth2Error

from spa_demo.op.authorization_server import DemoServer
from spa_demo.op.cookies import OpCookies
from spa_demo.op.grants import CodeGrant, resources_of
from spa_demo.op.interaction import Asked, Step, next_step, read_asked
from spa_demo.op.pushed_requests import PushedRequests
from spa_demo.op.records import OpSession
from spa_demo.op.requests import FormRequest
from spa_demo.op.web_io import Refused, read_request, respond, see


@dataclass(frozen=True, slots=True)
class Judged:
    """A valid authorization request and the step it needs."""

    grant: CodeGrant
    asked: Asked
    step: Step


class Authorize:
    """`/authorize`, and the judgement that the forms behind it share."""

    def __init__(self, server: DemoServer, cookies: OpCookies, pushed: PushedRequests) -> None:
        self._server = server
        self._cookies = cookies
        self._pushed = pushed

    async def handle(self, request: web.Request) -> web.Response:
        """`GET, POST /authorize`."""
        asked_by = await read_request(request, self._server.settings)
        try:
            asked_by = self._pushed.resolved(asked_by)
        except OAuth2Error as error:  # where to lead the browser is not known
            return self.refuse(error, {})
        session = self._server.state.session(self._cookies.session(request))
        try:
            judged = self.judge(asked_by, session)
        except OAuth2Error as error:
            return self.refuse(error, dict(asked_by.parameters))
        if judged.step is Step.GRANT and session:
            return self.grant(judged, session)
        browser = self._cookies.browser_or_new(request)
        parameters = dict(asked_by.parameters)
        interaction = self._server.state.begin_interaction(parameters, browser)
        response = see(f"/interaction/{interaction.id}")
        self._cookies.keep_browser(response, browser)
        return response

    def judge(
        self, request: FormRequest, session: OpSession | None, *, has_just_logged_in: bool = False
    ) -> Judged:
        """Validate the request and find its next step.

        Raises: OAuth2Error, with `redirect_uri` set when the client may be told.
        """
        grant = self._server.require_code_grant(request, session)
        parameters = {name: value for name, value in request.parameters if value}
        settings = self._server.settings
        try:
            resources_of(grant.request, settings.resources)
            asked = read_asked(parameters, grant.request.scope, settings)
            step = next_step(
                asked,
                session,
                settings,
                now=self._server.clock.now(),
                has_just_logged_in=has_just_logged_in,
            )
        except OAuth2Error as error:
            error.redirect_uri = grant.redirect_uri
            raise
        return Judged(grant, asked, step)

    def grant(self, judged: Judged, session: OpSession | None) -> web.Response:
        """Send the code, or `access_denied` without a session, to the client."""
        return respond(self._server.grant(judged.grant, session))

    def refuse(self, error: OAuth2Error, parameters: Mapping[str, str]) -> web.Response:
        """Send the error to the client.

        Raises: Refused when the client is not known, so that no redirect is made.
        """
        if error.redirect_uri:
            return respond(self._server.refuse(error, parameters))
        text = "The application sent a request that this provider does not accept."
        raise Refused(400, "Request refused", text)
