"""An API that refuses our token: what its 401 may mean, and the decision anew with another token.
RFC 6750 section 3.1, RFC 9470 section 3."""

from collections.abc import Iterable, Mapping

from bff.errors import BffError, SessionEnded, StepUpRequired
from bff.gate.admission import Admission
from bff.gate.head import Field, RequestHead
from bff.gate.outcome import Forward
from bff.model import Session
from bff.oidc.step_up import StepUpRules
from bff.proxy.upstream.answer_head import AnswerHead
from bff.proxy.upstream.challenge import step_up_asked
from bff.proxy.upstream.destination import Destination

UNAUTHORIZED = 401


def step_up_for(
    answer: AnswerHead, destination: Destination, rules: Mapping[str, StepUpRules]
) -> StepUpRequired | None:
    """What the API says with this answer: another login of the same user would do. None where it
    says something else, or asks for what a login of this user may not ask for."""
    session = destination.session
    if session is None or not destination.carries_user_token:
        return None
    asked = step_up_asked(answer.fields)
    if asked is None or not rules[session.provider].may_be_asked(asked.acr_values):
        return None
    return StepUpRequired(asked.acr_values, asked.max_age)


def asks_for_another_token(answer: AnswerHead, destination: Destination) -> bool:
    """Whether a request that got this answer may have another one with another token."""
    return (
        answer.status == UNAUTHORIZED
        and destination.may_renew
        and _speaks_of_the_token(answer.fields)
    )


def _speaks_of_the_token(fields: Iterable[Field]) -> bool:
    """False when the API says that something else is missing: a scope, say."""
    for name, value in fields:
        if name.lower() == b"www-authenticate":
            challenge = value.lower()
            if b"error=" in challenge and b"invalid_token" not in challenge:
                return False
    return True


async def another_decision(
    admission: Admission, head: RequestHead, session: Session | None, refused: str
) -> Forward | None:
    """The decision for the same request with a newer access token than `refused`; None when
    there is none to be had, or the OP can't be asked now.

    Raises:
        SessionEnded: the session has ended.
    """
    if session is None:
        return None
    try:
        return await admission.with_another_token(head, session, refused)
    except SessionEnded:
        raise
    except BffError:
        return None
