"""Session secrets: made strong, and refused when weak. A guessed one opens every session."""

import re
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.config.problems import dotted
from bff.config.rules.secrets import guessable_secrets
from bff.config.values.secrets import new_secret, require_strong, require_unguessed
from bff.sessions.sealing.keyring import MIN_SECRET_BYTES
from tests.parts.config_files import SECRET, loaded, problems, toml

ROOT = Path(__file__).parents[2]

WEAK = [
    "",
    "x" * 31,
    "x" * 64,
    "ab" * 32,
    "abcdefgh" * 4,
    "0123456789" * 4,
    "0123456789abcdef0123456789abcdef",
    "abcdefghijklmnopqrstuvwxyz012345",
    "zyxwvutsrqponmlkjihgfedcba987654",
    "changeme-changeme-changeme-please",
    "please-CHANGE_ME-before-production!",
    "Replace-With-A-Long-Random-String-1",
    "my-super-secret-session-key-for-dev",
    "this is only an example, do not use",
    "P4ssw0rd!P4ssw0rd!P4ssw0rd!P4ssw0rd",
    "correct-horse-PASSWORD-battery-stpl",
    "00000000000000000000000000000001",
    "q1q1q1q1q1q1q1q1q1q1q1q1q1q1q1q1q1q",
]


@pytest.mark.rule("OP-07")
@pytest.mark.parametrize("secret", WEAK)
def test_a_guessable_secret_is_refused(secret: str) -> None:
    """Short, repeated, counted up, or a placeholder that has been published."""
    with pytest.raises(ValueError, match="bff keygen"):
        require_strong(secret)


def test_keygen_makes_what_is_accepted() -> None:
    """32 random bytes each, no two alike."""
    made = {new_secret() for _ in range(500)}
    assert len(made) == 500
    for secret in made:
        require_strong(secret)
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)


@given(st.binary(min_size=MIN_SECRET_BYTES, max_size=64).filter(lambda raw: len(set(raw)) > 20))
def test_random_bytes_pass_in_any_usual_spelling(raw: bytes) -> None:
    """`openssl rand -hex 32` and `-base64 32` are as good as `bff keygen`."""
    for secret in (raw.hex(), b64encode(raw).decode()):
        if "0123456" not in secret:  # a run that chance makes once in a long while
            require_strong(secret)


def test_length_is_counted_in_bytes() -> None:
    """31 letters of which one has two bytes are enough."""
    require_strong("é" + "k3Jx9Qw7Lp2Mz8Rt5Vb1Nc6Hd4Gf0Y")
    with pytest.raises(ValueError, match="32 bytes"):
        require_strong("k3Jx9Qw7Lp2Mz8Rt5Vb1Nc6Hd4Gf0Yé"[:-1])


def test_no_secret_of_the_documentation_is_accepted() -> None:
    """Examples get copied."""
    for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for quoted in re.findall(r'secrets = \["([^"]*)"', path.read_text()):
            with pytest.raises(ValueError, match="bff keygen"):
                require_strong(quoted)


def test_the_reason_never_repeats_the_secret() -> None:
    for secret in WEAK:
        if secret:
            with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is what is judged
                require_strong(secret)
            assert secret not in str(error.value)


PLACEHOLDERS = [
    "$CLIENT_SECRET_OF_THE_OP",
    "${CLIENT_SECRET_OF_THE_OP:-}",
    "$(cat /run/secrets/oidc)",
    "{{ vault.oidc.client_secret }}",
    "<client secret from the OP>",
    "%OIDC_CLIENT_SECRET%",
    "@CLIENT_SECRET_OF_OP@",
    "................",
    "xxxxxxxxxxxxxxxxxxxx",
    "****************",
    "client-secret",
    "my-super-secret-client-secret",
    "changeme-changeme-changeme",
    "REPLACE_WITH_YOUR_SECRET_123",
    "put your secret here",
    "password1234",
]


