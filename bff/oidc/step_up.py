"""How strong and how recent an authentication must be, and whether one is: pure.

The rule is one for a route that asks it of a session, and for a login that has asked it of the OP:
what a login has brought is never refused by the route right afterwards.

OIDC Core sections 2 (`acr`), 3.1.2.1 and 3.1.3.7 (12), (13); RFC 9470 sections 3 and 5.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

MOST_ACR_VALUES = 10
_ACR = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")  # RFC 6749 appendix A: NQCHAR, no space
_SECONDS = re.compile(r"[0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class StepUp:
    """What is asked of an authentication: that `acr` is one of `acr_values`, or stronger, and that
    it is at most `max_age` seconds old. Empty and None ask nothing."""

    acr_values: tuple[str, ...] = ()
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class StepUpRules:
    """Those of one provider at one application. `acr_order` is from weak to strong; values that are
    not in it stand for themselves. `known` are those that the application's routes ask for."""

    acr_order: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    leeway_seconds: float = 30.0

    @property
    def named(self) -> frozenset[str]:
        """All that the configuration names."""
        return self.known.union(self.acr_order)

    def may_be_asked(self, acr_values: Iterable[str]) -> bool:
        """Whether the OP may be asked for these: any, unless its own are listed."""
        return not self.acr_order or self.named.issuperset(acr_values)

    def why_unmet(
        self, asked: StepUp, acr: str | None, auth_time: float | None, now: float
    ) -> str | None:
        """What is missing of an authentication; None where nothing is."""
        if asked.acr_values and not self._is_strong_enough(acr, asked.acr_values):
            return "acr is none of those asked for"
        if asked.max_age is None:
            return None
        oldest = now - asked.max_age - self.leeway_seconds
        if auth_time is None or not oldest <= auth_time <= now + self.leeway_seconds:
            return "auth_time is missing, too old or in the future"
        return None

    def _is_strong_enough(self, acr: str | None, acr_values: Collection[str]) -> bool:
        if acr in acr_values:
            return True
        if acr not in self.acr_order:
            return False
        weaker = self.acr_order[: self.acr_order.index(acr)]
        return any(one in weaker for one in acr_values)


def require_acr(value: str) -> str:
    """A name of an authentication strength. Raises: ValueError, with the rest of a sentence."""
    if not _ACR.fullmatch(value):
        raise ValueError('must be 1 to 255 printable ASCII characters without spaces, " and \\')
    return value


AcrValues = TypeVar("AcrValues", bound=Collection[str])


def require_acr_values(values: AcrValues) -> AcrValues:
    """At most ten, each once. Raises: ValueError, with the rest of a sentence."""
    for value in values:
        require_acr(value)
    if len(values) > MOST_ACR_VALUES:
        raise ValueError(f"must be at most {MOST_ACR_VALUES}")
    if len(set(values)) != len(values):
        raise ValueError("must not name the same acr twice")
    return values


def read_acr_values(text: str) -> tuple[str, ...]:
    """Those of a parameter: separated by one space, at most ten (OIDC Core section 3.1.2.1).

    Raises:
        ValueError: it is anything else.
    """
    values = text.split(" ")
    if len(values) > MOST_ACR_VALUES:
        raise ValueError("too many values")
    return tuple(map(require_acr, values))


def read_max_age(text: str) -> int:
    """Seconds, of a parameter: at most eight digits.

    Raises:
        ValueError: it is anything else.
    """
    if not _SECONDS.fullmatch(text):
        raise ValueError("no number of seconds")
    return int(text)
