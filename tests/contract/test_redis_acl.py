"""The rights that docs/operations.md gives an ACL user are enough for everything the store does."""

import re
from pathlib import Path

from bff.clock import SystemClock
from bff.sessions.redis_store import RedisStore
from tests.redis_server import RedisServer

OPERATIONS = Path(__file__).parent.parent.parent / "docs" / "operations.md"


async def test_the_documented_rights_are_enough() -> None:
    command = re.findall(r"^ACL SETUSER .*$", OPERATIONS.read_text(), re.MULTILINE)[0]
    server = RedisServer(tcp=True)
    clock = SystemClock()
    store = RedisStore(f"redis://bff:password@127.0.0.1:{server.port}/0", clock)
    try:
        server.command(*command.split())
        await store.start()
        await store.ping()
        expires_at = clock.now() + 60
        await store.create("k", b"1", idle_seconds=30, expires_at=expires_at, indexes=["i"])
        lease = await store.acquire_lease("k", ttl_seconds=5)
        assert lease is not None
        assert await store.renew_lease(lease, ttl_seconds=5)
        assert await store.replace("k", b"2", expected_version=1, lease=lease)
        await store.release_lease(lease)
        assert await store.touch("k", idle_seconds=20)
        assert await store.members("i") == ("k",)
        assert [key async for keys in store.scan() for key in keys] == ["k"]
        await store.put_login("s", b"3", browser_key="b", ttl_seconds=5, cap=3)
        assert await store.take_login("s") == b"3"
        assert await store.fill("x", seconds=1, size_seconds=5) == 0
        assert await store.delete("k", reason="test", indexes=["i"])
    finally:
        await store.close()
        server.close()
