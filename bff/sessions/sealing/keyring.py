"""Sealing of what the store keeps: AES-256-GCM (NIST SP 800-38D) under keys derived by HKDF-SHA256
(RFC 5869), one per secret and purpose.

An envelope is `version (1) | key id (8) | nonce (12) | ciphertext and tag`. Version, key id,
purpose, owner and store key are associated data: a record that was moved to another key, used for
another purpose, or made for another client of an OP, does not open. The key id is derived from the
secret and the owner, so that the records of others are known for what they are without trying.
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

from bff.model import DEFAULT_FRONTEND

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

    Also derives the names under which the owner keeps what is not found by a random id, so that two
    owners never meet in one place of a store. A name is 64 hexadecimal digits.
    """

    issuer: str
    client_id: str
    frontend: str = DEFAULT_FRONTEND

    def name_for_client(self, *parts: str) -> str:
        """The same in all frontends of the client."""
        return _name("client", self.issuer, self.client_id, *parts)

    def name_for_frontend(self, *parts: str) -> str:
        """Of this frontend only."""
        return _name("frontend", self.issuer, self.client_id, self.frontend, *parts)


class Keyring:
    """`secrets`: newest first, at least 32 bytes each; the first seals, all open."""

    def __init__(self, secrets: Sequence[str], owner: RecordOwner) -> None:
        if not secrets:
            raise ValueError("at least one secret is needed")
        self._secrets = [secret.encode() for secret in secrets]
        if min(map(len, self._secrets)) < MIN_SECRET_BYTES:
            raise ValueError(f"a secret needs at least {MIN_SECRET_BYTES} bytes")
        self.owner = owner
        self._owner = bytes.fromhex(owner.name_for_frontend("record"))
        self._key_ids = [_derive(s, b"key-id:" + self._owner, KEY_ID_BYTES) for s in self._secrets]
        self._ciphers: dict[str, dict[bytes, AESGCM]] = {}

    def seal(self, purpose: str, store_key: str, plaintext: bytes) -> bytes:
        """Encrypt for one purpose and one place in the store."""
        head = VERSION + self._key_ids[0]
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._for_purpose(purpose)[self._key_ids[0]]
        bound_to = self._bound_to(head, purpose, store_key)
        return head + nonce + cipher.encrypt(nonce, plaintext, bound_to)

    def open(self, purpose: str, store_key: str, sealed: bytes) -> bytes | None:
        """The plaintext; None when it was not sealed by us for exactly this place. Never raises."""
        if len(sealed) < _CIPHERTEXT_AT + TAG_BYTES or sealed[:1] != VERSION:
            return None
        cipher = self._for_purpose(purpose).get(sealed[1:_NONCE_AT])
        if cipher is None:
            return None
        nonce, ciphertext = sealed[_NONCE_AT:_CIPHERTEXT_AT], sealed[_CIPHERTEXT_AT:]
        try:
            return cipher.decrypt(
                nonce, ciphertext, self._bound_to(sealed[:_NONCE_AT], purpose, store_key)
            )
        except InvalidTag:
            return None

    def is_own(self, sealed: bytes) -> bool:
        """Whether it says that this owner sealed it, with a secret that is still listed. Only
        `open` proves that."""
        return sealed[:1] == VERSION and sealed[1:_NONCE_AT] in self._key_ids

    def _for_purpose(self, purpose: str) -> dict[bytes, AESGCM]:
        ciphers = self._ciphers.get(purpose)
        if ciphers is None:
            info = b"seal:" + purpose.encode()
            ciphers = {
                key_id: AESGCM(_derive(secret, info, 32))
                for key_id, secret in zip(self._key_ids, self._secrets, strict=True)
            }
            self._ciphers[purpose] = ciphers
        return ciphers

    def _bound_to(self, head: bytes, purpose: str, store_key: str) -> bytes:
        name = purpose.encode()
        length = len(name).to_bytes(2, "big")
        return b"%b%b%b%b%b" % (head, self._owner, length, name, store_key.encode())


def _derive(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(secret)


def _name(*parts: str) -> str:
    """Length-prefixed, so that no two lists of parts can meet in one name."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(4, "big") + data)
    return digest.hexdigest()
