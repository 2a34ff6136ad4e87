"""How much memory a session takes in Redis: `python -m bench.redis_memory`.

Stores sessions with tokens of a given size in a real redis-server and divides what its
`used_memory` grew by. Indexes and expiry are included; copies on replicas are not.
"""

import asyncio
import secrets
import statistics

from redis import Redis

from bff.clock import SystemClock
from bff.model import Tokens
from bff.sessions.redis.store import RedisStore
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sessions import SessionPolicy, Sessions
from tests.parts.record_owner import OWNER
from tests.parts.redis_server import RedisServer

SESSIONS = 5_000
TOKEN_BYTES = (1024, 4096)


async def bytes_per_session(token_bytes: int) -> float:
    """Average over `SESSIONS` sessions of as many users, access, refresh and ID token alike."""
    server = RedisServer()
    clock = SystemClock()
    sessions = Sessions(
        RedisStore(server.url, clock),
        Keyring([secrets.token_urlsafe(32)], OWNER),
        clock,
        SessionPolicy(idle_seconds=1800, absolute_seconds=43_200),
    )
    await sessions.start()
    try:
        before = _used_memory(server)
        for number in range(SESSIONS):
            now = clock.now()
            tokens = Tokens(
                secrets.token_hex(token_bytes // 2),
                now,
                now + 300,
                refresh_token=secrets.token_hex(32),
                id_token=secrets.token_hex(token_bytes // 2),
                scope="openid profile offline_access",
            )
            await sessions.create(
                secrets.token_hex(32),
                issuer="https://idp.example.com",
                sub=f"user-{number}",
                sid=secrets.token_hex(16),
                tokens=tokens,
                claims={"name": "Alice Liddell", "email": "alice@example.com"},
                client="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari",
            )
        return (_used_memory(server) - before) / SESSIONS
    finally:
        await sessions.close()
        server.close()


def _used_memory(server: RedisServer) -> int:
    with Redis.from_url(server.url, protocol=2) as client:
        info = client.info("memory")
    return int(info["used_memory"])


def main() -> None:
    print("| access and ID token, each | bytes per session | 1 million | 10 million |")
    print("|---|---|---|---|")
    for token_bytes in TOKEN_BYTES:
        size = statistics.median(asyncio.run(bytes_per_session(token_bytes)) for _ in range(3))
        print(
            f"| {token_bytes // 1024} KiB | {size:,.0f} | {size / 1000:,.1f} GB |"
            f" {size / 100:,.0f} GB |"
        )


if __name__ == "__main__":
    main()
