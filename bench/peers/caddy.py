"""Caddy, plain `reverse_proxy`."""

from dataclasses import dataclass

from bench.machine import find
from bench.peers.program import missing_program
from bench.processes import Process
from bench.site import PEERS, Site


@dataclass(frozen=True, slots=True)
class Caddy:
    name: str = "caddy"
    title: str = "Caddy, plain reverse_proxy"
    authenticates: bool = False
    streams: bool = True

    def missing(self) -> str:
        return missing_program("caddy")

    def spawn(self, site: Site) -> Process:
        template = (PEERS / "Caddyfile").read_text()
        config = site.write("Caddyfile", template, PORT=site.ports[self.name])
        # One core has room for one thread: with more, Go's scheduler would only fight for it.
        environment = {"GOMAXPROCS": "1", "HOME": str(site.folder)}
        return Process(
            [find("caddy") or "caddy", "run", "--config", str(config), "--adapter", "caddyfile"],
            log=site.folder / "caddy.out",
            environment=environment,
        )
