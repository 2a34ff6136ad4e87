"""The clients of the OP: those it was configured with, and those that registered themselves.

In memory only, like all its records. Of a registration access token the OP keeps the hash.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spa_demo.op.settings import Client

MOST_REGISTERED = 100


@dataclass(slots=True)
class Registration:
    """A client that registered itself. `metadata` is what it may be told of itself (RFC 7591
    section 2), without its secret; times are epoch seconds."""

    client: Client
    metadata: Mapping[str, object]
    token_hash: bytes = field(repr=False)
    issued_at: int

    def is_managed_by(self, token: str) -> bool:
        """Whether this is its registration access token."""
        return hmac.compare_digest(self.token_hash, token_hash(token))


class Clients:
    """Every client by its identifier."""

    def __init__(self, configured: Iterable[Client]) -> None:
        self._configured = {client.client_id: client for client in configured}
        self._registered: dict[str, Registration] = {}

    def find(self, client_id: str | None) -> Client | None:
        name = client_id or ""
        registration = self._registered.get(name)
        return registration.client if registration else self._configured.get(name)

    def registration(self, client_id: str) -> Registration | None:
        """None for a client that did not register itself."""
        return self._registered.get(client_id)

    @property
    def is_full(self) -> bool:
        """Whether there are as many registered ones as the memory of a demo may hold."""
        return len(self._registered) >= MOST_REGISTERED

    def keep(self, registration: Registration) -> None:
        """Add it, or put it in the place of the earlier one of the same client."""
        self._registered[registration.client.client_id] = registration

    def forget(self, client_id: str) -> None:
        self._registered.pop(client_id, None)


def new_token() -> str:
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
