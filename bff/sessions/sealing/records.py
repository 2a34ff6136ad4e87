"""Sessions and login transactions as sealed bytes, and the names of the index sets of a session.

Before sealing they are compact JSON with a format number. What the store keeps beside the sealed
bytes (key, version, idle expiry) is not in them, nor are the provider and the frontend, which the
seal tells. Fields that a newer release added are ignored, fields that an older one did not know get
their defaults. A field of another kind than the model says makes the record unreadable, for the
rest of the gateway relies on the kinds.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from types import MappingProxyType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import structlog

from bff.model import (
    DEFAULT_FRONTEND,
    DEFAULT_PROVIDER,
    DeviceGrant,
    LoginTransaction,
    Session,
    Tokens,
    public_id,
)
from bff.sessions.sealing.keyring import Keyring, RecordOwner
from bff.sessions.store import StoredRecord

log = structlog.get_logger("bff.sessions")

PURPOSE = "session"
FORMAT = 1

# As JSON has them. A moment may be written as an integer; a boolean is none of these.
_JSON_KINDS: dict[type, frozenset[type]] = {
    str: frozenset({str}),
    int: frozenset({int}),
    float: frozenset({int, float}),
    tuple: frozenset({list}),
    Mapping: frozenset({dict}),
    Tokens: frozenset({dict}),
    DeviceGrant: frozenset({dict}),
}
_MOST = 2**53  # numbers beyond this are no moments, and some of them fit no float


def _kinds(model: type) -> dict[str, frozenset[type]]:
    """The fields of a model, and the kinds of JSON that each may be."""
    hints = get_type_hints(model)
    return {field.name: _kinds_of(hints[field.name]) for field in fields(model)}


def _kinds_of(hint: Any) -> frozenset[type]:
    if isinstance(hint, UnionType):
        kinds = [_kinds_of(one) for one in get_args(hint) if one is not type(None)]
        return frozenset({type(None)}).union(*kinds)
    return _JSON_KINDS[get_origin(hint) or hint]


_BESIDE = frozenset({"key", "version", "idle_expires_at", "provider", "frontend"})
_TOKENS = _kinds(Tokens)
_DEVICE = _kinds(DeviceGrant)
_API_TOKEN = {
    name: _TOKENS[name]
    for name in ("access_token", "obtained_at", "expires_at", "scope", "dpop_key")
}
_SESSION = {name: kinds for name, kinds in _kinds(Session).items() if name not in _BESIDE}
_LOGIN = {name: kinds for name, kinds in _kinds(LoginTransaction).items() if name not in _BESIDE}


class UnreadableRecord(ValueError):
    """The bytes were ours, but no session or transaction can be made of them."""


def encode_session(session: Session) -> bytes:
    """The sealed part of a session."""
    record = _taken(session, _SESSION)
    record["tokens"] = _taken(session.tokens, _TOKENS)
    record["api_tokens"] = {
        key: _taken(tokens, _API_TOKEN) for key, tokens in session.api_tokens.items()
    }
    record["claims"] = dict(session.claims)
    return _dump(record)


def decode_session(
    plaintext: bytes,
    *,
    key: str,
    version: int,
    idle_expires_at: float,
    provider: str = DEFAULT_PROVIDER,
    frontend: str = DEFAULT_FRONTEND,
) -> Session:
    """The session, completed with what the store keeps beside it and the seal tells.

    Raises:
        UnreadableRecord: a field is missing or of another kind.
    """
    record = _load(plaintext)
    try:
        known = _known(record, _SESSION)
        known["tokens"] = Tokens(**_known(known["tokens"], _TOKENS))
        known["resources"] = _texts(known.get("resources", ()))
        known["claims"] = MappingProxyType(known.get("claims", {}))
        known["api_tokens"] = MappingProxyType(
            {
                key: Tokens(**_known(tokens, _API_TOKEN))
                for key, tokens in known.get("api_tokens", {}).items()
            }
        )
        return Session(
            key=key,
            version=version,
            idle_expires_at=idle_expires_at,
            provider=provider,
            frontend=frontend,
            **known,
        )
    except (KeyError, TypeError):
        raise UnreadableRecord("a field is missing or of another kind") from None


def encode_login(transaction: LoginTransaction) -> bytes:
    """The sealed part of a login transaction: all of it."""
    record = _taken(transaction, _LOGIN)
    if transaction.device is not None:
        record["device"] = _taken(transaction.device, _DEVICE)
    return _dump(record)


def decode_login(plaintext: bytes, *, provider: str = DEFAULT_PROVIDER) -> LoginTransaction:
    """The transaction.

    Raises:
        UnreadableRecord: a field is missing or of another kind.
    """
    record = _load(plaintext)
    try:
        known = _known(record, _LOGIN)
        for name in ("acr_values", "resources"):
            known[name] = _texts(known.get(name, ()))
        if known.get("device") is not None:
            known["device"] = DeviceGrant(**_known(known["device"], _DEVICE))
        return LoginTransaction(provider=provider, **known)
    except TypeError:
        raise UnreadableRecord("a field is missing or of another kind") from None


def _taken(value: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _known(record: dict[str, Any], kinds: Mapping[str, frozenset[type]]) -> dict[str, Any]:
    known = {name: record[name] for name in kinds if name in record}
    for name, value in known.items():
        if type(value) not in kinds[name]:
            raise TypeError(name)
        if isinstance(value, int | float) and not -_MOST <= value <= _MOST:  # nor NaN
            raise TypeError(name)
    return known


def _texts(values: Iterable[object]) -> tuple[str, ...]:
    texts = tuple(value for value in values if isinstance(value, str))
    if len(texts) != len(tuple(values)):
        raise TypeError("something else among texts")
    return texts


def _dump(record: dict[str, Any]) -> bytes:
    return json.dumps({"format": FORMAT, **record}, separators=(",", ":")).encode("ascii")


def _load(plaintext: bytes) -> dict[str, Any]:
    try:
        record = json.loads(plaintext)
    except (ValueError, RecursionError):
        raise UnreadableRecord("not JSON") from None
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise UnreadableRecord("no format")
    return record


class SealedSessions:
    """Seals and opens. What can't be opened is no session (fails closed); it is left where it is:
    it may be another gateway's, or a secret that was removed may be put back."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._owners = {owner.provider: owner for owner in keyring.owners}

    def is_foreign(self, stored: StoredRecord) -> bool:
        """Sealed by another gateway, for a client that is not ours, or with a secret that is not
        listed."""
        return self._keyring.owner_of(stored.sealed) is None

    def seal(self, session: Session) -> bytes:
        return self._keyring.seal(
            PURPOSE,
            session.key,
            encode_session(session),
            provider=session.provider,
            frontend=session.frontend,
        )

    def open(self, key: str, stored: StoredRecord | None) -> Session | None:
        """None when there is none, it was tampered with or moved, or its secret is gone."""
        if stored is None:
            return None
        owner = self._keyring.owner_of(stored.sealed)
        plaintext = self._keyring.open(PURPOSE, key, stored.sealed)
        if plaintext is None or owner is None:
            reason = "foreign" if owner is None else "tampered with"
            log.warning("session_does_not_open", session=public_id(key), detail=reason)
            return None
        try:
            return decode_session(
                plaintext,
                key=key,
                version=stored.version,
                idle_expires_at=stored.idle_expires_at,
                provider=owner.provider,
                frontend=owner.frontend,
            )
        except UnreadableRecord as error:
            log.warning("session_unreadable", session=public_id(key), detail=str(error))
            return None

    def subject_indexes(self, issuer: str, sub: str, provider: str | None) -> tuple[str, ...]:
        """The sets that hold the sessions of a user: that of one provider, or those of all."""
        return tuple(subject_index(owner, issuer, sub) for owner in self._chosen(provider))

    def sid_indexes(self, issuer: str, sid: str, provider: str | None) -> tuple[str, ...]:
        """The same for one session at the OP."""
        return tuple(sid_index(owner, issuer, sid) for owner in self._chosen(provider))

    def indexes_of(self, session: Session) -> tuple[str, ...]:
        """Every index set a session is in. They never change while it lives."""
        return indexes_of(self._owners[session.provider], session)

    def _chosen(self, provider: str | None) -> Iterable[RecordOwner]:
        return self._owners.values() if provider is None else (self._owners[provider],)


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
