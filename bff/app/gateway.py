"""One gateway process: everything it runs, built once, started and stopped in order."""

import contextlib
from pathlib import Path

import structlog
from aiohttp import web

from bff.admin.listener import AdminEndpoints
from bff.admin.sessions import AdminSessions
from bff.app import parts
from bff.app.listening import Listening, show_address
from bff.app.share import Share
from bff.clock import Clock, SystemClock
from bff.config.settings import Settings
from bff.endpoints.backchannel_logout import BackchannelLogout
from bff.endpoints.callback import Callback
from bff.endpoints.events import Events, EventSettings
from bff.endpoints.frontchannel_logout import FrontchannelLogout
from bff.endpoints.login import Login, Resume, ReturnRules
from bff.endpoints.logout import Logout
from bff.endpoints.pages import Pages
from bff.endpoints.sessions import OwnSessions
from bff.endpoints.spa import Spa
from bff.endpoints.user import User
from bff.errors import BffError
from bff.gate.admission import Admission
from bff.gate.decision import Gate
from bff.gate.problem import OwnResponses
from bff.observability.metrics import Metrics
from bff.proxy.forwarder import Forwarder
from bff.proxy.front import Endpoint, Front
from bff.proxy.listener import Listener
from bff.sessions.bonds import SessionBonds
from bff.sessions.cookie import Binder, LogoutSid, SessionCookie
from bff.sessions.keyring import Keyring
from bff.sessions.seen import SeenLogoutTokens
from bff.sessions.sessions import Sessions
from bff.sessions.transactions import Transactions
from bff.tokens.claims import ClaimAllowList
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.coordinator import RefreshCoordinator
from bff.tokens.due import RefreshPolicy
from bff.tokens.ending import SessionEnder
from bff.tokens.op_logout import OpLogout

log = structlog.get_logger("bff.app")

ADMIN_SHUTDOWN_SECONDS = 3.0


