"""A small OpenID provider for the demo and the tests, on Authlib's server side.

Everything is in memory and every account is public: never to be exposed beyond a demonstration.
"""

from spa_demo.op.keys import SigningKeys
from spa_demo.op.server import OP_BACK_CHANNEL, OP_KEYS, OP_STATE, build_op
from spa_demo.op.settings import DEMO_USERS, Client, OpSettings, User

__all__ = [
    "DEMO_USERS",
    "OP_BACK_CHANNEL",
    "OP_KEYS",
    "OP_STATE",
    "Client",
    "OpSettings",
    "SigningKeys",
    "User",
    "build_op",
]
