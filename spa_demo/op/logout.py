"""Ways out of an OP session: `/end-session` for clients, `/account` for the user.

A logout that no ID token of this very session vouches for is confirmed by the user first
(RP-Initiated Logout 1.0 section 6).
"""

from aiohttp import web

from spa_demo.op.backchannel import BackChannel
from spa_demo.op.cookies import OpCookies
from spa_demo.op.end_session import LogoutRefused, LogoutRequest, read_logout_request
from spa_demo.op.keys import SigningKeys
from spa_demo.op.pages import account_page, confirm_logout_page, message_page
from spa_demo.op.records import OpSession
from spa_demo.op.settings import OpSettings
from spa_demo.op.state import OpState
from spa_demo.op.web_io import Refused, page, read_form, read_request, see

KEPT = ("client_id", "post_logout_redirect_uri", "state", "id_token_hint")
CONFIRM_FORM = "confirm-logout"
ACCOUNT_FORM = "sign-out"


class Logout:
    """Handlers of `/end-session` and `/account`."""

    def __init__(
        self,
        settings: OpSettings,
        state: OpState,
        keys: SigningKeys,
        cookies: OpCookies,
        back_channel: BackChannel,
    ) -> None:
        self._settings = settings
        self._state = state
        self._keys = keys
        self._cookies = cookies
        self._back_channel = back_channel

    async def end_session(self, request: web.Request) -> web.Response:
        """`GET, POST /end-session`."""
        parameters = dict((await read_request(request, self._settings)).parameters)
        asked = self._read(parameters)
        here = self._session(request)
        if here is None or here.sid == asked.sid:
            return self._leave(here or self._state.session_by_sid(asked.sid), asked)
        browser = self._cookies.browser_or_new(request)
        html = confirm_logout_page(
            form_token=self._cookies.form_token(browser, CONFIRM_FORM),
            session=here,
            kept=[(name, parameters[name]) for name in KEPT if name in parameters],
        )
        response = page(html, leads_to=asked.return_to)
        self._cookies.keep_browser(response, browser)
        return response

    async def confirm(self, request: web.Request) -> web.Response:
        """`POST /end-session/confirm`."""
        form = await read_form(request)
        self._require_token(request, CONFIRM_FORM, form.get("form_token", ""))
        asked = self._read({name: form[name] for name in KEPT if name in form})
        if form.get("decision") != "yes":
            return page(message_page("Still signed in", "Your session goes on."))
        return self._leave(self._session(request), asked)

    async def account(self, request: web.Request) -> web.Response:
        """`GET /account`."""
        session = self._session(request)
        if session is None:
            return page(message_page("Not signed in", "There is no session in this browser."))
        browser = self._cookies.browser_or_new(request)
        html = account_page(
            form_token=self._cookies.form_token(browser, ACCOUNT_FORM),
            session=session,
            session_count=len(self._state.sessions(session.user.sub)),
        )
        response = page(html)
        self._cookies.keep_browser(response, browser)
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """`POST /account/sign-out`, here or everywhere."""
        form = await read_form(request)
        self._require_token(request, ACCOUNT_FORM, form.get("form_token", ""))
        session = self._session(request)
        if session and form.get("scope") == "everywhere":
            self._back_channel.end_everywhere(session.user.sub)
            session = None
        return self._leave(session, LogoutRequest(sid=None, return_to=None))

    def _leave(self, session: OpSession | None, asked: LogoutRequest) -> web.Response:
        """End the session, if there is one, and send the browser on its way."""
        if session:
            self._back_channel.end_session(session)
        if asked.return_to:
            response = see(asked.return_to)
        else:
            response = page(message_page("Signed out", "Your session here has ended."))
        self._cookies.drop_session(response)
        return response

    def _read(self, parameters: dict[str, str]) -> LogoutRequest:
        try:
            return read_logout_request(
                parameters, self._settings.issuer, self._state.clients, self._keys
            )
        except LogoutRefused:
            # Section 4: no redirect after an error.
            text = "The application asked for a logout that this provider cannot verify."
            raise Refused(400, "Request refused", text) from None

    def _session(self, request: web.Request) -> OpSession | None:
        return self._state.session(self._cookies.session(request))

    def _require_token(self, request: web.Request, form: str, presented: str) -> None:
        if not self._cookies.is_form_token(request, form, presented):
            raise Refused(403, "Form refused", "It was not sent from a page of this provider.")
