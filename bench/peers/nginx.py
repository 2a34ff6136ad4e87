"""nginx, plain `proxy_pass`."""

from dataclasses import dataclass

from bench.machine import find
from bench.peers.program import missing_program
from bench.processes import Process
from bench.site import PEERS, Site


@dataclass(frozen=True, slots=True)
class Nginx:
    name: str = "nginx"
    title: str = "nginx, plain proxy_pass"
    authenticates: bool = False
    streams: bool = True

    def missing(self) -> str:
        return missing_program("nginx")

    def spawn(self, site: Site) -> Process:
        template = (PEERS / "nginx.conf").read_text()
        config = site.write("nginx.conf", template, PORT=site.ports[self.name])
        log = site.folder / "nginx.log"
        return Process(
            [find("nginx") or "nginx", "-p", str(site.folder), "-c", str(config), "-e", str(log)],
            log=site.folder / "nginx.out",
        )
