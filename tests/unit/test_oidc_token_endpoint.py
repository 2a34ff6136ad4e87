"""Token responses: which tokens they bring, and what their errors mean for the grant."""

import pytest

from bff.errors import (
    AccessTokenUnusable,
    ApiTokenDenied,
    ApiTokenRefused,
    BffError,
    ClientRejected,
    CodeRejected,
    GrantRejected,
    OpAnswerMalformed,
    OpError,
    OpUnavailable,
    RefreshRefused,
)
from bff.model import Tokens
from bff.oidc.provider.strict_json import NOT_JSON
from bff.oidc.steps.token_endpoint import MAX_TOKEN_CHARS, Grant, process_token_response

NOW = 1_700_000_000.0
ANSWER: dict[str, object] = {"access_token": "at", "token_type": "Bearer", "expires_in": 60}
UNUSABLE: tuple[object, ...] = (
    7,
    ["at"],
    {"at": 1},
    "a\r\nX: y",
    "a\x00",
    "a\x7f",
    "ä",
    "x" * (MAX_TOKEN_CHARS + 1),
)
LONGEST = "x" * MAX_TOKEN_CHARS
OLD = Tokens("old-at", NOW - 60, NOW, "old-rt", NOW + 500, "old.id.token", "openid")


def process(
    document: object,
    *,
    status: int = 200,
    grant: Grant = Grant.CODE,
    previous: Tokens | None = None,
    for_api: bool = False,
) -> Tokens:
    return process_token_response(
        status,
        document,
        grant=grant,
        now=NOW,
        scope="openid",
        previous=previous,
        for_api=for_api,
    )


def test_a_full_answer_is_read() -> None:
    """RFC 6749 section 5.1: unknown members are ignored."""
    more = {"refresh_token": "rt", "id_token": "a.b.c", "scope": "openid x", "session_state": 1}
    assert process({**ANSWER, **more}) == Tokens(
        "at", NOW, NOW + 60, "rt", None, "a.b.c", "openid x"
    )


def test_the_least_an_op_can_send_is_enough() -> None:
    tokens = process({"access_token": "at", "token_type": "bearer"})
    assert tokens == Tokens("at", NOW, NOW + 300, None, None, None, "openid")


@pytest.mark.parametrize("scope", [None, "", ["openid", "x"], 7])
def test_a_scope_that_is_not_said_is_the_one_asked_for(scope: object) -> None:
    """RFC 6749 section 5.1."""
    assert process({**ANSWER, "scope": scope}).scope == "openid"


@pytest.mark.rule("TK-04")
@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "bEaReR", "BEARER"])
def test_the_token_type_is_compared_without_case(token_type: str) -> None:
    """RFC 6749 section 7.1."""
    assert process({**ANSWER, "token_type": token_type}).access_token == "at"


@pytest.mark.rule("TK-04")
@pytest.mark.parametrize(
    ("status", "document"),
    [
        (200, None),
        (200, []),
        (200, "at"),
        (200, {}),
        (200, {"error": "invalid_grant"}),
        (200, {"access_token": "at"}),
        (200, {"access_token": "at", "token_type": "mac"}),
        (200, {"access_token": "at", "token_type": "DPoP"}),
        (200, {"access_token": "at", "token_type": ["Bearer"]}),
        (200, {"access_token": "at", "token_type": None}),
        *[
            (200, {**ANSWER, name: value})
            for name in ("access_token", "refresh_token", "id_token")
            for value in UNUSABLE
        ],
        (200, {**ANSWER, "access_token": "a b"}),
        (200, {**ANSWER, "id_token": "a b"}),
        (200, {**ANSWER, "access_token": ""}),
        (200, {**ANSWER, "access_token": None}),
        (201, ANSWER),
        (204, None),
        (302, None),
        (307, ANSWER),
    ],
)
@pytest.mark.parametrize("grant", Grant)
def test_an_answer_that_is_not_one_is_malformed_and_kills_no_grant(
    status: int, document: object, grant: Grant
) -> None:
    with pytest.raises(OpAnswerMalformed):
        process(document, status=status, grant=grant)


