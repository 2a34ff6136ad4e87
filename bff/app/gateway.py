"""One gateway process: everything it runs, built once, started and stopped in order."""

import asyncio
import contextlib
from collections.abc import Sequence

from aiohttp import web

from bff.admin.health import Health
from bff.admin.listener import OperatorEndpoints
from bff.admin.sessions import AdminSessions
from bff.app import wiring
from bff.app.core import Core
from bff.app.frontends import ServedFrontend, refusals_of_none
from bff.app.limited_server import LimitedServer
from bff.app.listening import Addresses, Listening, ProcessSetup, show_address
from bff.app.public import PublicSide
from bff.app.stopping import stop_accepting
from bff.clock import Clock, SystemClock
from bff.config.settings import Settings
from bff.endpoints.forward_auth import ForwardAuth
from bff.errors import BffError
from bff.observability.metrics import Metrics

SHUTDOWN_SECONDS = 3.0  # of the listeners for administrators and for proxies that ask
FINISHING_SECONDS = 3.0


class Gateway:
    """Built from settings; `start` listens, `stop` lets running requests finish.

    `setup` is for one of several workers.

    Nothing is fetched at start: an OP or a store that is down makes the gateway not ready, and it
    recovers by itself.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, setup: ProcessSetup | None = None
    ) -> None:
        self.settings = settings
        self._setup = setup or ProcessSetup.alone(settings.server)
        metrics = Metrics(self._setup.metrics_directory)
        if self._setup.replaces:
            metrics.worker_restarted()
        self._core = Core.build(settings, clock or SystemClock(), metrics)
        self._served = [ServedFrontend.build(self._core, one) for one in self._core.frontends]
        self._public = PublicSide.build(self._core, self._served)
        parties = self._core.relying_parties
        self._health = Health(
            {"store": self._core.store.ping, "op": parties.check},
            # Of several, one OP that is down must not keep the users of the others out.
            only_shown={f"op:{one.name}": one.check for one in parties} if len(parties) > 1 else {},
        )
        self._admin = OperatorEndpoints.admin(
            self._health,
            metrics,
            AdminSessions(
                self._core.sessions,
                self._core.store.scan,
                self._core.ender,
                wiring.admin_session_settings(settings),
            ),
        )
        self._auth = _forward_auth(self._core, self._served)
        self._server: asyncio.Server | None = None
        self._runners: list[web.BaseRunner] = []
        self._limited: list[LimitedServer] = []
        self.addresses = Addresses()

    async def start(self) -> None:
        """Open the store, the pools and the listeners.

        Raises:
            OSError: an address can't be listened on.
        """
        await self._core.open()
        self._public.start()
        self._server = await self._setup.public.serve(self._public.listener)
        public = tuple(show_address(sock.getsockname()) for sock in self._server.sockets)
        limits = wiring.admin_limits(self.settings)
        admin = LimitedServer(self._admin, limits, for_proxies=False)
        probes = LimitedServer(OperatorEndpoints.probes(self._health), limits, for_proxies=False)
        auth = LimitedServer(self._auth, wiring.auth_limits(self.settings), for_proxies=True)
        self.addresses = Addresses(
            public,
            await self._listen(admin, self._setup.admin),
            await self._listen(probes, self._setup.health),
            await self._listen(auth, self._setup.auth),
        )

    def drain(self) -> None:
        """Tell load balancers to look elsewhere, and end connections with their next answer.
        Everything is served on, new connections included, until `stop`."""
        self._health.stopping()
        self._public.listener.drain()
        for server in self._limited:
            server.is_draining = True

    async def stop(self) -> None:
        """Stop accepting, let requests, refreshes and revocations finish (bounded), close all."""
        self.drain()
        if self._server is not None:
            if not self._setup.public.is_inherited:
                self._setup.public.remove_name()
            await stop_accepting(self._server)
        await self._public.stop(self.settings.server.shutdown_timeout)
        for runner in self._runners:
            await runner.cleanup()
        # A refresh under way is the OP's to answer: what it rotates must not get lost.
        await self._core.close(self.settings.op_timeout + FINISHING_SECONDS)

    async def warm_up(self) -> None:
        """Fetch the OP's metadata and keys ahead of the first login; a failure only delays it."""
        with contextlib.suppress(BffError):
            await self._core.relying_parties.check()

    async def _listen(self, server: LimitedServer, listening: Listening | None) -> tuple[str, ...]:
        if listening is None:
            return ()
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
        self._runners.append(runner)
        self._limited.append(server)
        await runner.setup()
        await listening.site(runner).start()
        return tuple(show_address(found) for found in runner.addresses)


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
