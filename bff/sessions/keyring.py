"""Sealing of what the store keeps: AES-256-GCM (NIST SP 800-38D) under keys derived by HKDF-SHA256
(RFC 5869), one per secret and purpose.

An envelope is `version (1) | key id (8) | nonce (12) | ciphertext and tag`. Version, key id,
purpose and store key are associated data: a record moved to another key, or used for another
purpose, does not open. Never tells why something did not open. Nonces are random: a secret should
be replaced before it has sealed 2**32 records (SP 800-38D section 8.3).
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = b"\x01"
KEY_ID_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16
MIN_SECRET_BYTES = 32

_NONCE_AT = 1 + KEY_ID_BYTES
_CIPHERTEXT_AT = _NONCE_AT + NONCE_BYTES
_SALT = b"bff.keyring.1"


class Keyring:
    """`secrets`: newest first, at least 32 bytes each; the first seals, all open."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("at least one secret is needed")
        self._secrets = [secret.encode() for secret in secrets]
        if min(map(len, self._secrets)) < MIN_SECRET_BYTES:
            raise ValueError(f"a secret needs at least {MIN_SECRET_BYTES} bytes")
        self._key_ids = [_derive(s, b"key-id", KEY_ID_BYTES) for s in self._secrets]
        self._ciphers: dict[str, dict[bytes, AESGCM]] = {}

    def seal(self, purpose: str, store_key: str, plaintext: bytes) -> bytes:
        """Encrypt for one purpose and one place in the store."""
        head = VERSION + self._key_ids[0]
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._for_purpose(purpose)[self._key_ids[0]]
        return head + nonce + cipher.encrypt(nonce, plaintext, _bound_to(head, purpose, store_key))

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
                nonce, ciphertext, _bound_to(sealed[:_NONCE_AT], purpose, store_key)
            )
        except InvalidTag:
            return None

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


def _derive(secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(secret)


def _bound_to(head: bytes, purpose: str, store_key: str) -> bytes:
    name = purpose.encode()
    return b"%b%b%b%b" % (head, len(name).to_bytes(2, "big"), name, store_key.encode())