@pytest.mark.rule("TK-05")
@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        (60, 60),
        ("60", 60),
        (" 60 ", 60),
        (60.5, 60.5),
        ("60.5", 60.5),
        (1, 1),
        (0.001, 1),
        (None, 300),
        (0, 300),
        ("0", 300),
        (-1, 300),
        ("-1", 300),
        ("soon", 300),
        ("", 300),
        ("٣", 300),
        ("1e3", 300),
        (True, 300),
        ([60], 300),
        (1e12, 30 * 86400),
        (10**400, 30 * 86400),
        ("9" * 20, 30 * 86400),
        ("9" * 5000, 300),
    ],
)
def test_any_lifetime_becomes_a_sane_one(expires_in: object, lifetime: float) -> None:
    """RFC 6749 section 5.1: absent or senseless is five minutes; never zero, never for ever."""
    tokens = process({**ANSWER, "expires_in": expires_in})
    assert tokens.lifetime_seconds == lifetime


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("absent", [{}, {"refresh_token": None}, {"refresh_token": ""}])
def test_a_refresh_keeps_what_the_op_does_not_replace(absent: dict[str, object]) -> None:
    """RFC 6749 section 6."""
    tokens = process({**ANSWER, **absent}, grant=Grant.REFRESH, previous=OLD)
    assert tokens == Tokens("at", NOW, NOW + 60, "old-rt", NOW + 500, "old.id.token", "openid")


@pytest.mark.rule("TK-07")
def test_a_refresh_takes_what_the_op_replaces() -> None:
    more = {"refresh_token": "new-rt", "id_token": "n.i.t", "scope": "openid less"}
    tokens = process({**ANSWER, **more}, grant=Grant.REFRESH, previous=OLD)
    assert tokens == Tokens("at", NOW, NOW + 60, "new-rt", None, "n.i.t", "openid less")


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("token", ["a b", " ", "~", '"\\', "rt-" + "x" * 16_384])
@pytest.mark.parametrize("grant", [Grant.CODE, Grant.REFRESH])
def test_any_refresh_token_that_the_grammar_allows_is_taken(token: str, grant: Grant) -> None:
    """RFC 6749 appendix A.17: it goes back to the OP and nowhere else."""
    previous = OLD if grant is Grant.REFRESH else None
    assert process({**ANSWER, "refresh_token": token}, grant=grant, previous=previous) == Tokens(
        "at", NOW, NOW + 60, token, None, "old.id.token" if previous else None, "openid"
    )


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize(
    "members",
    [
        *[{"access_token": value} for value in (*UNUSABLE, "a b", "", None)],
        *[{"token_type": value} for value in ("DPoP", None, 7)],
    ],
)
def test_a_rotated_refresh_token_outlives_an_access_token_that_can_not_be_used(
    status: int, members: dict[str, object]
) -> None:
    """It exists nowhere else. It counts as newer than the one it replaces."""
    document = {**ANSWER, "refresh_token": "new-rt", "refresh_expires_in": 900, **members}
    with pytest.raises(AccessTokenUnusable) as caught:
        process(document, status=status, grant=Grant.REFRESH, previous=OLD)
    assert caught.value.tokens == Tokens(
        "old-at", NOW, NOW, "new-rt", NOW + 900, "old.id.token", "openid"
    )


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("status", [302, 400, 403])
def test_an_error_brings_no_refresh_token(status: int) -> None:
    with pytest.raises(OpAnswerMalformed) as caught:
        process({"refresh_token": "rt"}, status=status, grant=Grant.REFRESH, previous=OLD)
    assert not isinstance(caught.value, AccessTokenUnusable)


@pytest.mark.rule("TK-07")
@pytest.mark.parametrize("name", ["refresh_token", "id_token"])
@pytest.mark.parametrize("value", UNUSABLE)
def test_what_a_refresh_may_leave_out_costs_nothing_when_it_can_not_be_used(
    name: str, value: object
) -> None:
    tokens = process({**ANSWER, name: value}, grant=Grant.REFRESH, previous=OLD)
    assert tokens == Tokens("at", NOW, NOW + 60, "old-rt", NOW + 500, "old.id.token", "openid")


@pytest.mark.rule("SE-05")
@pytest.mark.parametrize(
    ("members", "expires_at"),
    [
        ({"refresh_expires_in": 1800}, NOW + 1800),
        ({"refresh_token_expires_in": "1800"}, NOW + 1800),
        ({"refresh_expires_in": 0}, None),
        ({"refresh_expires_in": -1}, None),
        ({"refresh_expires_in": 1e12}, NOW + 400 * 86400),
        ({}, None),
    ],
)
def test_the_refresh_tokens_own_lifetime_is_kept_when_it_means_something(
    members: dict[str, object], expires_at: float | None
) -> None:
    """Keycloak's 0 stands for an offline token that does not expire."""
    tokens = process({**ANSWER, "refresh_token": "rt", **members})
    assert tokens.refresh_expires_at == expires_at


