"""What a trusted proxy says of a request that it passes on, or asks about: the client it comes
from, and, for forward authentication, which request it is.

The forwarded fields of any other peer are never read (RFC 7239 section 8.1).
"""

import ipaddress
from collections.abc import Collection, Iterable, Sequence

from bff.bounded_map import BoundedMap
from bff.errors import BadRequest
from bff.gate.head import Field, RequestHead

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Hops = tuple[str, ...]

_METHOD = frozenset({b"x-forwarded-method", b"x-original-method"})
_TARGET = frozenset({b"x-forwarded-uri", b"x-original-uri"})

_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 256  # of all that is claimed; a chain of proxies is shorter


class TrustedProxies:
    """The networks whose X-Forwarded-* count. A Unix-socket peer (None) is trusted: the file's
    permissions decide which programs may connect."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._known: BoundedMap[str, bool] = BoundedMap(_MOST_REMEMBERED)
        self._walked: BoundedMap[tuple[str | None, tuple[bytes, ...]], Hops] = BoundedMap(
            _MOST_REMEMBERED
        )

    def trusts(self, peer: str | None) -> bool:
        if peer is None:
            return True
        if not self._networks:
            return False
        known = self._known.get(peer)
        return self._known.keep(peer, self._contains(peer)) if known is None else known

    def hops(self, peer: str | None, forwarded_for: Iterable[bytes]) -> Hops:
        """The addresses we can vouch for, the client first, our own peer last.

        The walk goes back from the peer as long as each address is a trusted proxy's; anything a
        client wrote in front of that, and anything that is not an address, is left out.
        """
        claims = tuple(forwarded_for)
        if not claims or not self.trusts(peer):
            return (peer,) if peer is not None else ()
        known = self._walked.get((peer, claims))
        if known is not None:
            return known
        found = self._walk(peer, claims)
        if sum(map(len, claims)) > _LONGEST_REMEMBERED:
            return found
        return self._walked.keep((peer, claims), found)

    def _walk(self, peer: str | None, claims: tuple[bytes, ...]) -> Hops:
        found = [peer] if peer is not None else []
        claimed = [hop for value in claims for hop in value.split(b",")]
        while claimed and self.trusts(found[-1] if found else None):
            address = _address(claimed.pop())
            if address is None:
                break
            found.append(address)
        return tuple(reversed(found))

    def _contains(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)


def _address(text: bytes) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip().decode("ascii")))
    except ValueError:
        return None


def forward_auth_request(fields: Sequence[Field], peer: str | None) -> RequestHead:
    """The request that a proxy asks about (Caddy's forward_auth, nginx's auth_request, Traefik's
    ForwardAuth): method and target as the proxy says, all else as in `fields`. Whether it may pass
    is the gate's to say.

    The proxy copies the browser's fields, so a browser can try to describe its request as well:
    what is said twice in two ways is refused.

    Raises:
        BadRequest: method or target are missing, or there are two of them.
    """
    method = _only_value(fields, _METHOD)
    return RequestHead(method.decode("latin-1"), _only_value(fields, _TARGET), fields, peer)


def _only_value(fields: Sequence[Field], names: Collection[bytes]) -> bytes:
    found = {value for name, value in fields if name.lower() in names}
    if len(found) != 1 or found == {b""}:
        raise BadRequest("the proxy does not say, or says in two ways, which request this is")
    return found.pop()
