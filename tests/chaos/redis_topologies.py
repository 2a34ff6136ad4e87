"""Redis as people run it: one server that persists, a Sentinel trio with two replicas, a Cluster of
three primaries with a replica each. All on loopback, all real."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import RedisError

from tests.parts.redis_server import RedisServer
from tests.polling import until

PERSISTENT = (
    *("--appendonly", "yes", "--appendfsync", "everysec"),
    *("--repl-diskless-sync-delay", "0"),
)
CLUSTERED = (*PERSISTENT, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
SLOTS = 16384
FORM_SECONDS = 30.0


class Topology(Protocol):
    """`form` completes it after construction; `url` is for the gateways."""

    url: str

    async def form(self) -> None: ...

    def close(self) -> None: ...


class Failing(Topology, Protocol):
    """One whose primary can be lost. Each way returns when another has taken its place, which the
    gateways then still have to find out; `mend` brings back what was killed."""

    async def kill_primary(self) -> None: ...

    async def freeze_primary(self) -> None: ...

    async def lose_writes(self, seconds: float) -> None: ...

    async def mend(self) -> None: ...


class SingleRedis:
    """One server with an append-only file."""

    def __init__(self) -> None:
        self.server = RedisServer(*PERSISTENT, tcp=True)
        self.url = self.server.url

    async def form(self) -> None:
        """It is complete."""

    def close(self) -> None:
        self.server.close()


class SentinelTrio:
    """A master, two replicas, and three Sentinels of which two must agree."""

    def __init__(self) -> None:
        first = RedisServer(*PERSISTENT, tcp=True)
        follow = ("--replicaof", f"127.0.0.1 {first.port}")
        replicas = [RedisServer(*PERSISTENT, *follow, tcp=True) for _ in range(2)]
        self._servers = [first, *replicas]
        self._sentinels: list[RedisServer] = []
        self.url = ""

    async def form(self) -> None:
        """Start the Sentinels once both replicas follow (they look for replicas only now and then),
        and wait until all of them know each other."""
        first = self._servers[0]
        await until(lambda: _followers(first) == 2, seconds=FORM_SECONDS, every=0.1)
        config = (
            f"sentinel monitor main 127.0.0.1 {first.port} 2\n"
            "sentinel down-after-milliseconds main 1000\n"
            "sentinel failover-timeout main 3000\n"
        )
        self._sentinels = [RedisServer(sentinel_of=config) for _ in range(3)]
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self._sentinels)
        self.url = f"redis+sentinel://{hosts}/main"
        await until(self._is_whole, seconds=FORM_SECONDS, every=0.1)

    async def kill_primary(self) -> None:
        """SIGKILL the master; returns when the Sentinels have named another."""
        victim = self._master()
        victim.stop()
        await self._until_replaced(victim)

    async def freeze_primary(self) -> None:
        """SIGSTOP the master; it comes back after another has been named, as one that believes to
        be the master still."""
        victim = self._master()
        victim.pause()
        await self._until_replaced(victim)
        victim.resume()

    async def lose_writes(self, seconds: float) -> None:
        """Kill the master when no replica has heard of it for so long."""
        victim = self._master()
        replicas = [server for server in self._servers if server is not victim]
        for replica in replicas:
            replica.pause()
        victim.command("CLIENT", "KILL", "TYPE", "replica")  # nothing waits in their sockets
        await asyncio.sleep(seconds)
        victim.stop()
        for replica in replicas:
            replica.resume()
        await self._until_replaced(victim)

    async def mend(self) -> None:
        """Start what was killed; the Sentinels make it a replica of the new master."""
        for server in self._servers:
            if not server.is_running:
                server.start()
        await until(self._is_whole, seconds=FORM_SECONDS, every=0.1)

    def close(self) -> None:
        for server in [*self._sentinels, *self._servers]:
            server.close()

    async def _until_replaced(self, victim: RedisServer) -> None:
        await until(lambda: self._master() is not victim, seconds=FORM_SECONDS, every=0.05)

    def _master(self) -> RedisServer:
        _, port = self._sentinels[0].command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")
        return next(server for server in self._servers if server.port == int(port))

    def _is_whole(self) -> bool:
        try:
            if _followers(self._master()) != 2:
                return False
            return all(
                len(sentinel.command("SENTINEL", "SENTINELS", "main")) == 2
                and len(sentinel.command("SENTINEL", "REPLICAS", "main")) == 2
                for sentinel in self._sentinels
            )
        except (RedisError, OSError):
            return False


class ThreeShardCluster:
    """Three primaries with a replica each: with one node down, no slot is uncovered for long."""

    def __init__(self) -> None:
        self._servers = [RedisServer(*CLUSTERED, tcp=True) for _ in range(6)]
        self._next_victim = 0
        primaries = self._servers[:3]
        for number, server in enumerate(primaries):
            first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
            server.command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for server in self._servers[1:]:
            server.command("CLUSTER", "MEET", "127.0.0.1", primaries[0].port)
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self._servers)
        self.url = f"redis+cluster://{hosts}"

    async def form(self) -> None:
        """Give each primary its replica, and wait until all nodes agree."""
        await until(lambda: all(map(_knows_six, self._servers)), seconds=FORM_SECONDS, every=0.1)
        for primary, replica in zip(self._servers[:3], self._servers[3:], strict=True):
            name = primary.command("CLUSTER", "MYID").decode()
            replica.command("CLUSTER", "REPLICATE", name)
        await until(self._is_whole, seconds=FORM_SECONDS, every=0.1)

    async def kill_primary(self) -> None:
        """SIGKILL one of the primaries; returns when its replica has taken its slots."""
        self._choose_victim().stop()
        await self._until_three()

    async def freeze_primary(self) -> None:
        """SIGSTOP one of them; it comes back after its replica has taken its slots."""
        victim = self._choose_victim()
        victim.pause()
        others = [server for server in self._servers if server is not victim]
        await self._until_three(others)
        victim.resume()

    async def lose_writes(self, seconds: float) -> None:
        """Kill a primary when no replica has heard of it for so long."""
        victim = self._choose_victim()
        primaries = self._primaries(self._servers)
        replicas = [server for server in self._servers if server not in primaries]
        for replica in replicas:
            replica.pause()
        victim.command("CLIENT", "KILL", "TYPE", "replica")  # nothing waits in their sockets
        await asyncio.sleep(seconds)
        victim.stop()
        for replica in replicas:
            replica.resume()
        await self._until_three()

    async def mend(self) -> None:
        """Start what was killed; it comes back as a replica."""
        for server in self._servers:
            if not server.is_running:
                server.start()
        await until(self._is_whole, seconds=FORM_SECONDS, every=0.1)

    def close(self) -> None:
        for server in self._servers:
            server.close()

    def _choose_victim(self) -> RedisServer:
        primaries = self._primaries(self._servers)
        self._next_victim += 1
        return primaries[self._next_victim % len(primaries)]

    async def _until_three(self, among: Sequence[RedisServer] = ()) -> None:
        servers = among or self._servers
        await until(lambda: len(self._primaries(servers)) == 3, seconds=FORM_SECONDS, every=0.05)

    def _primaries(self, among: Sequence[RedisServer]) -> list[RedisServer]:
        running = [server for server in among if server.is_running]
        return [server for server in running if server.command("ROLE")[0] == b"master"]

    def _is_whole(self) -> bool:
        try:
            online = [_followers(primary) for primary in self._primaries(self._servers)]
            states = [server.command("CLUSTER", "INFO") for server in self._servers]
        except (RedisError, OSError):
            return False
        return online == [1, 1, 1] and all(b"cluster_state:ok" in state for state in states)


def _followers(primary: RedisServer) -> int:
    return int(primary.command("INFO", "replication").count(b"state=online"))


def _knows_six(server: RedisServer) -> bool:
    return b"cluster_known_nodes:6" in server.command("CLUSTER", "INFO")
