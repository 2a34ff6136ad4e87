"""How the claims of a JWT are read, in one way for ID tokens and logout tokens (RFC 7519 section
4.1, OIDC Core section 2). Pure; what cannot be read is nobody, never, or absent.
"""

from collections.abc import Mapping
from typing import TypeGuard

MAX_IDENTIFIER_CHARS = 255
END_OF_TIME = 253_402_300_799  # 9999-12-31: beyond it a NumericDate is a mistake


def audiences_of(claims: Mapping[str, object]) -> frozenset[str]:
    """One string or a list of strings (RFC 7519 section 4.1.3); anything else is nobody."""
    aud = claims.get("aud")
    entries = aud if isinstance(aud, list) else [aud]
    if not all(isinstance(entry, str) for entry in entries):
        return frozenset()
    return frozenset(str(entry) for entry in entries)


def is_identifier(value: object) -> TypeGuard[str]:
    """OIDC Core section 2: at most 255 ASCII characters, and none of them invisible."""
    return isinstance(value, str) and (
        0 < len(value) <= MAX_IDENTIFIER_CHARS and all(" " <= char <= "~" for char in value)
    )


def time_of(claims: Mapping[str, object], name: str) -> float | None:
    """A NumericDate, or None when the claim is absent or is not one."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= END_OF_TIME else None
