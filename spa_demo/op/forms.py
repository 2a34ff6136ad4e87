"""The forms of an interaction: login, then consent (OIDC Core sections 3.1.2.3 and 3.1.2.4).

The authorization request is judged anew at every step, so that posting to the second form does not
skip the first. An interaction belongs to the browser that began it, and every form carries a token.
"""

import hmac

from aiohttp import web
from authlib.oauth2 import OAuth2Error
from multidict import MultiDict

from spa_demo.op.authorize import Authorize, Judged
from spa_demo.op.backchannel import BackChannel
from spa_demo.op.cookies import OpCookies
from spa_demo.op.interaction import Step
from spa_demo.op.pages import consent_page, login_page
from spa_demo.op.records import Interaction, OpSession
from spa_demo.op.requests import FormRequest
from spa_demo.op.settings import SECOND_STEP_CODE, OpSettings, User
from spa_demo.op.state import OpState
from spa_demo.op.web_io import Refused, page, read_form, see


class InteractionForms:
    """Handlers of `/interaction/{id}`."""

    def __init__(
        self,
        settings: OpSettings,
        state: OpState,
        cookies: OpCookies,
        authorize: Authorize,
        back_channel: BackChannel,
    ) -> None:
        self._settings = settings
        self._state = state
        self._cookies = cookies
        self._authorize = authorize
        self._back_channel = back_channel

    async def show(self, request: web.Request) -> web.Response:
        """`GET /interaction/{id}`: the form that comes next."""
        interaction = self._interaction(request)
        session = self._session(request)
        try:
            judged = self._judge(interaction, session)
        except OAuth2Error as error:
            return self._authorize.refuse(error, interaction.parameters)
        if judged.step is Step.LOGIN or session is None:
            return self._login_form(interaction)
        return self._consent_form(interaction, judged, session)

    async def log_in(self, request: web.Request) -> web.Response:
        """`POST /interaction/{id}/login`."""
        interaction = self._interaction(request)
        form = await self._form(request, interaction)
        if form.get("decision") == "cancel":
            return self._deny(interaction)
        user = self._settings.user(form.get("username", ""))
        if user is None or not (
            is_password(user, form.get("password", "")) and self._is_code(interaction, form)
        ):
            return self._login_form(interaction, chosen=form.get("username", ""), failed=True)
        session = self._log_in(user, interaction, self._session(request))
        interaction.login_sid = session.sid
        response = see(f"/interaction/{interaction.id}")
        self._cookies.keep_session(response, session.cookie)
        return response

    async def consent(self, request: web.Request) -> web.Response:
        """`POST /interaction/{id}/consent`."""
        interaction = self._interaction(request)
        form = await self._form(request, interaction)
        session = self._session(request)
        if form.get("decision") == "switch":
            return self._login_form(interaction)
        if form.get("decision") != "allow":
            return self._deny(interaction)
        try:
            judged = self._judge(interaction, session)
        except OAuth2Error as error:
            return self._authorize.refuse(error, interaction.parameters)
        if judged.step is Step.LOGIN or session is None:
            return self._login_form(interaction)
        granted = frozenset(session.user.may_grant(judged.asked.scope).split())
        known = session.consents.get(judged.asked.client_id, frozenset())
        session.consents[judged.asked.client_id] = known | granted
        self._state.finish_interaction(interaction)
        return self._authorize.grant(judged, session)

    # --- steps

    def _interaction(self, request: web.Request) -> Interaction:
        browser = self._cookies.browser(request)
        interaction = self._state.interaction(request.match_info["id"], browser)
        if interaction is None:
            text = "This sign-in is no longer open. Go back to the application and start again."
            raise Refused(410, "Too late", text)
        return interaction

    def _session(self, request: web.Request) -> OpSession | None:
        return self._state.session(self._cookies.session(request))

    async def _form(self, request: web.Request, interaction: Interaction) -> MultiDict[str]:
        form = await read_form(request)
        if not self._cookies.is_form_token(request, interaction.id, form.get("form_token", "")):
            raise Refused(403, "Form refused", "It was not sent from a page of this provider.")
        return form

    def _judge(self, interaction: Interaction, session: OpSession | None) -> Judged:
        pairs = tuple(interaction.parameters.items())
        request = FormRequest("GET", f"{self._settings.issuer}/authorize", pairs)
        is_fresh = session is not None and session.sid == interaction.login_sid
        return self._authorize.judge(request, session, has_just_logged_in=is_fresh)

    def _log_in(
        self, user: User, interaction: Interaction, previous: OpSession | None
    ) -> OpSession:
        wanted = self._settings.supported_acr(interaction.parameters.get("acr_values", ""))
        acr = wanted or self._settings.acr_values[0]
        if previous and previous.user == user:
            self._state.renew_session(previous, acr)
            return previous
        if previous:
            self._back_channel.end_session(previous)
        return self._state.open_session(user, acr)

    def _needs_code(self, interaction: Interaction) -> bool:
        return self._settings.needs_second_step(interaction.parameters.get("acr_values", ""))

    def _is_code(self, interaction: Interaction, form: MultiDict[str]) -> bool:
        if not self._needs_code(interaction):
            return True
        presented = form.get("code", "").encode()
        return hmac.compare_digest(SECOND_STEP_CODE.encode(), presented)

    def _deny(self, interaction: Interaction) -> web.Response:
        self._state.finish_interaction(interaction)
        judged = self._judge(interaction, None)
        return self._authorize.grant(judged, None)

    # --- pages

    def _login_form(
        self, interaction: Interaction, *, chosen: str | None = None, failed: bool = False
    ) -> web.Response:
        hint = interaction.parameters.get("login_hint", "") if chosen is None else chosen
        html = login_page(
            action=f"/interaction/{interaction.id}/login",
            form_token=self._cookies.form_token(interaction.browser, interaction.id),
            users=self._settings.users,
            chosen=hint if self._settings.user(hint) else self._settings.users[0].sub,
            client=interaction.parameters["client_id"],
            failed=failed,
            second_step=self._needs_code(interaction),
        )
        return page(html, leads_to=interaction.parameters["redirect_uri"])

    def _consent_form(
        self, interaction: Interaction, judged: Judged, session: OpSession
    ) -> web.Response:
        html = consent_page(
            action=f"/interaction/{interaction.id}/consent",
            form_token=self._cookies.form_token(interaction.browser, interaction.id),
            session=session,
            client=judged.asked.client_id,
            scope=session.user.may_grant(judged.asked.scope),
        )
        return page(html, leads_to=interaction.parameters["redirect_uri"])


def is_password(user: User, presented: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(user.password.encode(), presented.encode())
