"""Which own endpoints exist, and what the gate asks of a request for each (method by method)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Guard(Enum):
    """What a request must show before an own endpoint sees it."""

    NONE = auto()  # the endpoint checks a proof of its own: state, sid, a logout token
    CSRF = auto()  # all three layers of the CSRF guard
    NAVIGATION = auto()  # a top-level navigation that no other site has started


@dataclass(frozen=True, slots=True)
class EndpointRule:
    """`guards` maps each allowed method to its guard. HEAD is listed where it is answered."""

    name: str
    guards: Mapping[str, Guard]
    wants_session: bool = True


RULES = (
    EndpointRule("login", {"GET": Guard.NAVIGATION}),
    EndpointRule("callback", {"GET": Guard.NONE}, wants_session=False),
    EndpointRule("resume", {"GET": Guard.NAVIGATION}),
    EndpointRule("user", {"GET": Guard.CSRF}),
    EndpointRule("logout", {"GET": Guard.NONE, "POST": Guard.CSRF}),
)

SPA_RULE = EndpointRule("spa", {"GET": Guard.NONE, "HEAD": Guard.NONE}, wants_session=False)


def endpoint_table(prefix: str) -> dict[bytes, EndpointRule]:
    """The exact paths of the own endpoints under `prefix` (such as `/bff`)."""
    return {f"{prefix}/{rule.name}".encode(): rule for rule in RULES}
