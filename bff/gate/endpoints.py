"""Which own endpoints exist, what the gate asks of a request for each (method by method), and
whether the page that has begun a request may begin it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from bff.errors import CsrfRefused, NavigationRequired
from bff.gate.csrf import CsrfGuard
from bff.gate.fetch_metadata import (
    is_form,
    is_own_navigation,
    is_speculative,
    is_top_level_navigation,
)
from bff.gate.head import ScannedFields
from bff.gate.routes import CsrfMode


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
    EndpointRule("providers", {"GET": Guard.NONE}, wants_session=False),
    EndpointRule("user", {"GET": Guard.CSRF}),
    EndpointRule("logout", {"GET": Guard.PAGE, "POST": Guard.CSRF_OR_FORM}),
    EndpointRule("arrival", {"GET": Guard.NONE}, wants_session=False),
    EndpointRule("backchannel-logout", {"POST": Guard.NONE}, wants_session=False),
    EndpointRule("events", {"GET": Guard.SAME_ORIGIN}),
    EndpointRule("sessions", {"GET": Guard.CSRF, "DELETE": Guard.CSRF}),
    EndpointRule("session", {"DELETE": Guard.CSRF}, path="sessions/*"),
    EndpointRule(
        "client", {"GET": Guard.NONE, "HEAD": Guard.NONE}, wants_session=False, path="client/*"
    ),
)

# Where an OP knows one of the clients by its keys.
JWKS_RULE = EndpointRule("jwks", {"GET": Guard.NONE, "HEAD": Guard.NONE}, wants_session=False)
# Where users may log in by device code.
DEVICE_RULES = (
    EndpointRule("device", {"POST": Guard.CSRF}),
    EndpointRule("device-poll", {"GET": Guard.CSRF}, wants_session=False, path="device/*"),
)
# The OP returns to it after a logout, where a logout may say at which page it ends.
LOGGED_OUT_RULE = EndpointRule("logged-out", {"GET": Guard.PROOF}, wants_session=False)
# The OP's page loads it in a frame, or as an image.
FRONTCHANNEL_RULE = EndpointRule("frontchannel-logout", {"GET": Guard.PROOF}, wants_session=False)
# The redirect URI of a provider that has a name.
PROVIDER_CALLBACK_RULE = EndpointRule(
    "provider-callback", {"GET": Guard.PROOF}, wants_session=False, path="callback/*"
)
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


# A GET that changes something: only one that the user has asked for, no prefetch or prerendering.
_MAY_BEGIN: Mapping[Guard, Callable[[ScannedFields], bool]] = {
    Guard.NONE: lambda _: True,
    Guard.PROOF: lambda fields: not is_speculative(fields),
    Guard.PAGE: is_top_level_navigation,
    Guard.NAVIGATION: is_own_navigation,
}


def require_initiator(
    rule: EndpointRule, csrf: CsrfGuard, method: str, query: bytes | None, fields: ScannedFields
) -> bool:
    """Whether the request is a form of our own pages, which carries no anti-forgery header.

    Raises:
        CsrfRefused: a layer of the CSRF guard that the endpoint asks for is missing or wrong.
        NavigationRequired: no navigation, or none that the user has asked for.
    """
    guard = rule.guards[method]
    is_bare_form = is_form(fields) and not fields.values(csrf.header_name)
    if guard is Guard.FORM or (guard is Guard.CSRF_OR_FORM and is_bare_form):
        raise_refusal(csrf.form_refusal(fields))
        return True
    if guard in (Guard.CSRF, Guard.CSRF_OR_FORM):
        raise_refusal(csrf.refusal(fields, method, CsrfMode.HEADER))
    elif guard is Guard.SAME_ORIGIN:
        raise_refusal(csrf.refusal(fields, method, CsrfMode.SAME_ORIGIN))
    elif not _MAY_BEGIN[guard](fields):
        raise NavigationRequired(rule.name, query or b"")
    return False


def raise_refusal(refusal: CsrfRefused | None) -> None:
    """Raise it, if there is one."""
    if refusal is not None:
        raise refusal
