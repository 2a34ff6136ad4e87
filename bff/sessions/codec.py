"""Sessions and login transactions as bytes, before sealing: compact JSON with a format number.

What the store keeps beside the sealed bytes (key, version, idle expiry) is not in them. Fields a
newer release added are ignored, fields an older one did not know get their defaults.
"""

import json
from collections.abc import Iterable
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from bff.model import LoginTransaction, Session, Tokens

FORMAT = 1

_BESIDE = frozenset({"key", "version", "idle_expires_at"})
_TOKENS = tuple(f.name for f in fields(Tokens))
_SESSION = tuple(f.name for f in fields(Session) if f.name not in _BESIDE)
_LOGIN = tuple(f.name for f in fields(LoginTransaction))


class UnreadableRecord(ValueError):
    """The bytes were ours, but no session or transaction can be made of them."""


def encode_session(session: Session) -> bytes:
    """The sealed part of a session."""
    record = _taken(session, _SESSION)
    record["tokens"] = _taken(session.tokens, _TOKENS)
    record["claims"] = dict(session.claims)
    return _dump(record)


def decode_session(plaintext: bytes, *, key: str, version: int, idle_expires_at: float) -> Session:
    """The session, completed with what the store keeps beside it.

    Raises:
        UnreadableRecord: a field is missing or of another kind.
    """
    record = _load(plaintext)
    try:
        known = _known(record, _SESSION)
        known["tokens"] = Tokens(**_known(record["tokens"], _TOKENS))
        known["claims"] = MappingProxyType(dict(record.get("claims", {})))
        return Session(key=key, version=version, idle_expires_at=idle_expires_at, **known)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableRecord(type(error).__name__) from None


def encode_login(transaction: LoginTransaction) -> bytes:
    """The sealed part of a login transaction: all of it."""
    return _dump(_taken(transaction, _LOGIN))


def decode_login(plaintext: bytes) -> LoginTransaction:
    """The transaction.

    Raises:
        UnreadableRecord: a field is missing or of another kind.
    """
    record = _load(plaintext)
    try:
        known = _known(record, _LOGIN)
        known["acr_values"] = tuple(record.get("acr_values", ()))
        return LoginTransaction(**known)
    except (AttributeError, TypeError) as error:
        raise UnreadableRecord(type(error).__name__) from None


def _taken(value: object, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _known(record: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


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
