"""How the session store is doing: memory, snapshots, connections, and how long an answer takes."""

from collections.abc import AsyncIterator, Iterator
from statistics import median

from bff.app import session_store
from bff.cli.checks.store import Facts, facts_of, of_nodes, on_facts
from bff.cli.checks.verdict import Mark, Verdict, bad, good, printable, warning
from bff.clock import SystemClock
from bff.config.settings import Settings
from bff.errors import StoreUnavailable
from bff.sessions.store import SessionStore

PINGS = 20
SLOW_SECONDS = 0.02  # the median: in one network it is below a thousandth
FULL = 0.9  # of what there is
MIB = 1024 * 1024


async def on_store_figures(settings: Settings) -> AsyncIterator[Verdict]:
    """Nothing of a store that does not answer, which `checks.store` tells."""
    if settings.session.is_in_memory:
        found = "memory:// is in the gateway, and forgets all sessions at a restart"
        yield warning("store", found, "set session.store to a Redis")
        return
    store = session_store(settings, SystemClock())
    try:
        await store.start()
        nodes = await facts_of(store)
        if not nodes:
            yield warning(
                "store figures",
                "the store does not say how it is set up (INFO)",
                "allow the command to its user (`+info`): see docs/operations.md, Redis",
            )
        # `checks.store` has told of what is wrong already.
        for verdict in of_nodes(on_facts, nodes):
            if verdict.mark is Mark.GOOD:
                yield verdict
        for verdict in of_nodes(judged, nodes):
            yield verdict
        yield on_latency([await _ping_seconds(store) for _ in range(PINGS)])
    except StoreUnavailable:
        return
    finally:
        await store.close()


def judged(facts: Facts) -> Iterator[Verdict]:
    """What `INFO` says of use; nothing is said of what it leaves out."""
    yield from _on_memory(facts)
    snapshot = printable(str(facts.get("rdb_last_bgsave_status", "ok")))
    writing = printable(str(facts.get("aof_last_write_status", "ok")))
    if (snapshot, writing) != ("ok", "ok"):
        yield bad(
            "persistence",
            f"Redis could not write to its disk (snapshot: {snapshot}, append-only file: "
            f"{writing})",
            "see its log, and whether its disk is full: it may refuse writes, and logins with them",
        )
    used, most = _number(facts, "connected_clients"), _number(facts, "maxclients")
    if used is not None and most and used > FULL * most:
        yield warning(
            "connections",
            f"{used} of {most} of Redis are taken",
            "raise its maxclients, or find the program that leaves connections open",
        )


def _on_memory(facts: Facts) -> Iterator[Verdict]:
    item, used, most = "store memory", _number(facts, "used_memory"), _number(facts, "maxmemory")
    evicted = _number(facts, "evicted_keys")
    if evicted:
        yield bad(
            item,
            f"Redis has thrown away {evicted} keys for want of memory: users were logged out",
            "set maxmemory-policy to noeviction, and give it more memory",
        )
    if used is None or most is None:
        return
    if most and used > FULL * most:
        yield bad(
            item,
            f"{used / MIB:.0f} of {most / MIB:.0f} MiB (maxmemory) are in use",
            "give it more: docs/operations.md, Redis, Memory, says how much sessions take",
        )
    elif not evicted:
        limit = f"of {most / MIB:.0f} MiB (maxmemory)" if most else "and maxmemory sets no limit"
        yield good(item, f"{used / MIB:.0f} MiB are in use {limit}; nothing was evicted")


def on_latency(seconds: list[float]) -> Verdict:
    """How long single round trips took."""
    item = "store latency"
    found = f"{median(seconds) * 1000:.1f} ms (median of {len(seconds)} from here), at most "
    found += f"{max(seconds) * 1000:.1f} ms"
    if median(seconds) <= SLOW_SECONDS:
        return good(item, found)
    advice = "keep Redis in the network of the gateways: logins and first calls wait for it"
    return warning(item, found, advice)


async def _ping_seconds(store: SessionStore) -> float:
    clock = SystemClock()
    began = clock.now()
    await store.ping()
    return clock.now() - began


def _number(facts: Facts, name: str) -> int | None:
    try:
        return int(str(facts[name]))
    except (KeyError, ValueError):
        return None
