"""Plain strings, with the least that must hold of them."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")
_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def require_text(value: str) -> str:
    """One line with something on it."""
    if not value.strip():
        raise ValueError("must not be empty")
    if not value.isprintable():
        raise ValueError("must not hold control characters or line breaks")
    return value


def require_field_value(value: str) -> str:
    """A header field's value that every recipient reads alike (RFC 9110 section 5.5)."""
    require_text(value)
    if not value.isascii() or value != value.strip():
        raise ValueError("must be ASCII, without spaces around it")
    return value


def require_scope(value: str) -> str:
    """Scope tokens with one space between (RFC 6749 section 3.3); none is allowed."""
    if value and not _SCOPE.fullmatch(value):
        raise ValueError("must be scope names with one space between")
    return value


def require_token(value: str) -> str:
    """A token of RFC 9110 section 5.6.2: the name of a header field, cookie or method."""
    if not _TOKEN.fullmatch(value):
        raise ValueError("must be a name without spaces or separators")
    return value


def require_cookie_name(value: str) -> str:
    """Letters, digits, `-` and `_`: what every client and proxy reads alike."""
    if not _COOKIE_NAME.fullmatch(value):
        raise ValueError('must be letters, digits, "-" and "_" only, at most 64')
    return value


def require_namespace(value: str) -> str:
    """No colon, which ends it, and nothing that means something in a pattern or a cluster's key."""
    if not _NAMESPACE.fullmatch(value):
        raise ValueError('must be letters, digits, ".", "-" and "_" only, at most 64')
    return value


def require_some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """At least one value."""
    if not values:
        raise ValueError("must not be empty")
    return values


def require_all_different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """No value twice."""
    if len(set(values)) != len(values):
        raise ValueError("must not name the same value twice")
    return values


SOME = AfterValidator(require_some)
NonEmpty = Annotated[str, AfterValidator(require_text)]
Token = Annotated[str, AfterValidator(require_token)]
FieldValue = Annotated[str, AfterValidator(require_field_value)]
Scope = Annotated[str, AfterValidator(require_scope)]
Namespace = Annotated[str, AfterValidator(require_namespace)]
CookieName = Annotated[str, AfterValidator(require_cookie_name)]
