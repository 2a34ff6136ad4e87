"""A small resource server for the demo and the tests: shared notes behind JWT access tokens."""

from spa_demo.api.server import build_api
from spa_demo.api.settings import ApiSettings

__all__ = ["ApiSettings", "build_api"]
