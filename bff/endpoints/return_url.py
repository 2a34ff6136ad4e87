"""Where a browser may be sent after a login: a path of this application, or nowhere.

RFC 9700 section 4.11.1: no open redirector.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bff.errors import BffError
from bff.gate.paths import parse_target

HOME = "/"
MAX_LENGTH = 2048


def safe_return_url(offered: str | None, *, public_origin: str, own_prefix: str) -> str:
    """The offered return URL if it is a canonical path of this application, else `/`.

    A URL of our own origin counts as its path; a fragment is kept. Our own endpoints are no place
    to return to.
    """
    if not offered or len(offered) > MAX_LENGTH or not offered.isascii():
        return HOME
    path = (
        offered.removeprefix(public_origin) if offered.startswith(f"{public_origin}/") else offered
    )
    before, mark, fragment = path.partition("#")
    if not before.startswith("/") or not all(0x20 < ord(char) < 0x7F for char in fragment):
        return HOME
    try:
        target = parse_target(before.encode())
    except BffError:
        return HOME
    if (target.path + b"/").startswith(f"{own_prefix}/".encode()):
        return HOME
    return before + mark + fragment


@dataclass(frozen=True, slots=True)
class ReturnRules:
    """What counts as this application when a browser asks to be sent back somewhere."""

    public_origin: str
    own_prefix: str

    def safe(self, offered: str | None) -> str:
        return safe_return_url(
            offered, public_origin=self.public_origin, own_prefix=self.own_prefix
        )

    def offered_in(self, parameters: Mapping[str, str]) -> str:
        """The return URL among a login's parameters, made safe."""
        return self.safe(parameters.get("returnUrl") or parameters.get("return_to"))
