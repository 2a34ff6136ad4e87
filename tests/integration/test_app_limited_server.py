"""A connection of the listeners beside the public one, by itself."""

import asyncio
import gc

from aiohttp import web

from bff.app.limited_server import LimitedServer, ServerLimits
from bff.errors import BffError
from tests.polling import until

LIMITS = ServerLimits(
    head_seconds=3600,
    body_seconds=3600,
    keepalive_seconds=3600,
    max_connections=8,
    linger_seconds=3600,
)


class Answers:
    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="here")

    def refused(self, request: web.BaseRequest, error: BffError) -> web.Response:
        return web.Response(status=400)


async def test_of_a_connection_that_has_ended_nothing_is_kept() -> None:
    """Not even until the time is up that it had for its last bytes."""
    server = LimitedServer(Answers(), LIMITS, for_proxies=False)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"here")
    writer.close()
    await writer.wait_closed()
    kind, ours = type(writer.transport), writer.get_extra_info("sockname")

    def is_forgotten() -> bool:
        gc.collect()
        left = [one for one in gc.get_objects() if type(one) is kind]
        return all(one.get_extra_info("peername") != ours for one in left)

    await until(is_forgotten)
    listening.close()
    await server.shutdown(0)
