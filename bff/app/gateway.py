"""One gateway process: everything it runs, built once, started and stopped in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from bff.admin.doctor import AdminDoctor
from bff.admin.health import Health
from bff.admin.listener import OperatorEndpoints
from bff.admin.reloads import AdminReloads, Reload, ReloadOutcome
from bff.admin.sessions import AdminSessions
from bff.app import wiring
from bff.app.auditing import reload_event
from bff.app.core import Core
from bff.app.frontends import ServedFrontend, refusals_of_none
from bff.app.limited_server import LimitedServer
from bff.app.listening import Addresses, Listening, ProcessSetup, show_address
from bff.app.public import PublicSide
from bff.app.sampling import Sampler
from bff.app.stopping import stop_accepting
from bff.clock import Clock, SystemClock
from bff.config.frontends import paths_below
from bff.config.settings import Settings
from bff.endpoints.forward_auth import ForwardAuth
from bff.observability.metrics import Metrics

SHUTDOWN_SECONDS = 3.0  # of the listeners for administrators and for proxies that ask
FINISHING_SECONDS = 3.0
READY_SECONDS = 30.0  # for one that is to take over; then the process before it goes on


class Gateway:
    """Built from settings; `start` listens, `stop` lets running requests finish.

    `setup` is for one of several workers; `reload` has the configuration read anew.

    Nothing is fetched at start: an OP or a store that is down makes the gateway not ready, and it
    recovers by itself.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        setup: ProcessSetup | None = None,
        reload: Reload | None = None,
    ) -> None:
        self.settings = settings
        self._setup = setup or ProcessSetup.alone(settings)
        self._metrics = metrics = Metrics(self._setup.metrics_directory)
        if self._setup.replaces:
            metrics.worker_restarted()
        self._core = Core.build(settings, clock or SystemClock(), metrics)
        below = paths_below(self._core.frontends)
        self._served = [
            ServedFrontend.build(self._core, one, below[one.name]) for one in self._core.frontends
        ]
        self._public = PublicSide.build(self._core, self._served)
        parties = self._core.relying_parties
        self._health = Health(
            {"store": self._core.store.ping, "op": parties.check},
            # Of several, one OP that is down must not keep the users of the others out.
            only_shown={f"op:{one.name}": one.check for one in parties.eager}
            if len(parties) > 1
            else {},
        )
        of_admin = wiring.admin_session_settings(settings)
        self._admin = OperatorEndpoints.admin(
            self._health,
            metrics,
            AdminSessions(
                self._core.sessions,
                self._core.store.scan,
                self._core.ender,
                of_admin,
            ),
            AdminDoctor(
                self._health,
                self._core.arrival_tickets.issue,
                self._core.clock,
                wiring.open_files_wanted(settings),
                of_admin.own_name,
            ),
            AdminReloads(reload, of_admin.own_name) if reload is not None else None,
        )
        self._auth = _forward_auth(self._core, self._served)
        self._sampler = Sampler(
            metrics,
            self._public.listener,
            self._public.context.traffic,
            self._core.sessions,
            parties,
        )
        self._servers: list[asyncio.Server] = []
        self._others: list[_Served] = []
        self._is_handed_over = False
        self.addresses = Addresses()

    async def start(self) -> None:
        """Open the store, the pools and the listeners.

        Raises:
            OSError: an address can't be listened on.
            NotReady: it is to take over from another process, which does better.
        """
        await self._core.open()
        if self._setup.succeeds:
            await self._health.until_ready(READY_SECONDS)
        self._public.start()
        self._sampler.start()
        self._servers = await self._setup.public.serve(self._public.listener)
        public = _shown(self._servers)
        limits = wiring.admin_limits(self.settings)
        admin = LimitedServer(self._admin, limits, for_proxies=False)
        probes = LimitedServer(OperatorEndpoints.probes(self._health), limits, for_proxies=False)
        figures = LimitedServer(
            OperatorEndpoints.figures(self._health, self._metrics), limits, for_proxies=False
        )
        auth = LimitedServer(self._auth, wiring.auth_limits(self.settings), for_proxies=True)
        self.addresses = Addresses(
            public,
            await self._listen(admin, "admin"),
            await self._listen(probes, "health"),
            await self._listen(auth, "auth"),
            await self._listen(figures, "metrics"),
        )

    def drain(self) -> None:
        """Tell load balancers to look elsewhere, and end connections with their next answer.
        Everything is served on, new connections included, until `stop`."""
        self._health.stopping()
        self._public.listener.drain()
        for one in self._others:
            one.server.is_draining = True

    async def hand_over(self) -> None:
        """Another process accepts connections from now on. Those that were made here are served,
        each with one more answer; event streams end, for their browsers to come back there."""
        self._is_handed_over = True
        self.drain()
        await self._stop_accepting(self._servers, self._setup.public)
        for one in self._others:
            await self._stop_accepting(one.servers, one.listening)
        self._public.events.stop()
        await self._core.session_count.close()  # a process whose metrics are asked for counts on

    async def finish(self) -> None:
        """After `hand_over`: until all that was begun here has ended, or its time is over."""
        await self._public.listener.finish(self.settings.server.handover_timeout)

    async def stop(self) -> None:
        """Stop accepting, let requests, refreshes and revocations finish (bounded), close all."""
        self.drain()
        if not self._is_handed_over:
            self._setup.public.remove_name()
            await self._stop_accepting(self._servers, self._setup.public)
        await self._public.stop(self.settings.server.shutdown_timeout)
        for one in self._others:
            for server in one.servers:
                server.close()
            await one.runner.cleanup()
        # A refresh under way is the OP's to answer: what it rotates must not get lost.
        await self._core.close(self.settings.op_timeout + FINISHING_SECONDS)
        await self._sampler.close()

    def report_reload(self, outcome: ReloadOutcome) -> None:
        """Tell the audit log."""
        self._core.audit.report(reload_event(outcome))

    async def warm_up(self) -> None:
        """Fetch the OPs' metadata and keys ahead of the first login; a failure only delays it."""
        await self._core.relying_parties.warm_up()

    async def _stop_accepting(
        self, servers: Sequence[asyncio.Server], listening: Listening
    ) -> None:
        others_listen = bool(listening.inherited) and self._is_handed_over
        await stop_accepting(servers, outlives=listening.outlives or others_listen)

    async def _listen(self, server: LimitedServer, name: str) -> tuple[str, ...]:
        listening = self._setup.listeners.get(name)
        if listening is None:
            return ()
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
        served = _Served(server, runner, listening, [])
        self._others.append(served)
        await runner.setup()
        served.servers.extend(await listening.serve(server))
        return _shown(served.servers)


@dataclass(frozen=True, slots=True)
class _Served:
    """A listener that aiohttp serves."""

    server: LimitedServer
    runner: web.BaseRunner
    listening: Listening
    servers: list[asyncio.Server]


def _shown(servers: Sequence[asyncio.Server]) -> tuple[str, ...]:
    return tuple(show_address(s.getsockname()) for server in servers for s in server.sockets)


def _forward_auth(core: Core, served: Sequence[ServedFrontend]) -> ForwardAuth:
    """What proxies that carry the bytes themselves ask, about bodies of any size."""
    settings = core.settings
    return ForwardAuth(
        core.admission(
            [one.at_gate(wiring.auth_rules(one.frontend)) for one in served], max_body_bytes=None
        ),
        wiring.trusted_proxies(settings),
        {"": refusals_of_none(core), **{one.frontend.name: one.refusals for one in served}},
        wiring.own_responses(settings),
        core.metrics,
        path=f"{settings.server.prefix}/auth",
    )
