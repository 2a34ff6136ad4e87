"""What an OP's answer to an introspection request says of a token (RFC 7662 section 2)."""

import pytest

from bff.errors import BffError, ClientRejected, IntrospectionRefused, OpAnswerMalformed
from bff.oidc.provider.strict_json import NOT_JSON
from bff.oidc.steps.introspection import process_introspection


@pytest.mark.parametrize("is_active", [True, False])
def test_only_active_counts(*, is_active: bool) -> None:
    assert process_introspection(200, {"active": is_active, "exp": 1, "sub": 7}) is is_active


@pytest.mark.rule("TK-24")
@pytest.mark.parametrize(
    ("status", "document", "error"),
    [
        (200, {}, OpAnswerMalformed),
        (200, {"active": "true"}, OpAnswerMalformed),
        (200, {"active": 1}, OpAnswerMalformed),
        (200, [True], OpAnswerMalformed),
        (200, None, OpAnswerMalformed),
        (200, NOT_JSON, OpAnswerMalformed),
        (404, {"active": True}, OpAnswerMalformed),
        (400, {"error": "invalid_request"}, IntrospectionRefused),
        (400, {"error": "invalid_client"}, ClientRejected),
        (413, NOT_JSON, IntrospectionRefused),
        (302, {"active": True}, OpAnswerMalformed),
        (401, {"active": True}, ClientRejected),
        (401, {"error": "invalid_client"}, ClientRejected),
        (403, {"error": "access_denied"}, ClientRejected),
        (403, None, OpAnswerMalformed),
    ],
)
def test_anything_else_lets_no_token_pass(
    status: int, document: object, error: type[BffError]
) -> None:
    with pytest.raises(error):
        process_introspection(status, document)
