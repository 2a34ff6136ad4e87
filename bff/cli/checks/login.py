"""`bff check --login`: one real login, in a browser, from the link to the end of the logout.

While it runs it listens where the gateway would and answers nothing but this login: the link, which
holds a random value; the callback with this login's `state`, once; and the page after the logout.
The OP's address is given to no browser but the one that has the link.
"""

import asyncio
import contextlib
import errno
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from bff.app.listening import Listening
from bff.cli.checks.login_steps import LoginSteps
from bff.cli.checks.reach import is_gateway_running, why_not_listened
from bff.cli.checks.verdict import Verdict, bad, good, refused, warning
from bff.clock import Clock
from bff.config.frontends import Frontend
from bff.errors import OpError
from bff.model import LoginTransaction
from bff.oidc.relying_party import RelyingParty
from bff.oidc.settings import RelyingPartySettings
from bff.oidc.steps.authorization import AuthorizationRequest, LoginRequest
from bff.oidc.steps.signed_response import stated_state

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_NO_LOGOUT = warning(
    "logout", "the OP has no end_session_endpoint: a user that logs out here stays logged in there"
)
_DONE = "Done. See the terminal for the verdicts."


@dataclass(frozen=True, slots=True)
class LoginTimes:
    """How long a person may take to log in, and a browser to come back from the logout."""

    login_seconds: float = 300.0
    logout_seconds: float = 60.0


class LoginCheck:
    """`tell` hears each verdict as it is found, `invite` the link once it can be opened. `at` is
    the application that the login is for, `oidc` are the settings of its provider."""

    def __init__(
        self,
        at: Frontend,
        oidc: RelyingPartySettings,
        clock: Clock,
        *,
        tell: Callable[[Verdict], None],
        invite: Callable[[str], None],
        times: LoginTimes,
    ) -> None:
        self._settings = at.settings
        self._prefix = at.prefix
        self._oidc = oidc
        # UserInfo is asked by itself, so that it has a verdict of its own.
        self._relying_party = RelyingParty(replace(oidc, userinfo=False), clock)
        self._clock = clock
        self._tell = tell
        self._invite = invite
        self._times = times
        self._ticket = secrets.token_urlsafe(16)
        self._logout_state = secrets.token_urlsafe(16)
        self._request: AuthorizationRequest | None = None
        self._was_opened = False
        self._has_come_back = asyncio.Event()
        self._is_judged = asyncio.Event()
        self._is_logged_out = asyncio.Event()
        self._logs_out = False

    async def run(self) -> None:
        """Tell every verdict there is. The relying party is started and closed."""
        try:
            await self._relying_party.start()
            self._request = await self._relying_party.authorization_request(LoginRequest())
            async with self._listening():
                origin = self._settings.server.public_url
                self._invite(f"{origin}{self._prefix}/login?check={self._ticket}")
                await self._wait()
        except OpError as error:
            self._tell(refused("OP", error, "`bff check` says more."))
        except OSError as error:
            self._tell(await self._not_listening(error))
        finally:
            await self._relying_party.close()

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        server = web.Server(self._answer, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        servers: list[asyncio.Server] = []
        await runner.setup()
        try:
            servers = await Listening(self._settings.server.listen).serve(server)
            yield
        finally:
            for one in servers:
                one.close()
            await runner.cleanup()

    async def _not_listening(self, error: OSError) -> Verdict:
        address = self._settings.server.listen
        if error.errno == errno.EADDRINUSE and await is_gateway_running(self._settings):
            return bad(
                "server",
                f"the gateway is running at {address}, and the login would come back to it: stop "
                "it while you check",
            )
        return bad(
            "server", f"server.listen {address} can't be listened on: {why_not_listened(error)}"
        )

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._times.login_seconds):
                await self._has_come_back.wait()
        except TimeoutError:
            self._tell(self._not_come_back())
            return
        await self._is_judged.wait()
        if not self._logs_out:
            return
        try:
            async with asyncio.timeout(self._times.logout_seconds):
                await self._is_logged_out.wait()
        except TimeoutError:
            self._tell(
                warning(
                    "logout",
                    f"the OP did not lead back to {self._oidc.post_logout_redirect_uri}: "
                    "register exactly this as a post-logout redirect URI of the client there",
                )
            )

    def _not_come_back(self) -> Verdict:
        server = self._settings.server
        if not self._was_opened:
            return bad(
                "login",
                f"the link was not opened in time. If it was: {server.public_url} does not lead to "
                f"{server.listen}, look at the proxy in front",
            )
        return bad(
            "redirect URI",
            "the browser went to the OP and did not come back in time. If it shows an error there: "
            f"is {self._oidc.redirect_uri} registered, to the letter?",
        )

    # --- what the browser asks

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        fields = parse_qs(query)
        login = self._request
        is_get = request.method == "GET"
        if is_get and login is not None:
            if path == f"{self._prefix}/login" and fields.get("check") == [self._ticket]:
                self._was_opened = True
                return _redirect(login.url)
            is_callback = path == urlsplit(self._oidc.redirect_uri).path
            if is_callback and stated_state(query) == login.state:
                self._request = None  # it serves once
                return await self._come_back(login, query)
        is_back = is_get and path == urlsplit(self._oidc.post_logout_redirect_uri or "").path
        if is_back and fields.get("state") == [self._logout_state] and self._logs_out:
            if not self._is_logged_out.is_set():
                self._tell(good("logout", "the OP ended its session and led back"))
            self._is_logged_out.set()
            return _page(_DONE)
        return _page("This gateway's login is being checked.", status=503)

    async def _come_back(self, login: AuthorizationRequest, query: str) -> web.StreamResponse:
        self._has_come_back.set()
        steps = LoginSteps(
            self._settings,
            self._oidc,
            self._relying_party,
            self._clock,
            LoginTransaction(
                issuer=self._oidc.issuer,
                provider=self._oidc.name,
                code_verifier=login.code_verifier,
                nonce=login.nonce,
                binder_hash="",
                return_url="/",
                created_at=self._clock.now(),
                resources=login.resources,
                dpop_key=login.dpop_key,
            ),
        )
        try:
            async for verdict in steps.run(query):
                self._tell(verdict)
            if steps.identity is None:
                return _page("The login failed. See the terminal for the verdicts.")
            url = await self._relying_party.end_session_url(
                steps.identity.tokens.id_token, self._logout_state
            )
            if url is None:
                self._tell(_NO_LOGOUT)
                return _page(_DONE)
            self._logs_out = True
            return _redirect(url)
        except Exception:
            self._tell(bad("login", "bff itself has failed: please report it"))
            raise
        finally:
            self._is_judged.set()


def _redirect(url: str) -> web.Response:
    return web.Response(status=303, headers={**_HEADERS, "Location": url})


def _page(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, text=text, headers=_HEADERS)
