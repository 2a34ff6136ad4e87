"""The stored form of sessions and login transactions: readable over releases, both ways."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.model import DeviceGrant, LoginTransaction, Session, Tokens
from bff.sessions.sealing.records import (
    UnreadableRecord,
    decode_login,
    decode_session,
    encode_login,
    encode_session,
)

texts = st.text(max_size=20)
times = st.floats(min_value=0, max_value=2**40)
seconds = st.integers(min_value=0, max_value=2**40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
tokens = st.builds(
    Tokens,
    access_token=texts,
    obtained_at=times,
    expires_at=times,
    refresh_token=st.none() | texts,
    refresh_expires_at=st.none() | times,
    id_token=st.none() | texts,
    scope=texts,
)
sessions = st.builds(
    Session,
    key=texts,
    version=st.integers(min_value=1),
    issuer=texts,
    sub=texts,
    sid=st.none() | texts,
    created_at=times,
    expires_at=times,
    idle_expires_at=times,
    tokens=tokens,
    claims=st.dictionaries(texts, json_values, max_size=4),
    acr=st.none() | texts,
    auth_time=st.none() | seconds,
    client=texts,
    asked_details=texts,
    resources=st.lists(texts, max_size=3).map(tuple),
    api_tokens=st.dictionaries(
        texts,
        st.builds(Tokens, access_token=texts, obtained_at=times, expires_at=times, scope=texts),
        max_size=3,
    ),
)
logins = st.builds(
    LoginTransaction,
    issuer=texts,
    code_verifier=texts,
    nonce=texts,
    binder_hash=texts,
    return_url=texts,
    created_at=times,
    prompt=st.none() | texts,
    acr_values=st.lists(texts, max_size=3).map(tuple),
    max_age=st.none() | seconds,
    previous_session=st.none() | texts,
    resources=st.lists(texts, max_size=3).map(tuple),
    device=st.none()
    | st.builds(
        DeviceGrant,
        device_code=texts,
        expires_at=times,
        interval_seconds=times,
        wait_seconds=times,
    ),
)

FORMAT_1 = (
    b'{"format":1,"issuer":"https://op.example","sub":"alice","created_at":1.0,"expires_at":9.0,'
    b'"sid":null,"tokens":{"access_token":"at","obtained_at":1.0,"expires_at":5.0}}'
)


def read(plaintext: bytes) -> Session:
    return decode_session(plaintext, key="k", version=3, idle_expires_at=7.0)


@given(sessions)
def test_a_session_comes_back_as_it_was(session: Session) -> None:
    """With the three fields the store keeps beside it."""
    decoded = decode_session(
        encode_session(session),
        key=session.key,
        version=session.version,
        idle_expires_at=session.idle_expires_at,
    )
    assert decoded == session


@given(logins)
def test_a_login_comes_back_as_it_was(login: LoginTransaction) -> None:
    """All fields of the transaction survive."""
    assert decode_login(encode_login(login)) == login


def test_what_the_store_keeps_beside_is_not_sealed() -> None:
    """Key, version and idle expiry change without a new seal."""
    record = json.loads(encode_session(read(FORMAT_1)))
    assert not record.keys() & {"key", "version", "idle_expires_at"}
    assert record["format"] == 1


def test_records_of_format_1_stay_readable() -> None:
    """Fields that were added since get their defaults: an upgrade logs no user out."""
    assert read(FORMAT_1) == Session(
        key="k",
        version=3,
        issuer="https://op.example",
        sub="alice",
        sid=None,
        created_at=1.0,
        expires_at=9.0,
        idle_expires_at=7.0,
        tokens=Tokens(access_token="at", obtained_at=1.0, expires_at=5.0),
    )


def test_fields_of_a_later_release_are_ignored() -> None:
    """Two releases can share a store while one replaces the other."""
    record = json.loads(FORMAT_1)
    record |= {"format": 2, "dpop_key": "x"}
    record["tokens"]["resource"] = "y"
    assert read(json.dumps(record).encode()) == read(FORMAT_1)


@pytest.mark.parametrize("claims", [b"", b',"claims":{"role":"user"}'])
def test_claims_cannot_be_changed_in_place(claims: bytes) -> None:
    """A cached session is shared by all requests."""
    session = read(FORMAT_1[:-1] + claims + b"}")
    with pytest.raises(TypeError):
        session.claims["role"] = "admin"  # type: ignore[index]


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"format":"1"}',
        b'{"format":1}',
        b'{"format":1,"tokens":[]}',
        b'{"format":1,"tokens":{}}',
        b"[" * 100_000,
        FORMAT_1.replace(b'"sub":"alice",', b""),
        FORMAT_1[:-1] + b',"claims":7}',
    ],
)
def test_what_is_no_record_is_unreadable(plaintext: bytes) -> None:
    """One error, so that the caller can fail closed."""
    with pytest.raises(UnreadableRecord):
        read(plaintext)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_unreadable(plaintext: bytes) -> None:
    """Whatever the bytes say, there is no other error."""
    with pytest.raises(UnreadableRecord):
        read(plaintext)
    with pytest.raises(UnreadableRecord):
        decode_login(plaintext)


TEXT, NUMBER, WHOLE = "text", "number", "whole number"
FIELDS: dict[str, set[str | None]] = {
    "issuer": {TEXT},
    "sub": {TEXT},
    "sid": {TEXT, None},
    "created_at": {NUMBER},
    "expires_at": {NUMBER},
    "acr": {TEXT, None},
    "auth_time": {WHOLE, None},
    "client": {TEXT},
    "address": {TEXT},
    "claims": {"object"},
    "tokens": set(),
    "tokens.access_token": {TEXT},
    "tokens.obtained_at": {NUMBER},
    "tokens.expires_at": {NUMBER},
    "tokens.refresh_token": {TEXT, None},
    "tokens.refresh_expires_at": {NUMBER, None},
    "tokens.id_token": {TEXT, None},
    "tokens.scope": {TEXT},
}
LOGIN_FIELDS: dict[str, set[str | None]] = {
    "issuer": {TEXT},
    "code_verifier": {TEXT},
    "nonce": {TEXT},
    "binder_hash": {TEXT},
    "return_url": {TEXT},
    "created_at": {NUMBER},
    "prompt": {TEXT, None},
    "acr_values": {"texts"},
    "max_age": {WHOLE, None},
    "previous_session": {TEXT, None},
}
strange = st.one_of(
    json_values, st.just([7]), st.just(float("nan")), st.just(float("inf")), st.just(10**400)
)


def is_one_of(value: object, kinds: set[str | None]) -> bool:
    """A second statement of what a field may be."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    found = {
        TEXT: isinstance(value, str),
        NUMBER: is_number and abs(value) <= 2**53,  # type: ignore[arg-type]
        WHOLE: is_number and isinstance(value, int) and abs(value) <= 2**53,
        "object": isinstance(value, dict),
        "texts": isinstance(value, list) and all(isinstance(one, str) for one in value),
        None: value is None,
    }
    return any(found[kind] for kind in kinds)


