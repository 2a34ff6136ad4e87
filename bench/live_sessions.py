"""Live sessions without logins: made with the gateway's own cookie and store, as if by logins."""

import asyncio
import secrets

from bench.peers.gateway import ABSOLUTE_SECONDS, IDLE_SECONDS
from bench.site import Site
from bff.clock import SystemClock
from bff.model import Tokens
from bff.sessions.cookie import SessionCookie
from bff.sessions.redis.store import RedisStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from tests.parts.record_owner import OWNER

COOKIE_NAME = "bff"  # that of loopback http
TOKEN_BYTES = 1024
AT_ONCE = 50


def create(site: Site, count: int) -> list[str]:
    """`name=value` of so many sessions, each of a user of its own."""
    return asyncio.run(_create(site, count))


async def _create(site: Site, count: int) -> list[str]:
    clock = SystemClock()
    cookie = SessionCookie(COOKIE_NAME, [site.session_secret])
    policy = SessionPolicy(IDLE_SECONDS, ABSOLUTE_SECONDS, cache_entries=1)
    store = RedisStore(f"redis://127.0.0.1:{site.redis.port}/0", clock)
    sessions = Sessions(store, Keyring([site.session_secret], OWNER), clock, policy)
    await sessions.start()
    made: list[str] = []

    async def create_some() -> None:
        while len(made) < count:
            issued = cookie.issue()
            made.append(f"{COOKIE_NAME}={issued.value}")
            now = clock.now()
            await sessions.create(
                issued.key,
                issuer=site.issuer,
                sub=f"user-{len(made)}",
                sid=secrets.token_hex(16),
                tokens=Tokens(
                    secrets.token_hex(TOKEN_BYTES // 2),
                    now,
                    now + IDLE_SECONDS,
                    refresh_token=secrets.token_hex(32),
                    id_token=secrets.token_hex(TOKEN_BYTES // 2),
                    scope="openid profile email offline_access api:read",
                ),
                claims={"name": "Alice Liddell", "email": "alice@example.test"},
            )

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(create_some())
    finally:
        await sessions.close()
    return made
