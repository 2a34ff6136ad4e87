"""A record that opens and is no session, such as another release may have left: no user's, wherever
it is met, and still there for a release that can read it. It can be ended like any other."""

import json
import time
import uuid

import pytest

from bff.clock import SystemClock
from bff.model import Session, Tokens
from bff.sessions.sealing.keyring import Keyring, RecordOwner
from bff.sessions.sealing.records import (
    PURPOSE,
    SealedSessions,
    encode_session,
    sid_index,
    subject_index,
)
from bff.sessions.sessions import SessionPolicy, Sessions
from bff.sessions.store import NewRecord, SessionStore
from tests.parts.record_owner import OWNER
from tests.polling import until

SECRET = "a secret of at least 32 bytes, or some more"
OP = "https://op.example"
KEYRING = Keyring([SECRET], OWNER)
STRANGE = [
    {"sub": 7},
    {"expires_at": "2030-01-01"},
    {"created_at": None},
    {"claims": ["name"]},
    {"tokens": None},
    {"tokens": {"access_token": 1, "obtained_at": 0, "expires_at": 0}},
]


FOREIGN = [
    Keyring([SECRET], RecordOwner(OWNER.issuer, "another")),
    Keyring(["another secret of at least 32 bytes, or more"], OWNER),
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
        NewRecord(
            KEYRING.seal(PURPOSE, key, json.dumps(record).encode()),
            idle_seconds=600,
            expires_at=now + 3600,
            indexes=(subject_index(OWNER, OP, "alice"), sid_index(OWNER, OP, "sid")),
        ),
    )
    return key


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize("change", STRANGE)
async def test_what_is_no_session_is_of_no_user_and_stays(
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


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize("keyring", FOREIGN)
async def test_what_another_has_made_is_left_alone(
    store: SessionStore, sessions: Sessions, keyring: Keyring
) -> None:
    """Also where it is known to have ended, and the store then went back in time."""
    elsewhere = Sessions(store, keyring, SystemClock(), SessionPolicy(600, 3600))
    key, now = uuid.uuid4().hex, time.time()
    made = await elsewhere.create(
        key, issuer=OP, sub="alice", sid="sid", tokens=Tokens("at", now, now + 300)
    )
    assert await sessions.foreign_among([key, "there is none"]) == 1
    assert await elsewhere.foreign_among([key]) == 0
    assert await sessions.load(key) is None
    assert await sessions.end(key, "admin") is None
    assert await sessions.of_subject(OP, "alice") == []
    assert await sessions.of_sid(OP, "sid") == []
    assert await elsewhere.load(key) is not None
    stored = await store.load(key)
    assert stored is not None
    assert await elsewhere.end(made, "logout") is not None
    await until(lambda: sessions.end_reason(key) == "logout")
    await store.create(
        key, NewRecord(stored.sealed, idle_seconds=600, expires_at=now + 3600, indexes=())
    )
    assert await sessions.load(key) is None
    assert await store.load(key) is not None


@pytest.mark.parametrize("change", STRANGE)
async def test_what_is_no_session_can_be_ended(
    store: SessionStore, sessions: Sessions, change: dict[str, object]
) -> None:
    key = await left_behind(store, change)
    assert await sessions.end(key, "admin") is None
    assert await store.load(key) is None
