"""What a request says of the client that sent it: for the list of a user's sessions, and for the
audit log."""

from dataclasses import dataclass

from aiohttp import web

from bff.audit.event import Origin
from bff.gate.outcome import Local


@dataclass(frozen=True, slots=True)
class Device:
    """What a user logs in with, for lists of sessions."""

    client: str
    address: str


def client_name(user_agent: str) -> str:
    """A User-Agent cut to what a list of devices needs: printable ASCII, 256 characters."""
    return "".join(char for char in user_agent[:256] if " " <= char <= "~")


def origin_of(request: web.BaseRequest, local: Local) -> Origin:
    """Where an event comes from that a request of an own endpoint brings about."""
    return Origin(
        local.identity.request_id,
        local.identity.client_address,
        request.headers.get("User-Agent", ""),
    )
