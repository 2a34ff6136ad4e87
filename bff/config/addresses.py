"""Where to listen, and whose forwarded headers to believe."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from bff.config.urls import require_ipv6
from bff.gate.paths import is_authority
from bff.gate.peers import Network

_TCP = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+):([0-9]{1,5})")


def require_listen(value: str) -> str:
    """`host:port`, `[::1]:port` or `unix:/absolute/path`; port 0 takes a free one.

    Raises:
        ValueError: anything else.
    """
    if value.startswith("unix:"):
        path = value.removeprefix("unix:")
        # The kernel's sun_path holds 108 bytes, the closing NUL included.
        if not path.startswith("/") or not path.isprintable() or len(path.encode()) > 107:
            raise ValueError("must name a socket by an absolute path of at most 107 bytes")
        return value
    match = _TCP.fullmatch(value)
    if match is None or int(match[2]) > 65535:
        raise ValueError('must be "host:port" or "unix:/path", such as "0.0.0.0:8080"')
    if match[1].startswith("["):
        require_ipv6(match[1].strip("[]"))
    return value


def parse_network(value: object) -> Network:
    """A network in CIDR notation, or one address."""
    if not isinstance(value, str):
        raise ValueError("must be a string")
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError('must be a network such as "10.0.0.0/8" or an address') from None
    raise ValueError(f'has bits set beyond its mask; did you mean "{meant}"?')


def require_host(value: str) -> str:
    """A Host value: `host` or `host:port`, lower case."""
    if not is_authority(value.encode("ascii", "replace")):
        raise ValueError('must be "host" or "host:port"')
    return value.lower()


Listen = Annotated[
    str,
    AfterValidator(require_listen),
    WithJsonSchema(
        {"type": "string", "pattern": "^(unix:/.+|.+:[0-9]{1,5})$", "x-kind": "address"}
    ),
]
ProxyNetwork = Annotated[
    Network, PlainValidator(parse_network), WithJsonSchema({"type": "string", "x-kind": "network"})
]
HostName = Annotated[
    str, AfterValidator(require_host), WithJsonSchema({"type": "string", "x-kind": "host"})
]
