"""Why Redis did not do what was asked, in words for an operator, with what to do about it.

Made of the error's class and of the constant beginnings of Redis's own messages. The message itself
is never used: it may repeat a key, an argument or the URL.
"""

import re
from collections.abc import Mapping

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    ClusterDownError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from bff.observability.reasons import cause_of, reason_of
from bff.sessions.redis.url import RedisUrl

LEAST_VERSION = (6, 2)  # of GETDEL
NEEDED = f"{'.'.join(map(str, LEAST_VERSION))} or newer is needed"
CA_SETTING = "?ssl_ca_certs=FILE at the end of session.store"

_CLASSES: Mapping[type[Exception], str] = {
    ReadOnlyError: "it is a read-only replica: name the primary, or Sentinel",
    BusyLoadingError: "it is still loading its data",
    OutOfMemoryError: "its memory is full (maxmemory): give it more",
    ClusterDownError: "the cluster does not serve all of its slots",
    MasterNotFoundError: "Sentinel names no primary that is up: see the name in session.store",
    MaxConnectionsError: "all connections to it are taken",
    AuthenticationWrongNumberOfArgsError: "it knows no user names: it is older than Redis 6",
    AskError: "the cluster is moving slots",
    MovedError: "it is a cluster: redis+cluster://, not redis://",
}
_MESSAGES: Mapping[str, str] = {  # by what Redis's message holds, in lower case
    "unknown command": f"it does not know a command: Redis {NEEDED}",
    "db index is out of range": "it has no database of that number",
    "select is not allowed in cluster": "a cluster has database 0 only",
    "misconf": "it refuses writes, for it can't save to its disk",
    "noreplicas": "it refuses writes, for it has too few replicas",
    "max number of clients": "it has as many clients as it takes",
}
_UNKNOWN = "it refused a command for a reason that only its own log names"
_COMMAND = re.compile(r"the '([a-z|]{1,40})' command")


def redis_reason(error: BaseException, url: RedisUrl) -> str:
    """The words for an error of redis-py, or of what is below it."""
    if "cluster mode is not enabled" in str(error).lower():
        return "it is no cluster: redis://, not redis+cluster://"
    # The first cause says most: redis-py wraps a refused password in a ConnectionError. That of a
    # timeout is only how asyncio makes one.
    while not isinstance(error, TimeoutError) and (cause := cause_of(error)) is not None:
        error = cause
    if isinstance(error, AuthenticationError):
        return _authentication(str(error), url)
    if isinstance(error, NoPermissionError):
        return _permission(str(error))
    known = _CLASSES.get(type(error))  # type: ignore[arg-type]  # it is looked up, whatever it is
    if known is not None:
        return known
    if isinstance(error, ResponseError | RedisClusterException):
        text = str(error).lower()
        for part, words in _MESSAGES.items():
            if part in text:
                return words
        return _permission(text) if "user executing the script can't" in text else _UNKNOWN
    return _connection(error, url)


def _authentication(text: str, url: RedisUrl) -> str:
    if "required" in text.lower():
        return "it wants a password, and session.store has none"
    if "without any password" in text:
        return "it has no password set for the default user, but session.store has one"
    user = "user name or password" if url.username else "password"
    return f"the {user} in session.store is wrong, or the user is disabled"


def _permission(text: str) -> str:
    command = _COMMAND.search(text)
    if command is not None:
        what = f"the command {command[1]}"
    else:
        what = "the channels (&...)" if "channel" in text else "the keys (~...)"
    return f"the user's ACL does not allow {what}: see the ACL in docs/operations.md"


def _connection(error: BaseException, url: RedisUrl) -> str:
    over_tcp = url.kind != "unix"
    if isinstance(error, ConnectionResetError | RedisConnectionError):
        hint = "; it may want TLS: then rediss://" if over_tcp and not url.tls else ""
        return f"the connection was cut{hint}"
    if isinstance(error, TimeoutError) and over_tcp:
        hint = "; or it speaks no TLS: then redis://" if url.tls else ""
        return f"no answer in time: it hangs, or a firewall drops the packets{hint}"
    return reason_of(error, ca_setting=CA_SETTING)
