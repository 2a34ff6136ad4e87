"""Apache with mod_auth_openidc, sessions in Redis."""

from dataclasses import dataclass

from bench.machine import find
from bench.peers.program import missing_file, missing_program
from bench.processes import Process
from bench.site import PEERS, Site

MODULES = "/usr/lib/apache2/modules"


@dataclass(frozen=True, slots=True)
class Apache:
    name: str = "apache"
    title: str = "mod_auth_openidc, sessions in Redis"
    authenticates: bool = True
    streams: bool = False

    def missing(self) -> str:
        return missing_program("apache2") or missing_file(f"{MODULES}/mod_auth_openidc.so")

    def spawn(self, site: Site) -> Process:
        template = (PEERS / "apache.conf").read_text()
        port = site.ports[self.name]
        config = site.write("apache.conf", template, PORT=port, MODULES=MODULES)
        return Process(
            [find("apache2") or "apache2", "-f", str(config), "-D", "FOREGROUND"],
            log=site.folder / "apache.out",
        )
