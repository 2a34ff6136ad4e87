"""oauth2-proxy, sessions in Redis. No distribution packages it: measured where it is installed."""

from dataclasses import dataclass

from bench.machine import find
from bench.op import CLIENT_ID, CLIENT_SECRET, SCOPE
from bench.peers.program import missing_program
from bench.processes import Process
from bench.site import Site


@dataclass(frozen=True, slots=True)
class OAuth2Proxy:
    name: str = "oauth2-proxy"
    title: str = "oauth2-proxy, sessions in Redis"
    authenticates: bool = True
    streams: bool = False

    def missing(self) -> str:
        return missing_program("oauth2-proxy")

    def spawn(self, site: Site) -> Process:
        port = site.ports[self.name]
        options = {
            "provider": "oidc",
            "oidc-issuer-url": site.issuer,
            "client-id": CLIENT_ID,
            "client-secret": CLIENT_SECRET,
            "scope": SCOPE,
            "redirect-url": f"http://127.0.0.1:{port}/oauth2/callback",
            "code-challenge-method": "S256",
            "http-address": f"127.0.0.1:{port}",
            "upstream": f"http://127.0.0.1:{site.upstream_port}/",
            "session-store-type": "redis",
            "redis-connection-url": f"redis://127.0.0.1:{site.redis.port}/0",
            "cookie-secret": "bench-secret-0123456789abcdef-01",
            "cookie-secure": "false",
            "email-domain": "*",
            "skip-provider-button": "true",
            "pass-authorization-header": "true",
            "request-logging": "false",
            "auth-logging": "false",
            "standard-logging": "false",
        }
        return Process(
            [find("oauth2-proxy") or "oauth2-proxy"]
            + [f"--{name}={value}" for name, value in options.items()],
            log=site.folder / "oauth2-proxy.out",
            environment={"GOMAXPROCS": "1"},
        )
