"""Which programs there are, in the order of the report."""

from collections.abc import Iterable

from bench.peers.apache import Apache
from bench.peers.caddy import Caddy
from bench.peers.express_openid_connect import Express
from bench.peers.gateway import Gateway
from bench.peers.nginx import Nginx
from bench.peers.oauth2_proxy import OAuth2Proxy
from bench.peers.program import Program

PROGRAMS: tuple[Program, ...] = (
    Gateway(),
    Nginx(),
    Caddy(),
    Apache(),
    Express(),
    OAuth2Proxy(),
)


def installed(programs: Iterable[Program] = PROGRAMS) -> list[Program]:
    return [program for program in programs if not program.missing()]


def not_installed() -> dict[str, str]:
    """The title of each that can't be measured here, and what it lacks."""
    return {program.title: lack for program in PROGRAMS if (lack := program.missing())}
