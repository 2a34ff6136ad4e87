"""What an audit event says. Plain frozen data: no I/O, no setting.

Reasons are the words that the log, the metrics and the errors have: error codes (docs/errors.md),
the reasons of ended sessions, the kinds of limits. There is no second vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from bff.model import DEFAULT_FRONTEND, Session, public_id

VERSION = 1  # of the record's schema: docs/audit-event.schema.json

STEP_UP = "step_up"  # of a login that was begun to go on with a session, stronger or more recent
ABANDONED = "abandoned"  # a login that no browser was told of: it hung up, or the store failed


class EventName(StrEnum):
    """What happened."""

    CHAIN_BEGUN = "chain_begun"
    CHAIN_ENDED = "chain_ended"
    EVENTS_LOST = "events_lost"
    LOGIN_BEGUN = "login_begun"
    LOGIN_SUCCEEDED = "login_succeeded"
    LOGIN_FAILED = "login_failed"
    SESSION_ENDED = "session_ended"
    REFRESH_REFUSED = "refresh_refused"
    OP_LOGOUT_FAILED = "op_logout_failed"
    LIMIT_HIT = "limit_hit"
    CSRF_REFUSED = "csrf_refused"
    SETTINGS_RELOADED = "settings_reloaded"
    SETTINGS_REFUSED = "settings_refused"


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    REFUSED = "refused"


OUTCOMES: Mapping[EventName, Outcome] = MappingProxyType(
    {
        EventName.CHAIN_BEGUN: Outcome.SUCCESS,
        EventName.CHAIN_ENDED: Outcome.SUCCESS,
        EventName.EVENTS_LOST: Outcome.FAILURE,
        EventName.LOGIN_BEGUN: Outcome.SUCCESS,
        EventName.LOGIN_SUCCEEDED: Outcome.SUCCESS,
        EventName.LOGIN_FAILED: Outcome.FAILURE,
        EventName.SESSION_ENDED: Outcome.SUCCESS,
        EventName.REFRESH_REFUSED: Outcome.FAILURE,
        EventName.OP_LOGOUT_FAILED: Outcome.FAILURE,
        EventName.LIMIT_HIT: Outcome.REFUSED,
        EventName.CSRF_REFUSED: Outcome.REFUSED,
        EventName.SETTINGS_RELOADED: Outcome.SUCCESS,
        EventName.SETTINGS_REFUSED: Outcome.REFUSED,
    }
)


class Actor(StrEnum):
    """What brought an event about. `user` is a browser, with or without a session."""

    USER = "user"
    OTHER_DEVICE = "other_device"
    ADMIN = "admin"
    OP = "op"
    LIMIT = "limit"
    EXPIRY = "expiry"
    GATEWAY = "gateway"


_ENDED_BY: Mapping[str, Actor] = MappingProxyType(
    {
        "logout": Actor.USER,
        "replaced": Actor.USER,
        "ended_by_user": Actor.OTHER_DEVICE,
        "admin": Actor.ADMIN,
        "backchannel_logout": Actor.OP,
        "frontchannel_logout": Actor.OP,
        "grant_rejected": Actor.OP,
        "identity_mismatch": Actor.OP,
        "limit": Actor.LIMIT,
        "token_expired": Actor.EXPIRY,
        "idle": Actor.EXPIRY,
        "absolute": Actor.EXPIRY,
    }
)


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that an event came from, as far as there was one. `actor` where the request says
    more of it than the event's reason, `actor_name` for the administrator that it names."""

    request_id: str = ""
    address: str = ""
    user_agent: str = ""
    actor: Actor | None = None
    actor_name: str = ""


NO_REQUEST = Origin()


@dataclass(frozen=True, slots=True)
class Event:
    """`session` is the public id, `settings` are keys without values. `omitted`: how many events
    are missing before this one."""

    name: EventName
    actor: Actor
    reason: str = ""
    origin: Origin = NO_REQUEST
    frontend: str = DEFAULT_FRONTEND
    provider: str = ""
    session: str = ""
    sub: str = ""
    settings: tuple[str, ...] = ()
    omitted: int = 0

    @classmethod
    def about(
        cls,
        name: EventName,
        actor: Actor,
        session: Session,
        *,
        reason: str = "",
        origin: Origin = NO_REQUEST,
    ) -> Self:
        """An event of one session and its user."""
        return cls(
            name,
            actor,
            reason,
            origin,
            frontend=session.frontend,
            provider=session.provider,
            session=public_id(session.key),
            sub=session.sub,
        )

    @classmethod
    def ended(
        cls,
        session: Session,
        reason: str,
        origin: Origin = NO_REQUEST,
    ) -> Self | None:
        """The end of a session. None: that of a login which no browser was told of, whose failure
        is an event already."""
        if reason == ABANDONED:
            return None
        actor = origin.actor or _ENDED_BY.get(reason, Actor.GATEWAY)
        return cls.about(EventName.SESSION_ENDED, actor, session, reason=reason, origin=origin)

    @classmethod
    def expired(cls, key: str, reason: str) -> Self:
        """The end of a session by time. The store has dropped its record, so that only its id is
        known: its login names the user."""
        actor = _ENDED_BY.get(reason, Actor.EXPIRY)
        return cls(EventName.SESSION_ENDED, actor, reason, frontend="", session=public_id(key))
