"""The URLs of the configuration: the application's origin, the issuer, upstreams, a dev server; and
addresses: where to listen, which hosts to answer, which proxies to believe.

Plain http is for loopback only, except towards upstreams. No message repeats a URL: it may hold a
password.
"""

import ipaddress
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from bff.config.values.paths import require_canonical
from bff.gate.paths import is_authority
from bff.gate.peers import Network
from bff.gate.routes import Upstream
from bff.oidc.provider.endpoint_url import PlainHttp, is_loopback, require_https, require_resource
from bff.oidc.settings import require_issuer

_VISIBLE = re.compile(r"[\x21-\x5b\x5d-\x7e]+")  # no space, control, backslash or non-ASCII
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.\-]*[a-z0-9_])?\.?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def require_ipv6(host: str) -> None:
    """Raise ValueError unless this is an IPv6 address, without brackets or zone."""
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError("the IPv6 address is not valid") from None
    if "%" in host:
        raise ValueError("the IPv6 address must not name a zone")


_PRIVATE_NAMES = (".internal", ".local", ".test", ".home.arpa")


def is_private(host: str) -> bool:
    """Whether a host can only be this machine or one of a private network (RFC 1918, RFC 4193):
    names that no public DNS has (RFC 6761, RFC 6762, RFC 8375), or no domain at all."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return is_loopback(host) or "." not in host or host.endswith(_PRIVATE_NAMES)
    return address.is_loopback or (address.is_private and not address.is_unspecified)


def split_http_url(value: object) -> SplitResult:
    """An absolute http or https URL without user, query or fragment.

    Raises:
        ValueError: anything else.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")
    if not _VISIBLE.fullmatch(value):
        raise ValueError("must be a URL in ASCII (hosts in punycode), without spaces")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("is not a valid URL") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0:
        raise ValueError('must be an absolute URL such as "https://host"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password")
    if "?" in value or "#" in value:
        raise ValueError("must not hold a query or fragment")
    _require_host(parts.hostname)
    return parts


def _require_host(host: str) -> None:
    if ":" in host:
        require_ipv6(host)
    elif not _HOST.fullmatch(host) or ".." in host:
        raise ValueError("the host is not valid")


def authority_of(parts: SplitResult) -> str:
    """`host` or `host:port`, lower case, the scheme's default port left out (RFC 6454)."""
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    if parts.port is None or parts.port == _DEFAULT_PORTS[parts.scheme]:
        return shown
    return f"{shown}:{parts.port}"


def default_port_of(scheme: str) -> int:
    return _DEFAULT_PORTS[scheme]


def host_spellings(host: str, port: int) -> tuple[str, ...]:
    """A Host value with and without the scheme's own `port` (RFC 9110 section 4.2.3: the same)."""
    name, mark, given = host.rpartition(":")
    if not mark or given.endswith("]"):  # a bare name, or an IPv6 address without a port
        return host, f"{host}:{port}"
    return (host, name) if given == str(port) else (host,)


def parse_origin(value: object) -> str:
    """The application's origin, as a browser serialises it."""
    parts = split_http_url(value)
    if parts.path not in {"", "/"}:
        raise ValueError("must not have a path: the gateway serves a whole origin")
    require_https(parts, PlainHttp.LOOPBACK)
    authority = authority_of(parts)
    if not is_authority(authority.encode()):
        raise ValueError("the host is not one that a browser sends")
    return f"{parts.scheme}://{authority}"


def parse_issuer(value: str) -> str:
    """An issuer identifier, kept byte for byte: it is compared as a string."""
    split_http_url(value)  # says more of what is wrong with a URL
    # Whether it may be without TLS depends on another key: see `bff.config.rules.providers`.
    return require_issuer(value, allow_insecure_http=True)


def parse_upstream(value: object) -> Upstream:
    """The target of a route; its path is put in front of what is forwarded."""
    parts = split_http_url(value)
    base_path = parts.path.rstrip("/")
    require_canonical(base_path or "/")
    return Upstream(parts.scheme, authority_of(parts), base_path)


def parse_dev_server(value: object) -> Upstream:
    """The origin of a development server, on this machine or in a network of its own."""
    parts = split_http_url(value)
    if parts.scheme != "http" or not is_private(parts.hostname or ""):
        raise ValueError(
            "must be plain http to this machine or a private network: a name without a dot "
            "(http://vite:5173) or under .internal, .local or .test, or a private address; what "
            "comes from there runs as the app, and every machine on the way could change it"
        )
    if parts.path not in {"", "/"}:
        raise ValueError("must not have a path")
    return Upstream("http", authority_of(parts))


URL_SCHEMA = {"type": "string", "pattern": "^https?://[^?#\\s]+$", "x-kind": "URL"}
Origin = Annotated[str, PlainValidator(parse_origin), WithJsonSchema(URL_SCHEMA)]
Issuer = Annotated[str, AfterValidator(parse_issuer), WithJsonSchema(URL_SCHEMA)]
UpstreamUrl = Annotated[
    Upstream, PlainValidator(parse_upstream), PlainSerializer(str), WithJsonSchema(URL_SCHEMA)
]
DevServerUrl = Annotated[
    Upstream, PlainValidator(parse_dev_server), PlainSerializer(str), WithJsonSchema(URL_SCHEMA)
]


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
Resource = Annotated[
    str, AfterValidator(require_resource), WithJsonSchema({"type": "string", "x-kind": "URI"})
]
