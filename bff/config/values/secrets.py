"""How strong secrets must be, and how to make one.

Those that sign cookies and seal sessions are ours to make: a guessed one opens every session, so
what looks typed by a person or copied from an example is refused. The client secret is the OP's to
make, or its administrator's. No message repeats a secret.
"""

import re
import secrets
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, SecretStr, WithJsonSchema

from bff.config.values.texts import require_text
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
    """One piece, repeated."""
    return any(
        secret == (secret[:period] * len(secret))[: len(secret)]
        for period in range(1, len(secret) // 2 + 1)
    )


def _is_sequence(secret: str) -> bool:
    """Mostly counting up or down."""
    steps = sum(abs(ord(one) - ord(following)) == 1 for one, following in pairwise(secret))
    return steps > len(secret) // 2


# $NAME, ${NAME}, $(command), {{ name }}, <your secret>, [your secret], %NAME%, @NAME@, ...
_TEMPLATE = re.compile(
    r"\$\w+|\$\{.*\}|\$\(.*\)|\{\{.*\}\}|<.*>|\[.*\]|%\w+%|@\w+@|\.{3,}|\*{3,}|[xX]{3,}"
)
# Longer words first. What is left after them is the part that does not come from an example.
_WORDS = re.compile(
    r"placeholder|replaceme|replacewith|environment|passw0rd|password|insecure|changeme|changeit|"
    r"foobared|default|example|replace|gateway|session|foobar|string|random|secret|client|change|"
    r"redis|admin|super|token|here|your|demo|test|todo|fixme|this|with|none|null|prod|sample|"
    r"local|pass|key|app|spa|bff|dev|(?<![a-z])(?:the|put|new|old|my|me|it|id|an?)(?![a-z])|[^a-z0-9]"
)
_OWN_AT_MOST = 4


def is_placeholder(secret: str) -> bool:
    """A template, or little else than words that examples are made of."""
    text = secret.strip()
    if _TEMPLATE.fullmatch(text):
        return True
    has_words = bool(re.search(r"[a-z]{3}", text.lower()))
    return has_words and len(_WORDS.sub("", text.lower())) <= _OWN_AT_MOST


# Whether they can be guessed is judged together with `public_url`: see `bff.config.rules.secrets`.
def _require_given_secret(secret: SecretStr) -> SecretStr:
    require_text(secret.get_secret_value())
    return secret


def _require_long_secret(secret: SecretStr) -> SecretStr:
    require_long(secret.get_secret_value())
    return secret


_SCHEMA = WithJsonSchema({"type": "string", "x-kind": "secret"})
GivenSecret = Annotated[SecretStr, AfterValidator(_require_given_secret), _SCHEMA]
LongSecret = Annotated[SecretStr, AfterValidator(_require_long_secret), _SCHEMA]