C, R, S = Grant.CODE, Grant.REFRESH, Grant.CLIENT


@pytest.mark.rule("TK-08")
@pytest.mark.rule("TK-09")
@pytest.mark.rule("TK-10")
@pytest.mark.parametrize(
    ("status", "document", "grant", "error"),
    [
        (400, {"error": "invalid_grant"}, C, CodeRejected),
        (400, {"error": "invalid_grant"}, R, GrantRejected),
        (400, {"error": "invalid_grant"}, S, ClientRejected),
        (401, {"error": "invalid_grant"}, R, GrantRejected),
        (403, {"error": "invalid_grant"}, R, GrantRejected),
        (400, {"error": "interaction_required"}, R, GrantRejected),
        (400, None, R, GrantRejected),
        (400, None, C, CodeRejected),
        (401, {"error": "invalid_client"}, R, ClientRejected),
        (400, {"error": "invalid_client"}, R, ClientRejected),
        (400, {"error": "unauthorized_client"}, R, ClientRejected),
        (401, None, R, ClientRejected),
        (401, NOT_JSON, R, ClientRejected),
        (401, {"error": "token_inactive"}, R, RefreshRefused),
        (401, {"error": "token_inactive"}, C, ClientRejected),
        (400, {"error": "temporarily_unavailable"}, R, OpUnavailable),
        (400, {"error": "unsupported_grant_type"}, R, ClientRejected),
        (408, None, R, OpUnavailable),
        (425, {"error": "invalid_request"}, R, OpUnavailable),
        (403, None, R, OpAnswerMalformed),
        (404, None, R, OpAnswerMalformed),
        (404, NOT_JSON, R, OpAnswerMalformed),
        (403, {"message": "Forbidden"}, R, OpAnswerMalformed),
        (400, NOT_JSON, R, RefreshRefused),
        (400, {}, R, RefreshRefused),
        (400, [], R, RefreshRefused),
        (400, {"error": "invalid_request"}, R, RefreshRefused),
        (403, {"error": "access_denied"}, R, RefreshRefused),
        (400, {"error": "Invalid_Grant"}, R, RefreshRefused),
        (400, {"error": ["invalid_grant"]}, R, RefreshRefused),
        (400, {"error_description": "invalid_grant"}, R, RefreshRefused),
        (200, {"error": "bad_refresh_token"}, R, RefreshRefused),
        (400, {"error": "invalid_request"}, C, OpAnswerMalformed),
        (400, {"error": "invalid_request"}, S, OpAnswerMalformed),
        (302, {"error": "invalid_grant"}, R, OpAnswerMalformed),
    ],
)
def test_an_error_says_who_is_to_blame(
    status: int, document: object, grant: Grant, error: type[BffError]
) -> None:
    """RFC 6749 section 5.2: only the grant's own errors end anything."""
    with pytest.raises(BffError) as caught:
        process(document, status=status, grant=grant, previous=OLD)
    assert type(caught.value) is error


def test_what_the_op_wrote_is_in_no_error() -> None:
    for document in (
        {"error": "CANARY", "error_description": "CANARY"},
        {"error": "<canary>", "access_token": "CANARY"},
    ):
        with pytest.raises(OpError) as caught:
            process(document, status=400)
        assert "canary" not in f"{caught.value!r} {caught.value.log_detail}".lower()


@pytest.mark.parametrize("grant", [Grant.CODE, Grant.CLIENT])
def test_a_success_that_is_an_error_refuses_a_refresh_only(grant: Grant) -> None:
    """Of a login nothing is lost; one that says neither may come from elsewhere."""
    error = {"error": "token_expired"}
    with pytest.raises(RefreshRefused):
        process(error, grant=Grant.REFRESH, previous=OLD)
    with pytest.raises(OpAnswerMalformed):
        process(error, grant=grant)
    with pytest.raises(OpAnswerMalformed):
        process({"message": "busy"}, grant=Grant.REFRESH, previous=OLD)


def test_an_empty_token_is_none() -> None:
    tokens = process({**ANSWER, "refresh_token": "", "id_token": ""})
    assert (tokens.refresh_token, tokens.id_token) == (None, None)


@pytest.mark.parametrize("document", [[], "text", 7, NOT_JSON, None])
def test_an_answer_that_is_no_object_changes_nothing(document: object) -> None:
    with pytest.raises(OpAnswerMalformed):
        process(document, grant=Grant.REFRESH, previous=OLD)


