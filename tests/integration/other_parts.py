"""A further public listener of a running gateway, some of whose parts are other ones: a pool with
short limits, or a part that fails where no rule foresees it. All the rest is the gateway's own."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from bff.app import Gateway
from bff.proxy.context import ProxyContext
from bff.proxy.downstream.connection import DownstreamConnection
from bff.proxy.listener import Listener
from bff.proxy.own_endpoints import LocalPool
from tests.polling import until


def context_of(gateway: Gateway) -> ProxyContext:
    """What the gateway's own public listener works with."""
    return gateway._public.context


@dataclass(frozen=True, slots=True)
class Other:
    """The listener and its port."""

    port: int
    listener: Listener

    @property
    def connections(self) -> list[DownstreamConnection]:
        return list(self.listener._open)


@contextlib.asynccontextmanager
async def a_listener(gateway: Gateway, **parts: Any) -> AsyncIterator[Other]:
    """`parts` are fields of `ProxyContext` that are to be other ones."""
    listener = Listener(dataclasses.replace(context_of(gateway), **parts))
    server = await asyncio.get_running_loop().create_server(listener, "127.0.0.1", 0)
    try:
        yield Other(server.sockets[0].getsockname()[1], listener)
    finally:
        server.close()
        await listener.stop(0.0)


class InternalConnections:
    """Connections to the own endpoints of a gateway, which lie idle for a short time only."""

    def __init__(self, gateway: Gateway, *, idle_seconds: float) -> None:
        shared = context_of(gateway)
        self.pool = LocalPool(shared.local._endpoints, shared.writes, idle_seconds=idle_seconds)
        self.pool.start()

    async def until_idle_ones_are_gone(self, *, busy: int) -> None:
        """Return when all but those in use were closed for lying idle."""
        await until(lambda: len(self.pool._ends) <= busy)
