"""Fifty tenants from fifty files: each is an application with a host and a client of its own, a
host without a file is none, and a reload adds and removes them while the rest goes on.

The gateway is `bff serve` in front of the demo's OP. A label is the last part of an address of
loopback, which every machine can reach without a DNS.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from spa_demo.op import Client, OpSettings
from tests.flows.test_reload import bff_reload, config_of, hup, user
from tests.flows.test_restart import running, stopped
from tests.parts.browser import Browser
from tests.parts.configuration import Ports, gateway_toml
from tests.parts.demo_servers import RunningOp, running_op
from tests.parts.gateway_program import GatewayProgram, serving_gateway
from tests.parts.raw_upstream import raw_upstream
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.polling import until

pytestmark = pytest.mark.timeout(900)

LABELS = [str(number) for number in range(11, 61)]
UNKNOWN = "99"
SECRET = "client-secret-canary-{}"

TENANTS = """
[tenants]
directory = "tenants.d"
public_url = "http://127.0.0.{{tenant}}:{port}"
issuer = "http://127.0.0.1:{op}"
client_id = "client-{{tenant}}"
client_secret_file = "secrets/{{tenant}}"
scope = "openid profile email api:read"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway with its tenants, and the OP that all of them have clients at."""

    ports: Ports
    op: RunningOp
    program: GatewayProgram

    def url(self, label: str) -> str:
        return f"http://127.0.0.{label}:{self.ports.gateway}"

    async def log_in(self, browser: Browser, label: str, name: str = "alice") -> None:
        page = await browser.navigate(f"{self.url(label)}/bff/login")
        page = await browser.log_in_at_op(page, name)
        assert page.url == f"{self.url(label)}/"

    async def status(self, label: str, cookie: str | None, path: str = "/bff/user") -> int:
        fields = {"X-CSRF": "1"} | ({"Cookie": f"bff={cookie}"} if cookie else {})
        async with (
            aiohttp.ClientSession() as http,
            http.get(self.url(label) + path, headers=fields) as answer,
        ):
            await answer.read()
            return answer.status


def a_client(ports: Ports, label: str) -> Client:
    url = f"http://127.0.0.{label}:{ports.gateway}"
    return Client(
        f"client-{label}",
        SECRET.format(label),
        redirect_uris=(f"{url}/bff/callback/t{label}",),
        post_logout_redirect_uris=(f"{url}/",),
        backchannel_logout_uri=f"{url}/bff/backchannel-logout",
    )


def write_tenants(folder: Path) -> None:
    for name in ("tenants.d", "secrets"):
        (folder / name).mkdir()
    for label in LABELS:
        (folder / "tenants.d" / f"{label}.toml").write_text(f'name = "t{label}"\n')
        (folder / "secrets" / label).write_text(SECRET.format(label))


def configuration(ports: Ports) -> str:
    text = gateway_toml(ports, server=f'listen = "0.0.0.0:{ports.gateway}"')
    head, _, rest = text.partition("[oidc]")
    _, _, rest = rest.partition("[session]")
    head = head.replace(f'public_url = "http://localhost:{ports.gateway}"\n', "")
    return f"{head}[session]{rest}{TENANTS.format(port=ports.gateway, op=ports.op)}"


@asynccontextmanager
async def fifty_tenants(folder: Path) -> AsyncIterator[Place]:
    write_tenants(folder)
    async with raw_upstream() as api:
        ports = Ports(free_port(), free_port(), free_port(), api.port)
        clients = tuple(a_client(ports, label) for label in LABELS)
        settings = OpSettings("http://127.0.0.1", clients, expose_test_stats=True)
        async with (
            running_op(settings, port=ports.op) as op,
            serving_gateway(ports, folder, configuration(ports)) as program,
        ):
            yield Place(ports, op, program)


@pytest.mark.rule("FE-01", "FE-02", "FE-04", "FE-09")
async def test_each_of_fifty_tenants_is_an_application_of_its_own(tmp_path: Path) -> None:
    first, second = LABELS[0], LABELS[-1]
    async with fifty_tenants(tmp_path) as place, Browser() as one, Browser() as two:
        assert place.op.counters.requests.total() == 0, "an OP was asked before a login needed it"
        for label in LABELS:
            assert await place.status(label, None) == 401
        assert await place.status(UNKNOWN, None) == 421
        assert await place.status(UNKNOWN, None, "/bff/login") == 421
        assert place.op.counters.requests.total() == 0, "no host made the gateway ask an OP"

        await place.log_in(one, first)
        await place.log_in(two, second, "bob")
        cookies = {first: one.cookies.get("bff"), second: two.cookies.get("bff")}
        for label, cookie in cookies.items():
            assert await place.status(label, cookie) == 200
            assert await place.status(label, cookie, "/api/x") == 200
        assert await place.status(second, cookies[first]) == 401
        assert await place.status(first, cookies[second], "/api/x") == 401
        assert await place.status(LABELS[1], cookies[first]) == 401
        assert await place.status(UNKNOWN, cookies[first]) == 421

        _, listed = await place.program.admin("/sessions?sub=alice")
        assert [session["frontend"] for session in listed["sessions"]] == [f"t{first}"]
        sample = f'bff_logins_total{{frontend="t{second}",outcome="ok",provider="t{second}"}}'
        assert await place.program.metric(sample) == 1

        account = await one.navigate(f"{place.op.issuer}/account")
        await one.submit(account.form("sign-out"), button="here")
        await until(lambda: place.op.counters.logout_tokens["delivered"] == 1)
        assert await place.status(first, cookies[first]) == 401
        assert await place.status(second, cookies[second]) == 200


@pytest.mark.rule("FE-09")
async def test_tenants_come_and_go_by_their_files(own_redis: RedisServer, tmp_path: Path) -> None:
    """What is wrong with one of them changes nothing for any."""
    async with running(own_redis, tmp_path) as service:
        port, config = service.ports.gateway, config_of(service)
        public_url = f'public_url = "{service.public_url}"\n'
        text = config.read_text().replace(public_url, "", 1)
        config.write_text(
            f'{text}\n[[frontends]]\nname = "one"\n{public_url}[tenants]\n'
            f'directory = "tenants.d"\npublic_url = "http://{{tenant}}.localhost:{port}"\n'
        )
        folder = tmp_path / "tenants.d"
        folder.mkdir()
        (folder / "acme.toml").write_text("")
        assert "frontends.acme (added)" in (await hup(service))["changed"]

        def at(label: str) -> dict[str, str]:
            return {"Host": f"{label}.localhost:{port}", "X-CSRF": "1"}

        assert (await user(service, at("acme")))[0] == 401
        assert (await user(service, at("globex")))[0] == 421

        (folder / "globex.toml").write_text('\nprovider = "x"\n')
        [said] = (await hup(service, "reload_refused"))["problems"]
        unknown = f"{folder}/globex.toml:2: provider: unknown key"
        assert said.startswith(unknown)
        (folder / "acme.toml").unlink()  # together with what is wrong: this neither
        ran = await bff_reload(service)
        assert ran.code == 2
        assert unknown in ran.err
        assert (await user(service, at("acme")))[0] == 401
        assert (await user(service, at("globex")))[0] == 421

        (folder / "globex.toml").write_text('[user]\nanonymous = "null"\n')
        changed = (await hup(service))["changed"]
        assert changed == ["frontends.acme (removed)", "frontends.globex (added)"]
        assert (await user(service, at("acme")))[0] == 421
        assert (await user(service, at("globex")))[0] == 200
        assert await stopped(service) == 0
