"""`GET /bff/arrival`: how this very request has arrived, for `bff doctor`, which sends it through
the proxies in front. Without a ticket of the admin listener it answers as a path that does not
exist. It tells a request's own addresses and forwarded fields, and nothing else of the gateway.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from bff.errors import NotFound
from bff.gate.outcome import Local
from bff.gate.peers import TrustedProxies

TICKET = "X-BFF-Ticket"
TOLD = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for", b"forwarded")
LONGEST = 256  # characters of one field

TakeTicket = Callable[[str], Awaitable[bool]]


class Arrival:
    """`take` says whether a ticket is good, once. `on_unix_socket`: peers have no address."""

    def __init__(self, take: TakeTicket, proxies: TrustedProxies, *, on_unix_socket: bool) -> None:
        self._take = take
        self._proxies = proxies
        self._on_unix_socket = on_unix_socket

    async def __call__(self, request: web.BaseRequest, local: Local) -> web.StreamResponse:
        tickets = request.headers.getall(TICKET, [])
        if len(tickets) != 1 or not await self._take(tickets[0]):
            raise NotFound
        hops = local.identity.hops
        peer = None if self._on_unix_socket or not hops else hops[-1]
        return web.json_response(
            {
                "peer": peer,
                "is_peer_trusted": self._proxies.trusts(peer),
                "client": local.identity.client_address,
                "fields": {
                    name.decode(): [_text(value) for value in local.fields.values(name)]
                    for name in TOLD
                },
            }
        )


def _text(value: bytes) -> str:
    return value.decode("latin-1")[:LONGEST]
