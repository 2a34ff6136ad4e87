"""UserInfo is believed about the user of the ID token only."""

import pytest

from bff.errors import IdTokenInvalid, OpAnswerMalformed
from bff.oidc.steps.userinfo import process_userinfo


@pytest.mark.rule("ID-15")
@pytest.mark.parametrize("sub", ["bob", "ALICE", "alice ", "", None, ["alice"], 7])
def test_another_sub_is_refused(sub: object) -> None:
    """OIDC Core section 5.3.2."""
    with pytest.raises(IdTokenInvalid) as caught:
        process_userinfo(200, {"sub": sub, "email": "x"}, sub="alice")
    assert caught.value.check == "userinfo_sub"


@pytest.mark.rule("ID-15")
def test_a_missing_sub_is_refused() -> None:
    with pytest.raises(IdTokenInvalid, match="userinfo_sub"):
        process_userinfo(200, {"email": "x"}, sub="alice")


@pytest.mark.parametrize(
    ("status", "document"),
    [(200, None), (200, []), (200, "jwt"), (302, None), (401, None), (403, {"sub": "alice"})],
)
def test_anything_but_claims_is_malformed(status: int, document: object) -> None:
    with pytest.raises(OpAnswerMalformed):
        process_userinfo(status, document, sub="alice")


def test_the_same_sub_is_accepted() -> None:
    assert process_userinfo(200, {"sub": "alice", "x": 1}, sub="alice") == {"sub": "alice", "x": 1}
