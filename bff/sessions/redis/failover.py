"""Failovers: noticing one, and knowing which master to believe.

Connections do not tell. One to a former master may live on, in Sentinel's world for seconds, and
the one that brings the stream of changes may have nothing to do with the node that failed. What was
written last may be lost, so every process must hear of it: each looks again and again at which
configuration there is.

After a failover the Sentinels disagree for seconds, and a former master that was only cut off comes
back believing in itself: commands sent to it are answered, and all that they wrote is lost. Two
masters at a time are two leases for one session. So all Sentinels are asked, and the newest
configuration counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import structlog
from redis.asyncio.client import Redis
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.exceptions import RedisError

from bff.tasks import BackgroundTask

log = structlog.get_logger("bff.sessions")

LOOK_SECONDS = 0.5
UNDER_WAY = "failover_in_progress"

Address = tuple[str, int]


class FailoverWatch:
    """`look` says which configuration there is, or None when it can't tell; `on_failover` is
    called when that has changed. `known` is what was seen last."""

    def __init__(
        self, look: Callable[[], Awaitable[str | None]], on_failover: Callable[[], Awaitable[None]]
    ) -> None:
        self._look = look
        self._on_failover = on_failover
        self.known: str | None = None
        self._task = BackgroundTask(self._run)

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        await self._task.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._look_once()
            except Exception:  # without this watch no failover would be noticed any more
                log.exception("failover_watch_failed")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_once(self) -> None:
        found = await self._look()
        if found is None:
            return
        before, self.known = self.known, found
        if before not in (None, found):
            log.warning("store_failed_over")
            await self._on_failover()


class Opinion(NamedTuple):
    """What one Sentinel says. `epoch` counts the configurations that the Sentinels agreed on;
    `address` is None while there is no master up. Only the Sentinel that leads a failover knows
    that it is under way."""

    epoch: int
    address: Address | None
    leads_failover: bool = False


def newest(opinions: Sequence[Opinion]) -> Address | None:
    """The master to talk to, None when there is none to be relied on."""
    leaders = [opinion for opinion in opinions if opinion.leads_failover]
    latest = max((opinion.epoch for opinion in leaders or opinions), default=0)
    for opinion in leaders or opinions:
        if opinion.epoch == latest and opinion.address is not None:
            return opinion.address
    return None


class NewestSentinel(Sentinel):
    """redis-py's client, which on its own believes the first Sentinel that answers."""

    async def discover_master(self, service_name: str) -> Address:
        """Raises: MasterNotFoundError when there is none to be relied on."""
        address = newest(await self.opinions(service_name))
        if address is None:
            raise MasterNotFoundError("the newest configuration names no master that is up")
        return address

    async def opinions(self, service_name: str) -> list[Opinion]:
        """Those of the Sentinels that answer and know the service."""
        asked = [_opinion(sentinel, service_name) for sentinel in self.sentinels]
        return [opinion for opinion in await asyncio.gather(*asked) if opinion is not None]

    async def configuration(self, service_name: str) -> str | None:
        """Which master there is, for comparison; None when no Sentinel answers, for then the master
        may well be there all the same."""
        opinions = await self.opinions(service_name)
        return repr(newest(opinions)) if opinions else None


async def _opinion(sentinel: Redis, service_name: str) -> Opinion | None:
    try:
        masters: Any = await sentinel.sentinel_masters()
        state = masters.get(service_name)
        if state is None:
            return None
        address = str(state["ip"]), int(state["port"])
        if UNDER_WAY in state["flags"]:
            # Once it has promoted a replica it names that one here, before it does so elsewhere.
            found: Any = await sentinel.sentinel_get_master_addr_by_name(service_name)
            promoted = (str(found[0]), int(found[1])) if found else address
            usable = promoted if promoted != address else None
            return Opinion(int(state["config-epoch"]), usable, leads_failover=True)
    except (RedisError, OSError, TimeoutError):
        return None
    is_up = state["is_master"] and not state["is_sdown"] and not state["is_odown"]
    return Opinion(int(state["config-epoch"]), address if is_up else None)