class Gateway:
    """Built from settings; `start` listens, `stop` lets running requests finish.

    `share` is for one of several workers.

    Nothing is fetched at start: an OP or a store that is down makes the gateway not ready, and it
    recovers by itself.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, share: Share | None = None
    ) -> None:
        self.settings = settings
        self._share = share or Share.alone(settings.server)
        self._clock = clock or SystemClock()
        secrets = [secret.get_secret_value() for secret in settings.session.secrets]
        self._metrics = Metrics(self._share.metrics_directory)
        self._store = parts.session_store(settings, self._clock)
        keyring = Keyring(secrets)
        self._sessions = Sessions(self._store, keyring, self._clock, parts.session_policy(settings))
        self._transactions = Transactions(
            self._store,
            keyring,
            self._clock,
            ttl_seconds=settings.session.login_timeout,
            cap=settings.session.logins_per_browser,
        )
        self._session_cookie = SessionCookie(settings.cookie_name, secrets)
        self._binder = Binder(secrets)
        self._logout_sid = LogoutSid(secrets)
        self._relying_party = parts.relying_party(settings, self._clock)
        self._ender = SessionEnder(
            self._sessions,
            self._relying_party,
            self._metrics,
            revoke=settings.oidc.revoke_on_logout,
        )
        self._op_logout = OpLogout(
            self._relying_party,
            self._sessions,
            self._ender,
            SeenLogoutTokens(self._store, self._clock),
            self._metrics,
        )
        self._claims = ClaimAllowList(settings.user.claims)
        self._bonds = SessionBonds(self._sessions, self._clock)
        self._refresh_policy = RefreshPolicy(settings.session.refresh_before)
        self._coordinator = RefreshCoordinator(
            self._relying_party,
            self._sessions,
            self._ender,
            self._clock,
            self._refresh_policy,
            self._claims,
            self._metrics,
        )
        routes = parts.route_table(settings)
        self._forwarder = Forwarder(
            routes.routes, self._bonds, max_body_bytes=settings.server.max_body
        )
        self._own = OwnResponses(https=settings.server.is_https)
        self._events = Events(
            self._sessions,
            self._bonds,
            self._coordinator,
            self._refresh_policy,
            self._clock,
            self._own,
            EventSettings(),
        )
        gate = Gate(
            parts.gate_settings(settings),
            routes,
            parts.csrf_guard(settings),
            parts.forwarding(settings),
            session_key_of=self._session_cookie.key_of,
            cached=self._sessions.cached,
            refresh_policy=self._refresh_policy,
            clock=self._clock,
        )
        client_tokens = ClientTokens(self._relying_party, self._clock)
        self._front = self._build_front(
            Admission(gate, self._sessions, self._coordinator, client_tokens)
        )
        self._sessions.observe(on_watch=self._metrics.store_watching)
        self._admin = AdminEndpoints(
            {"store": self._store.ping, "op": self._relying_party.check},
            self._metrics,
            AdminSessions(
                self._sessions,
                self._store.scan,
                self._ender,
                self._clock,
                parts.admin_session_settings(settings),
            ),
        )
        self._runners: list[web.BaseRunner] = []
        self.public_addresses: list[str] = []
        self.admin_addresses: list[str] = []

    async def start(self) -> None:
        """Open the store, the pools and both listeners.

        Raises:
            OSError: an address can't be listened on.
        """
        await self._sessions.start()
        self._bonds.start()
        await self._relying_party.start()
        await self._forwarder.start()
        server = self.settings.server
        public = web.ServerRunner(
            Listener(self._front.handle, self._own),
            shutdown_timeout=server.shutdown_timeout,
        )
        self.public_addresses = await self._listen(public, self._share.public)
        admin = web.AppRunner(
            self._admin.application(),
            access_log=None,
            shutdown_timeout=ADMIN_SHUTDOWN_SECONDS,
        )
        self.admin_addresses = await self._listen(admin, self._share.admin)

    async def stop(self) -> None:
        """Stop accepting, let requests, refreshes and revocations finish (bounded), close all."""
        self._admin.stopping()
        self._events.stop()
        grace = self.settings.server.shutdown_timeout
        for runner in self._runners:
            await runner.cleanup()
        await self._op_logout.close(grace)
        await self._coordinator.close(grace)
        await self._ender.close(grace)
        await self._forwarder.close()
        await self._bonds.close()
        await self._relying_party.close()
        await self._sessions.close()

    async def warm_up(self) -> None:
        """Fetch the OP's metadata and keys ahead of the first login; a failure only delays it."""
        with contextlib.suppress(BffError):
            await self._relying_party.check()

    async def _listen(self, runner: web.BaseRunner, listening: Listening) -> list[str]:
        self._runners.append(runner)
        await runner.setup()
        await listening.site(runner).start()
        return [show_address(found) for found in runner.addresses]

    def _build_front(self, admission: Admission) -> Front:
        settings, server = self.settings, self.settings.server
        cookies = parts.browser_cookies(settings)
        login = Login(
            self._relying_party,
            self._transactions,
            self._binder,
            cookies,
            ReturnRules(server.public_url, server.prefix),
            self._clock,
            issuer=settings.oidc.issuer,
        )
        endpoints: dict[str, Endpoint] = {
            "login": login,
            "resume": Resume(login),
            "callback": Callback(
                self._relying_party,
                self._transactions,
                self._sessions,
                self._ender,
                self._session_cookie,
                self._binder,
                cookies,
                self._metrics,
                claims=self._claims,
                max_per_user=settings.session.max_per_user,
            ),
            "user": User(
                self._sessions,
                self._logout_sid,
                self._clock,
                logout_path=f"{server.prefix}/logout",
                anonymous_null=settings.user.anonymous == "null",
            ),
            "logout": Logout(
                self._relying_party,
                self._ender,
                self._logout_sid,
                cookies,
                post_logout_path=settings.oidc.post_logout_path,
            ),
        }
        own_sessions = OwnSessions(
            self._sessions, self._ender, self._clock, idle_seconds=settings.session.idle_timeout
        )
        endpoints |= {
            "events": self._events,
            "sessions": own_sessions.collection,
            "session": own_sessions.item,
        }
        endpoints["backchannel-logout"] = BackchannelLogout(self._op_logout)
        if settings.oidc.frontchannel_logout:
            endpoints["frontchannel-logout"] = FrontchannelLogout(
                self._op_logout, issuer=settings.oidc.issuer
            )
        if settings.spa.root is not None:
            endpoints["spa"] = Spa(Path(settings.spa.root), settings.spa.content_security_policy)
        login_url = f"{server.prefix}/login"
        pages = Pages(login_path=login_url, resume_path=f"{server.prefix}/resume")
        return Front(
            admission,
            self._forwarder,
            endpoints,
            pages.error,
            self._own,
            self._metrics,
            login_url=login_url,
            clear_cookie=cookies.clear_session(),
        )
