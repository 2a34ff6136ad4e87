"""Sealing of what the store keeps: AES-256-GCM (NIST SP 800-38D) under keys derived by HKDF-SHA256
(RFC 5869), one per secret and purpose.

An envelope is `version (1) | key id (8) | nonce (12) | ciphertext and tag`. Version, key id,
purpose, owner and store key are associated data: a record that was moved to another key, used for
another purpose, or made for another client of an OP, does not open. The key id is derived from the
secret and the owner, so that it is known without trying which owner has made a record, and the
records of others are known for what they are.
Never tells why something did not open. Nonces are random: a secret should be replaced before it has
sealed 2**32 records (SP 800-38D section 8.3).
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bff.model import DEFAULT_FRONTEND, DEFAULT_PROVIDER

VERSION = b"\x02"
KEY_ID_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16
MIN_SECRET_BYTES = 32

_NONCE_AT = 1 + KEY_ID_BYTES
_CIPHERTEXT_AT = _NONCE_AT + NONCE_BYTES
_SALT = b"bff.keyring.1"


@dataclass(frozen=True, slots=True)
class RecordOwner:
    """The maker of records: a client at an OP (`issuer`, `client_id`), and the frontend it serves.
    `provider` is what the configuration calls that client; records do not depend on it, so that a
    provider may get another name and its sessions live on.

    Also derives the names under which the owner keeps what is not found by a random id, so that two
    owners never meet in one place of a store. A name is 64 hexadecimal digits.
    """

    issuer: str
    client_id: str
    frontend: str = DEFAULT_FRONTEND
    provider: str = DEFAULT_PROVIDER

    def name_for_client(self, *parts: str) -> str:
        """The same in all frontends of the client."""
        return _name("client", self.issuer, self.client_id, *parts)

    def name_for_frontend(self, *parts: str) -> str:
        """Of this frontend only."""
        return _name("frontend", self.issuer, self.client_id, self.frontend, *parts)


class Keyring:
    """`secrets`: newest first, at least 32 bytes each; the first seals, all open.

    Each record is one owner's. `owner` is the first of them, and keeps what belongs to none of them
    alone; `others` are told apart by their `frontend` and `provider`.
    """

    def __init__(self, secrets: Sequence[str], owner: RecordOwner, *others: RecordOwner) -> None:
        if not secrets:
            raise ValueError("at least one secret is needed")
        self._secrets = [secret.encode() for secret in secrets]
        if min(map(len, self._secrets)) < MIN_SECRET_BYTES:
            raise ValueError(f"a secret needs at least {MIN_SECRET_BYTES} bytes")
        self.owner = owner
        self.owners = (owner, *others)
        self._records = {
            (one.frontend, one.provider): _Records(one, self._secrets) for one in self.owners
        }
        names = {one.name_for_frontend() for one in self.owners}
        if not len(names) == len(self._records) == len(self.owners):
            raise ValueError("two owners are the same client of one frontend, or have one name")
        self._by_key_id = {
            key_id: (records, index)
            for records in self._records.values()
            for index, key_id in enumerate(records.key_ids)
        }
        self._ciphers: dict[str, list[AESGCM]] = {}

    def owner_of(self, sealed: bytes) -> RecordOwner | None:
        """The owner that it says has sealed it, with a secret that is still listed; None when it is
        none of ours. Only `open` proves it."""
        found = self._by_key_id.get(sealed[1:_NONCE_AT]) if sealed[:1] == VERSION else None
        return found[0].owner if found is not None else None

    def first_of(self, frontend: str) -> RecordOwner:
        """What keeps what belongs to a frontend, and to none of its providers alone. Raises:
        LookupError: it has no owner."""
        for owner in self.owners:
            if owner.frontend == frontend:
                return owner
        raise LookupError(frontend)

    def seal(
        self,
        purpose: str,
        store_key: str,
        plaintext: bytes,
        *,
        provider: str | None = None,
        frontend: str | None = None,
    ) -> bytes:
        """Encrypt for one purpose and one place in the store, as the owner of that name; of those
        not given, the first one's."""
        first = self.owner
        name = (
            first.frontend if frontend is None else frontend,
            first.provider if provider is None else provider,
        )
        records = self._records[name]
        head = VERSION + records.key_ids[0]
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._for_purpose(purpose)[0]
        bound_to = records.bound_to(head, purpose, store_key)
        return head + nonce + cipher.encrypt(nonce, plaintext, bound_to)

    def open(self, purpose: str, store_key: str, sealed: bytes) -> bytes | None:
        """The plaintext; None when it was not sealed by us for exactly this place. Never raises."""
        if len(sealed) < _CIPHERTEXT_AT + TAG_BYTES or sealed[:1] != VERSION:
            return None
        records, index = self._by_key_id.get(sealed[1:_NONCE_AT], (None, 0))
        if records is None:
            return None
        cipher = self._for_purpose(purpose)[index]
        nonce, ciphertext = sealed[_NONCE_AT:_CIPHERTEXT_AT], sealed[_CIPHERTEXT_AT:]
        try:
            return cipher.decrypt(
                nonce, ciphertext, records.bound_to(sealed[:_NONCE_AT], purpose, store_key)
            )
        except InvalidTag:
            return None

    def _for_purpose(self, purpose: str) -> list[AESGCM]:
        """One for each secret; owners are told apart by the associated data."""
        ciphers = self._ciphers.get(purpose)
        if ciphers is None:
            info = b"seal:" + purpose.encode()
            ciphers = [AESGCM(_derive(secret, info, 32)) for secret in self._secrets]
            self._ciphers[purpose] = ciphers
        return ciphers


class _Records:
    """What marks the records of one owner. `key_ids`: one for each secret."""

    def __init__(self, owner: RecordOwner, secrets: Sequence[bytes]) -> None:
        self.owner = owner
        self._name = bytes.fromhex(owner.name_for_frontend("record"))
        self.key_ids = [_derive(one, b"key-id:" + self._name, KEY_ID_BYTES) for one in secrets]

    def bound_to(self, head: bytes, purpose: str, store_key: str) -> bytes:
        """The associated data of a record."""
        name = purpose.encode()
        length = len(name).to_bytes(2, "big")
        return b"%b%b%b%b%b" % (head, self._name, length, name, store_key.encode())


def _derive(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(secret)


def _name(*parts: str) -> str:
    """Length-prefixed, so that no two lists of parts can meet in one name."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()
