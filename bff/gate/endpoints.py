"""Which own endpoints exist, and what the gate asks of a request for each (method by method)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Guard(Enum):
    """What a request must show before an own endpoint sees it."""

    NONE = auto()  # nothing, or a proof that no browser carries: a logout token
    PROOF = auto()  # a proof that the endpoint checks (state, sid); never by a prefetch
    PAGE = auto()  # the same, by a top-level navigation, whichever site has begun it
    NAVIGATION = auto()  # a top-level navigation that no other site has begun
    FORM = auto()  # a form of our own pages
    CSRF = auto()  # all three layers of the CSRF guard
    CSRF_OR_FORM = auto()  # the same, or a form of our own pages with a proof in it
    SAME_ORIGIN = auto()  # without the header, which an EventSource can't send


@dataclass(frozen=True, slots=True)
class EndpointRule:
    """`guards` maps each allowed method to its guard. HEAD is listed where it is answered.

    `path` is below our prefix and is the name unless given; a `*` at its end is one segment.
    """

    name: str
    guards: Mapping[str, Guard]
    wants_session: bool = True
    path: str = ""


RULES = (
    EndpointRule("login", {"GET": Guard.NAVIGATION, "POST": Guard.FORM}),
    EndpointRule("callback", {"GET": Guard.PROOF}, wants_session=False),
    EndpointRule("resume", {"GET": Guard.NAVIGATION}),
    EndpointRule("user", {"GET": Guard.CSRF}),
    EndpointRule("logout", {"GET": Guard.PAGE, "POST": Guard.CSRF_OR_FORM}),
    EndpointRule("backchannel-logout", {"POST": Guard.NONE}, wants_session=False),
    EndpointRule("events", {"GET": Guard.SAME_ORIGIN}),
    EndpointRule("sessions", {"GET": Guard.CSRF, "DELETE": Guard.CSRF}),
    EndpointRule("session", {"DELETE": Guard.CSRF}, path="sessions/*"),
    EndpointRule(
        "client", {"GET": Guard.NONE, "HEAD": Guard.NONE}, wants_session=False, path="client/*"
    ),
)

# The OP's page loads it in a frame, or as an image.
FRONTCHANNEL_RULE = EndpointRule("frontchannel-logout", {"GET": Guard.PROOF}, wants_session=False)
SPA_RULE = EndpointRule("spa", {"GET": Guard.NONE, "HEAD": Guard.NONE}, wants_session=False)


class EndpointTable:
    """The own endpoints under a prefix (such as `/bff`), and nothing else there."""

    def __init__(self, prefix: str, rules: Iterable[EndpointRule] = RULES) -> None:
        self._below = f"{prefix}/".encode()
        self._rules = {f"{prefix}/{rule.path or rule.name}".encode(): rule for rule in rules}
        self._routes = {rule.name: path.decode() for path, rule in self._rules.items()}

    def owns(self, path: bytes) -> bool:
        return path.startswith(self._below)

    def route_of(self, rule: EndpointRule) -> str:
        """Where an endpoint is, with `*` for what differs; of one outside the prefix, its name."""
        return self._routes.get(rule.name, rule.name)

    def match(self, path: bytes) -> EndpointRule | None:
        """The endpoint of a path that is ours, if there is one."""
        return self._rules.get(path) or self._rules.get(path.rpartition(b"/")[0] + b"/*")
