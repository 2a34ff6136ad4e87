"""`bff doctor` on real Redis servers, each set up in one of the wrong ways."""

from pathlib import Path

from tests.flows.examined import UNWELL, installation, next_step, redis
from tests.parts.redis_server import RedisServer, cluster_of_two, own_redis
from tests.polling import until

__all__ = ["own_redis"]


async def test_a_redis_that_is_down(tmp_path: Path, own_redis: RedisServer) -> None:
    async with installation(tmp_path, store=own_redis.url) as place:
        own_redis.stop()
        result = await place.doctor()
    assert result.code == UNWELL
    assert "the gateway says of store: store_unavailable" in result.line("✗ readiness")
    assert result.line("✗ store ")
    assert "at " in result.line("✗ public URL"), "a ticket can't be used"
    assert "store latency" not in result.out


async def test_a_redis_that_evicts_and_keeps_nothing(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory", "100mb")
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert result.line("! eviction      maxmemory-policy is allkeys-lru")
    assert "noeviction" in next_step(result, "! eviction")
    assert result.line("! persistence   appendonly is off")
    assert "of 100 MiB (maxmemory); nothing was evicted" in result.line("✓ store memory")


async def test_a_cluster_one_of_whose_primaries_is_set_up_in_a_wrong_way(tmp_path: Path) -> None:
    """Each primary is asked, and the one that is wrong is named."""
    nodes = cluster_of_two()
    try:
        for index, wrong in enumerate(nodes):
            right = nodes[1 - index]
            right.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            right.command("CONFIG", "SET", "maxmemory", "0")
            wrong.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            wrong.command("CONFIG", "SET", "maxmemory", "100mb")
            store = f"redis+cluster://127.0.0.1:{nodes[0].port}"
            async with installation(tmp_path, store=store) as place:
                result = await place.doctor()
            at_wrong, at_right = (f"(at 127.0.0.1:{one.port})" for one in (wrong, right))
            assert at_wrong in result.line("! eviction      maxmemory-policy is allkeys-lru")
            assert at_right in result.line("✓ eviction      maxmemory-policy is noeviction")
            memory = [one for one in result.out.splitlines() if one.startswith("✓ store memory")]
            assert [at_wrong in one for one in memory if "of 100 MiB" in one] == [True]
            assert [at_right in one for one in memory if "sets no limit" in one] == [True]
            assert result.out.count("✓ store version") == 1
            assert result.out.count("! persistence") == 1
            assert "(at " not in result.line("! persistence")
    finally:
        for node in nodes:
            node.close()


async def test_a_redis_that_has_thrown_sessions_away(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    own_redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    own_redis.command("SET", "old", "x" * 100_000)
    own_redis.command("CONFIG", "SET", "maxmemory", "1")
    own_redis.command("CONFIG", "SET", "maxmemory", "0")
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert "thrown away 1 keys for want of memory" in result.line("✗ store memory")
    assert "noeviction" in next_step(result, "✗ store memory")


async def test_a_redis_that_is_nearly_full(tmp_path: Path, own_redis: RedisServer) -> None:
    own_redis.command("SET", "large", "x" * 40_000_000)
    used = int(own_redis.command("INFO", "memory").partition(b"used_memory:")[2].split()[0])
    own_redis.command("CONFIG", "SET", "maxmemory", int(used * 1.08))
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert "(maxmemory) are in use" in result.line("✗ store memory")


async def test_a_redis_that_can_not_write_its_snapshot(tmp_path: Path) -> None:
    with redis("--dir", "/proc", "--stop-writes-on-bgsave-error", "no") as store:
        store.command("BGSAVE")
        await until(lambda: b"rdb_last_bgsave_status:err" in store.command("INFO", "persistence"))
        async with installation(tmp_path, store=store.url) as place:
            result = await place.doctor()
    assert "snapshot: err" in result.line("✗ persistence")
    assert "disk is full" in next_step(result, "✗ persistence")


async def test_a_redis_that_does_not_tell_how_it_is_set_up(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    """Its user has no right to INFO: no verdict is made up."""
    own_redis.command("ACL", "SETUSER", "default", "-info")
    async with installation(tmp_path, store=own_redis.url) as place:
        result = await place.doctor()
    assert "(INFO)" in result.line("! store figures")
    assert "+info" in next_step(result, "! store figures")
    for item in ("eviction", "persistence", "store memory", "store version"):
        assert item not in result.out


async def test_sessions_in_memory(tmp_path: Path) -> None:
    async with installation(tmp_path) as place:
        result = await place.doctor()
    assert "forgets all sessions" in result.line("! store")
    assert next_step(result, "! store") == "set session.store to a Redis"
