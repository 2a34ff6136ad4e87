"""One frontend as this process serves it: what its browsers hold, its place at the gate, and its
own endpoints. What all of them share is in the core."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from bff.app import wiring
from bff.app.core import Core
from bff.app.listening import UNIX
from bff.config.frontends import Frontend
from bff.endpoints.arrival import Arrival
from bff.endpoints.browser_cookies import BrowserCookies
from bff.endpoints.callback import Callback
from bff.endpoints.device_login import DeviceLogin
from bff.endpoints.finished_logins import FinishedLogins
from bff.endpoints.jwks import Jwks
from bff.endpoints.login import Login, Providers, Resume
from bff.endpoints.logout import LoggedOut, Logout, LogoutReturns
from bff.endpoints.op_logout import BackchannelLogout, FrontchannelLogout
from bff.endpoints.pages import Pages
from bff.endpoints.return_url import ReturnRules
from bff.endpoints.sessions import OwnSessions
from bff.endpoints.spa import Spa
from bff.endpoints.user import User
from bff.gate.explained import ExplainedFrontend
from bff.gate.frontend import Frontend as FrontendAtGate
from bff.gate.frontend import FrontendRules
from bff.gate.problem import OwnResponses
from bff.gate.refusals import Refusals
from bff.gate.routes import RouteTable
from bff.oidc.relying_parties import RelyingParties
from bff.oidc.step_up import StepUpRules
from bff.proxy.own_endpoints import Endpoint
from bff.sessions.cookie import Binder, LogoutReturn, LogoutSid, SessionCookie
from bff.sessions.single_use import DEVICE, LOGIN, LoginTransactions
from bff.tokens.policy import RefreshPolicy

AtGateT = TypeVar("AtGateT", bound=FrontendAtGate)


@dataclass(frozen=True, slots=True)
class BrowserState:
    """What a browser holds of us: its cookies, and the `sid` of its logout link."""

    session_cookie: SessionCookie
    binder: Binder
    logout_return: LogoutReturn
    logout_sid: LogoutSid
    cookies: BrowserCookies

    @classmethod
    def build(cls, frontend: Frontend) -> Self:
        secrets, name = wiring.secrets(frontend.settings), frontend.name
        entries = frontend.settings.session.cache_entries
        return cls(
            SessionCookie(frontend.session_cookie, secrets, frontend=name, entries=entries),
            Binder(secrets, name),
            LogoutReturn(secrets, name),
            LogoutSid(secrets, name),
            wiring.browser_cookies(frontend),
        )


@dataclass(frozen=True, slots=True)
class ServedFrontend:
    """`own` are the fields of its own answers, `refusals` what its requests are refused with,
    `step_up` the rules of each provider."""

    core: Core
    frontend: Frontend
    browser: BrowserState
    relying_parties: RelyingParties
    routes: RouteTable
    return_rules: ReturnRules
    own: OwnResponses
    refusals: Refusals
    step_up: Mapping[str, StepUpRules]

    @classmethod
    def build(cls, core: Core, frontend: Frontend, paths_below: tuple[str, ...]) -> Self:
        """Nothing is opened yet. `paths_below` are those of other frontends."""
        settings = frontend.settings
        browser = BrowserState.build(frontend)
        relying_parties = wiring.relying_parties_at(frontend, core.relying_parties)
        own = wiring.own_responses(settings)
        return_rules = ReturnRules(
            settings.server.public_url,
            frontend.prefix,
            frontend.base_path,
            paths_below,
        )
        refusals = Refusals(
            Pages(return_rules, wiring.login_params(settings)).error,
            own,
            core.metrics,
            core.audit,
            login_url=f"{frontend.prefix}/login",
            clear_cookie=browser.cookies.clear_session(),
            frontend=frontend.name,
        )
        routes = wiring.route_table(frontend)
        return cls(
            core,
            frontend,
            browser,
            relying_parties,
            routes,
            return_rules,
            own,
            refusals,
            wiring.step_up_rules(frontend),
        )

    def at_gate(self, rules: FrontendRules) -> FrontendAtGate:
        """What decides about its requests at one of the listeners."""
        return self._at_gate(FrontendAtGate, rules)

    def explained_at_gate(self, rules: FrontendRules) -> ExplainedFrontend:
        """The same, which tells how it has decided. Not for serving."""
        return self._at_gate(ExplainedFrontend, rules)

    def _at_gate(self, kind: Callable[..., AtGateT], rules: FrontendRules) -> AtGateT:
        core, settings = self.core, self.frontend.settings
        return kind(
            rules,
            self.routes,
            settings.csrf.guard(settings.server.public_url),
            wiring.forwarding(self.frontend),
            session_key_of=self.browser.session_cookie.key_of,
            cached=core.sessions.cached,
            introspected=core.introspected_tokens.known,
            refresh_policy=RefreshPolicy(settings.session.refresh_before),
            clock=core.clock,
        )

    def endpoints(self) -> dict[str, Endpoint]:
        """Its own endpoints, by name."""
        return {
            "arrival": self._arrival(),
            **self._login_endpoints(),
            **self._session_endpoints(),
            **self._op_endpoints(),
        }

    def _arrival(self) -> Arrival:
        settings = self.core.settings
        return Arrival(
            self.core.arrival_tickets.take,
            wiring.trusted_proxies(settings),
            on_unix_socket=settings.server.listen.startswith(UNIX),
        )

    def _login_endpoints(self) -> dict[str, Endpoint]:
        core, browser, session = self.core, self.browser, self.frontend.settings.session
        transactions = self._transactions(LOGIN)
        login = Login(
            self.relying_parties,
            transactions,
            browser.binder,
            browser.cookies,
            self.return_rules,
            core.clock,
            core.limits.logins,
            core.metrics,
            core.audit,
            self.step_up,
            frontend=self.frontend.name,
        )
        finished = FinishedLogins(
            self.relying_parties,
            transactions,
            core.sessions,
            core.ender,
            browser.session_cookie,
            core.metrics,
            core.limits.failed_callbacks,
            core.logins,
            core.audit,
            claims=core.claims,
            max_per_user=session.max_per_user,
            keep_address=session.keep_address,
            frontend=self.frontend.name,
        )
        callback = Callback(
            self.relying_parties,
            transactions,
            finished,
            browser.binder,
            browser.cookies,
            core.metrics,
            core.limits.failed_callbacks,
            path=f"{self.frontend.prefix}/callback",
            frontend=self.frontend.name,
        )
        by_device = DeviceLogin(
            self.relying_parties,
            self._transactions(DEVICE),
            finished,
            browser.binder,
            browser.cookies,
            core.clock,
            core.limits.logins,
            core.limits.failed_callbacks,
            core.metrics,
            core.audit,
            path=f"{self.frontend.prefix}/device",
            frontend=self.frontend.name,
        )
        return {
            "login": login,
            "device": by_device.begin,
            "device-poll": by_device.poll,
            "resume": Resume(login, self.return_rules),
            "callback": callback,
            "provider-callback": callback,
            "providers": Providers(
                self.relying_parties, login_path=f"{self.frontend.prefix}/login"
            ),
        }

    def _transactions(self, purpose: str) -> LoginTransactions:
        core, session = self.core, self.frontend.settings.session
        return LoginTransactions(
            core.store,
            core.keyring,
            core.clock,
            ttl_seconds=session.login_timeout,
            cap=session.logins_per_browser,
            frontend=self.frontend.name,
            purpose=purpose,
        )

    def _session_endpoints(self) -> dict[str, Endpoint]:
        core, settings = self.core, self.frontend.settings
        returns = self._logout_returns()
        ends = {name: self.frontend.post_logout_path_of(name) for name in settings.providers}
        own_sessions = OwnSessions(core.sessions, core.ender)
        endpoints: dict[str, Endpoint] = {
            "user": User(
                core.sessions,
                self.browser.logout_sid,
                core.clock,
                self.browser.cookies,
                logout_path=f"{self.frontend.prefix}/logout",
                anonymous_null=settings.user.anonymous == "null",
                names_provider=len(settings.providers) > 1,
                shows_details=settings.user.authorization_details,
            ),
            "logout": Logout(
                self.relying_parties,
                core.ender,
                self.browser.logout_sid,
                self.browser.cookies,
                returns,
                post_logout_paths=ends,
            ),
            "sessions": own_sessions.collection,
            "session": own_sessions.item,
        }
        if returns is not None:
            default = ends[self.relying_parties.default.name]
            endpoints["logged-out"] = LoggedOut(returns, self.browser.cookies, default=default)
        if settings.spa.root is not None:
            endpoints["spa"] = Spa(
                Path(settings.spa.root),
                settings.spa.content_security_policy,
                settings.spa.immutable,
                self.frontend.base_path,
            )
        return endpoints

    def _logout_returns(self) -> LogoutReturns | None:
        pages = self.frontend.settings.session.logout_return_paths
        if not pages:
            return None
        return LogoutReturns(
            replace(self.return_rules, pages=pages),
            self.browser.logout_return,
            self.browser.cookies,
            self.core.clock,
        )

    def _op_endpoints(self) -> dict[str, Endpoint]:
        """Those that the OP calls, or has a browser call."""
        core = self.core
        endpoints: dict[str, Endpoint] = {
            "backchannel-logout": BackchannelLogout(
                core.op_logout, core.limits.failed_logout_tokens
            )
        }
        frames = wiring.frontchannel_ops(self.frontend.settings)
        if frames:
            endpoints["frontchannel-logout"] = FrontchannelLogout(core.op_logout, frames)
        clients = wiring.clients_known_by_keys(self.frontend.settings)
        if clients:
            endpoints["jwks"] = Jwks(clients)
        return endpoints


def refusals_of_none(core: Core) -> Refusals:
    """What a request is refused with that has come for no frontend: to an unknown host, or without
    a head that can be read."""
    server = core.settings.server
    return Refusals(
        Pages(ReturnRules(server.public_url, server.prefix)).error,
        wiring.own_responses(core.settings),
        core.metrics,
        core.audit,
        login_url="",
        clear_cookie="",
        frontend="",
    )
