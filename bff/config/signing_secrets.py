"""How strong secrets must be, and how to make one.

Those that sign cookies and seal sessions are ours to make: a guessed one opens every session, so
what looks typed by a person or copied from an example is refused. The client secret is the OP's to
make, or its administrator's. No message repeats a secret.
"""

import re
import secrets
from itertools import pairwise

from bff.config.placeholders import is_placeholder
from bff.sessions.sealing.keyring import MIN_SECRET_BYTES

MIN_CLIENT_SECRET_BYTES = 16  # RFC 6749 section 10.10: a guess must succeed with at most 2^-128
_MIN_DISTINCT = 8
_PLACEHOLDERS = (
    "changeit",
    "changeme",
    "default",
    "example",
    "insecure",
    "passw0rd",
    "password",
    "placeholder",
    "replaceme",
    "replacewith",
    "secret",
    "yourkey",
)


def new_secret() -> str:
    """32 random bytes in base64url."""
    return secrets.token_urlsafe(MIN_SECRET_BYTES)


def require_long(secret: str) -> None:
    """Raise ValueError, with the reason, for a secret that is too short to make keys of."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(
            f"must have at least {MIN_SECRET_BYTES} bytes; create one with `bff keygen`"
        )


def require_strong(secret: str) -> None:
    """Raise ValueError, with the reason, for a secret that can be guessed."""
    require_long(secret)
    if _is_guessable(secret):
        raise ValueError("looks guessable or like a placeholder; create one with `bff keygen`")


def require_unguessed(secret: str) -> None:
    """Raise ValueError, with the reason, for a secret from elsewhere that can be no real one."""
    if is_placeholder(secret):
        raise ValueError("is a placeholder: put the secret itself in its place")
    if len(secret.encode()) < MIN_CLIENT_SECRET_BYTES:
        raise ValueError(
            f"must have at least {MIN_CLIENT_SECRET_BYTES} bytes; have the OP make a new one at "
            "random"
        )
    if _is_repetition(secret) or _is_sequence(secret):
        raise ValueError("can be guessed; have the OP make a new one at random")


def _is_guessable(secret: str) -> bool:
    letters = re.sub(r"[^a-z0-9]", "", secret.lower())
    return (
        is_placeholder(secret)
        or len(set(secret)) < _MIN_DISTINCT
        or any(word in letters for word in _PLACEHOLDERS)
        or _is_repetition(secret)
        or _is_sequence(secret)
    )


def _is_repetition(secret: str) -> bool:
    """Nothing but one piece, again and again."""
    return any(
        secret == (secret[:period] * len(secret))[: len(secret)]
        for period in range(1, len(secret) // 2 + 1)
    )


def _is_sequence(secret: str) -> bool:
    """Mostly counting up or down."""
    steps = sum(abs(ord(one) - ord(following)) == 1 for one, following in pairwise(secret))
    return steps > len(secret) // 2
