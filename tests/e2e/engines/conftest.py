"""Each engine is started once, and each test runs in every one of them with a fresh profile; two
installations, as a user would have them: behind Caddy over https, and on loopback in plain http."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509

from spa_demo import SPA_ROOT
from tests.e2e.engines.launch import ENGINES, Engine
from tests.e2e.engines.person import Person
from tests.e2e.engines.upstream import Upstream, build_upstream
from tests.e2e.engines.webdriver import Browser
from tests.e2e.installation import Installation, Ports, running_installation
from tests.parts.caddy_server import CaddyServer, running_caddy
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port, serving

PAGES = Path(__file__).parent / "pages"


@pytest.fixture(scope="package")
def spa_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's app, and pages of the tests beside it."""
    root = tmp_path_factory.mktemp("spa") / "root"
    shutil.copytree(SPA_ROOT, root)
    shutil.copytree(PAGES, root / "test")
    # A worker rules over the paths below its own only.
    (root / "test" / "worker.js").rename(root / "worker.js")
    return root


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(free_port())
    async with serving(build_upstream(upstream), upstream.port):
        yield upstream


def more_toml(ports: Ports, upstream: Upstream, spa_root: Path | None) -> str:
    spa = f'[spa]\nroot = "{spa_root}"\n' if spa_root is not None else ""
    return f"""
[[routes]]
path = "/api/streams/"
upstream = "http://127.0.0.1:{ports.api}/"
csrf = "same-origin"

[[routes]]
path = "/api/test/"
upstream = "http://127.0.0.1:{upstream.port}/"
websocket = true

{spa}"""


@pytest.fixture(scope="package")
def https_ports() -> Ports:
    return Ports.free()


@pytest.fixture(scope="package")
def https_front(
    https_ports: Ports, spa_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CaddyServer]:
    gateway, port = f"127.0.0.1:{https_ports.gateway}", https_ports.caddy
    folder = tmp_path_factory.mktemp("caddy")
    with running_caddy(folder, gateway=gateway, port=port, spa_root=spa_root) as server:
        yield server


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def https_site(
    https_ports: Ports,
    https_front: CaddyServer,
    redis: RedisServer,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    folder = tmp_path_factory.mktemp("https")
    more = more_toml(https_ports, upstream, None)
    async with running_installation(https_ports, redis, folder, more=more) as running:
        assert running.public_url == https_front.origin
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def http_site(
    spa_root: Path,
    redis: RedisServer,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    ports = Ports.free(with_caddy=False)
    folder = tmp_path_factory.mktemp("http")
    more = more_toml(ports, upstream, spa_root)
    async with running_installation(ports, redis, folder, more=more) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package", params=ENGINES)
async def engine(
    request: pytest.FixtureRequest,
    https_front: CaddyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Engine]:
    authority = https_front.ca_root
    if request.param == "chromium":  # it wants one that the server sends along
        authority = authority.with_name("intermediate.crt")
    trusted = x509.load_pem_x509_certificate(authority.read_bytes())
    folder = tmp_path_factory.mktemp(request.param)
    async with ENGINES[request.param](folder, [trusted]) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="package")
async def browser(engine: Engine) -> AsyncIterator[Browser]:
    """A fresh profile."""
    async with engine.profile() as running:
        yield running


@pytest.fixture
def at_https(browser: Browser, https_site: Installation) -> Person:
    return Person(browser, https_site)


@pytest.fixture
def at_http(browser: Browser, http_site: Installation) -> Person:
    return Person(browser, http_site)


@pytest.fixture(params=["https", "http"])
def person(request: pytest.FixtureRequest, at_https: Person, at_http: Person) -> Person:
    """At either installation in turn."""
    return at_https if request.param == "https" else at_http
