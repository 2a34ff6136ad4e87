"""From session to sealed record and back, and the names of the index sets a session is in."""

import structlog

from bff.model import Session
from bff.sessions.codec import UnreadableRecord, decode_session, encode_session
from bff.sessions.keyring import Keyring, RecordOwner
from bff.sessions.public_id import public_id
from bff.sessions.store import StoredRecord

log = structlog.get_logger("bff.sessions")

PURPOSE = "session"


class SealedSessions:
    """Seals and opens. What can't be opened is no session (fails closed); it is left where it is:
    it may be another gateway's, or a secret that was removed may be put back."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def is_foreign(self, stored: StoredRecord) -> bool:
        """Sealed by another gateway, for another client, or with a secret that is not listed."""
        return not self._keyring.is_own(stored.sealed)

    def seal(self, session: Session) -> bytes:
        return self._keyring.seal(PURPOSE, session.key, encode_session(session))

    def open(self, key: str, stored: StoredRecord | None) -> Session | None:
        """None when there is none, it was tampered with or moved, or its secret is gone."""
        if stored is None:
            return None
        plaintext = self._keyring.open(PURPOSE, key, stored.sealed)
        if plaintext is None:
            reason = "foreign" if self.is_foreign(stored) else "tampered with"
            log.warning("session_does_not_open", session=public_id(key), detail=reason)
            return None
        try:
            return decode_session(
                plaintext,
                key=key,
                version=stored.version,
                idle_expires_at=stored.idle_expires_at,
            )
        except UnreadableRecord as error:
            log.warning("session_unreadable", session=public_id(key), detail=str(error))
            return None


def subject_index(owner: RecordOwner, issuer: str, sub: str) -> str:
    """The set of all sessions of a user; (issuer, sub) is the user (OIDC Core section 5.7)."""
    return owner.name_for_client("sub", issuer, sub)


def sid_index(owner: RecordOwner, issuer: str, sid: str) -> str:
    """The set of all sessions that belong to one session at the OP."""
    return owner.name_for_client("sid", issuer, sid)


def indexes_of(owner: RecordOwner, session: Session) -> tuple[str, ...]:
    """Every index set a session is in. They never change while it lives."""
    by_subject = subject_index(owner, session.issuer, session.sub)
    if session.sid is None:
        return (by_subject,)
    return (by_subject, sid_index(owner, session.issuer, session.sid))
