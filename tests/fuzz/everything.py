"""All targets, each with the real thing as its subject."""

from collections.abc import Mapping

from tests.fuzz.target import Target
from tests.fuzz.targets.callback import CallbackTarget
from tests.fuzz.targets.cookie import CookieTarget
from tests.fuzz.targets.id_token import IdTokenTarget
from tests.fuzz.targets.logout_token import LogoutTokenTarget
from tests.fuzz.targets.path import PathTarget
from tests.fuzz.targets.retry_after import RetryAfterTarget
from tests.fuzz.targets.return_url import ReturnUrlTarget
from tests.fuzz.targets.token_answer import TokenAnswerTarget


def all_targets() -> Mapping[str, Target]:
    """Made anew, with nothing remembered."""
    made: list[Target] = [
        CookieTarget(),
        PathTarget(),
        ReturnUrlTarget(),
        CallbackTarget(),
        TokenAnswerTarget(),
        IdTokenTarget(),
        LogoutTokenTarget(),
        RetryAfterTarget(),
    ]
    return {target.name: target for target in made}
