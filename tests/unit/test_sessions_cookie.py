"""Cookie values, their signatures, and the headers that set and delete them."""

import base64
import hashlib
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.sessions.cookie import (
    Binder,
    LogoutReturn,
    LogoutSid,
    SameSite,
    SessionCookie,
    delete_cookie_header,
    set_cookie_header,
)

OLD = "an old secret of at least 32 bytes, or more"
NEW = "a new secret of at least 32 bytes, or more"
HOST = "__Host-Http-bff"

cookie = SessionCookie(HOST, [NEW, OLD])


def id_of(value: str) -> bytes:
    return base64.urlsafe_b64decode(value.partition(".")[0] + "=")


@pytest.mark.rule("SE-01")
def test_ids_are_random_and_unique() -> None:
    """256 bits each, no duplicates, every byte position and every bit evenly used (ASVS 7.2.3)."""
    count = 2000
    ids = [id_of(cookie.issue().value) for _ in range(count)]
    assert {len(session_id) for session_id in ids} == {32}
    assert len(set(ids)) == count
    assert len({session_id[:8] for session_id in ids}) == count, "a shared prefix"
    for byte in range(32):
        assert len({session_id[byte] for session_id in ids}) > 200, "a fixed or slow field"
        for bit in range(8):
            ones = sum(session_id[byte] >> bit & 1 for session_id in ids)
            assert 0.4 < ones / count < 0.6, "a biased bit (9 standard deviations off)"
    assert ids != sorted(ids)


def test_the_key_is_the_hash_of_the_id() -> None:
    """The store never holds what a browser could send."""
    new = cookie.issue()
    session_id, _, _ = new.value.partition(".")
    assert new.key == hashlib.sha256(session_id.encode()).hexdigest()
    assert cookie.key_of(new.value) == new.key
    assert new.value not in repr(new)


@pytest.mark.rule("CK-07")
def test_the_value_is_small_and_opaque() -> None:
    """A reference and a signature, 87 characters, whatever the session holds."""
    value = cookie.issue().value
    assert len(value) == 87
    assert set(value) <= set(string.ascii_letters + string.digits + "-_.")


@pytest.mark.rule("SE-01")
def test_no_changed_bit_verifies() -> None:
    """Also not in the signature's last character, where base64 has bits to spare."""
    value = cookie.issue().value
    for position, character in enumerate(value):
        for bit in range(8):
            changed = chr(ord(character) ^ 1 << bit)
            assert cookie.key_of(value[:position] + changed + value[position + 1 :]) is None
    assert cookie.key_of(value) is not None


BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"


def spellings(text: str) -> list[str]:
    """The others that decode to the same 32 bytes: the last of 43 characters holds four bits."""
    first = BASE64.index(text[-1]) // 4 * 4
    others = [text[:-1] + last for last in BASE64[first : first + 4] if last != text[-1]]
    assert all(
        base64.urlsafe_b64decode(o + "=") == base64.urlsafe_b64decode(text + "=") for o in others
    )
    return others


@pytest.mark.rule("SE-01")
def test_no_second_spelling_verifies() -> None:
    """There is one value for each session and each logout link: neither a log that looks for one
    nor a list of revoked ones can be passed by another."""
    new, sids, binder = cookie.issue(), LogoutSid([NEW, OLD]), Binder([NEW])
    session_id, _, signature = new.value.partition(".")
    bound = binder.issue().value
    for other in spellings(signature):
        assert cookie.key_of(f"{session_id}.{other}") is None
    for other in spellings(session_id):
        assert cookie.key_of(f"{other}.{signature}") is None
    for other in spellings(bound.partition(".")[2]):
        assert binder.key_of(f"{bound.partition('.')[0]}.{other}") is None
    for other in spellings(sids.sid_for(new.key)):
        assert not sids.matches(new.key, other)
    assert cookie.key_of(new.value) == new.key


def test_what_verified_is_remembered_within_bounds() -> None:
    """The oldest is forgotten, and verified again when it comes."""
    bounded = SessionCookie(HOST, [NEW], entries=3)
    issued = [bounded.issue() for _ in range(10)]
    for _ in range(2):
        for new in issued:
            assert bounded.key_of(new.value) == new.key
            assert len(bounded) <= 3
    assert bounded.key_of("forged") is None
    assert len(bounded) == 3


@pytest.mark.rule("SE-03")
@given(st.text() | st.text(alphabet=string.ascii_letters + "*:._-=\r\n\0", max_size=100))
def test_garbage_is_no_session(value: str) -> None:
    """Never an error, whatever a browser sends."""
    assert cookie.key_of(value) is None
    assert Binder([NEW]).key_of(value) is None
    assert LogoutSid([NEW]).matches("key", value) is False


