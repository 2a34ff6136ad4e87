"""The OP's two cookies, and the anti-forgery tokens of its forms.

`demo_op_session` is the login; `demo_op_browser` tells browsers apart before it. Their names differ
from the gateway's because cookies know no ports: on one host both share a jar.
"""

import hmac
import secrets
from hashlib import sha256

from aiohttp import web

SESSION = "demo_op_session"
BROWSER = "demo_op_browser"


class OpCookies:
    """Reads and writes both cookies. Tokens are bound to the browser and to one form."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure
        self._key = secrets.token_bytes(32)

    def session(self, request: web.Request) -> str | None:
        return request.cookies.get(SESSION)

    def keep_session(self, response: web.StreamResponse, value: str) -> None:
        self._set(response, SESSION, value)

    def drop_session(self, response: web.StreamResponse) -> None:
        response.del_cookie(SESSION, path="/", secure=self._secure, httponly=True, samesite="Lax")

    def browser(self, request: web.Request) -> str | None:
        return request.cookies.get(BROWSER)

    def browser_or_new(self, request: web.Request) -> str:
        return self.browser(request) or secrets.token_urlsafe(32)

    def keep_browser(self, response: web.StreamResponse, value: str) -> None:
        self._set(response, BROWSER, value)

    def form_token(self, browser: str, form: str) -> str:
        message = f"{form}\n{browser}".encode()
        return hmac.new(self._key, message, sha256).hexdigest()

    def is_form_token(self, request: web.Request, form: str, presented: str) -> bool:
        """Whether the posted form was rendered by us, for this browser."""
        browser = self.browser(request)
        if browser is None:
            return False
        expected = self.form_token(browser, form)
        return hmac.compare_digest(expected.encode(), presented.encode())

    def _set(self, response: web.StreamResponse, name: str, value: str) -> None:
        response.set_cookie(
            name, value, path="/", secure=self._secure, httponly=True, samesite="Lax"
        )
