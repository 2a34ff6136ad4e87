"""The device flow (RFC 8628): a client without a keyboard gets a pair of codes, the user enters one
of them on a page of this provider, and the client asks with the other until that has happened.
"""

import secrets
from typing import cast

from aiohttp import web
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidGrantError, UnauthorizedClientError
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceCodeGrant

from spa_demo.op.authorization_server import DemoServer
from spa_demo.op.backchannel import BackChannel
from spa_demo.op.cookies import OpCookies
from spa_demo.op.forms import is_password
from spa_demo.op.grants import AUTH_METHODS, key_of, resources_of
from spa_demo.op.pages import device_page, message_page
from spa_demo.op.records import DeviceCode, OpSession
from spa_demo.op.requests import Answer, DemoOAuth2Request, FormRequest
from spa_demo.op.settings import Client, User
from spa_demo.op.state import OpState
from spa_demo.op.tokens import TokenIssuer, TokenResponse
from spa_demo.op.web_io import Refused, page, read_form, read_request, respond

AUTHORIZATION_PATH = "/device-authorization"
PAGE_PATH = "/device"
FORM = "device"  # what its anti-forgery token is bound to
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628 section 6.1: no vowels, so that no word comes out
SLOW_DOWN_SECONDS = 5
NOBODY = User("", "", "", "")  # Authlib wants a user beside a refusal


class DeviceGrant(DeviceCodeGrant):
    """The client's side: each code gives tokens once, and asking too early costs five seconds."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def query_device_credential(self, device_code: str) -> DeviceCode:
        state: OpState = self.server.state
        code = state.device(device_code)
        if code is None or code.family is not None:
            raise InvalidGrantError("The device_code is unknown, or has been used.")
        return code

    def query_user_grant(self, user_code: str) -> tuple[User, bool] | None:
        state: OpState = self.server.state
        code = state.device_by_user_code(user_code)
        if code is None or code.is_denied:
            return (NOBODY, False)
        return (code.session.user, True) if code.session else None

    def should_slow_down(self, credential: DeviceCode) -> bool:
        now: float = self.server.clock.now()
        is_early = now < credential.next_poll_at
        if is_early:
            credential.interval += SLOW_DOWN_SECONDS
        credential.next_poll_at = now + credential.interval
        return is_early

    def generate_token(
        self,
        user: User | None = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> TokenResponse:
        tokens: TokenIssuer = self.server.tokens
        code = cast("DeviceCode", self.request.credential)
        session = cast("OpSession", code.session)  # Authlib asks for no tokens before a decision
        resources = resources_of(self.request, code.resources)
        return tokens.redeem(
            code,
            session,
            resources,
            key_of(self.request),
            with_refresh_token=include_refresh_token,
        )


class DevicePages:
    """The endpoint for clients, and the page for users."""

    def __init__(self, server: DemoServer, cookies: OpCookies, back_channel: BackChannel) -> None:
        self._server = server
        self._cookies = cookies
        self._back_channel = back_channel

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(AUTHORIZATION_PATH, self._authorize),
            web.get(PAGE_PATH, self._show),
            web.post(PAGE_PATH, self._decide),
        ]

    async def _authorize(self, request: web.Request) -> web.Response:
        """RFC 8628 section 3.1."""
        self._server.state.counters.requests["device_authorization"] += 1
        form = await read_request(request, self._server.settings)
        try:
            return respond(self._begin(form))
        except OAuth2Error as error:
            return respond(self._server.handle_response(*error()))

    def _begin(self, form: FormRequest) -> Answer:
        server, settings = self._server, self._server.settings
        request = DemoOAuth2Request(form)
        client = cast("Client", server.authenticate_client(request, AUTH_METHODS))
        if not client.check_grant_type(DEVICE_CODE_GRANT_TYPE):
            raise UnauthorizedClientError
        code = DeviceCode(
            value=secrets.token_urlsafe(32),
            user_code=new_user_code(),
            client_id=client.client_id,
            scope=client.get_allowed_scope(dict(form.parameters).get("scope")),
            resources=resources_of(request, settings.resources),
            interval=settings.device_interval,
            clock=server.clock,
            expires_at=server.clock.now() + settings.device_seconds,
        )
        server.state.keep_device(code)
        url = f"{settings.issuer}{PAGE_PATH}"
        document = {
            "device_code": code.value,
            "user_code": code.user_code,
            "verification_uri": url,
            "verification_uri_complete": f"{url}?user_code={code.user_code}",
            "expires_in": settings.device_seconds,
            "interval": settings.device_interval,
        }
        return Answer(200, document, {"Cache-Control": "no-store"})

    async def _show(self, request: web.Request) -> web.Response:
        return self._form(request, request.query.get("user_code", ""))

    async def _decide(self, request: web.Request) -> web.Response:
        """The user's decision. RFC 8628 section 5.4: code and client are shown before it."""
        form = await read_form(request)
        if not self._cookies.is_form_token(request, FORM, form.get("form_token", "")):
            raise Refused(403, "Form refused", "It was not sent from a page of this provider.")
        user_code = form.get("user_code", "")
        code = self._server.state.device_by_user_code(user_code)
        if code is None or code.is_decided or code.is_expired():
            return self._form(request, user_code, alert="No device is waiting with this code.")
        if form.get("decision") != "allow":
            code.is_denied = True
            return page(message_page("Access denied", "The device has been told."))
        user = self._server.settings.user(form.get("username", ""))
        if user is None or not is_password(user, form.get("password", "")):
            return self._form(request, user_code, alert="User name and password do not match.")
        previous = self._server.state.session(self._cookies.session(request))
        if previous is not None and previous.user != user:
            self._back_channel.end_session(previous)
            previous = None
        acr = self._server.settings.acr_values[0]
        session = previous or self._server.state.open_session(user, acr)
        code.session, code.acr = session, session.acr
        code.scope = user.may_grant(code.scope)
        session.client_ids.add(code.client_id)
        response = page(message_page("Signed in", "Go on at your device."))
        self._cookies.keep_session(response, session.cookie)
        return response

    def _form(self, request: web.Request, user_code: str, *, alert: str = "") -> web.Response:
        browser = self._cookies.browser_or_new(request)
        code = self._server.state.device_by_user_code(user_code)
        html = device_page(
            action=PAGE_PATH,
            form_token=self._cookies.form_token(browser, FORM),
            users=self._server.settings.users,
            user_code=user_code,
            client=code.client_id if code is not None else "",
            alert=alert,
        )
        response = page(html)
        self._cookies.keep_browser(response, browser)
        return response


def new_user_code() -> str:
    """Eight letters in two groups: about 34 bits (RFC 8628 section 6.1)."""
    letters = "".join(secrets.choice(LETTERS) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"
