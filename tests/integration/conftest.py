"""Real servers that these tests share."""

from tests.parts.redis_server import own_redis, redis_server

__all__ = ["own_redis", "redis_server"]
