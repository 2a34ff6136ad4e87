"""Sealed sessions as they come from the store: what was changed, moved or made elsewhere is none.

The envelope is made here once more, by HKDF and AES-GCM as the format says. A case is the store's
key on a line, and the sealed bytes.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from random import Random

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bff.model import Session
from bff.sessions.sealing.keyring import Keyring
from bff.sessions.sealing.records import UnreadableRecord, decode_session, encode_session
from tests.fuzz.json_mutation import HUGE, changed, text_of
from tests.fuzz.mutation import garbage, mutated
from tests.fuzz.target import Finding, require
from tests.parts.record_owner import OWNER

NEW, OLD = "a new secret, at least 32 bytes of it", "an old secret, at least 32 bytes of it"
FOREIGN = "a secret of another installation, 32+"
KEY, OTHER = "ab" * 32, "cd" * 32
NOW = 1_700_000_000.0
CANARY = "canary-7f"
RECORD: dict[str, object] = {
    "format": 1,
    "issuer": "https://op.example",
    "sub": "alice",
    "sid": "s1",
    "created_at": NOW,
    "expires_at": NOW + 3600,
    "tokens": {"access_token": CANARY, "obtained_at": NOW, "expires_at": NOW + 60, "scope": "x"},
    "claims": {"name": "Alice"},
    "acr": None,
    "auth_time": 1,
    "client": "Firefox",
}
WORDS: tuple[object, ...] = (
    HUGE,
    {},
    [],
    None,
    "format",
    2,
    {"access_token": CANARY},
    [["a", "b"]],
)

# Of the words "frontend" and "record", with the owner between them, each behind its length.
OWNER_DIGEST = sha256(
    b"\0\0\0\x08frontend\0\0\0\x12https://op.example\0\0\0\3spa\0\0\0\7default\0\0\0\6record"
).digest()

Subject = Callable[[str, bytes], Session | None]


def derived(secret: str, info: bytes, length: int) -> bytes:
    hkdf = HKDF(algorithm=SHA256(), length=length, salt=b"bff.keyring.1", info=info)
    return hkdf.derive(secret.encode())


CIPHERS = {secret: AESGCM(derived(secret, b"seal:session", 32)) for secret in (NEW, OLD, FOREIGN)}
VERSION = b"\x02"
KEY_IDS = {secret: derived(secret, b"key-id:" + OWNER_DIGEST, 8) for secret in CIPHERS}


def sealed(random: Random, secret: str, key: str, plaintext: bytes, purpose: bytes) -> bytes:
    head, nonce = VERSION + KEY_IDS[secret], random.randbytes(12)
    bound = head + OWNER_DIGEST + len(purpose).to_bytes(2) + purpose + key.encode()
    return head + nonce + CIPHERS[secret].encrypt(nonce, plaintext, bound)


def opened(key: str, envelope: bytes) -> bytes | None:
    """The plaintext of what was sealed for exactly this place with one of our secrets."""
    for secret in (NEW, OLD):
        head = VERSION + KEY_IDS[secret]
        if envelope.startswith(head) and len(envelope) >= len(head) + 28:
            bound = head + OWNER_DIGEST + b"\0\7session" + key.encode("latin-1")
            try:
                return CIPHERS[secret].decrypt(envelope[9:21], envelope[21:], bound)
            except Exception:  # noqa: BLE001 - whatever it is, it does not open
                return None
    return None


class _Store:
    """The real parts, in the order in which a record goes through them."""

    def __init__(self) -> None:
        self._keyring = Keyring([NEW, OLD], OWNER)

    def __call__(self, key: str, envelope: bytes) -> Session | None:
        plaintext = self._keyring.open("session", key, envelope)
        if plaintext is None:
            return None
        try:
            return decode_session(plaintext, key=key, version=3, idle_expires_at=NOW)
        except UnreadableRecord as error:
            require(CANARY not in str(error), "the record is in the error")
            return None


class SealedTarget:
    """The subject opens what the store has under a key."""

    name = "sealed"

    def __init__(self, subject: Subject | None = None) -> None:
        self._subject = subject or _Store()

    def case(self, random: Random) -> bytes:
        key = KEY if random.random() < 0.95 else OTHER
        if random.random() < 0.05:
            return key.encode() + b"\n" + garbage(random)
        value: object = changed(random, RECORD, WORDS) if random.random() < 0.6 else RECORD
        secret = random.choice((NEW, NEW, NEW, OLD, OLD, FOREIGN))
        purpose = random.choice((b"session",) * 12 + (b"login",))
        envelope = sealed(random, secret, KEY, text_of(random, value), purpose)
        if random.random() < 0.3:
            envelope = mutated(random, envelope)
        return key.encode() + b"\n" + envelope

    def judge(self, case: bytes) -> bool:
        first, _, envelope = case.partition(b"\n")
        key = first.decode("latin-1")
        session = self._subject(key, envelope)
        plaintext = opened(key, envelope)
        if session is None:
            require(plaintext is None or not _is_plain(plaintext), "a good record is refused")
            return False
        if plaintext is None:
            raise Finding("opens what was not sealed for this place")
        record = json.loads(plaintext)
        require((session.key, session.version) == (key, 3), "another place")
        require(session.tokens.access_token == record["tokens"]["access_token"], "other tokens")
        require(session.sub == record["sub"], "another user")
        if record["tokens"]["access_token"] == CANARY and plaintext.count(CANARY.encode()) == 1:
            require(CANARY not in repr(session), "a token in repr")
        again = decode_session(encode_session(session), key=key, version=3, idle_expires_at=NOW)
        require(again == session, "written again it is another session")
        return True

    def families(self) -> Mapping[str, Callable[[int], bytes]]:
        def holding(plaintext: bytes) -> bytes:
            return KEY.encode() + b"\n" + sealed(Random(0), NEW, KEY, plaintext, b"session")  # noqa: S311

        return {
            "depth": lambda size: holding(b"[" * size),
            "digits": lambda size: holding(b'{"format":' + b"1" * size + b"}"),
            "bytes": lambda size: KEY.encode() + b"\n" + VERSION + b"\0" * size,
        }


def _is_plain(plaintext: bytes) -> bool:
    """Whether it is the record as it is usually written."""
    return plaintext == json.dumps(RECORD).encode()