@pytest.mark.rule("SE-03")
@pytest.mark.parametrize("change", ["{}x", "x{}", "{}\n", " {}", "{}=", "{}.", '"{}"', "{}\ud800"])
def test_an_embellished_value_is_no_session(change: str) -> None:
    """A value has one spelling, also after it has been seen in its right one."""
    value = cookie.issue().value
    assert cookie.key_of(value) is not None
    assert cookie.key_of(change.format(value)) is None
    assert cookie.key_of(value[:-1]) is None


@pytest.mark.rule("OP-03")
def test_secrets_rotate() -> None:
    """A value of the old secret verifies while that is listed, and dies with it."""
    value = SessionCookie(HOST, [OLD]).issue().value
    assert SessionCookie(HOST, [NEW, OLD]).key_of(value) is not None
    assert SessionCookie(HOST, [NEW]).key_of(value) is None
    fresh = SessionCookie(HOST, [NEW, OLD]).issue().value
    assert SessionCookie(HOST, [NEW]).key_of(fresh) is not None, "the newest secret signs"
    assert SessionCookie(HOST, [OLD]).key_of(fresh) is None


def test_a_signature_serves_one_purpose() -> None:
    """A binder cookie is no session, a session cookie no binder, a logout sid neither."""
    binder = Binder([NEW, OLD])
    assert cookie.key_of(binder.issue().value) is None
    assert binder.key_of(cookie.issue().value) is None
    session_id, _, signature = cookie.issue().value.partition(".")
    assert LogoutSid([NEW, OLD]).matches(session_id, signature) is False


def test_the_binder_key_is_the_hash_of_the_value() -> None:
    """What the login transaction remembers of the browser; rotation leaves open logins alone."""
    new = Binder([OLD]).issue()
    assert new.key == hashlib.sha256(new.value.encode()).hexdigest()
    assert Binder([NEW, OLD]).key_of(new.value) == new.key
    assert Binder([NEW]).key_of(new.value) is None
    assert new.value not in repr(new)


@pytest.mark.rule("CS-06")
def test_a_logout_sid_belongs_to_one_session() -> None:
    """Bound to the session, the same in every worker, accepted over a rotation."""
    sid = LogoutSid([OLD]).sid_for("session")
    assert LogoutSid([NEW, OLD]).matches("session", sid)
    assert not LogoutSid([NEW, OLD]).matches("another", sid)
    assert not LogoutSid([NEW]).matches("session", sid)
    assert LogoutSid([NEW, OLD]).sid_for("session") == LogoutSid([NEW]).sid_for("session")
    assert "session" not in sid


@pytest.mark.parametrize(
    "service", [lambda secrets: SessionCookie(HOST, secrets), Binder, LogoutSid]
)
def test_no_secret_no_service(service: Callable[[list[str]], object]) -> None:
    """An empty list of secrets is refused, not signed with nothing."""
    with pytest.raises(ValueError, match="secret"):
        service([])


@pytest.mark.rule("CK-01")
@pytest.mark.rule("CK-02")
@pytest.mark.rule("CK-03")
@pytest.mark.rule("CK-04")
@pytest.mark.rule("CK-06")
@pytest.mark.parametrize(
    ("name", "secure", "same_site", "max_age", "header"),
    [
        (HOST, True, "strict", None, f"{HOST}=v; Path=/; Secure; HttpOnly; SameSite=Strict"),
        (HOST, True, "lax", None, f"{HOST}=v; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ("bff", False, "strict", None, "bff=v; Path=/; HttpOnly; SameSite=Strict"),
        (
            "x-login",
            True,
            "lax",
            600,
            "x-login=v; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=Lax",
        ),
        (
            "x-login",
            True,
            "none",
            600,
            "x-login=v; Path=/; Max-Age=600; Secure; HttpOnly; SameSite=None",
        ),
    ],
)
def test_set_cookie(
    name: str, secure: bool, same_site: SameSite, max_age: int | None, header: str
) -> None:
    """Host-only, Path=/, HttpOnly, Secure on https (RFC 6265bis section 4.1.2)."""
    assert header == set_cookie_header(
        name, "v", secure=secure, same_site=same_site, max_age=max_age
    )


@pytest.mark.rule("CK-08")
@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("same_site", ["strict", "lax"])
def test_a_deletion_has_the_attributes_of_the_cookie(secure: bool, same_site: SameSite) -> None:
    """Else a `__Host-` cookie survives it (RFC 6265bis section 5)."""
    name = HOST if secure else "bff"
    set_header = set_cookie_header(name, "value", secure=secure, same_site=same_site)
    deletion = delete_cookie_header(name, secure=secure, same_site=same_site)
    assert deletion.split("; ")[0] == f"{name}="
    assert set(deletion.split("; ")[1:]) == {*set_header.split("; ")[1:], "Max-Age=0"}


@pytest.mark.rule("CK-05")
@pytest.mark.parametrize(
    ("name", "same_site"),
    [(HOST, "strict"), ("__Host-bff", "strict"), ("__Secure-bff", "lax"), ("bff", "none")],
)
def test_what_a_browser_would_refuse_is_refused(name: str, same_site: SameSite) -> None:
    """Prefixed and cross-site cookies need Secure (layered-cookies section 4.1.3)."""
    with pytest.raises(ValueError, match="Secure"):
        set_cookie_header(name, "v", secure=False, same_site=same_site)


@pytest.mark.rule("SM-08")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b", "v"),
        ("", "v"),
        ("a=b", "v"),
        ("a\r\n", "v"),
        ("a", "v\r\nX: y"),
        ("a", "v;w"),
        ("a", "v, w"),
        ("a", 'v"'),
        ("a", "v\0"),
        ("a", "vä"),
    ],
)
def test_a_header_cannot_be_split(name: str, value: str) -> None:
    """Nothing that could end the value gets into the header (RFC 9110 section 5.5)."""
    with pytest.raises(ValueError, match="characters"):
        set_cookie_header(name, value, secure=True, same_site="lax")


