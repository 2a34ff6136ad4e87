"""What is configured about a session's tokens and claims: when an access token is due for a refresh
and when it is gone, and which claims of an identity are kept."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bff.model import DEFAULT_FRONTEND, Session, Tokens
from bff.oidc.jwt.signed_jwt import stated_claims

MAX_SHOWN_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """`refresh_before_seconds` ahead of expiry, at most a third of the token's lifetime.

    Up to a fifth of that margin is given back by a jitter that is fixed per session, so that
    sessions born together do not refresh together. `of_frontends`: those of which another margin
    is configured.
    """

    refresh_before_seconds: float = 60.0
    of_frontends: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def _before_seconds(self, session: Session) -> float:
        if not self.of_frontends:
            return self.refresh_before_seconds
        return self.of_frontends.get(session.frontend, self.refresh_before_seconds)

    def due_at(self, session: Session, tokens: Tokens | None = None) -> float:
        """Of the login's tokens, or of those that the session has for an API."""
        tokens = tokens or session.tokens
        margin = min(self._before_seconds(session), max(tokens.lifetime_seconds, 0.0) / 3)
        jitter = int(session.key[:4], 16) / 0x10000
        return tokens.expires_at - margin * (1 - jitter / 5)

    def is_due(self, session: Session, now: float, tokens: Tokens | None = None) -> bool:
        """As `due_at`."""
        tokens = tokens or session.tokens
        before = self._before_seconds(session)
        if now < tokens.expires_at - before or session.tokens.refresh_token is None:
            return False  # as nearly always; the margin is never larger
        return now >= self.due_at(session, tokens)

    def is_expired(self, tokens: Tokens, now: float) -> bool:
        return now >= tokens.expires_at


@dataclass(frozen=True, slots=True)
class ShownClaims:
    """What the browsers of a frontend may see: `names` of claims of the identity, and by the name
    that it is shown under the path of a claim `of_access_token`."""

    names: Collection[str] = ()
    of_access_token: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class ClaimFilter:
    """Keeps the claims that the browser may see, and nothing else. `of_frontends`: what is shown at
    those that say so themselves.

    What an access token says is for display only: it is the API's, its signature is not verified
    here, and no decision may rest on it.
    """

    def __init__(
        self, shown: ShownClaims, of_frontends: Mapping[str, ShownClaims] | None = None
    ) -> None:
        self._shown = shown
        self._of_frontends = dict(of_frontends or {})

    def kept(
        self,
        claims: Mapping[str, object],
        *,
        access_token: str = "",
        frontend: str = DEFAULT_FRONTEND,
        before: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """The claims that a frontend's browsers may see, laid over those held `before` (a refresh
        may bring fewer). Those of the access token are always those of this one."""
        shown = self._of_frontends.get(frontend, self._shown)
        paths = shown.of_access_token
        held = {name: value for name, value in (before or {}).items() if name not in paths}
        found = {name: value for name, value in claims.items() if name in shown.names}
        return {**held, **found, **_said_by(access_token, paths)}


def _said_by(access_token: str, paths: Mapping[str, str]) -> dict[str, object]:
    """The claims that are there and not too large; none of an access token that is no plain JWT."""
    stated = stated_claims(access_token) if paths else None
    if stated is None:
        return {}
    found = {name: claim_at(stated, path) for name, path in paths.items()}
    return {name: value for name, value in found.items() if _may_be_shown(value)}


def _may_be_shown(value: object) -> bool:
    return value is not None and len(json.dumps(value)) <= MAX_SHOWN_BYTES


def claim_at(claims: object, path: str) -> object:
    """The value at a path of names with dots between; None when there is none. A name may hold dots
    itself (`https://app.example/roles`, a client id): the longest that is there is taken."""
    if not path:
        return claims
    if not isinstance(claims, Mapping):
        return None
    name = path
    while name not in claims:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return claim_at(claims[name], path[len(name) + 1 :])
