"""The queries of deploy/grafana and the rules of deploy/prometheus, in a real Prometheus that
scrapes two workers under a small load: each panel has data."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import aiohttp

from spa_demo.api.settings import ApiSettings
from tests.flows.test_workers import Service, logged_in, served
from tests.parts.configuration import free_ports, gateway_toml
from tests.parts.demo_servers import running_api, running_demo_op
from tests.parts.program import ROOT, serving_meanwhile
from tests.parts.redis_server import RedisServer
from tests.parts.servers import free_port
from tests.polling import until

DEPLOYED = ROOT / "deploy" / "prometheus"
LIMITS = '[limits]\napi_calls = "60/minute"\n'
TOO_MANY = 80


class Prometheus:
    """What it is asked over HTTP."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def get(self, path: str, **parameters: str) -> Any:
        async with self._http.get(f"{self._url}/api/v1/{path}", params=parameters) as answer:
            document = await answer.json()
        assert document["status"] == "success", document
        return document["data"]

    async def has_data(self, query: str) -> bool:
        """Whether there is a number for it."""
        found = (await self.get("query", query=query))["result"]
        return any(not math.isnan(float(sample["value"][1])) for sample in found)


@asynccontextmanager
async def prometheus(folder: Path, target: str) -> AsyncIterator[Prometheus]:
    """With the deployed files, but for how often it looks, and at whom."""
    config = (DEPLOYED / "prometheus.yml").read_text()
    for before, after in (("127.0.0.1:9090", target), ("interval: 15s", "interval: 1s")):
        assert before in config
        config = config.replace(before, after)
    (folder / "prometheus.yml").write_text(config)
    (folder / "alerts.yml").write_text((DEPLOYED / "alerts.yml").read_text())
    port = free_port()
    command = (
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=1)
        with suppress(OSError, HTTPException), closing(connection):
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == HTTPStatus.OK
        return False

    with serving_meanwhile(command, is_ready, folder / "prometheus.log"):
        async with aiohttp.ClientSession() as http:
            yield Prometheus(url, http)


def queries() -> dict[str, str]:
    """Of each panel, with the variables that Grafana fills in."""
    panels = json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text())["panels"]
    variables = {"$job": "bff", "$instance": ".*", "$__rate_interval": "20s"}
    found = {}
    for panel in panels:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in variables.items():
                query = query.replace(name, value)
            found[f"{panel['title']}: {target['legendFormat']}"] = query
    return found


async def a_small_load(service: Service) -> None:
    """Without end: logins, logouts, calls, refreshes, refusals; and a session that is too busy."""
    async with (
        logged_in(service) as (_, staying),
        logged_in(service) as (_, busy),
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):

        async def call(fields: Mapping[str, str], path: str = "/api/me") -> None:
            headers = {"X-CSRF": "1", **fields}
            async with http.get(f"{service.public_url}{path}", headers=headers):
                pass

        for _ in range(TOO_MANY):
            await call(busy)
        while True:
            await call(staying)
            await call({})
            await call(staying, "/bff/user")
            async with logged_in(service) as (browser, _):
                await browser.fetch("POST", f"{service.public_url}/bff/logout")
            await asyncio.sleep(1)


@asynccontextmanager
async def two_busy_workers(redis: RedisServer, folder: Path) -> AsyncIterator[Service]:
    """Whose tokens live for three seconds."""
    ports = free_ports()
    issuer, public_url = f"http://127.0.0.1:{ports.op}", f"http://localhost:{ports.gateway}"
    toml = gateway_toml(ports, store=redis.url, server="workers = 2", extra=LIMITS)
    async with (
        running_demo_op(ports.op, public_url, access_token_seconds=3),
        running_api(ApiSettings(issuer), port=ports.api),
        served(ports, folder, toml) as service,
    ):
        yield service


async def test_every_panel_has_data_and_every_rule_can_be_evaluated(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    (tmp_path / "prometheus").mkdir()
    async with (
        two_busy_workers(own_redis, tmp_path) as service,
        prometheus(tmp_path / "prometheus", f"127.0.0.1:{service.ports.admin}") as asked,
    ):
        load = asyncio.create_task(a_small_load(service))
        without = set(queries())

        async def all_have_data() -> bool:
            if load.done():
                load.result()
            for title, query in queries().items():
                if title in without and await asked.has_data(query):
                    without.discard(title)
            return not without

        try:
            await until(all_have_data, every=0.5)
        except TimeoutError:
            raise AssertionError(f"no data: {sorted(without)}") from None
        finally:
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load

        async def are_evaluated() -> bool:
            groups = (await asked.get("rules"))["groups"]
            rules = [rule for group in groups for rule in group["rules"]]
            assert not [rule["name"] for rule in rules if rule["health"] == "err"]
            return bool(rules) and all(rule["health"] == "ok" for rule in rules)

        await until(are_evaluated)