@pytest.mark.rule("FE-02")
@pytest.mark.parametrize(("made_at", "shown_at"), [("default", "shop"), ("shop", "crm")])
def test_what_one_frontend_has_signed_is_nothing_to_another(made_at: str, shown_at: str) -> None:
    """Before any session is looked for; what was signed before there were frontends is that of
    `default`."""
    made, shown = (SessionCookie(HOST, [NEW], frontend=name) for name in (made_at, shown_at))
    value = made.issue().value
    assert made.key_of(value) is not None
    assert shown.key_of(value) is None
    assert (cookie.key_of(value) is not None) == (made_at == "default")
    binder = Binder([NEW], made_at).issue().value
    assert Binder([NEW], shown_at).key_of(binder) is None
    sid = LogoutSid([NEW], made_at).sid_for("session")
    assert LogoutSid([NEW], made_at).matches("session", sid)
    assert not LogoutSid([NEW], shown_at).matches("session", sid)
    kept = LogoutReturn([NEW], made_at).value_for("/bye", expires_at=9)
    assert LogoutReturn([NEW], made_at).location_of(kept, now=0) == "/bye"
    assert LogoutReturn([NEW], shown_at).location_of(kept, now=0) is None


@pytest.mark.rule("AZ-12")
def test_the_end_of_a_logout_is_kept_as_it_was_signed() -> None:
    """For its time, and by any secret of ours; nothing else that we sign is taken for it."""
    location = "/" + "a" * 2047
    value = LogoutReturn([OLD]).value_for(location, expires_at=100.9)
    assert len(set_cookie_header("__Host-Http-bff-logout", value, secure=True, same_site="lax"))
    assert len(value) < 3000  # browsers take 4096 with the name
    kept = LogoutReturn([NEW, OLD])
    assert kept.location_of(value, now=99) == location
    assert kept.location_of(value, now=100) is None
    assert LogoutReturn([NEW]).location_of(value, now=0) is None
    for other in (cookie.issue().value, Binder([NEW]).issue().value, "", ".", "1.L2E", "\xe9."):
        assert kept.location_of(other, now=0) is None


@given(st.text(max_size=60))
def test_a_changed_end_of_a_logout_is_none(changed: str) -> None:
    kept = LogoutReturn([NEW])
    value = kept.value_for("/bye", expires_at=100)
    assert kept.location_of(changed, now=0) is None
    assert kept.location_of(f"{changed}{value}", now=0) == (None if changed else "/bye")


@pytest.mark.rule("FE-07")
def test_a_cookie_below_a_path_is_set_and_deleted_there() -> None:
    """`__Host-` is for whole hosts (RFC 6265bis section 4.1.3.2)."""
    for header in (
        set_cookie_header("__Secure-bff", "v", secure=True, same_site="strict", path="/shop"),
        delete_cookie_header("__Secure-bff", secure=True, same_site="strict", path="/shop"),
    ):
        assert "; Path=/shop; " in header
    for name, path in (("__Host-bff", "/shop"), ("bff", "shop"), ("bff", "/a;b")):
        with pytest.raises(ValueError, match="path"):
            set_cookie_header(name, "v", secure=True, same_site="strict", path=path)
