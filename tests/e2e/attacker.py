"""Pages of other origins: empty ones, on origins in every relation to the application's."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aiohttp import web
from cryptography import x509

from tests.parts.certificates import self_signed, server_context
from tests.parts.servers import free_port, serving

Relation = Literal["another site", "the same host in plain http", "a sibling origin"]


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """A self-signed certificate for localhost, and the context of a server that shows it."""

    certificate: x509.Certificate
    tls: ssl.SSLContext = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attacker:
    """`origins` by their relation to https://localhost. To browsers only the sibling is of the same
    site: the scheme counts, the port does not."""

    origins: dict[Relation, str]


@contextlib.asynccontextmanager
async def running_attacker(identity: ServerIdentity) -> AsyncIterator[Attacker]:
    """Serve an empty page without any policy at each of the origins."""
    plain, tls = free_port(), free_port()
    async with serving(_pages(), plain), serving(_pages(), tls, identity.tls):
        yield Attacker(
            {
                "another site": f"http://127.0.0.1:{plain}",
                "the same host in plain http": f"http://localhost:{plain}",
                "a sibling origin": f"https://localhost:{tls}",
            }
        )


def make_identity(folder: Path) -> ServerIdentity:
    """A new key and certificate."""
    certificate, key = self_signed(folder, "localhost")
    shown = x509.load_pem_x509_certificate(certificate.read_bytes())
    return ServerIdentity(shown, server_context(certificate, key))


def _pages() -> web.Application:
    app = web.Application()
    app.router.add_get("/", _empty_page)
    return app


async def _empty_page(_request: web.Request) -> web.Response:
    html = '<!doctype html><title>elsewhere</title><link rel="icon" href="data:,">'
    return web.Response(text=html, content_type="text/html")
