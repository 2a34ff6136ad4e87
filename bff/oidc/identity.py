"""What a login and a refresh bring, verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bff.model import Tokens


@dataclass(frozen=True, slots=True)
class Identity:
    """A finished login. `claims` are those of the ID token, with those of UserInfo it lacks."""

    issuer: str
    sub: str
    sid: str | None
    acr: str | None
    auth_time: int | None
    claims: Mapping[str, object] = field(repr=False)
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Refreshed:
    """A finished refresh. `claims` are those of a new ID token; None when the OP sent none that
    can be used, and then `tokens.id_token` is still the old one."""

    tokens: Tokens
    claims: Mapping[str, object] | None = field(repr=False)
    acr: str | None
    auth_time: int | None