@pytest.mark.rule("SE-09")
@pytest.mark.parametrize("value", [7, True, None, [], {}, 2.0**53 + 2, float("nan"), "text"])
@pytest.mark.parametrize("name", ["sub", "sid", "created_at", "auth_time", "claims", "tokens"])
def test_a_field_is_of_its_kind(name: str, value: object) -> None:
    record = json.loads(FORMAT_1)
    plaintext = json.dumps(record | {name: value}).encode()
    if is_one_of(value, FIELDS[name]):
        assert read(plaintext) is not None
    else:
        with pytest.raises(UnreadableRecord):
            read(plaintext)


@pytest.mark.rule("SE-09")
@given(st.sampled_from(sorted(FIELDS)), strange)
def test_a_session_with_a_field_of_another_kind_is_unreadable(name: str, value: object) -> None:
    """Else it would be read as a session, and fail wherever the field is used."""
    record = json.loads(FORMAT_1)
    part, _, inner = name.rpartition(".")
    (record[part] if part else record)[inner] = value
    plaintext = json.dumps(record).encode()
    if is_one_of(value, FIELDS[name]):
        read(plaintext)
    else:
        with pytest.raises(UnreadableRecord):
            read(plaintext)


@pytest.mark.rule("SE-09")
@given(logins, st.sampled_from(sorted(LOGIN_FIELDS)), strange)
def test_a_login_with_a_field_of_another_kind_is_unreadable(
    login: LoginTransaction, name: str, value: object
) -> None:
    plaintext = json.dumps(json.loads(encode_login(login)) | {name: value}).encode()
    if is_one_of(value, LOGIN_FIELDS[name]):
        decode_login(plaintext)
    else:
        with pytest.raises(UnreadableRecord):
            decode_login(plaintext)


def test_errors_do_not_repeat_the_record() -> None:
    """Its content may be a token."""
    with pytest.raises(UnreadableRecord) as caught:
        read(b'{"format":1,"tokens":{"access_token":"secret"}}')
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
