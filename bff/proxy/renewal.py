"""Whether a 401 of an API may mean that our token is no longer good. Pure. RFC 6750 section 3.1."""

from collections.abc import Iterable

from bff.gate.head import Field

UNAUTHORIZED = 401


def speaks_of_the_token(fields: Iterable[Field]) -> bool:
    """False when the API says that something else is missing: a scope, or a stronger login
    (`insufficient_user_authentication`, RFC 9470)."""
    for name, value in fields:
        if name.lower() == b"www-authenticate":
            challenge = value.lower()
            if b"error=" in challenge and b"invalid_token" not in challenge:
                return False
    return True