@pytest.mark.rule("OP-07")
@pytest.mark.parametrize("secret", PLACEHOLDERS)
def test_a_placeholder_is_refused_wherever_a_secret_belongs(tmp_path: Path, secret: str) -> None:
    """A template that was not filled in, or the words of an example; whatever its length."""
    for text, key in (
        (toml({"oidc": {"client_secret": f'"{secret}"'}}), "oidc.client_secret"),
        (toml({"session": {"secrets": f'["{secret}"]'}}), "session.secrets[0]"),
        (toml({"session": {"store": f'"redis://:{quote(secret)}@h"'}}), "session.store"),
        (
            toml({"session": {"store": f'"redis+sentinel://h/m?sentinel_password={quote(secret)}"'}}),
            "session.store",
        ),
    ):  # fmt: skip
        [problem] = problems(tmp_path, text)
        assert problem.key == key
        assert secret not in str(problem)


@pytest.mark.parametrize(
    "public_url", ["http://localhost:8080", "http://127.0.0.1:8080", "https://[::1]"]
)
@pytest.mark.parametrize("secret", ["secret", "my-spa-client-secret", "a-secret-for-my-dev"])
def test_on_loopback_a_placeholder_is_a_warning(
    tmp_path: Path, secret: str, public_url: str
) -> None:
    """Where only one machine gets in, an example may be tried as it is; but it is said."""
    changes = {
        "server": {"public_url": f'"{public_url}"'},
        "oidc": {"client_secret": f'"{secret}"'},
        "session": {"secrets": '["my-super-secret-session-key-for-dev"]'},
    }
    settings = loaded(tmp_path, toml(changes))
    warned = [dotted(fault.path) for fault in guessable_secrets(settings)]
    assert warned == ["oidc.client_secret", "session.secrets[0]"]
    changes["server"] = {}
    assert [problem.key for problem in problems(tmp_path, toml(changes))] == warned


def test_on_loopback_a_session_secret_is_long_all_the_same(tmp_path: Path) -> None:
    """Keys are made of it."""
    changes = {
        "server": {"public_url": '"http://localhost:8080"'},
        "session": {"secrets": '["secret"]'},
    }
    [problem] = problems(tmp_path, toml(changes))
    assert problem.key == "session.secrets[0]"


@pytest.mark.rule("OP-07")
@pytest.mark.parametrize(
    "secret", ["short-one", "k3Jx9Qw7Lp2Mz8R", "abababababababababab", "0123456789abcdefghij"]
)
def test_a_client_secret_that_can_be_guessed_is_refused(tmp_path: Path, secret: str) -> None:
    """RFC 6749 section 10.10. A party that guesses it can redeem what the gateway's client
    could."""
    [problem] = problems(tmp_path, toml({"oidc": {"client_secret": f'"{secret}"'}}))
    assert problem.key == "oidc.client_secret"
    assert secret not in str(problem)


@given(st.binary(min_size=16, max_size=48))
def test_what_an_op_makes_at_random_is_no_placeholder(raw: bytes) -> None:
    for secret in (raw.hex(), b64encode(raw).decode(), f"GOCSPX-{b64encode(raw).decode()}"):
        if len(set(raw)) > 10:
            require_unguessed(secret)


@pytest.mark.rule("OP-07")
@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("oidc", "client_secret", f'"{SECRET}"'),
        ("session", "store", f'"redis://:{SECRET}@h"'),
        ("session", "store", f'"redis+sentinel://h/m?sentinel_password={SECRET}"'),
    ],
)
def test_no_secret_serves_two_purposes(tmp_path: Path, section: str, key: str, value: str) -> None:
    """The OP, or the store's operator, could open every session else."""
    [problem] = problems(tmp_path, toml({section: {key: value}}))
    assert problem.key == f"{section}.{key}"
    assert "session.secrets" in problem.message
    assert SECRET not in str(problem)
