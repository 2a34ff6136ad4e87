"""The engines that can be a session store, each named by a URL: which URLs there are, what a URL
tells, and the store that it names.

No error repeats a URL: it may hold a password.
"""

from bff.clock import Clock
from bff.sessions.memory import MemoryStore
from bff.sessions.redis.client import Observe
from bff.sessions.redis.store import RedisStore
from bff.sessions.redis.url import KINDS, parse_redis_url
from bff.sessions.store import SessionStore

IN_MEMORY = "memory://"
NAMES = (
    f"{IN_MEMORY} (one process, gone at a restart), redis://, rediss://, unix://, "
    "redis+sentinel:// or redis+cluster://"
)


def require_store_url(url: str) -> None:
    """That one of the engines can read the URL.

    Raises:
        ValueError: none can, with the rest of a sentence that begins with the key's name.
    """
    if url == IN_MEMORY:
        return
    scheme, mark, _ = url.partition("://")
    if not mark or scheme not in KINDS:
        known = ", ".join(f"{kind}://" for kind in KINDS)
        raise ValueError(f"must be {IN_MEMORY} or a URL that begins with one of {known}")
    parse_redis_url(url)


def passwords_in(url: str) -> frozenset[str]:
    """Those that the URL of a store holds."""
    return frozenset() if url == IN_MEMORY else frozenset(parse_redis_url(url).passwords)


def hosts_without_tls(url: str) -> frozenset[str]:
    """The hosts at which the store is reached in the clear."""
    if url == IN_MEMORY:
        return frozenset()
    redis = parse_redis_url(url)
    return frozenset() if redis.tls else frozenset(host for host, _ in redis.hosts)


def session_store(url: str, clock: Clock, *, namespace: str, observe: Observe) -> SessionStore:
    """The store that the URL names; nothing is opened yet."""
    if url == IN_MEMORY:
        return MemoryStore(clock)
    return RedisStore(url, clock, namespace=namespace, observe=observe)
