"""Whether the session store does what is asked of it, and how it is set up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from bff.app import session_store
from bff.cli.checks.verdict import Mark, Verdict, bad, good, printable, warning
from bff.clock import SystemClock
from bff.config.settings import Settings
from bff.errors import StoreUnavailable
from bff.sessions.messages import Heartbeat
from bff.sessions.redis.reasons import LEAST_VERSION, NEEDED
from bff.sessions.redis.store import RedisStore
from bff.sessions.store import SessionStore, StoreCheckFailed, check_store

Facts = Mapping[str, object]  # `INFO` of one server

WATCH_SECONDS = 5.0
NO_EVICTION = "noeviction"


async def on_store(settings: Settings) -> AsyncIterator[Verdict]:
    """Every kind of step once, the stream of changes, and what Redis says of itself."""
    clock = SystemClock()
    scheme = settings.session.store.get_secret_value().partition("://")[0]
    store = session_store(settings, clock)
    changes = _Changes()
    store.watch(changes)
    try:
        await store.start()
        await store.ping()
        for verdict in of_nodes(on_facts, await facts_of(store)):
            if verdict.mark is not Mark.GOOD:
                yield verdict
        await check_store(store, clock)
        async with asyncio.timeout(WATCH_SECONDS):
            await changes.followed.wait()
        yield good("store", f"{scheme}:// answers")
    except StoreUnavailable as error:
        yield bad("store", f"{error.title} {printable(_sentence(error.log_detail))}")
    except StoreCheckFailed as error:
        yield bad("store", str(error))
    except TimeoutError:
        yield bad("store", "its stream of changes (SUBSCRIBE) can't be followed", "see the ACL")
    finally:
        await store.close()


def of_nodes(
    judge: Callable[[Facts], Iterable[Verdict]], nodes: Mapping[str, Facts]
) -> Iterator[Verdict]:
    """What is found at each node. A verdict on some of several nodes names them; one on all of them
    comes once."""
    found: dict[Verdict, list[str]] = {}
    for node, facts in nodes.items():
        for verdict in judge(facts):
            found.setdefault(verdict, []).append(printable(node))
    for verdict, names in found.items():
        if len(names) == len(nodes):
            yield verdict
        else:
            yield replace(verdict, found=f"{verdict.found} (at {', '.join(names)})")


def on_facts(facts: Facts) -> Iterator[Verdict]:
    """What `INFO` says; nothing is said of what it leaves out."""
    version = str(facts.get("redis_version", ""))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers and numbers < LEAST_VERSION:
        yield bad("store version", f"Redis {printable(version)} is too old", NEEDED)
    elif numbers:
        yield good("store version", f"Redis {printable(version)}")
    policy = str(facts.get("maxmemory_policy", ""))
    if policy not in ("", NO_EVICTION):
        yield warning(
            "eviction",
            f"maxmemory-policy is {printable(policy)}",
            "set noeviction: a full Redis throws sessions away, which logs users out at random",
        )
    elif policy:
        yield good("eviction", f"maxmemory-policy is {NO_EVICTION}")
    appends = str(facts.get("aof_enabled", ""))
    if appends == "0":
        yield warning(
            "persistence",
            "appendonly is off",
            "set it to yes: a restart of Redis may log all users out",
        )
    elif appends:
        yield good("persistence", "appendonly is on")


async def facts_of(store: SessionStore) -> Mapping[str, Facts]:
    """Of each node, as of `RedisStore.facts`. Empty where there is nothing to ask, or the user has
    no right to."""
    if not isinstance(store, RedisStore):
        return {}
    try:
        return await store.facts()
    except StoreUnavailable:
        return {}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


class _Changes:
    """Notes that the stream of changes is followed, and nothing else."""

    def __init__(self) -> None:
        self.followed = asyncio.Event()

    def on_changed(self, key: str, *, version: int | None) -> None: ...

    def on_ended(self, key: str, reason: str) -> None: ...

    def on_watch(self, *, watching: bool) -> None:
        if watching:
            self.followed.set()

    def on_proven(self, at: float) -> None: ...

    def on_heartbeat(self, heartbeat: Heartbeat) -> None: ...
