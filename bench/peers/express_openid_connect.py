"""express-openid-connect, sessions in Redis."""

from dataclasses import dataclass

from bench.machine import find
from bench.op import CLIENT_ID, CLIENT_SECRET, SCOPE
from bench.peers.program import missing_file, missing_program
from bench.processes import Process
from bench.site import PEERS, Site

FOLDER = PEERS / "express"


@dataclass(frozen=True, slots=True)
class Express:
    name: str = "express"
    title: str = "express-openid-connect, sessions in Redis"
    authenticates: bool = True
    streams: bool = False

    def missing(self) -> str:
        return missing_program("node") or missing_file(
            f"{FOLDER}/node_modules/express/package.json"
        )

    def spawn(self, site: Site) -> Process:
        environment = {
            "NODE_ENV": "production",
            "PORT": str(site.ports[self.name]),
            "ISSUER": site.issuer,
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "SCOPE": SCOPE,
            "REDIS": str(site.redis.port),
            "UPSTREAM": str(site.upstream_port),
        }
        return Process(
            [find("node") or "node", str(FOLDER / "server.cjs")],
            log=site.folder / "express.out",
            environment=environment,
        )
