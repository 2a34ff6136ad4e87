"""Keeps browsers out of administration, which has no authentication of its own. Pure.

A page of any site may send requests to loopback from the browser of a user that opens it, and by
DNS rebinding read the answers under a name of its own. Programs send neither `Origin` nor
`Sec-Fetch-Site`, and reach the listener by its own name or an address.
"""

import ipaddress
import re
from collections.abc import Sequence

from bff.errors import CsrfRefused, MisdirectedHost

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+)(?::[0-9]{1,5})?")


def require_no_browser(sent: Sequence[str]) -> None:
    """Raises: CsrfRefused when one of the header names `sent` is one that only browsers send."""
    names = {name.lower() for name in sent}
    if "origin" in names or any(name.startswith("sec-fetch-") for name in names):
        raise CsrfRefused("administration is not for browsers")


def require_own_host(values: Sequence[str], own_name: str) -> None:
    """`values` are those of Host, `own_name` is what the listener's address is configured as.

    Raises:
        MisdirectedHost: it is neither that name, nor localhost, nor an address.
    """
    match = _HOST.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise MisdirectedHost("no single well-formed Host")
    host = match[1].lower()
    if host not in {own_name.lower(), "localhost"} and not _is_address(host.strip("[]")):
        raise MisdirectedHost("a name that is not the admin listener's")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
