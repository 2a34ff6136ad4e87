"""The address of a Redis or Valkey, from its URL. Pure; error texts never show the URL, which may
hold a password.

    redis://user:password@host:port/db            rediss:// for TLS
    unix:///path/to/redis.sock?db=0
    redis+sentinel://host:port,host2:port2/service/db
    redis+cluster://host:port,host2:port2

Beside these the query may name what TLS and Sentinel need: see `OPTIONS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

Kind = Literal["single", "unix", "sentinel", "cluster"]

KINDS: Mapping[str, Kind] = {
    "unix": "unix",
    "redis": "single",
    "rediss": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
PORTS: Mapping[str, int] = {"single": 6379, "cluster": 6379, "sentinel": 26379}
OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "sentinel_username", "sentinel_password"}
)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """`path` is that of a Unix socket, `service` the name Sentinel knows the master by."""

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def passwords(self) -> tuple[str, ...]:
        """Those of the store and of its Sentinels, as far as there are any."""
        given = (self.password, self.options.get("sentinel_password"))
        return tuple(password for password in given if password)


def parse_redis_url(url: str) -> RedisUrl:
    """The parts of a Redis URL.

    Raises:
        ValueError: no such kind of store, or a part is missing, malformed or unknown.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("the store's URL is malformed") from None
    kind = KINDS.get(parts.scheme)
    if kind is None:
        raise ValueError(f"the store's URL must begin with one of {', '.join(KINDS)}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or options.keys() - OPTIONS - {"db"}:
        raise ValueError("the store's URL has an unknown option")
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    path, service, db = _path(kind, parts, options.pop("db", None))
    return RedisUrl(
        kind,
        hosts=_hosts(kind, hosts),
        path=path,
        service=service,
        db=db,
        tls=parts.scheme.startswith("rediss"),
        username=unquote(username) or None,
        password=unquote(password) or None,
        options=options,
    )


def _hosts(kind: Kind, text: str) -> tuple[tuple[str, int], ...]:
    if kind == "unix":
        if text:
            raise ValueError("a Unix socket's URL has three slashes: unix:///path")
        return ()
    if kind == "single" and "," in text:
        raise ValueError("several hosts need redis+sentinel:// or redis+cluster://")
    return tuple(_host(part, PORTS[kind]) for part in text.split(","))


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    try:
        port = parts.port or default_port
    except ValueError:
        raise ValueError("the store's port is not a number from 1 to 65535") from None
    if not parts.hostname:
        raise ValueError("the store's URL names no host")
    return parts.hostname, port


def _path(kind: Kind, parts: SplitResult, db: str | None) -> tuple[str, str, int]:
    """The socket's path, the service's name and the database's number."""
    if kind == "unix":
        if parts.path in {"", "/"}:
            raise ValueError("the store's URL names no socket")
        return unquote(parts.path), "", _db(db)
    segments = [unquote(segment) for segment in parts.path.strip("/").split("/") if segment]
    service = ""
    if kind == "sentinel":
        if not segments:
            raise ValueError("redis+sentinel:// needs the service's name as its path")
        service = segments.pop(0)
    if len(segments) > 1 or (segments and db is not None):
        raise ValueError("the store's URL has too many parts in its path")
    number = _db(segments[0] if segments else db)
    if kind == "cluster" and number:
        raise ValueError("Redis Cluster has database 0 only")
    return "", service, number


def _db(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError("the store's database must be a number")
    return int(text)