def test_a_login_has_no_tokens_to_fall_back_upon() -> None:
    with pytest.raises(OpAnswerMalformed, match="no access_token"):
        process({"token_type": "Bearer", "refresh_token": "rt"})


def test_a_token_may_be_so_long_and_no_longer() -> None:
    token = "x" * MAX_TOKEN_CHARS
    assert process({**ANSWER, "access_token": token}).access_token == token


def test_a_token_may_be_so_long() -> None:
    """And no longer: `UNUSABLE` has one more."""
    document = {**ANSWER, "access_token": LONGEST, "refresh_token": LONGEST, "id_token": LONGEST}
    tokens = process(document)
    assert tokens.access_token == tokens.refresh_token == tokens.id_token == LONGEST


@pytest.mark.parametrize(
    ("status", "document", "error"),
    [
        (200, {}, OpAnswerMalformed),
        (200, {"refresh_token": "rt"}, AccessTokenUnusable),
        (200, {"error": "x"}, RefreshRefused),
        (200, {"error": "x", **ANSWER, "token_type": "mac"}, OpAnswerMalformed),
        (200, {"error": ["x"]}, OpAnswerMalformed),
        (299, {"refresh_token": "rt"}, AccessTokenUnusable),
        (300, {"refresh_token": "rt"}, OpAnswerMalformed),
        (199, {"refresh_token": "rt"}, OpAnswerMalformed),
    ],
)
def test_a_refresh_without_an_access_token_is_refused_only_in_words(
    status: int, document: object, error: type[BffError]
) -> None:
    """Else it is an answer that can't be used, of which a rotated token is kept."""
    with pytest.raises(BffError) as caught:
        process(document, status=status, grant=Grant.REFRESH, previous=OLD)
    assert type(caught.value) is error


def test_what_is_called_an_error_beside_tokens_is_none() -> None:
    tokens = process({"error": "x", **ANSWER}, grant=Grant.REFRESH, previous=OLD)
    assert tokens.access_token == "at"
    with pytest.raises(OpAnswerMalformed) as caught:
        process({"error": "x"}, grant=Grant.CLIENT)
    assert type(caught.value) is OpAnswerMalformed


@pytest.mark.rule("FP-13")
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "invalid_target", ApiTokenRefused),
        (400, "invalid_scope", ApiTokenRefused),
        (403, "access_denied", ApiTokenDenied),
        (400, "consent_required", ApiTokenDenied),
        (400, "interaction_required", ApiTokenDenied),
        (401, "invalid_client", ClientRejected),
        (400, "temporarily_unavailable", OpUnavailable),
    ],
)
def test_what_is_refused_for_one_api_is_no_fault_of_the_client(
    status: int, code: str, error: type[BffError]
) -> None:
    """RFC 8707 section 2, RFC 6749 section 5.2."""
    with pytest.raises(BffError) as refused:
        process({"error": code}, status=status, grant=Grant.CLIENT, for_api=True)
    assert type(refused.value) is error
    assert code in refused.value.log_detail


@pytest.mark.rule("TK-08")
@pytest.mark.parametrize(
    ("status", "document", "grant", "error"),
    [
        (400, None, R, RefreshRefused),
        (400, {"error": "invalid_grant"}, R, GrantRejected),
        (400, {"error": "invalid_grant", "suberror": "bad_token"}, R, GrantRejected),
        (400, {"error": "invalid_grant", "suberror": ["consent_required"]}, R, GrantRejected),
        (400, {"error": "invalid_grant", "suberror": "consent_required"}, R, ApiTokenDenied),
        (400, {"error": "invalid_grant", "suberror": "basic_action"}, R, ApiTokenDenied),
        (400, {"error": "invalid_grant", "suberror": "additional_action"}, R, ApiTokenDenied),
        (
            400,
            {"error": "invalid_grant", "suberror": "basic_action"},
            Grant.ON_BEHALF_OF,
            ApiTokenDenied,
        ),
        (400, {"error": "server_error", "suberror": "basic_action"}, R, OpUnavailable),
    ],
)
def test_for_one_api_only_a_plain_invalid_grant_kills_the_grant(
    status: int, document: object, grant: Grant, error: type[BffError]
) -> None:
    with pytest.raises(BffError) as refused:
        process(document, status=status, grant=grant, previous=OLD, for_api=True)
    assert type(refused.value) is error


def test_for_the_logins_own_token_a_further_action_is_a_dead_grant() -> None:
    document = {"error": "invalid_grant", "suberror": "consent_required"}
    with pytest.raises(GrantRejected):
        process(document, status=400, grant=Grant.REFRESH, previous=OLD)
