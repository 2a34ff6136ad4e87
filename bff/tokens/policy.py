"""What is configured about a session's tokens and claims: when an access token is due for a refresh
and when it is gone, and which claims of an identity are kept."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from bff.model import Session, Tokens


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """`refresh_before_seconds` ahead of expiry, at most a third of the token's lifetime.

    Up to a fifth of that margin is given back by a jitter that is fixed per session, so that
    sessions born together do not refresh together.
    """

    refresh_before_seconds: float = 60.0

    def due_at(self, session: Session) -> float:
        tokens = session.tokens
        margin = min(self.refresh_before_seconds, max(tokens.lifetime_seconds, 0.0) / 3)
        jitter = int(session.key[:4], 16) / 0x10000
        return tokens.expires_at - margin * (1 - jitter / 5)

    def is_due(self, session: Session, now: float) -> bool:
        tokens = session.tokens
        if now < tokens.expires_at - self.refresh_before_seconds or tokens.refresh_token is None:
            return False  # as nearly always; the margin is never larger
        return now >= self.due_at(session)

    def is_expired(self, tokens: Tokens, now: float) -> bool:
        return now >= tokens.expires_at


class ClaimFilter:
    """Keeps the claims on the allow-list, which the browser may see, and nothing else."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = frozenset(names)

    def kept(
        self, claims: Mapping[str, object], *, before: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        """The allowed claims, laid over those held `before` (a refresh may bring fewer)."""
        found = {name: value for name, value in claims.items() if name in self._names}
        return {**(before or {}), **found}
