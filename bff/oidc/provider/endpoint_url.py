"""URLs of the OP: which ones may be used at all, and how parameters are added to them.

An endpoint is https. Plain http is for loopback, and only where the issuer itself is on loopback
http, so that metadata can never talk an https deployment down (RFC 8414 section 2, RFC 9700
section 2.6).
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from enum import Enum, auto
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

MAX_URL_CHARS = 2048

# By name. The values of one that comes more than once are a tuple.
Parameters = Mapping[str, str | tuple[str, ...]]

# RFC 3986 section 4.3; one of http names a host.
_ABSOLUTE_URI = re.compile(
    r"(?:https?://(?![/?])|(?!https?:)[A-Za-z][A-Za-z0-9+.-]*:)"
    r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
)
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")  # a name, or an address without its brackets


class PlainHttp(Enum):
    """Where http without TLS is tolerated."""

    NEVER = auto()
    LOOPBACK = auto()
    ANYWHERE = auto()


def plain_http_policy(issuer: str, *, allow_insecure_http: bool) -> PlainHttp:
    if allow_insecure_http:
        return PlainHttp.ANYWHERE
    url = urlsplit(issuer)
    is_here = url.scheme == "http" and is_loopback(url.hostname or "")
    return PlainHttp.LOOPBACK if is_here else PlainHttp.NEVER


def is_endpoint_url(value: object, plain_http: PlainHttp, http_hosts: Collection[str] = ()) -> bool:
    """Whether `value` is an absolute URL without user, fragment or odd characters, safe to call.
    `http_hosts` are those of a private network (`host` or `host:port`) where http is tolerated."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_URL_CHARS:
        return False
    if not all("!" <= char <= "~" for char in value) or any(char in '\\"<>' for char in value):
        return False
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        return False
    # RFC 6749 sections 3.1 and 3.2: an endpoint has no fragment.
    if not _HOST.fullmatch(url.hostname or "") or "@" in url.netloc or "#" in value:
        return False
    may_be_plain = url.scheme == "http" and _may_be_plain(url, plain_http, http_hosts)
    return url.scheme == "https" or may_be_plain


def require_https(
    url: SplitResult, plain_http: PlainHttp, http_hosts: Collection[str] = ()
) -> None:
    """Raises: ValueError for http where it is not tolerated."""
    if url.scheme != "https" and not _may_be_plain(url, plain_http, http_hosts):
        raise ValueError("must be https; plain http is for loopback hosts only")


def _may_be_plain(url: SplitResult, plain_http: PlainHttp, http_hosts: Collection[str]) -> bool:
    if url.netloc.lower() in http_hosts:
        return True
    if plain_http is PlainHttp.LOOPBACK:
        return is_loopback(url.hostname or "")
    return plain_http is PlainHttp.ANYWHERE


def is_loopback(host: str) -> bool:
    """Whether a host name, or an address without brackets, can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 section 6.3
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parameter_names(endpoint: str) -> frozenset[str]:
    """The names in an endpoint's own query."""
    return frozenset(name for name, _ in parse_qsl(urlsplit(endpoint).query, True))


def with_parameters(endpoint: str, parameters: Parameters) -> str:
    """`endpoint` with `parameters` appended; its own query is kept (RFC 6749 section 3.1)."""
    separator = "&" if "?" in endpoint else "?"
    return f"{endpoint}{separator}{encoded(parameters)}"


def encoded(parameters: Parameters) -> str:
    """As a query or a form."""
    return urlencode(parameters, doseq=True)


def require_resource(value: str) -> str:
    """What an API is called in a request for a token (RFC 8707 section 2): an absolute URI without
    a fragment. Raises: ValueError, with the rest of a sentence about the setting."""
    if "#" in value:
        raise ValueError("must not hold a fragment (#)")
    if len(value) > MAX_URL_CHARS or not _ABSOLUTE_URI.fullmatch(value):
        raise ValueError('must be an absolute URI, such as "https://orders.example.com"')
    return value
