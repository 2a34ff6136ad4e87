"""What is configured about a session's tokens and claims: when an access token is due for a refresh
and when it is gone, and which claims of an identity are kept."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bff.model import DEFAULT_FRONTEND, Session, Tokens


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

    def due_at(self, session: Session) -> float:
        tokens = session.tokens
        margin = min(self._before_seconds(session), max(tokens.lifetime_seconds, 0.0) / 3)
        jitter = int(session.key[:4], 16) / 0x10000
        return tokens.expires_at - margin * (1 - jitter / 5)

    def is_due(self, session: Session, now: float) -> bool:
        tokens = session.tokens
        before = self._before_seconds(session)
        if now < tokens.expires_at - before or tokens.refresh_token is None:
            return False  # as nearly always; the margin is never larger
        return now >= self.due_at(session)

    def is_expired(self, tokens: Tokens, now: float) -> bool:
        return now >= tokens.expires_at


class ClaimFilter:
    """Keeps the claims on the allow-list, which the browser may see, and nothing else.
    `of_frontends`: the lists of those that have one of their own."""

    def __init__(
        self, names: Collection[str], of_frontends: Mapping[str, Collection[str]] | None = None
    ) -> None:
        self._names = frozenset(names)
        self._of_frontends = {
            name: frozenset(listed) for name, listed in (of_frontends or {}).items()
        }

    def kept(
        self,
        claims: Mapping[str, object],
        *,
        frontend: str = DEFAULT_FRONTEND,
        before: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        """The claims that a frontend's browsers may see, laid over those held `before` (a refresh
        may bring fewer)."""
        names = self._of_frontends.get(frontend, self._names)
        found = {name: value for name, value in claims.items() if name in names}
        return {**(before or {}), **found}
