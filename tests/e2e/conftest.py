"""One installation, one Chromium and one attacker for all end-to-end tests; a profile per test."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509
from playwright.async_api import Browser

from tests.e2e.attacker import Attacker, ServerIdentity, make_identity, running_attacker
from tests.e2e.chromium import DEADLINE_MS, running_chromium
from tests.e2e.installation import Installation, Ports, running_installation
from tests.e2e.visitor import Visitor
from tests.parts.caddy_server import CaddyServer, running_caddy
from tests.parts.redis_server import RedisServer


@pytest.fixture(scope="package")
def ports() -> Ports:
    return Ports.free()


@pytest.fixture(scope="package")
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture(scope="package")
def caddy(ports: Ports, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaddyServer]:
    folder = tmp_path_factory.mktemp("caddy")
    gateway = f"127.0.0.1:{ports.gateway}"
    with running_caddy(folder, gateway=gateway, port=ports.caddy) as server:
        yield server


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def installation(
    ports: Ports,
    redis: RedisServer,
    caddy: CaddyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("installation")
    async with running_installation(ports, redis, folder) as running:
        assert running.public_url == caddy.origin
        yield running


@pytest.fixture(scope="package")
def sibling_identity(tmp_path_factory: pytest.TempPathFactory) -> ServerIdentity:
    return make_identity(tmp_path_factory.mktemp("sibling"))


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def attacker(sibling_identity: ServerIdentity) -> AsyncIterator[Attacker]:
    async with running_attacker(sibling_identity) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium(caddy: CaddyServer, sibling_identity: ServerIdentity) -> AsyncIterator[Browser]:
    # Caddy sends the intermediate along; the root is only in its folder.
    authority = caddy.ca_root.with_name("intermediate.crt").read_bytes()
    trusted = [x509.load_pem_x509_certificate(authority), sibling_identity.certificate]
    async with running_chromium(trusted) as browser:
        yield browser


@contextlib.asynccontextmanager
async def new_visitor(browser: Browser, installation: Installation) -> AsyncIterator[Visitor]:
    """A fresh profile. Whatever happens in it, the application's pages have nothing to complain
    about: no violation of the Content-Security-Policy, no uncaught error."""
    context = await browser.new_context()
    context.set_default_timeout(DEADLINE_MS)
    someone = Visitor(context, installation)
    try:
        yield someone
        assert someone.seen.complaints == []
    finally:
        await context.close()
        await someone.seen.exchanges()


@pytest_asyncio.fixture(loop_scope="package")
async def visitor(chromium: Browser, installation: Installation) -> AsyncIterator[Visitor]:
    async with new_visitor(chromium, installation) as someone:
        yield someone


@pytest_asyncio.fixture(loop_scope="package")
async def other_visitor(chromium: Browser, installation: Installation) -> AsyncIterator[Visitor]:
    """Another person at another computer."""
    async with new_visitor(chromium, installation) as someone:
        yield someone
