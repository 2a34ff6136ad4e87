"""Tickets for `GET /bff/arrival`: each lets one request be told how it has arrived.

A ticket is issued to an administrator, for a minute. It is signed, so that a forged one costs no
store access, and the store knows which are used, so that it counts once for all processes.
"""

import re
from collections.abc import Sequence
from secrets import token_urlsafe

from itsdangerous import BadSignature

from bff.clock import Clock
from bff.sessions.cookie import ID_BYTES, signer_of
from bff.sessions.sealing.keyring import RecordOwner
from bff.sessions.store import SessionStore

PURPOSE = "bff.arrival-ticket"
TICKET_SECONDS = 60
# For longer than it is valid, so that the clocks of two replicas may differ.
USED_SECONDS = 2.0 * TICKET_SECONDS

_TICKET = re.compile(r"[0-9]{1,12}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}")


class ArrivalTickets:
    """`owner` is the client whose gateways share what is used. `secrets`: newest first."""

    def __init__(
        self, store: SessionStore, owner: RecordOwner, secrets: Sequence[str], clock: Clock
    ) -> None:
        self._store = store
        self._owner = owner
        self._signer = signer_of(secrets, PURPOSE)
        self._clock = clock

    def issue(self) -> str:
        """A new one."""
        expires_at = int(self._clock.now()) + TICKET_SECONDS
        return self._signer.sign(f"{expires_at}.{token_urlsafe(ID_BYTES)}").decode("ascii")

    async def take(self, ticket: str) -> bool:
        """Whether we have issued it, it is not too old, and this is its first use.

        Raises:
            StoreUnavailable: it is a good one, and whether it was used can't be told.
        """
        if not _TICKET.fullmatch(ticket):
            return False
        try:
            signed = self._signer.unsign(ticket).decode("ascii")
        except BadSignature:
            return False
        expires_at, _, nonce = signed.partition(".")
        if self._clock.now() >= int(expires_at):
            return False
        name = self._owner.name_for_client("arrival-ticket", nonce)
        # A bucket that one use fills: of two uses at the same moment one finds it empty.
        fullness = await self._store.fill(name, seconds=USED_SECONDS, size_seconds=USED_SECONDS)
        return fullness == 0
