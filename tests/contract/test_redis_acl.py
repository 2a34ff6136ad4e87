"""The rights that docs/operations.md gives an ACL user are enough for everything the store does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.clock import SystemClock
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import NewRecord
from tests.contract.conftest import PATIENT, Heard
from tests.parts.redis_server import RedisServer, cluster_server, sentinel_server
from tests.polling import until

OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations.md"
USER, IN_A_CLUSTER, AT_A_SENTINEL = (
    line.split() for line in re.findall(r"^ACL SETUSER .*$", OPERATIONS.read_text(), re.MULTILINE)
)


@pytest.fixture(params=["bff", "shop"])
def namespace(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=["single", "cluster", "sentinel"])
def url(request: pytest.FixtureRequest, namespace: str) -> Iterator[str]:
    """Of a server that has the documented user, and lets no other user in but the tests."""
    servers = [cluster_server() if request.param == "cluster" else RedisServer(tcp=True)]
    servers[0].command(*(part.replace("bff:", f"{namespace}:") for part in USER))
    at = f"bff:password@127.0.0.1:{servers[0].port}"
    if request.param == "cluster":
        servers[0].command(*IN_A_CLUSTER)
    if request.param == "sentinel":
        servers.append(sentinel_server(servers[0]))
        servers[1].command(*AT_A_SENTINEL)
        at = f"bff:password@127.0.0.1:{servers[1].port}/main/0"
    query = "?sentinel_username=bff&sentinel_password=password"
    kinds = {
        "single": f"redis://{at}",
        "cluster": f"redis+cluster://{at}",
        "sentinel": f"redis+sentinel://{at}{query}",
    }
    yield kinds[request.param]
    for server in reversed(servers):
        server.close()


async def test_the_documented_rights_are_enough(url: str, namespace: str) -> None:
    clock, heard = SystemClock(), Heard()
    store = RedisStore(url, clock, namespace=namespace, limits=PATIENT)
    store.watch(heard)
    try:
        await store.start()
        await until(lambda: heard.watching == [True])
        await store.ping()
        expires_at = clock.now() + 60
        await store.create(
            "k", NewRecord(b"1", idle_seconds=30, expires_at=expires_at, indexes=["i"])
        )
        lease = await store.acquire_lease("k", ttl_seconds=5)
        assert lease is not None
        assert await store.renew_lease(lease, ttl_seconds=5)
        assert await store.replace("k", b"2", expected_version=1)
        await store.release_lease(lease)
        assert await store.touch("k", idle_seconds=20)
        assert await store.members("i") == ("k",)
        assert [key async for keys in store.scan() for key in keys] == ["k"]
        await store.put_login("s", b"3", browser_key="b", ttl_seconds=5, cap=3)
        assert await store.take_login("s") == b"3"
        assert await store.fill("x", seconds=1, size_seconds=5) == 0
        assert await store.delete("k", reason="test", indexes=["i"])
        await until(lambda: len(heard.news) == 3)
    finally:
        await store.close()
