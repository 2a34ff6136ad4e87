"""A record that opens and is no session, such as another release may have left: nobody's, wherever
it is met, and still there for whoever can read it. It can be ended like any other."""

import json
import time
import uuid

import pytest

from bff.clock import SystemClock
from bff.model import Session, Tokens
from bff.sessions.codec import encode_session
from bff.sessions.keyring import Keyring
from bff.sessions.records import PURPOSE, SealedSessions, sid_index, subject_index
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.store import SessionStore

SECRET = "a secret of at least 32 bytes, or some more"
OP = "https://op.example"
KEYRING = Keyring([SECRET])
STRANGE = [
    {"sub": 7},
    {"expires_at": "2030-01-01"},
    {"created_at": None},
    {"claims": ["name"]},
    {"tokens": None},
    {"tokens": {"access_token": 1, "obtained_at": 0, "expires_at": 0}},
]


@pytest.fixture
def sessions(store: SessionStore) -> Sessions:
    return Sessions(store, KEYRING, SystemClock(), SessionPolicy(600, 3600))


async def left_behind(store: SessionStore, change: dict[str, object]) -> str:
    """Its key."""
    key, now = uuid.uuid4().hex, time.time()
    session = Session(
        key, 1, OP, "alice", "sid", now, now + 3600, now + 600, Tokens("at", now, now + 300)
    )
    record = json.loads(encode_session(session)) | change
    await store.create(
        key,
        KEYRING.seal(PURPOSE, key, json.dumps(record).encode()),
        idle_seconds=600,
        expires_at=now + 3600,
        indexes=(subject_index(OP, "alice"), sid_index(OP, "sid")),
    )
    return key


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize("change", STRANGE)
async def test_what_is_no_session_is_nobodys_and_stays(
    store: SessionStore, sessions: Sessions, change: dict[str, object]
) -> None:
    key = await left_behind(store, change)
    assert await sessions.load(key) is None
    assert await sessions.load_fresh(key) is None
    assert key not in [one.key for one in await sessions.of_subject(OP, "alice")]
    assert key not in [one.key for one in await sessions.of_sid(OP, "sid")]
    stored = await store.load(key)
    assert stored is not None
    assert SealedSessions(KEYRING).open(key, stored) is None


@pytest.mark.parametrize("change", STRANGE)
async def test_what_is_no_session_can_be_ended(
    store: SessionStore, sessions: Sessions, change: dict[str, object]
) -> None:
    key = await left_behind(store, change)
    assert await sessions.end(key, "admin") is None
    assert await store.load(key) is None
