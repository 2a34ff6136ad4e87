"""Which addresses are one client: an IPv4 address, or an IPv6 network of 64 bits.

A host is given a whole /64 and may take any address of it (RFC 4291 section 2.5.4, RFC 8981), so
counting single ones would count nobody.
"""

import ipaddress

HOST_BITS = 64


def client_of(address: str) -> str:
    """The name to count under. What is no address, as of a Unix socket's peer, is itself a name."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:  # the same host, on a socket that takes both
        return str(parsed.ipv4_mapped)
    network = int(parsed) >> HOST_BITS << HOST_BITS
    return f"{ipaddress.IPv6Address(network)}/{HOST_BITS}"
