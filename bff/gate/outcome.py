"""What a decision can be, and what it may be waiting for. Plain data."""

from dataclasses import dataclass, field
from enum import Enum, auto

from bff.errors import BffError
from bff.gate.forwarding import RequestIdentity
from bff.gate.head import Field, ScannedFields
from bff.gate.paths import Target
from bff.gate.routes import Introspect, Route
from bff.model import Session, Tokens, TokenTarget


class Needs(Enum):
    """What a decision can wait for."""

    SESSION = auto()
    FRESH_TOKEN = auto()
    CLIENT_TOKEN = auto()
    EXCHANGED_TOKEN = auto()
    VERDICT = auto()  # of the OP on the token


@dataclass(frozen=True, slots=True)
class Known:
    """What was found by waiting. `session` is None when there is no live session of that key. A
    `token` is one that is not part of a session. `is_active`: what the OP says of the token that
    the call is made with."""

    session: Session | None = None
    token: Tokens | None = None
    refreshed: bool = False
    is_active: bool | None = None


@dataclass(slots=True)
class Forward:
    """Send this to one of the route's upstreams; Host and framing are the connection's business.

    `path_and_query` follows the upstream's base path. `refresh_due` asks for a refresh in the
    background while the request goes on with the current token. `websocket_key` is that of a
    WebSocket handshake. `stripped` are the names of the browser's fields that were taken away.
    `access_token` is the one among `fields`, empty without; `dpop_key` is the key that it is bound
    to, of which each request needs a proof.
    """

    route: Route
    method: str
    path_and_query: bytes = field(repr=False)
    fields: list[Field] = field(repr=False)
    identity: RequestIdentity
    session: Session | None
    refresh_due: bool = False
    websocket_key: bytes | None = None
    stripped: tuple[bytes, ...] = field(default=(), repr=False)
    access_token: str = field(default="", repr=False)
    dpop_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Local:
    """One of the gateway's own endpoints; `route` is where it is. `session_key` is set for a
    well-signed cookie. `by_form`: it is a form of our own pages, without anti-forgery header.
    `clear_cookie`: as in `Answer`, if the endpoint answers that there is no session."""

    endpoint: str
    route: str
    target: Target
    fields: ScannedFields = field(repr=False)
    identity: RequestIdentity
    session_key: str | None
    session: Session | None
    by_form: bool = False
    clear_cookie: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Refused. `clear_cookie`: the browser sent a session cookie that is worth nothing.
    `ends_connection`: what follows on it is not to be read, or can't be told."""

    error: BffError
    identity: RequestIdentity
    clear_cookie: bool = False
    ends_connection: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Find what is needed and ask again. `may_clear_cookie`: should the session turn out dead.
    A token is wanted for `target`, None where that is the login's; a client token is one of
    `provider`. A verdict is wanted on `token`, in the way of `introspect`."""

    needs: Needs
    identity: RequestIdentity
    key: str = ""
    session: Session | None = None
    provider: str = ""
    target: TokenTarget | None = None
    may_clear_cookie: bool = False
    token: Tokens | None = None
    introspect: Introspect | None = None


Decision = Forward | Local | Answer | Wait
