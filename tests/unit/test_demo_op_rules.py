"""The demo OP's pure parts: which step comes next, credentials, sessions that are swept away."""

from base64 import b64encode
from urllib.parse import quote_plus

import pytest
from authlib.oidc.core.errors import ConsentRequiredError, LoginRequiredError
from hypothesis import given
from hypothesis import strategies as st

from bff.clock import ManualClock
from spa_demo.op.authorization_server import read_basic
from spa_demo.op.interaction import Asked, Step, next_step
from spa_demo.op.keys import SigningKeys
from spa_demo.op.records import OpSession
from spa_demo.op.settings import DEMO_USERS, Client, OpSettings
from spa_demo.op.state import SWEEP_SECONDS, OpState
from spa_demo.op.tokens import half_hash

SETTINGS = OpSettings("http://127.0.0.1:9000", ())
WEAK, STRONG = SETTINGS.acr_values
NOW = 1000.0


def session(*, age: float = 0.0, acr: str = WEAK, consented: str = "") -> OpSession:
    made = OpSession("cookie", "sid", DEMO_USERS[0], NOW - age, acr, NOW + 3600)
    made.consents["spa"] = frozenset(consented.split())
    return made


def asked(prompt: str = "", max_age: int | None = None, acr: str | None = None) -> Asked:
    return Asked("spa", "openid api:read", frozenset(prompt.split()), max_age, acr)


@pytest.mark.parametrize(
    ("request_", "having", "fresh", "expected"),
    [
        (asked(), None, False, Step.LOGIN),
        (asked(), session(), False, Step.CONSENT),
        (asked(), session(consented="openid api:read"), False, Step.CONSENT),
        (asked("consent"), session(consented="openid api:read"), False, Step.CONSENT),
        (asked("login"), session(), False, Step.LOGIN),
        (asked("login"), session(), True, Step.CONSENT),
        (asked("select_account"), session(), False, Step.LOGIN),
        (asked("none"), session(consented="openid api:read"), False, Step.GRANT),
        (asked(max_age=60), session(age=60), False, Step.CONSENT),
        (asked(max_age=60), session(age=60.5), False, Step.LOGIN),
        (asked(max_age=0), session(), False, Step.LOGIN),
        (asked(max_age=0), session(), True, Step.CONSENT),
        (asked(acr=STRONG), session(), False, Step.LOGIN),
        (asked(acr=STRONG), session(acr=STRONG), False, Step.CONSENT),
        (asked(acr=WEAK), session(acr=STRONG), False, Step.CONSENT),
    ],
)
def test_the_step_that_comes_next(
    request_: Asked, having: OpSession | None, fresh: bool, expected: Step
) -> None:
    """OIDC Core section 3.1.2.1; without prompt=none a form is always shown."""
    step = next_step(request_, having, SETTINGS, now=NOW, has_just_logged_in=fresh)
    assert step is expected


@pytest.mark.parametrize(
    ("request_", "having", "error"),
    [
        (asked("none"), None, LoginRequiredError),
        (asked("none", max_age=1), session(age=2), LoginRequiredError),
        (asked("none", acr=STRONG), session(consented="openid api:read"), LoginRequiredError),
        (asked("none"), session(consented="openid"), ConsentRequiredError),
    ],
)
def test_silence_that_cannot_be_kept(
    request_: Asked, having: OpSession | None, error: type[Exception]
) -> None:
    """OIDC Core section 3.1.2.6: the error says which form would have been needed."""
    with pytest.raises(error):
        next_step(request_, having, SETTINGS, now=NOW, has_just_logged_in=False)


@given(st.text(), st.text())
def test_basic_credentials_survive_the_round_trip(client_id: str, secret: str) -> None:
    """RFC 6749 section 2.3.1: any id and secret, form-url-encoded, arrive as they were."""
    try:
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    except UnicodeEncodeError:
        return  # lone surrogates have no UTF-8 form
    header = f"Basic {b64encode(pair.encode()).decode()}"
    assert read_basic(header) == (client_id, secret)


@given(st.text())
def test_no_header_breaks_the_reader_of_credentials(header: str) -> None:
    """RFC 7617: whatever arrives, the answer is a pair or None."""
    for value in (header, f"Basic {header}"):
        read = read_basic(value)
        assert read is None or len(read) == 2


def test_a_key_ring_verifies_by_type_and_after_rotation() -> None:
    """RFC 8725 section 3.11: a token is good for the type it was signed as, and for no other."""
    ring = SigningKeys()
    token = ring.sign({"sub": "alice"}, typ="at+jwt")
    ring.rotate()
    assert ring.verify(token, typ="at+jwt") == {"sub": "alice"}
    assert ring.verify(token, typ="JWT") is None
    assert SigningKeys().verify(token, typ="at+jwt") is None
    assert ring.verify("no token", typ="JWT") is None


@pytest.mark.parametrize(
    "issuer",
    ["", "op.test", "ftp://op.test", "https://op.test/", "https://op.test/a", "https://op.test?x"],
)
def test_an_issuer_is_an_origin(issuer: str) -> None:
    """Routes and metadata are built on it; a trailing slash would be another issuer."""
    with pytest.raises(ValueError, match="issuer"):
        OpSettings(issuer, ())


def test_secrets_stay_out_of_repr() -> None:
    """House rule: no repr prints a secret."""
    client = Client("spa", "hush-hush")
    state = OpState(SETTINGS, ManualClock())
    opened = state.open_session(DEMO_USERS[0], WEAK)
    interaction = state.begin_interaction({}, "browser-id")
    text = f"{client!r} {opened!r} {interaction!r}"
    for secret in ("hush-hush", opened.cookie, interaction.id, "browser-id"):
        assert secret not in text


def test_expired_records_are_swept_away() -> None:
    """A provider that runs for days does not grow without bound."""
    clock = ManualClock()
    state = OpState(OpSettings("http://127.0.0.1:9000", (), session_seconds=60), clock)
    old = state.open_session(DEMO_USERS[0], WEAK)
    clock.advance(60 + SWEEP_SECONDS)
    state.open_session(DEMO_USERS[1], WEAK)
    assert state.session(old.cookie) is None
    assert [kept.user.sub for kept in state.sessions()] == ["bob"]
    assert len(state._sessions) == 1


def test_half_hash_matches_the_example_of_the_specification() -> None:
    """OIDC Core section 3.1.3.6 and the example of appendix A.4."""
    assert half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y") == "77QmUPtjPfzWtF2AnpK9RQ"
