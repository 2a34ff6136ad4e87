"""How `audit.sinks` names where the records go. Pure: nothing is opened.

`file:PATH`, `stdout`, `syslog:` with a Unix socket's path or `udp://HOST:PORT`, `redis-stream:`
with a name, `webhook:URL`.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SYSLOG_SOCKET = "/dev/log"
SYSLOG_PORT = 514
STREAM = "audit"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_KINDS = "file:, stdout, syslog:, redis-stream: and webhook:"


@dataclass(frozen=True, slots=True)
class FileDestination:
    path: Path


@dataclass(frozen=True, slots=True)
class StdoutDestination:
    pass


@dataclass(frozen=True, slots=True)
class SyslogDestination:
    """A datagram socket: `path` of a Unix one, or else `host` and `port` of UDP."""

    path: str = ""
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class StreamDestination:
    """`name` comes after the session store's namespace."""

    name: str


@dataclass(frozen=True, slots=True)
class WebhookDestination:
    url: str


Destination = (
    FileDestination | StdoutDestination | SyslogDestination | StreamDestination | WebhookDestination
)


def parse_destination(text: str) -> Destination:
    """What one of the sinks means. Raises: ValueError, with what is wrong, never with the text: a
    URL may hold a secret."""
    kind, colon, rest = text.partition(":")
    if text == "stdout":
        return StdoutDestination()
    if kind == "file" and colon:
        return _file(rest)
    if kind == "syslog" and colon:
        return _syslog(rest)
    if kind == "redis-stream" and colon:
        return _stream(rest)
    if kind == "webhook" and colon:
        return _webhook(rest)
    raise ValueError(f"is no kind of sink: there are {_KINDS}")


def _file(path: str) -> FileDestination:
    if not path or "\0" in path:
        raise ValueError("file: needs the path of a file, as in file:/var/log/bff/audit.jsonl")
    return FileDestination(Path(path))


def _syslog(rest: str) -> SyslogDestination:
    if not rest:
        return SyslogDestination(path=SYSLOG_SOCKET)
    if rest.startswith("/"):
        return SyslogDestination(path=rest)
    url = urlsplit(rest)
    try:
        host, port = url.hostname, url.port
    except ValueError:
        host, port = None, None
    if (
        url.scheme != "udp"
        or not host
        or url.path
        or url.query
        or url.fragment
        or "@" in url.netloc
    ):
        raise ValueError("syslog: is followed by nothing, a socket's path, or udp://HOST:PORT")
    return SyslogDestination(host=host, port=SYSLOG_PORT if port is None else port)


def _stream(name: str) -> StreamDestination:
    if not name:
        return StreamDestination(STREAM)
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError("redis-stream: is followed by nothing, or by letters, digits, - and _")
    return StreamDestination(name)


def _webhook(url: str) -> WebhookDestination:
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if parts.scheme not in ("https", "http") or not host or parts.fragment:
        raise ValueError("webhook: needs a URL, as in webhook:https://siem.example.com/bff")
    if parts.query:
        raise ValueError("a webhook's URL must have no query: use audit.webhook_token for a secret")
    if "@" in parts.netloc:
        raise ValueError("a webhook's URL must hold no password: use audit.webhook_token")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise ValueError("a webhook must be https, or http on loopback: records name users")
    return WebhookDestination(url)
