"""What is abused: one gateway process with a real Redis, an OP that can do harm, an API that can,
and an honest API for the honest user. A second gateway of the same installation can be started
beside it, which knows nothing of the OP yet.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
from yarl import URL

from bff.clock import SystemClock
from tests.abuse.aside import Aside
from tests.abuse.hostile_op import HostileOp
from tests.abuse.measures import ConnectionWatch, Process, held_by
from tests.parts.configuration import Ports, gateway_toml, listening_at
from tests.parts.gateway_program import GatewayProgram
from tests.parts.raw_upstream import RawUpstream, raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port

REDIRECT = 302
USER = "198.51.100.7"
BACKLOG = 1024  # connections that come at once are no fault of an upstream
LARGE_BYTES = 16 * 2**20  # of a file that the gateway itself serves
SERVER = """
trusted_proxies = ["127.0.0.1/32"]
keepalive_timeout = "60s"
"""


@dataclass(frozen=True, slots=True)
class Begun:
    """A login as far as the redirect to the OP, if it came to that."""

    status: int
    state: str = ""
    binder: str = ""


class Site:
    """`port` is the public listener's, `lines` the head's fields that an honest browser sends."""

    def __init__(
        self,
        directory: Path,
        aside: Aside,
        store: RedisServer,
        op: HostileOp,
        upstream: RawUpstream,
    ) -> None:
        self.aside = aside
        self.store = store
        self.op = op
        self.directory = directory
        self.ports = Ports(free_port(), free_port(), op=op.port, api=free_port())
        self.auth_port = free_port()
        self.host = f"localhost:{self.ports.gateway}"
        self.upstream = upstream
        self.gateway = self._program(self.port, self.ports.admin, self.auth_port)
        self.cookie = ""

    @property
    def port(self) -> int:
        return self.ports.gateway

    @property
    def lines(self) -> str:
        return f"Host: {self.host}\r\nCookie: {self.cookie}\r\nX-CSRF: 1\r\n"

    @property
    def process(self) -> Process:
        return Process(self.gateway.pid)

    def held_bytes(self) -> int:
        """By the store."""
        return held_by(self.store).used_bytes

    def held_keys(self) -> int:
        return held_by(self.store).keys

    def write_config(self, max_connections: int, patience_seconds: int, spa: Path) -> None:
        server = (
            f'{SERVER}head_timeout = "{patience_seconds}s"\n'
            f'body_timeout = "{patience_seconds}s"\nmax_connections = {max_connections}'
        )
        store, extra = self.store.url, '[log]\nlevel = "warning"'
        spa_root = f'root = "{spa}"'
        toml = gateway_toml(
            self.ports,
            store=store,
            server=server,
            oidc='timeout = "2s"\nfrontchannel_logout = true',
            extra=extra,
            spa=spa_root,
            routes=_route("/api/", self.ports.api, patience_seconds)
            + _route("/hostile/", self.upstream.port, patience_seconds),
        )
        (self.directory / "bff.toml").write_text(toml)

    async def log_in(self) -> str:
        """A new session; its cookie."""
        begun = await self.begin_login(self.port)
        status, cookie = await self.finish_login(self.port, begun)
        assert cookie, f"the login failed: {status}"
        return cookie

    async def begin_login(self, port: int) -> Begun:
        async with self._asked(port, "/bff/login") as answer:
            if answer.status != REDIRECT:
                return Begun(answer.status)
            asked = parse_qs(urlsplit(answer.headers["Location"]).query)
            binder = answer.headers["Set-Cookie"].partition(";")[0]
        self.op.nonce = asked["nonce"][0]
        return Begun(REDIRECT, asked["state"][0], binder)

    async def finish_login(self, port: int, begun: Begun) -> tuple[int, str]:
        """The callback's status, and the session's cookie if there is one."""
        path = f"/bff/callback?code=c&state={begun.state}"
        async with self._asked(port, path, Cookie=begun.binder) as answer:
            given = [v.partition(";")[0] for v in answer.headers.getall("Set-Cookie", [])]
            found = [v for v in given if v.startswith("bff=") and v != "bff="]
            return answer.status, found[0] if found else ""

    async def call_status(self, port: int) -> int:
        """Of an API call of the honest user, at whichever gateway."""
        async with self._asked(port, "/api/x", Cookie=self.cookie, **{"X-CSRF": "1"}) as answer:
            return answer.status

    @contextlib.asynccontextmanager
    async def _asked(
        self, port: int, path: str, **headers: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        own = {"Host": self.host, "X-Forwarded-For": USER, **headers}
        url = URL(f"http://127.0.0.1:{port}{path}", encoded=True)
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
            http.get(url, headers=own, allow_redirects=False) as answer,
        ):
            yield answer

    @contextlib.contextmanager
    def watching(self, port: int) -> Iterator[ConnectionWatch]:
        """See how many connections there are at one of the gateway's ports."""
        watch = ConnectionWatch(self.process, port)
        looking = self.aside.begin(watch.run())
        try:
            yield watch
        finally:
            looking.cancel()

    @contextlib.asynccontextmanager
    async def newcomer(self, **environment: str) -> AsyncIterator[tuple[int, Process]]:
        """A second gateway, which has asked the OP nothing yet: its port, and its process."""
        port = free_port()
        program = self._program(port, free_port(), free_port(), environment)
        await program.start()
        try:
            yield port, Process(program.pid)
        finally:
            await program.stop()

    def _program(
        self,
        port: int,
        admin_port: int,
        auth_port: int,
        environment: Mapping[str, str] | None = None,
    ) -> GatewayProgram:
        return GatewayProgram(
            self.directory / "bff.toml",
            f"127.0.0.1:{admin_port}",
            name=f"gateway-{port}",
            ready="/healthz",
            environment=listening_at(port, admin_port, auth=auth_port) | dict(environment or {}),
        )


def _route(path: str, port: int, silence_seconds: int) -> str:
    return f"""
[[routes]]
path = "{path}"
upstream = "http://127.0.0.1:{port}/"
timeout = "{silence_seconds}s"
websocket = true
"""


@contextlib.asynccontextmanager
async def a_site(max_connections: int, patience_seconds: int) -> AsyncIterator[Site]:
    """All of it, with an honest user who is logged in. `patience_seconds`: the timeouts of heads,
    of bodies and of the APIs."""
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bff-abuse-")))
        store = RedisServer()
        stack.callback(store.close)
        op = HostileOp(SystemClock())
        op.token_changes = {"expires_in": 86_400}  # nothing here is about refreshes
        await op.start()
        stack.push_async_callback(op.close)
        upstream = await stack.enter_async_context(raw_upstream(backlog=BACKLOG))
        site = Site(directory, stack.enter_context(Aside()), store, op, upstream)
        spa = directory / "spa"
        spa.mkdir()
        (spa / "index.html").write_text("<!doctype html>")
        (spa / "large.bin").write_bytes(bytes(LARGE_BYTES))
        site.write_config(max_connections, patience_seconds, spa)
        honest_api = raw_upstream(port=site.ports.api, backlog=BACKLOG)
        await asyncio.wrap_future(site.aside.begin(honest_api.__aenter__()))
        stack.push_async_callback(
            lambda: asyncio.wrap_future(site.aside.begin(honest_api.__aexit__(None, None, None)))
        )
        await site.gateway.start()
        stack.push_async_callback(site.gateway.stop)
        site.cookie = await site.log_in()
        yield site
