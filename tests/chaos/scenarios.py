"""The scenarios: what is broken, how often, and for how long. Each fault ends by itself, so that
recovery is seen; between faults the load goes on."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.faults import Fault
from tests.chaos.installation import OP_TIMEOUT_SECONDS, Installation
from tests.chaos.redis_topologies import (
    Failing,
    SentinelTrio,
    SingleRedis,
    ThreeShardCluster,
    Topology,
)

# Longer than a refresh lease (6 s) lasts without renewal.
SLOW_OP_SECONDS = 7.0
REPLICATION_LAG_SECONDS = 0.5

Strike = Callable[[Installation, "Scale", int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scale:
    """`seconds` of load; a fault that lasts, lasts `fault_seconds`; the next one begins no sooner
    than `every_seconds` after the one before."""

    users: int
    parallel: int
    pause_seconds: float
    seconds: float
    fault_seconds: float
    pause_redis_seconds: float
    every_seconds: float
    access_token_seconds: int


LONG = Scale(
    users=200,
    parallel=10,
    pause_seconds=2.5,
    seconds=60,
    fault_seconds=10,
    pause_redis_seconds=5,
    every_seconds=25,
    access_token_seconds=3,
)
SHORT = Scale(
    users=20,
    parallel=4,
    pause_seconds=0.6,
    seconds=2,
    fault_seconds=2,
    pause_redis_seconds=3,
    every_seconds=60,
    access_token_seconds=3,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`strike` breaks something. `may_lose`: the OP keeps to itself what it has rotated, or a
    gateway dies with it, so that logouts are possible which can't be avoided. `in_short`: part of
    the short form as well."""

    name: str
    strike: Strike | None
    topology: type[Topology]
    may_lose: bool = False
    every_seconds: float | None = None
    in_short: bool = True


async def kill_gateway(installation: Installation, _: Scale, number: int) -> None:
    await installation.kill_gateway(number)


async def restart_redis(installation: Installation, _: Scale, __: int) -> None:
    await asyncio.to_thread(_single(installation).server.restart)


async def pause_redis(installation: Installation, scale: Scale, _: int) -> None:
    server = _single(installation).server
    server.pause()
    await asyncio.sleep(scale.pause_redis_seconds)
    server.resume()


async def kill_primary(installation: Installation, _: Scale, __: int) -> None:
    await _failing(installation).kill_primary()


async def freeze_primary(installation: Installation, _: Scale, __: int) -> None:
    await _failing(installation).freeze_primary()


async def lose_writes(installation: Installation, _: Scale, __: int) -> None:
    """Replication is asynchronous: what the replicas had not heard of yet is gone."""
    await _failing(installation).lose_writes(REPLICATION_LAG_SECONDS)


def op_fault(kind: Fault, *, seconds: float = 0.0, grace_seconds: float = 0.0) -> Strike:
    async def strike(installation: Installation, scale: Scale, _: int) -> None:
        await installation.op_fault(kind, seconds=seconds, grace_seconds=grace_seconds)
        await asyncio.sleep(max(scale.fault_seconds, seconds + 1))
        await installation.op_fault(Fault.NONE, grace_seconds=grace_seconds)

    return strike


async def op_down(installation: Installation, scale: Scale, _: int) -> None:
    await installation.op_listen(listen=False)
    await asyncio.sleep(scale.fault_seconds)
    await installation.op_listen(listen=True)


async def op_hangs(installation: Installation, scale: Scale, _: int) -> None:
    """Nothing answers, connections stay open, and in the end what was asked is done after all."""
    installation.op.pause()
    await asyncio.sleep(max(scale.fault_seconds, OP_TIMEOUT_SECONDS + 1))
    installation.op.resume()


def _failing(installation: Installation) -> Failing:
    topology = installation.topology
    assert isinstance(topology, SentinelTrio | ThreeShardCluster)
    return topology


def _single(installation: Installation) -> SingleRedis:
    assert isinstance(installation.topology, SingleRedis)
    return installation.topology


SCENARIOS = (
    Scenario("steady", None, SingleRedis),
    Scenario("gateway killed", kill_gateway, SingleRedis, may_lose=True, every_seconds=5),
    Scenario("Redis restarted", restart_redis, SingleRedis),
    Scenario("Redis paused", pause_redis, SingleRedis),
    Scenario("OP slow", op_fault(Fault.SLOW, seconds=SLOW_OP_SECONDS), SingleRedis),
    Scenario("OP down", op_down, SingleRedis),
    Scenario("OP hangs", op_hangs, SingleRedis),
    Scenario("OP answers 500", op_fault(Fault.ERROR), SingleRedis),
    Scenario("OP answers garbage", op_fault(Fault.GARBAGE), SingleRedis),
    Scenario("OP drops answers", op_fault(Fault.DROP), SingleRedis, may_lose=True),
    Scenario("the same, with grace", op_fault(Fault.DROP, grace_seconds=30), SingleRedis),
    Scenario("Sentinel: primary killed", kill_primary, SentinelTrio, in_short=False),
    Scenario("Sentinel: primary frozen", freeze_primary, SentinelTrio),
    Scenario("Sentinel: last writes lost", lose_writes, SentinelTrio, in_short=False),
    Scenario("Cluster: primary killed", kill_primary, ThreeShardCluster, in_short=False),
    Scenario("Cluster: primary frozen", freeze_primary, ThreeShardCluster, in_short=False),
    Scenario("Cluster: last writes lost", lose_writes, ThreeShardCluster),
)


async def strike_repeatedly(
    installation: Installation, scenario: Scenario, scale: Scale
) -> list[tuple[float, float]]:
    """For the scale's seconds, at least once; returns start and end of each fault."""
    times: list[tuple[float, float]] = []
    ends_at = time.time() + scale.seconds
    if scenario.strike is None:
        await asyncio.sleep(scale.seconds)
        return times
    while not times or time.time() < ends_at:
        if times and scenario.topology is not SingleRedis:
            await _failing(installation).mend()
        await asyncio.sleep(min(2.0, scale.seconds / 4))
        began = time.time()
        await scenario.strike(installation, scale, len(times))
        times.append((began, time.time()))
        next_at = began + (scenario.every_seconds or scale.every_seconds)
        await asyncio.sleep(max(0.0, min(next_at, ends_at) - time.time()))
    return times
