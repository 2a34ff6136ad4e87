"""What the OP does to log users out, by the back channel and on its own pages, and how the users
find that out."""

import io
import secrets
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import aiohttp

from bff.oidc.jwt.logout_token import LOGOUT_EVENT
from tests.flows.logins import log_in
from tests.parts.browser import Browser
from tests.parts.browser_pages import Page
from tests.parts.configuration import CLIENT_ID
from tests.parts.stack import Stack

PATH = "/bff/backchannel-logout"
FORM = "application/x-www-form-urlencoded"


# --- what the OP does


def token(stack: Stack, *, typ: str = "logout+jwt", **changes: object) -> str:
    """A logout token of the demo OP; a None removes a claim. It names no user by itself."""
    now = int(stack.now())
    claims: dict[str, object] = {
        "iss": stack.issuer,
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 120,
        "jti": secrets.token_urlsafe(8),
        "events": {LOGOUT_EVENT: {}},
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return stack.running_op.keys.sign(kept, typ=typ)


async def post(
    stack: Stack,
    body: str | bytes | io.BytesIO | Mapping[str, str],
    *,
    base: str = "",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, Mapping[str, str], bytes]:
    """What the gateway answers to the OP: status, headers, body. `base` is that of a replica."""
    data = urlencode(body) if isinstance(body, Mapping) else body
    sent = {"Content-Type": FORM, "Host": urlsplit(stack.public_url).netloc, **(headers or {})}
    url = f"{base or stack.public_url}{PATH}{query}"
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, url, data=data, headers=sent) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


async def tell(stack: Stack, logout_token: str, *, base: str = "") -> int:
    status, headers, _ = await post(stack, {"logout_token": logout_token}, base=base)
    assert headers["Cache-Control"] == "no-store"
    return status


async def sign_out_at_op(browser: Browser, stack: Stack, where: str) -> Page:
    account = await browser.navigate(f"{stack.issuer}/account")
    return await browser.submit(account.form("sign-out"), button=where)


def sids(stack: Stack, sub: str) -> list[str]:
    """Of the user's sessions at the OP, the oldest first."""
    return [session.sid for session in stack.running_op.state.sessions(sub)]


def active_grants(stack: Stack) -> int:
    return len(stack.running_op.state.active_families())


# --- what the user sees


async def is_logged_in(browser: Browser, stack: Stack, cookie: str | None = None) -> bool:
    """By this browser's cookie or another one."""
    if urlsplit(browser.origin).hostname != "localhost":
        await browser.navigate(stack.public_url)
    headers = {"Cookie": f"bff={cookie}"} if cookie else {}
    answer = await browser.fetch("GET", "/bff/user", headers=headers)
    assert answer.status in (200, 401)
    return answer.status == 200


async def log_in_twice(browser: Browser, stack: Stack, user: str) -> tuple[str, str]:
    """Two sessions at the gateway that belong to one at the OP: their cookies."""
    await log_in(browser, stack, user)
    first = browser.cookies.get("bff") or ""
    browser.cookies.delete("bff")
    browser.cookies.delete("bff-login")  # or the second login would end the session of the first
    await browser.navigate(stack.public_url)
    await log_in(browser, stack, user)
    second = browser.cookies.get("bff") or ""
    assert first != second
    return first, second
