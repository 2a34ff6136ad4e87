"""This gateway: `bff serve` with a Redis store and metrics on, as in production."""

import sys
from collections.abc import Collection
from dataclasses import dataclass

from bench.machine import PROGRAM_CORE
from bench.processes import Process
from bench.site import Site
from tests.parts.servers import free_port

IDLE_SECONDS = 6 * 3600
ABSOLUTE_SECONDS = 12 * 3600
CACHE_ENTRIES = 200_000

CONFIG = """\
[server]
public_url = "http://127.0.0.1:@PORT@"
listen = "127.0.0.1:@PORT@"
admin_listen = "127.0.0.1:@ADMIN@"
workers = @WORKERS@
max_connections = 20000
shutdown_timeout = "1s"

[oidc]
issuer = "@ISSUER@"
client_id = "@CLIENT_ID@"
client_secret = "@CLIENT_SECRET@"
scope = "@SCOPE@"

[session]
store = "redis://127.0.0.1:@REDIS@/0"
secrets = ["@SECRET@"]
idle_timeout = "6h"
absolute_timeout = "12h"
cache_entries = @ENTRIES@

[limits]
logins = "off"

[[routes]]
path = "/api/"
upstream = "http://127.0.0.1:@UPSTREAM@/api/"

[[routes]]
path = "/streams/"
upstream = "http://127.0.0.1:@STREAMS@/"
csrf = "same-origin"
timeout = "10m"
websocket = true
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    name: str = "gateway"
    title: str = "this gateway, sessions in Redis"
    authenticates: bool = True
    streams: bool = True
    workers: int = 1
    cores: Collection[int] | None = (PROGRAM_CORE,)

    def missing(self) -> str:
        return ""

    def spawn(self, site: Site) -> Process:
        config = site.write(
            "bff.toml",
            CONFIG,
            PORT=site.ports[self.name],
            ADMIN=free_port(),
            WORKERS=self.workers,
            SECRET=site.session_secret,
            ENTRIES=CACHE_ENTRIES,
        )
        return Process(
            [*site.under, sys.executable, "-m", "bff", "serve", "--config", str(config)],
            log=site.folder / "gateway.out",
            cores=self.cores,
        )
