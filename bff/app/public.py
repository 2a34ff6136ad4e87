"""The browser's side of a gateway: the gate, the way to the APIs, and the own endpoints."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bff.app import wiring
from bff.app.core import Core
from bff.config.sections.operations import AccessLogSettings
from bff.endpoints.callback import Callback
from bff.endpoints.client import Client
from bff.endpoints.events import Events, EventSettings
from bff.endpoints.login import Login, Resume
from bff.endpoints.logout import Logout
from bff.endpoints.op_logout import BackchannelLogout, FrontchannelLogout
from bff.endpoints.pages import Pages
from bff.endpoints.return_url import ReturnRules
from bff.endpoints.sessions import OwnSessions
from bff.endpoints.spa import Spa
from bff.endpoints.user import User
from bff.gate.refusals import Refusals
from bff.observability.access_log import AccessLog
from bff.proxy.context import ProxyContext
from bff.proxy.listener import Listener
from bff.proxy.messages import DateField
from bff.proxy.own_endpoints import Endpoint, LocalPool, OwnEndpoints
from bff.proxy.transport import WriteCoalescer
from bff.proxy.upstream.targets import route_targets


@dataclass(frozen=True, slots=True)
class PublicSide:
    """The public listener, and what has to be opened and closed for it."""

    listener: Listener
    context: ProxyContext
    events: Events

    @classmethod
    def build(cls, core: Core) -> Self:
        """Nothing is opened yet."""
        settings = core.settings
        own = wiring.own_responses(settings)
        events = Events(
            core.sessions,
            core.bound_streams,
            core.coordinator,
            core.refresh_policy,
            core.clock,
            own,
            EventSettings(),
        )
        routes = wiring.route_table(settings)
        login_path = f"{settings.server.prefix}/login"
        pages = Pages(ReturnRules(settings.server.public_url, settings.server.prefix))
        refusals = Refusals(
            pages.error,
            own,
            core.metrics,
            login_url=login_path,
            clear_cookie=core.browser.cookies.clear_session(),
        )
        endpoints: dict[str, Endpoint] = {
            "events": events,
            "client": Client(),
            **_login_endpoints(core),
            **_session_endpoints(core),
        }
        writes = WriteCoalescer()
        context = ProxyContext(
            admission=core.admission(wiring.gate_settings(settings)),
            targets=route_targets(routes.routes, writes),
            local=LocalPool(OwnEndpoints(endpoints, refusals, own), writes),
            refusals=refusals,
            bound_streams=core.bound_streams,
            metrics=core.metrics,
            limits=wiring.proxy_limits(settings),
            date=DateField(),
            writes=writes,
            own_fields=tuple(
                (name.encode(), value.encode()) for name, value in own.transport_headers().items()
            ),
            access_log=_access_log(settings.access_log),
        )
        return cls(Listener(context), context, events)

    def start(self) -> None:
        """From here on connections can be made.

        Raises:
            OSError: the access log can't be written.
        """
        if self.context.access_log is not None:
            self.context.access_log.open()
        self.context.local.start()

    async def stop(self, seconds: float) -> None:
        """End event streams, let requests finish for at most `seconds`, close what is idle."""
        self.events.stop()
        await self.listener.stop(seconds)
        await self.context.local.close()
        for targets in self.context.targets.values():
            targets.close()
        if self.context.access_log is not None:
            self.context.access_log.close()


def _access_log(settings: AccessLogSettings) -> AccessLog | None:
    if not settings.enabled:
        return None
    return AccessLog(
        is_json=settings.format == "json",
        file=settings.file,
        address=settings.address,
        with_path=settings.path,
    )


def _login_endpoints(core: Core) -> dict[str, Endpoint]:
    settings, server = core.settings, core.settings.server
    return_rules = ReturnRules(server.public_url, server.prefix)
    login = Login(
        core.relying_party,
        core.transactions,
        core.browser.binder,
        core.browser.cookies,
        return_rules,
        core.clock,
        core.limits.logins,
        issuer=settings.oidc.issuer,
    )
    callback = Callback(
        core.relying_party,
        core.transactions,
        core.sessions,
        core.ender,
        core.browser.session_cookie,
        core.browser.binder,
        core.browser.cookies,
        core.metrics,
        core.limits.failed_callbacks,
        core.logins,
        claims=core.claims,
        max_per_user=settings.session.max_per_user,
        keep_address=settings.session.keep_address,
    )
    return {"login": login, "resume": Resume(login, return_rules), "callback": callback}


def _session_endpoints(core: Core) -> dict[str, Endpoint]:
    settings, server = core.settings, core.settings.server
    own_sessions = OwnSessions(
        core.sessions, core.ender, core.clock, idle_seconds=settings.session.idle_timeout
    )
    endpoints: dict[str, Endpoint] = {
        "user": User(
            core.sessions,
            core.browser.logout_sid,
            core.clock,
            logout_path=f"{server.prefix}/logout",
            anonymous_null=settings.user.anonymous == "null",
        ),
        "logout": Logout(
            core.relying_party,
            core.ender,
            core.browser.logout_sid,
            core.browser.cookies,
            post_logout_path=settings.oidc.post_logout_path,
        ),
        "sessions": own_sessions.collection,
        "session": own_sessions.item,
        "backchannel-logout": BackchannelLogout(core.op_logout, core.limits.failed_logout_tokens),
    }
    if settings.oidc.frontchannel_logout:
        endpoints["frontchannel-logout"] = FrontchannelLogout(
            core.op_logout,
            issuer=settings.oidc.issuer,
            allow_without_iss=settings.oidc.allow_frontchannel_logout_without_iss,
        )
    if settings.spa.root is not None:
        endpoints["spa"] = Spa(
            Path(settings.spa.root), settings.spa.content_security_policy, settings.spa.immutable
        )
    return endpoints
