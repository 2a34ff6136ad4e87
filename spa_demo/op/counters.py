"""What the OP counts, so that a test can ask how often it was called and whether a refresh token
was ever spent twice. Counts only: no token, code or secret is kept here."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counters:
    """`token_requests` counts every request by grant type, `refreshes_by_*` the answered ones."""

    token_requests: Counter[str] = field(default_factory=Counter)
    token_errors: Counter[str] = field(default_factory=Counter)
    refreshes_by_family: Counter[str] = field(default_factory=Counter)
    refreshes_by_sid: Counter[str] = field(default_factory=Counter)
    refreshes_by_sub: Counter[str] = field(default_factory=Counter)
    reuse_detected: int = 0
    reuse_by_family: Counter[str] = field(default_factory=Counter)
    code_reuse_detected: int = 0
    revocations: int = 0
    logout_tokens: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    registrations: Counter[str] = field(default_factory=Counter)

    @property
    def refreshes(self) -> int:
        return self.refreshes_by_family.total()

    def as_json(self) -> dict[str, object]:
        return {
            "token_requests": dict(self.token_requests),
            "token_errors": dict(self.token_errors),
            "refreshes": self.refreshes,
            "refreshes_by_family": dict(self.refreshes_by_family),
            "refreshes_by_sid": dict(self.refreshes_by_sid),
            "refreshes_by_sub": dict(self.refreshes_by_sub),
            "reuse_detected": self.reuse_detected,
            "reuse_by_family": dict(self.reuse_by_family),
            "code_reuse_detected": self.code_reuse_detected,
            "revocations": self.revocations,
            "logout_tokens": dict(self.logout_tokens),
            "requests": dict(self.requests),
            "registrations": dict(self.registrations),
        }
